// The table of the losses that compare two arrays element by element.
#pragma once
#include <cstdint>

#include "table.h"

namespace fd {
// In the order of the names in csrc/loss_pointwise.cpp; the formulas are in loss_pointwise.inc.
enum class Pointwise {
  mse,
  l1,
  smooth_l1,
  huber,
  soft_margin,
  hinge_embedding,
  bce,
  bce_logits,
  bce_logits_weighted,
  kl_div,
  kl_div_log
};  // clang-format would give each a line
constexpr int kPointwise = 11;

// n dense elements of each array; `weight` and `positive` may be null.
struct PointwiseStrip {
  const void *x, *target, *weight, *positive;
  const void* g;  // of each element, or null: `scale` for all
  void* out;      // n elements; one for a sum
  int64_t n;
  double parameter, scale;
};

struct PointwiseKernels {  // float, double
  void (*loss[kPointwise][2])(const PointwiseStrip&);
  void (*sum[kPointwise][2])(const PointwiseStrip&);
  void (*slope[kPointwise][2])(const PointwiseStrip&);  // the gradient of x
  bool (*within_0_1[2])(const void* x, int64_t n);      // false for NaN
};
}  // namespace fd
FD_DECLARE_TABLE(PointwiseKernels, loss_pointwise)
