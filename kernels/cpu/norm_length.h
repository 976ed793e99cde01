// The table of lengths along an axis: normalize, cosine_similarity and their gradients.
#pragma once
#include <cstdint>

#include "table.h"

namespace fd {
// x[i, k, j] for i < count, k < n, j < m; strides in elements, of i and of k. The n are one vector.
// With m == 1 and the strides of k all 1 they are rows, otherwise columns of stride 1.
// normalize: a = x, b = g (backward), da = y or dx. cosine_similarity: c is y, or g (backward),
// dense, with c[i * m + j] of vector i, j; db shares the strides of da.
struct LengthStrip {
  const void *a, *b;
  void *da, *db, *c;
  int64_t count, n, m;
  int64_t as, bs, ds;
  int64_t ak, bk, dk;
  double p, eps;
};

struct LengthKernels {  // float, double
  void (*normalize[2])(const LengthStrip&);
  void (*normalize_backward[2])(const LengthStrip&);
  void (*cosine[2])(const LengthStrip&);
  void (*cosine_backward[2])(const LengthStrip&);
};
}  // namespace fd
FD_DECLARE_TABLE(LengthKernels, norm_length)
