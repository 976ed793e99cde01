// Depthwise convolution (one input channel a group) and the gradient of its weights.
#pragma once
#include "conv.h"

namespace fd {
// A vector of outputs of a chunk: where its window starts in the staged image, where it lies in y.
struct Site {
  int64_t x, y;
  int lanes;
};

// A unit is what one vector works on: channels-last, N neighbouring channels, a site being a pixel;
// channels-first, one output channel, a site being N neighbouring pixels. The rows that a chunk
// reads of its unit are staged, zero-padded, as [row][column][N channels] or [row][phase][column],
// the columns split by phase (mod stride_w) so that neighbouring outputs read neighbours.
struct DepthPlan {
  bool channels_last;
  int64_t units, block_rows;  // output rows staged at once
  int64_t dy0, dx0;           // the least of the taps
  int64_t span_h;             // their extent
  int64_t columns, row;       // staged columns (of a phase); elements of a staged row
  const int64_t* offset;      // of each tap in the staged image
  const Site* sites;          // of block_rows output rows; any number of rows is a prefix
  int64_t row_sites;          // sites of an output row
};

constexpr int64_t kConvDepthChain = 512;  // sites summed in one chain of multiply-adds, in dw

template <class T>
struct ConvDepthwiseKernels {
  int lanes;
  int64_t (*workspace)(const Conv<T>&, const DepthPlan&);  // in elements
  // Output rows [p0, p1) of the units [unit0, unit1) of image n.
  void (*chunk)(const Conv<T>&, const DepthPlan&, int64_t n, int64_t p0, int64_t p1, int64_t unit0,
                int64_t unit1, T* workspace);
  // sums[unit][tap][lane] over the images [n0, n1). In Conv, y is g.
  void (*grad)(const Conv<T>&, const DepthPlan&, int64_t n0, int64_t n1, int64_t unit0,
               int64_t unit1, T* sums, T* workspace);
  // dw of a unit = the sum of `parts` such sums, `part` elements apart; the first is overwritten.
  void (*grad_finish)(const Conv<T>&, const DepthPlan&, int64_t unit, T* sums, int64_t parts,
                      int64_t part, T* dw);
};
struct ConvDepthwiseTable {
  ConvDepthwiseKernels<float> f32;
  ConvDepthwiseKernels<double> f64;
};
}  // namespace fd

FD_DECLARE_TABLE(ConvDepthwiseTable, conv_depthwise)
