// The additions around the products of Strassen's algorithm, on rows of n contiguous numbers.
#pragma once
#include <cstdint>

#include "table.h"

namespace fd {
template <class T>
struct StrassenKernels {
  // to[j] = x[j] + y[j], or x[j] - y[j]; `to` may be x or y.
  void (*add)(int64_t n, const T* x, const T* y, bool minus, T* to);

  // c12 = u + c22, c21 = u + c21, c22 = u + c21 + c22 (their old values), where u = c11 + c12.
  void (*combine)(int64_t n, const T* c11, T* c12, T* c21, T* c22);

  bool (*finite)(int64_t n, const T* x);
};

struct StrassenTable {
  StrassenKernels<float> f32;
  StrassenKernels<double> f64;
};
}  // namespace fd

FD_DECLARE_TABLE(StrassenTable, matmul_strassen)
