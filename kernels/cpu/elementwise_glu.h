// The table of the gated linear unit.
#pragma once
#include <cstdint>

#include "table.h"

namespace fd {
// `count` blocks of n elements of a, of b (`half` after a) and of y or g; consecutive blocks are
// 2 `half` elements of x and dx apart, and `half` of y and g.
struct GluStrip {
  const void *x, *g;  // g: backward only
  void* y;            // or dx
  int64_t count, n, half;
};

struct GluKernels {  // float, double
  void (*glu[2])(const GluStrip&);
  void (*backward[2])(const GluStrip&);
};
}  // namespace fd
FD_DECLARE_TABLE(GluKernels, elementwise_glu)
