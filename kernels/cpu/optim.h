// The table of the optimisers' steps.
#pragma once
#include <cstdint>

#include "table.h"

namespace fd {
struct SgdStrip {
  const void *p, *g, *buf;  // buf null: the first step, or no momentum
  void *p_out, *buf_out;    // may be p and buf; buf_out null without momentum
  int64_t n;
  double lr, momentum, dampening, weight_decay;
  bool nesterov, maximize;
};

struct OptimKernels {  // float, double
  void (*sgd[2])(const SgdStrip&);
};
}  // namespace fd
FD_DECLARE_TABLE(OptimKernels, optim)
