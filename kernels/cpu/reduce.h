// The table of the reductions' loops.
#pragma once
#include <cstdint>

#include "table.h"

namespace fd {
// A strip of reductions, all strides in elements:
//   y[i * ys + j] = over k < n of x[i * xs + k * rs + j * cs],  i < count, j < m
// with n at most kRowBlock when m == 1 (rows: the reduced axis is the innermost one) and at most
// column_block(strip) otherwise (columns). csrc cuts longer axes into blocks of exactly that size
// and reduces the blocks' results by another strip, so the tree of a sum depends on shapes only.
struct ReduceStrip {
  const void* x;
  void* y;
  int64_t count, xs, ys, n, rs, m, cs;
  double divisor;  // of floating sums: n for a mean, 1 otherwise
};
constexpr int64_t kRowBlock = 4096, kColumnBlock = 128, kColumnTile = 2048;

// Dense narrow columns are folded: `fold` rows of m are read as one row of fold * m.
static inline int64_t column_fold(int64_t n, int64_t rs, int64_t m, int64_t cs) {
  const int64_t fold = 128 / m;
  return m < 64 && cs == 1 && rs == m && n >= 4 * fold ? fold : 1;
}
static inline int64_t column_block(int64_t n, int64_t rs, int64_t m, int64_t cs) {
  return kColumnBlock * column_fold(n, rs, m, cs);
}

enum class Reduction { sum, product, max, min, sum_squares, sum_abs, count };

// Indexed by DType (b8, u8, i32, i64, f32, f64), null where there is none. Sums and products of
// integers are int64. A NaN wins a max or min, and argmax gives the first of equals; it writes y as
// max does and index like y.
struct ReduceKernels {
  void (*reduce[static_cast<int>(Reduction::count)][6])(const ReduceStrip&);
  void (*argmax[2][6])(const ReduceStrip&, int64_t* index);  // of max, of min
};
}  // namespace fd
FD_DECLARE_TABLE(ReduceKernels, reduce)
