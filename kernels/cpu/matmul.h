// The register tile of matrix multiplication and the packing that feeds it, one table per dtype.
// Matrix products, linear layers and convolutions are all loops around these.
#pragma once
#include <cstdint>

#include "table.h"

namespace fd {
// Memory that a tile touches for what comes next, a vector for each term of its sums, so that it
// arrives beside them: rows of `width` numbers, a multiple of a vector's, from number `at` of the
// first one on. The numbers `ahead` of each vector are asked for, and it is copied, where there is
// something to copy it `to`.
template <class T>
struct Beside {
  const T* from = nullptr;
  int64_t from_row = 0, width = 0, at = 0, ahead = 0;
  T* to = nullptr;
  int64_t to_row = 0;
};

// What the tile does with its sums besides storing them; all of it happens in registers.
template <class T>
struct Epilogue {
  bool accumulate = false;         // add to what c holds
  const T* row_bias = nullptr;     // m values, one for each row of c
  const T* column_bias = nullptr;  // n values, one for each column of c
  const T* addend = nullptr;       // m rows of n values, added as c would be; of the tile alone
  int64_t addend_row = 0;
  const T* begun = nullptr;  // m rows of n sums to go on from instead of zero; of the tile alone
  int64_t begun_row = 0;
  Beside<T> beside = {};  // of the tile alone, where it has nr columns in place or packed
};

// Where the tile finds its rows of A. Several `pieces` make one longer sum: piece p starts at
// a + offset[p] and k of B goes straight on (the taps of a convolution); offset == nullptr: at a.
template <class T>
struct Rows {
  const T* a;
  int64_t row_stride, k_stride;  // in elements; any
  int64_t pieces = 1;
  const int64_t* offset = nullptr;
};

// What becomes of a finished sum v = c[i, j]:
//   activation(alpha * v + Σ over addends of scale * data[i * row_stride + j * column_stride])
enum class Activation : uint8_t { none, relu, sigmoid, tanh, silu, gelu, gelu_tanh };
constexpr const char* kActivations[] = {"", "relu", "sigmoid", "tanh", "silu", "gelu", "gelu_tanh"};

template <class T>
struct Finish {
  struct Addend {
    const T* data = nullptr;  // none
    int64_t row_stride = 0, column_stride = 0;
    T scale = 1;
  };
  T alpha = 1;
  Addend addends[2];
  Activation activation = Activation::none;
};

constexpr int kFewRows = 8, kSweepRows = 16;

template <class T>
struct MatmulKernels {
  int mr, nr;  // the largest tile: rows and columns of C
  int kc, nc;  // cache blocks: terms of a sum, columns of B

  // c[i * ldc + j] = epilogue( sum over pieces p, over k of
  //                            rows.a[offset[p] + i * row_stride + k * k_stride] *
  //                            b[(p * k_size + k) * ldb + j] ),   i < m <= mr,  j < n <= nr.
  // Each sum runs in order of p, then k, in one chain of multiply-adds from zero, or from where
  // it was begun.
  // `b` is a packed panel (ldb = nr) or a matrix in place (any ldb); only its first n columns
  // count. Nothing outside the m rows of A, the n columns of B and C is touched, except that a
  // panel with `packed` set is read to its full width nr.
  void (*tile)(int64_t k_size, const Rows<T>& rows, const T* b, int64_t ldb, bool packed, T* c,
               int64_t ldc, int m, int n, const Epilogue<T>& epilogue);

  // As `tile` with b in place, n = nr, one piece, and leaves b in `panel` as `pack` would.
  void (*tile_packing)(int64_t k_size, const Rows<T>& rows, const T* b, int64_t ldb, T* panel, T* c,
                       int64_t ldc, int m, const Epilogue<T>& epilogue);

  // Panels of `width` columns, back to back, from `count` columns of the source:
  // panels[(p * k_size + k) * width + w] = source[(p * width + w) * w_stride + k * k_stride],
  // and 0 from `count` on in the last panel. For B, width = nr. For A, one panel at a time with
  // width = count = the rows of a tile, which reads it with row_stride 1 and k_stride width.
  // Fast when either stride is 1.
  void (*pack)(int64_t k_size, int count, const T* source, int64_t w_stride, int64_t k_stride,
               T* panels, int width);

  // As `tile`, for m <= kSweepRows rows, any n, one piece, b in place.
  void (*sweep)(int64_t k_size, const Rows<T>& rows, const T* b, int64_t ldb, T* c, int64_t ldc,
                int m, int64_t n, const Epilogue<T>& epilogue);

  // c[i * c_row + j * c_column] = epilogue( sum over k of a[i * lda + k] * b[j * ldb + k] ),
  // i < m <= kFewRows, j < n. The tree of a sum is no deeper than that of blocks of kc terms.
  void (*dot)(int64_t k_size, const T* a, int64_t lda, const T* b, int64_t ldb, T* c, int64_t c_row,
              int64_t c_column, int m, int64_t n, const Epilogue<T>& epilogue);

  // c[i * c_row + j * c_column], i < m, j < n, in place. No addend overlaps c.
  void (*finish)(int64_t m, int64_t n, T* c, int64_t c_row, int64_t c_column,
                 const Finish<T>& finish);
};

struct MatmulTable {
  MatmulKernels<float> f32;
  MatmulKernels<double> f64;
};
}  // namespace fd

FD_DECLARE_TABLE(MatmulTable, matmul)
