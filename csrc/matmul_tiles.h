// Products by the register tile, and what every way of csrc/matmul.cpp does at the end of its sums.
#pragma once
#include <cstdint>

#include "matmul.h"

namespace fd {
constexpr int64_t kChunk = 1 << 20;       // products a * b worth a chunk of its own
constexpr int64_t kNearBytes = 24 << 20;  // of a B that may be in L3; else it is far

// multiply, where c's columns are contiguous and rows are not few. `ready`: the panels of b, if
// they were packed before; then only its sizes count.
template <class T>
void multiply_tiles(const Matrix<const T>& a, const Matrix<const T>& b, const Matrix<T>& c,
                    const Epilogue<T>& epilogue, const Finish<T>* finish, const T* ready = nullptr);

template <class T>
bool unit_columns(const Matrix<T>& x) {
  return x.column_stride == 1 || x.columns <= 1;
}

template <class T>
bool aliases_in_l1(int64_t stride) {
  return stride * int64_t{sizeof(T)} % 4096 == 0;
}

template <class T>
Epilogue<T> at(const Epilogue<T>& e, int64_t i, int64_t j) {
  return {e.accumulate, e.row_bias ? e.row_bias + i : nullptr,
          e.column_bias ? e.column_bias + j : nullptr,
          e.addend ? e.addend + i * e.addend_row + j : nullptr, e.addend_row};
}
// The epilogue of one block of the sum.
template <class T>
Epilogue<T> block_epilogue(const Epilogue<T>& e, bool first, bool last) {
  return {!first || e.accumulate, last ? e.row_bias : nullptr, last ? e.column_bias : nullptr,
          first ? e.addend : nullptr, e.addend_row};
}

// Finishes the m x n elements of c from (i, j) on, which are in L1 still, or L2.
template <class T>
void finish_part(const Finish<T>& finish, const Matrix<T>& c, int64_t i, int64_t j, int64_t m,
                 int64_t n) {
  Finish<T> part = finish;
  for (auto& x : part.addends) {
    if (x.data) x.data += i * x.row_stride + j * x.column_stride;
  }
  matmul_kernels<T>().finish(m, n, c.at(i, j), c.row_stride, c.column_stride, part);
}
}  // namespace fd
