// The table of distances between rows.
#pragma once
#include <cstdint>

#include "table.h"

namespace fd {
// `count` dense rows of n elements of a, b and dx, one element each of y and g.
struct DistanceStrip {
  const void *a, *b, *g;
  void *y, *dx;  // y is read by the gradient
  int64_t count, n;
  double eps;
};

struct DistanceKernels {  // float, double
  void (*distance[2])(const DistanceStrip&);
  void (*backward[2])(const DistanceStrip&);
};
}  // namespace fd
FD_DECLARE_TABLE(DistanceKernels, loss_distance)
