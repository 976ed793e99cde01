// The table of the running sums and products.
#pragma once
#include <cstdint>

#include "table.h"

namespace fd {
// y[i, k, j] = over l <= k of x[i, l, j]: i < count, k < n, j < m; strides in elements, of i and of
// k; j is contiguous.
struct ScanStrip {
  const void* x;
  void* y;
  int64_t count, n, m;
  int64_t xs, ys, xk, yk;
};
struct ReduceScanKernels {  // sum, product; i64, f32, f64
  void (*scan[2][3])(const ScanStrip&);
};
}  // namespace fd
FD_DECLARE_TABLE(ReduceScanKernels, reduce_scan)
