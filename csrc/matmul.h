// Matrix products for the rest of csrc: convolution, its gradients, the recurrent cells.
#pragma once
#include <algorithm>
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

// c = finish(epilogue(a @ b)), for T = float and double. Cuts itself into chunks for the thread
// pool, so call it without the GIL unless multiply_nanoseconds is below kSerialNanoseconds; inside
// a chunk it runs on that thread alone. c must not overlap a, b or an addend, nor itself. The bits
// of c depend on shapes, strides and the instruction set, not on threads or alignment; with
// `rows_alike` those of a row on that row of a and on b alone.
template <class T>
void multiply(const Matrix<const T>& a, const Matrix<const T>& b, const Matrix<T>& c,
              const Epilogue<T>& epilogue = {}, const Finish<T>* finish = nullptr,
              bool rows_alike = false);

enum class Way { by_shape, rows_alike, strassen };  // what a caller asked for; the last alone
template <class T>
void multiply_by(Way way, const Matrix<const T>& a, const Matrix<const T>& b, const Matrix<T>& c,
                 const Epilogue<T>& epilogue, const Finish<T>* finish);

// b in panels, for products with many a: pack_panels fills panels_size(k, n) numbers, aligned to 64
// bytes, for the instruction set in use; what multiply_panels makes of them has the bits of
// `multiply` but where that takes the way for few rows.
template <class T>
int64_t panels_size(int64_t k, int64_t n);
template <class T>
void pack_panels(const Matrix<const T>& b, T* panels);
template <class T>
void multiply_panels(const Matrix<const T>& a, const T* panels, const Matrix<T>& c,
                     const Epilogue<T>& epilogue = {}, const Finish<T>* finish = nullptr);

// An estimate of the work, for one thread.
template <class T>
double multiply_nanoseconds(int64_t m, int64_t n, int64_t k) {
  const double products = static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
  const double least = static_cast<double>(std::min(m, n));
  return products * sizeof(T) / 4 * (1 / 100.0 + 1 / (10 * (least + 1)));
}
}  // namespace fd
