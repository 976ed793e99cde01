// The gradient of a convolution's weights.
#pragma once
#include "conv.h"

namespace fd {
// ---- The gradient of the weights --------------------------------------------------------------
// dw[k,c,tap] = sum over n,p,q of g[n,k,p,q] * x[n, c, p*stride_h + dy, q*stride_w + dx]: tiles of
// input channels x output channels, a block of pixels of both repacked at a time. With few input
// channels the window is unrolled first (`unrolled`: channels are then C * taps, and there is one
// tap).  In Conv, y is g and w is dw; xg, wg, yg as ever.
struct GradPlan {
  bool unrolled;
  int64_t channels, taps;
  int64_t dy0, dx0, rows_span, cols_span;  // the least of the taps; their extent
  int64_t block_rows, block_cols;          // pixels of a block
  int64_t tile, tiles, panels;             // of channels; of K
};
struct GradChunk {
  int64_t g, tile0, tile1, panel0, panel1, block0, block1;
};

template <class T>
struct ConvGradKernels {
  int64_t (*workspace)(const Conv<T>&, const GradPlan&, const GradChunk&);  // in elements
  // sums[panel][tile][tap][channel of the tile][nr] over the blocks of a chunk.
  void (*chunk)(const Conv<T>&, const GradPlan&, const GradChunk&, T* sums, T* workspace);
  // dw of a panel of output channels: the sum of `parts` such sums, `part` elements apart.
  void (*finish)(const Conv<T>&, const GradPlan&, int64_t g, int64_t panel, T* sums, int64_t parts,
                 int64_t part, T* dw);
};
struct ConvGradTable {
  ConvGradKernels<float> f32;
  ConvGradKernels<double> f64;
};
}  // namespace fd

FD_DECLARE_TABLE(ConvGradTable, conv_grad)
