// Matrix products for the rest of csrc: convolution, its gradients, the recurrent cells.
#pragma once
#include <cstdint>

#include "../kernels/cpu/matmul.h"
#include "isa.h"

namespace fd {
template <class T>
struct Matrix {
  T* data;
  int64_t rows, columns;
  int64_t row_stride, column_stride;  // in elements; any, zero and negative too

  Matrix transposed() const { return {data, columns, rows, column_stride, row_stride}; }
  T* at(int64_t i, int64_t j) const { return data + i * row_stride + j * column_stride; }
};

template <class T>
const MatmulKernels<T>& matmul_kernels();
template <>
inline const MatmulKernels<float>& matmul_kernels<float>() {
  return FD_TABLE(matmul).f32;
}
template <>
inline const MatmulKernels<double>& matmul_kernels<double>() {
  return FD_TABLE(matmul).f64;
}

// c = epilogue(a @ b), for T = float and double. Cuts itself into chunks for the thread pool, so
// call it without the GIL unless multiply_nanoseconds is below kSerialNanoseconds; inside a chunk
// it runs on that thread alone. c must not overlap a or b, nor itself.
// The bits of c depend on shapes, strides and the instruction set, not on threads or alignment;
// with `rows_alike` those of a row on that row of a and on b alone.
template <class T>
void multiply(const Matrix<const T>& a, const Matrix<const T>& b, const Matrix<T>& c,
              const Epilogue<T>& epilogue = {}, bool rows_alike = false);

// An estimate of the work, for one thread.
template <class T>
double multiply_nanoseconds(int64_t m, int64_t n, int64_t k);
}  // namespace fd
