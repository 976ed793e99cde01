// One level of Strassen's algorithm above the plain product.
#pragma once
#include "matmul.h"

namespace fd {
// c = a @ b by seven products of halves instead of eight; the columns of c are contiguous. Cuts
// itself into chunks and has bits as `multiply`. Errors are larger than the plain product's
// (fastdl/ops/matmul_strassen.py); a result that is not finite everywhere is made anew, plainly.
template <class T>
void multiply_strassen(const Matrix<const T>& a, const Matrix<const T>& b, const Matrix<T>& c);
}  // namespace fd
