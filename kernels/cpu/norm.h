// The table of the normalisations: of rows (layer, group and RMS norm) and of channels over a
// batch.
#pragma once
#include <cstdint>

#include "table.h"

namespace fd {
// Rows of n = channels * inner numbers, one after the other; channel c of row r is channel
// (r % groups) * channels + c of weight and bias.
struct NormRows {
  const void *x, *g;  // g: backward only
  void* y;            // or dx
  const void *weight, *bias;
  void *dweight, *dbias;  // sums over the rows, groups * channels of each; not for forward
  int64_t rows, groups, channels, inner;
  double eps;
  bool center;  // take the mean off (not in RMS norm)
};

// Blocks of one or all channels. Planes: `count` runs of n numbers, one channel each, of x and y
// apart by n. Columns: n rows of `count` channels, `stride` numbers apart.
struct NormBlock {
  const void *x, *g;
  void* y;
  int64_t n, count, stride;
  int64_t channels, first;          // planes: plane i has channel (first + i) % channels
  void *s0, *s1;                    // count numbers each: what is summed up
  const void *mean, *scale, *bias;  // of channels; scale and bias of what is applied
  const void *k0, *k1;              // of channels, backward: taken off g, and off per (x - mean)
};

struct NormKernels {  // float, double
  void (*rows[2])(const NormRows&);
  void (*rows_backward[2])(const NormRows&);
  // s0 = mean, s1 = the sum of squares of what is left
  void (*plane_moments[2])(const NormBlock&);
  void (*column_moments[2])(const NormBlock&);
  // y = (x - mean) * scale + bias
  void (*plane_apply[2])(const NormBlock&);
  void (*column_apply[2])(const NormBlock&);
  // s0 = sum g, s1 = sum g (x - mean)
  void (*plane_sums[2])(const NormBlock&);
  void (*column_sums[2])(const NormBlock&);
  // y = scale (g - k0 - k1 (x - mean))
  void (*plane_backward[2])(const NormBlock&);
  void (*column_backward[2])(const NormBlock&);
};
}  // namespace fd
FD_DECLARE_TABLE(NormKernels, norm)
