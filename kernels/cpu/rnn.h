// The steps of recurrent layers, forward and backward, and the packing of their recurrent weights.
#pragma once
#include <cstdint>

#include "table.h"

namespace fd {
enum RnnCell : int { kRnnTanh, kRnnRelu, kLstm, kGru };
constexpr int kRnnCells = 4;
// Gates of a cell: blocks of `units` rows in its weights; and the blocks of a row of `gates`.
constexpr int rnn_gates(int cell) { return cell == kLstm ? 4 : cell == kGru ? 3 : 1; }
constexpr int rnn_saved(int cell) { return cell == kLstm || cell == kGru ? 4 : 1; }

// One step for `rows` sequences. The units are dealt with in panels of V vectors of sums: the gates
// of N = lanes units for an LSTM (V = 4) and a GRU (V = 3), 2N units otherwise and backward (V =
// 2).
//   sum[row][column] = sum over k of a[row][k] * w[k][column],   k in order, from zero
// and what the cell makes of it, all in one pass. With terms == 0 the sums are zero. Strides are in
// elements, the last dimension of every array is contiguous.
template <class T>
struct RnnStep {
  int64_t rows, units;
  // The product. Backward through a GRU, k < split are the gradients of r and z, the others those
  // of m, `skip` elements further on.
  const T* a;
  int64_t a_row, terms, split, skip;
  const T* w;  // packed
  bool far;    // are they more than L2 holds?

  // [row][saved * units]. Forward: W_ih x and the biases, in; r, z, n, m or i, f, g, o, out.
  // The plain cells have the state itself here: W_ih x, in; h, out.
  T* gates;
  int64_t gates_row;
  const T* before;  // the state before the step: h of a GRU, c of an LSTM (backward)
  int64_t before_row;
  // Forward only.
  const T* bias;  // of m, a GRU's W_hn h; with terms == 0 m is in `gates`
  T* h;           // out, not of the plain cells
  int64_t h_row;
  T* c;  // an LSTM's, in place
  int64_t c_row;
  T* cells;  // and a copy of it, or nullptr
  int64_t cells_row;
  bool save;  // are the gates to be written?
  // Backward only. The gradient of h is sum + g + carry, where there is such.
  const T* g;
  int64_t g_row;
  const T* carry;
  int64_t carry_row;
  T* carry_out;  // a GRU's: what goes past its gates to the state before
  int64_t carry_out_row;
  T* d;  // out: gradients of the arguments, [row][saved * units]
  int64_t d_row;
};

template <class T>
struct RnnKernels {
  int lanes;
  // Forward: of w[gates * units][terms] with strides; backward: of w[terms][units].
  // panels [units in panels][terms][V][lanes], zero past the last unit. Panels [first, last).
  void (*pack)(int64_t first, int64_t last, int vectors, int gates, int64_t units, int64_t terms,
               const T* w, int64_t unit_stride, int64_t term_stride, T* panels);
  void (*forward[kRnnCells])(const RnnStep<T>&, int64_t first_panel, int64_t last_panel);
  void (*backward[kRnnCells])(const RnnStep<T>&, int64_t first_panel, int64_t last_panel);
};

struct RnnTable {
  RnnKernels<float> f32;
  RnnKernels<double> f64;
};
}  // namespace fd

FD_DECLARE_TABLE(RnnTable, rnn)
