// The table of softmax, log_softmax and their gradients.
#pragma once
#include <cstdint>

#include "table.h"

namespace fd {
// y[i, k, j] for i < count, k < n, j < m; strides in elements, of i and of k. The n are normalised
// together. With m == 1 and the strides of k all 1 they are rows, otherwise columns of stride 1.
struct SoftmaxStrip {
  const void *x, *g;  // a gradient takes the output as x
  void* y;
  int64_t count, n, m;
  int64_t xs, gs, ys;
  int64_t xk, gk, yk;
};

struct SoftmaxKernels {  // float, double
  void (*log_softmax[2])(const SoftmaxStrip&);
  void (*log_softmax_backward[2])(const SoftmaxStrip&);
  void (*softmax[2])(const SoftmaxStrip&);
  void (*softmax_backward[2])(const SoftmaxStrip&);
};
}  // namespace fd
FD_DECLARE_TABLE(SoftmaxKernels, softmax)
