// Sums that other families need.
#pragma once
#include "array.h"

namespace fd {
// y[0] = (the sum of n dense floats) / divisor, by the tree of `sum`; may use the thread pool.
void sum_dense(DType dtype, const void* x, int64_t n, void* y, double divisor);
}  // namespace fd
