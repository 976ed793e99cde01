// Convolution, its gradients, and how their work is described to the loops of conv*.inc.
#pragma once
#include <cstdint>

#include "table.h"

namespace fd {
// One tap of the window: where it reads, relative to (p * stride_h, q * stride_w), and where its
// weights lie.
struct Tap {
  int64_t dy, dx, w;
};

// y[n,k,p,q] = bias[k] + sum over c, taps of
//              x[n, c, p * stride_h + dy, q * stride_w + dx] * weight[k * wk + c * wc + tap.w]
// where x is zero outside [0,H) x [0,W), for each group: its C channels of x, its K of y. Strides
// (xn, ..., yq) are in elements. The gradient with respect to x is of this form, too.
template <class T>
struct Conv {
  const T *x, *w, *bias;
  T* y;
  int64_t N, C, H, W, K, P, Q, groups;
  int64_t xn, xg, xc, xh, xw;
  int64_t wg, wk, wc;
  int64_t yn, yg, yk, yp, yq;
  int64_t stride_h, stride_w;
  int64_t taps;
  const Tap* tap;
};

// Terms summed in one chain of multiply-adds; chains are then added one after the other.
constexpr int64_t kConvChain = 256;

// ---- Tiles of output pixels x output channels -------------------------------------------------
// The image is read channels-last, in place or, where it lies otherwise or a tap can fall outside
// it, from a zero-padded copy of the rows a chunk needs; and a y that is not channels-last is
// `turned` at the end of a chunk. Terms are ordered tap by tap; taps that are neighbours in memory
// merge into one segment, so that a row of a 7 x 7 window over 3 channels is one run of 21.
struct LastPlan {
  bool staged, turned;
  bool gathered;                   // rows are too short for tiles: their windows are copied out
  int64_t dy0, dx0;                // the least of the taps
  int64_t rows, width;             // of the staged window of a chunk of `chunk_p` x `chunk_q`
  int64_t pixel, row;              // strides of what tiles read
  int64_t segments, length;        // terms = segments * length
  const int64_t* offset;           // of each segment from its pixel's place
  int64_t chunk_p, chunk_q, tile;  // output rows and columns of a chunk; pixels of a tile
  int64_t chunk_panels;            // of output channels
};
struct LastChunk {
  int64_t n, g, p0, p1, q0, q1, panel0, panel1;
};

// ---- Tiles of output channels x output pixels -------------------------------------------------
// Panels of `nr` consecutive output pixels are gathered from the image block by block of terms
// ordered (c, tap). Columns are read with unit stride: for stride_w > 1 the host has split them by
// phase, phase f of a row lying `phase` elements after phase f-1. `images` neighbours count as one
// image where a single one would leave the last panel mostly empty.
struct FirstPlan {
  int64_t phase;
  int64_t images, panels;    // panels in that many images
  int64_t tile, tiles;       // output channels of a tile; tiles of K
  bool direct;               // a tile's pixels are neighbours in y
  int64_t block_c, block_t;  // terms of a block: channels x taps
  int64_t chunk_panels;      // at most so many at once
};
struct FirstChunk {
  int64_t g, image0, image1, panel0, panel1, tile0, tile1;
};

template <class T>
struct ConvKernels {
  // A group's weights [panel of output channels][term][nr], as far as input channels [c0, c1) go.
  // Then the outputs of a chunk.
  void (*last_pack)(const Conv<T>&, int64_t g, int64_t c0, int64_t c1, T* packed);
  int64_t (*last_workspace)(const LastPlan&);  // in elements
  void (*last_chunk)(const Conv<T>&, const LastPlan&, const LastChunk&, const T* weights,
                     T* workspace);

  // A group's weights for the block of terms at (c0, t0): [tile][term][channel of the tile]. Those
  // of a group lie block after block.
  void (*first_pack)(const Conv<T>&, const FirstPlan&, int64_t g, int64_t c0, int64_t t0,
                     T* packed);
  int64_t (*first_workspace)(const Conv<T>&, const FirstPlan&, const FirstChunk&);  // in bytes
  void (*first_chunk)(const Conv<T>&, const FirstPlan&, const FirstChunk&, const T* weights,
                      void* workspace);
  // split[f][i] = row[i * step + f], 0 past the end: a row of `width` into `step` phases.
  void (*split)(const T* row, int64_t stride, int64_t width, int64_t step, int64_t count, T* split);
};
struct ConvTable {
  ConvKernels<float> f32;
  ConvKernels<double> f64;
};
}  // namespace fd

FD_DECLARE_TABLE(ConvTable, conv)
