// The shapes of a call of a product: numpy.matmul's rules, batches that broadcast, the output.
#pragma once
#include <initializer_list>

#include "array.h"
#include "matmul.h"
#include "parts.h"
#include "threads.h"

namespace fd {
enum Operand { kA, kB, kC, kBias, kAddend, kOperands };

// Of a[..., m, k] @ b[..., k, n]; a may be a row [k], and b a column [k]. The dimensions before the
// matrices are the batch. Strides are 0 where an operand is broadcast.
struct ProductShapes {
  int64_t m, n, k;
  bool has_m, has_n = true;                             // are they dimensions of c?
  int64_t row[kOperands] = {}, column[kOperands] = {};  // strides of the matrices
  int ndim = 0;                                         // of the batch
  int64_t shape[kMaxDims];
  int64_t stride[kMaxDims][kOperands];

  // False where shapes do not fit. read_left: leaves n, and b's strides, to the caller.
  bool read(const Array& a, const Array& b);
  bool read_left(const Array& a);
  // Strides of an operand whose dimensions before its last `matrix` ones broadcast to the batch;
  // false where they do not.
  bool broadcast(Operand operand, const Array& x, int matrix);
  // Strides of an operand of the result's shape.
  void follow(Operand operand, const Array& x);

  // c: a new array, or `out`, which must have this dtype and the result's shape and overlap neither
  // itself nor an input; otherwise a null object: the caller declines.
  py::object make_output(py::handle out, DType dtype, std::initializer_list<const Array*> inputs,
                         Array& c);
  // Takes the innermost dimensions of the batch into the rows where one stride covers both.
  void fold_batch_into_rows();

  int64_t batches() const {
    int64_t count = 1;
    for (int d = 0; d < ndim; ++d) count *= shape[d];
    return count;
  }
  void offsets(int64_t index, int64_t (&offset)[kOperands]) const;
  // One matrix of an operand a, b or c.
  template <class T>
  Matrix<T> matrix(Operand x, T* data) const {
    return {data, x == kB ? k : m, x == kA ? k : n, row[x], column[x]};
  }

  // Calls one(offsets of the operands) for every matrix of the batch, each an estimated `each`
  // nanoseconds of one thread: large ones take the threads one after the other, small ones share
  // them out.
  template <class F>
  void for_each(double each, F&& one) const {
    const int64_t count = batches();
    const auto at = [&](int64_t index) {
      int64_t offset[kOperands];
      offsets(index, offset);
      one(offset);
    };
    if (count <= 1 || each > 1e6) {
      for (int64_t i = 0; i < count; ++i) at(i);
      return;
    }
    const int64_t chunks = ceil_div(count, ceil_div(5000, static_cast<int64_t>(each)));
    parallel_for(chunks, each * static_cast<double>(count), [&](int64_t chunk) {
      for (int64_t i = cut(count, chunks, chunk); i < cut(count, chunks, chunk + 1); ++i) at(i);
    });
  }
};
}  // namespace fd
