// One level of Strassen's algorithm in Winograd's form: 7 products of halves and 15 additions.
//
//   S1 = A21 + A22   S2 = S1 - A11   S3 = A11 - A21   S4 = A12 - S2
//   T1 = B12 - B11   T2 = B22 - T1   T3 = B22 - B12   T4 = B21 - T2
//   C11 = A11 B11 + A12 B21              U = A11 B11 + S2 T2
//   C12 = U + S1 T1 + S4 B22   C21 = U + S3 T3 + A22 T4   C22 = U + S3 T3 + S1 T1
//
// (V. Strassen, Gaussian elimination is not optimal, 1969; S. Winograd, On multiplication of 2 x 2
// matrices, 1971; N. Higham, Accuracy and Stability of Numerical Algorithms, section 23.1.) The
// order is that of B. Boyer, J.-G. Dumas, C. Pernet, W. Zhou, Memory efficient scheduling of
// Strassen-Winograd's matrix multiplication algorithm, 2009: the quarters of C hold four products,
// three more are accumulated by the plain product itself, and the workspace is one quarter of A's
// size and one of B's. Sizes are halved downwards; an odd last row, column or term is added
// plainly.
//
// The limit is 8/7 of the plain product's speed, less nine passes over quarters through L3 or
// memory.
#include "matmul_strassen.h"

#include <algorithm>
#include <atomic>
#include <optional>

#include "../kernels/cpu/matmul_strassen.h"
#include "memory.h"
#include "threads.h"

namespace fd {
namespace {

constexpr int64_t kChunk = 1 << 16;  // numbers of a pass that are a chunk

template <class T>
const StrassenKernels<T>& kernels();
template <>
const StrassenKernels<float>& kernels<float>() {
  return FD_TABLE(matmul_strassen).f32;
}
template <>
const StrassenKernels<double>& kernels<double>() {
  return FD_TABLE(matmul_strassen).f64;
}

// body(i) for every row of a matrix, some rows a chunk.
template <class F>
void for_rows(int64_t rows, int64_t columns, F body) {
  const int64_t each = std::max<int64_t>(1, kChunk / std::max<int64_t>(1, columns));
  const double numbers = static_cast<double>(rows) * static_cast<double>(columns);
  parallel_for((rows + each - 1) / each, numbers / 2, [&](int64_t chunk) {
    for (int64_t i = chunk * each, end = std::min(rows, i + each); i < end; ++i) body(i);
  });
}

template <class T>
Matrix<T> part(const Matrix<T>& x, int64_t i, int64_t j, int64_t rows, int64_t columns) {
  return {x.at(i, j), rows, columns, x.row_stride, x.column_stride};
}

// The quarters of an operand, and a workspace of a quarter's size for sums of them, in the same
// order of memory, along which one stride is 1.
template <class T>
struct Quarters {
  Matrix<const T> q11, q12, q21, q22;
  Matrix<T> sum;
  bool by_rows;  // sum's strides do not tell: both are 1 where it is a single row
  std::optional<Scratch> packed, scratch;

  Quarters(Matrix<const T> x, int64_t rows, int64_t columns) {
    if (x.column_stride != 1 && x.row_stride != 1) {
      packed.emplace(sizeof(T) * x.rows * x.columns);
      T* to = packed->as<T>();
      for_rows(x.rows, x.columns, [&](int64_t i) {
        for (int64_t j = 0; j < x.columns; ++j) to[i * x.columns + j] = *x.at(i, j);
      });
      x = {to, x.rows, x.columns, x.columns, 1};
    }
    scratch.emplace(sizeof(T) * rows * columns);
    by_rows = x.column_stride == 1;
    sum = {scratch->as<T>(), rows, columns, by_rows ? columns : 1, by_rows ? 1 : rows};
    q11 = part(x, 0, 0, rows, columns);
    q12 = part(x, 0, columns, rows, columns);
    q21 = part(x, rows, 0, rows, columns);
    q22 = part(x, rows, columns, rows, columns);
  }

  Matrix<const T> known_sum() const {
    return {sum.data, sum.rows, sum.columns, sum.row_stride, sum.column_stride};
  }

  // sum = x + y or x - y
  void add(Matrix<const T> x, Matrix<const T> y, bool minus) const {
    Matrix<T> to = sum;
    if (!by_rows) x = x.transposed(), y = y.transposed(), to = to.transposed();
    const auto& k = kernels<T>();
    for_rows(to.rows, to.columns,
             [&](int64_t i) { k.add(to.columns, x.at(i, 0), y.at(i, 0), minus, to.at(i, 0)); });
  }
};

template <class T>
void multiply_halves(const Matrix<const T>& a, const Matrix<const T>& b, const Matrix<T>& c) {
  const int64_t m = c.rows / 2, n = c.columns / 2, k = a.columns / 2;
  const Quarters<T> A(a, m, k), B(b, k, n);
  const Matrix<const T> S = A.known_sum(), U = B.known_sum();
  const Matrix<T> c11 = part(c, 0, 0, m, n), c12 = part(c, 0, n, m, n);
  const Matrix<T> c21 = part(c, m, 0, m, n), c22 = part(c, m, n, m, n);
  const Epilogue<T> accumulate{true};
  constexpr bool minus = true;

  A.add(A.q11, A.q21, minus);
  B.add(B.q22, B.q12, minus);
  multiply(S, U, c21);
  A.add(A.q21, A.q22, !minus);
  B.add(B.q12, B.q11, minus);
  multiply(S, U, c22);
  A.add(S, A.q11, minus);
  B.add(B.q22, U, minus);
  multiply(S, U, c12);
  A.add(A.q12, S, minus);
  B.add(B.q21, U, minus);
  multiply(A.q11, B.q11, c11);
  for_rows(m, n, [&](int64_t i) {
    kernels<T>().combine(n, c11.at(i, 0), c12.at(i, 0), c21.at(i, 0), c22.at(i, 0));
  });
  multiply(S, B.q22, c12, accumulate);
  multiply(A.q22, U, c21, accumulate);
  multiply(A.q12, B.q21, c11, accumulate);
}

template <class T>
bool is_finite(const Matrix<T>& c) {
  std::atomic<bool> finite{true};
  for_rows(c.rows, c.columns, [&](int64_t i) {
    if (!kernels<T>().finite(c.columns, c.at(i, 0))) finite.store(false, std::memory_order_relaxed);
  });
  return finite;
}

}  // namespace

template <class T>
void multiply_strassen(const Matrix<const T>& a, const Matrix<const T>& b, const Matrix<T>& c) {
  const int64_t m = c.rows, n = c.columns, k = a.columns;
  if (std::min({m, n, k}) < 2) return multiply(a, b, c);
  const int64_t rows = m / 2 * 2, columns = n / 2 * 2, terms = k / 2 * 2;
  const Matrix<T> even = part(c, 0, 0, rows, columns);
  multiply_halves(part(a, 0, 0, rows, terms), part(b, 0, 0, terms, columns), even);
  if (k > terms)
    multiply(part(a, 0, terms, rows, 1), part(b, terms, 0, 1, columns), even, Epilogue<T>{true});
  if (n > columns) multiply(a, part(b, 0, columns, k, 1), part(c, 0, columns, m, 1));
  if (m > rows)
    multiply(part(a, rows, 0, 1, k), part(b, 0, 0, k, columns), part(c, rows, 0, 1, columns));
  // One infinity, or one sum of quarters that overflows, is a NaN in several quarters of C.
  if (!is_finite(c)) multiply(a, b, c);
}
template void multiply_strassen<float>(const Matrix<const float>&, const Matrix<const float>&,
                                       const Matrix<float>&);
template void multiply_strassen<double>(const Matrix<const double>&, const Matrix<const double>&,
                                        const Matrix<double>&);
}  // namespace fd
