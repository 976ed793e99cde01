// The gradient of a convolution's weights.
#pragma once
#include "conv.h"

namespace fd {
// dw[k,c,tap] = sum over n,p,q of g[n,k,p,q] * x[n, c, p*stride_h + dy, q*stride_w + dx]: tiles of
// input channels x output channels. Of each, a block of pixels is repacked at a time, and kept in
// L2 while every pair of tiles uses it; a tap is only another place to start in the padded x.
// Where there are few channels, or little overlap between windows, the window is `unrolled`
// instead: its C * taps numbers are then the channels, and there is one tap.
// In Conv, y is g. Blocks cut the N * P output rows, and their columns, in that order.
struct GradPlan {
  bool unrolled;
  int64_t channels, taps;          // as unrolled
  int64_t dy0, dx0;                // the least of the taps
  int64_t span_h, span_w;          // their extent
  int64_t block_rows, block_cols;  // output pixels of a block
  int64_t tile, tiles, panels;     // channels of a tile; tiles of them; panels of K
};
struct GradChunk {
  int64_t g, tile0, tile1, panel0, panel1, block0, block1;
};

// Terms of dw summed in one chain of multiply-adds: more than half of it, unless that is all.
constexpr int64_t kConvGradChain = 512;

// Rows of images that a block of output rows reads, each image with its own padding.
template <class T>
int64_t grad_image_rows(const Conv<T>& v, int64_t block_rows, int64_t span_h) {
  const int64_t images = block_rows == 1 ? 1 : (block_rows - 2) / v.P + 2;
  const int64_t more = span_h > v.stride_h ? span_h - v.stride_h : 0;
  return block_rows * v.stride_h + images * more;
}

template <class T>
struct ConvGradKernels {
  int64_t (*workspace)(const Conv<T>&, const GradPlan&, const GradChunk&);  // in bytes
  // sums[panel][tile][tap][channel of the tile][nr] over the blocks of a chunk.
  void (*chunk)(const Conv<T>&, const GradPlan&, const GradChunk&, T* sums, void* workspace);
  // dw of a panel of output channels: the sum of `parts` such sums, `part` elements apart. The
  // first is overwritten.
  void (*finish)(const Conv<T>&, const GradPlan&, int64_t g, int64_t panel, T* sums, int64_t parts,
                 int64_t part, T* dw);
};
struct ConvGradTable {
  ConvGradKernels<float> f32;
  ConvGradKernels<double> f64;
};
}  // namespace fd

FD_DECLARE_TABLE(ConvGradTable, conv_grad)
