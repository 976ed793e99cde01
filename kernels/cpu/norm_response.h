// The table of local response normalisation.
#pragma once
#include <cstdint>

#include "table.h"

namespace fd {
// One sample x[channels, ...]: `count` neighbouring columns of every channel, `stride` elements
// from one channel to the next. Channel c is normalised by c - before to c + after.
struct ResponseStrip {
  const void *x, *g;  // g: backward only
  void* y;            // or dx
  void* scratch;      // backward: 2 * channels * 64 bytes
  int64_t channels, count, stride, before, after;
  double alpha, beta, k;
};

struct ResponseKernels {  // float, double
  void (*forward[2])(const ResponseStrip&);
  void (*backward[2])(const ResponseStrip&);
};
}  // namespace fd
FD_DECLARE_TABLE(ResponseKernels, norm_response)
