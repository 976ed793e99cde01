// Matrix products of few rows with B's columns contiguous, where sums must be in order.
#pragma once
#include "matmul.h"

namespace fd {
template <class T>
struct ChainKernels {
  // c[i * ldc + j] = epilogue( sum over k of a[i * lda + k] * b[j * ldb + k] ), i < m <= kFewRows,
  // j < n. Each sum runs in order of k, in one chain of multiply-adds from zero, as a tile's does.
  void (*dot)(int64_t k_size, const T* a, int64_t lda, const T* b, int64_t ldb, T* c, int64_t ldc,
              int m, int64_t n, const Epilogue<T>& epilogue);
};

struct ChainTable {
  ChainKernels<float> f32;
  ChainKernels<double> f64;
};
}  // namespace fd

FD_DECLARE_TABLE(ChainTable, matmul_chain)
