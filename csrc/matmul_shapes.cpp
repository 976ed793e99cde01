#include "matmul_shapes.h"

#include <algorithm>

#include "plan.h"

namespace fd {

bool ProductShapes::read_left(const Array& a) {
  if (a.ndim == 0) return false;
  has_m = a.ndim > 1;
  m = has_m ? a.shape[a.ndim - 2] : 1;
  k = a.shape[a.ndim - 1];
  row[kA] = has_m ? a.stride[a.ndim - 2] : 0;
  column[kA] = a.stride[a.ndim - 1];
  ndim = has_m ? a.ndim - 2 : 0;
  for (int d = 0; d < ndim; ++d) {
    shape[d] = a.shape[d];
    std::fill(stride[d], stride[d] + kOperands, 0);
    stride[d][kA] = a.stride[d];
  }
  return true;
}

bool ProductShapes::read(const Array& a, const Array& b) {
  if (!read_left(a) || b.ndim == 0) return false;
  has_n = b.ndim > 1;
  const int inner = has_n ? b.ndim - 2 : 0;
  n = has_n ? b.shape[b.ndim - 1] : 1;
  if (b.shape[inner] != k) return false;
  row[kB] = b.stride[inner];
  column[kB] = has_n ? b.stride[b.ndim - 1] : 0;

  const int of_a = ndim, of_b = has_n ? b.ndim - 2 : 0;
  ndim = std::max(of_a, of_b);
  for (int d = 0; d < ndim; ++d) {
    const int i = d - ndim + of_a, j = d - ndim + of_b;
    const int64_t x = i < 0 ? 1 : a.shape[i], y = j < 0 ? 1 : b.shape[j];
    if (x != y && x != 1 && y != 1) return false;
    shape[d] = x == 1 ? y : x;
    std::fill(stride[d], stride[d] + kOperands, 0);
    stride[d][kA] = x == 1 ? 0 : a.stride[i];
    stride[d][kB] = y == 1 ? 0 : b.stride[j];
  }
  return true;
}

bool ProductShapes::broadcast(Operand operand, const Array& x, int matrix) {
  const int own = std::max(x.ndim - matrix, 0);
  if (own > ndim) return false;
  for (int d = 0; d < ndim; ++d) {
    const int i = d - ndim + own;
    const int64_t size = i < 0 ? 1 : x.shape[i];
    if (size != 1 && size != shape[d]) return false;
    stride[d][operand] = size == 1 ? 0 : x.stride[i];
  }
  return true;
}

void ProductShapes::follow(Operand operand, const Array& x) {
  for (int d = 0; d < ndim; ++d) stride[d][operand] = x.stride[d];
  row[operand] = has_m ? x.stride[ndim] : 0;
  column[operand] = has_n ? x.stride[ndim + has_m] : 1;
}

py::object ProductShapes::make_output(py::handle out, DType dtype,
                                      std::initializer_list<const Array*> inputs, Array& c) {
  int64_t dims[kMaxDims];
  int count = ndim;
  std::copy(shape, shape + ndim, dims);
  if (has_m) dims[count++] = m;
  if (has_n) dims[count++] = n;
  py::object object;
  if (out.is_none()) {
    object = empty(dtype, count, dims, c);
  } else {
    if (!(dtype == DType::bf16 ? view_narrow(out, c) : view(out, c))) return {};
    if (c.dtype != dtype || !c.writeable || !same_shape(c, count, dims)) return {};
    if (!separate_elements(c)) return {};
    for (const Array* x : inputs)
      if (x && may_overlap(c, *x)) return {};
    object = py::reinterpret_borrow<py::object>(out);
  }
  follow(kC, c);
  return object;
}

void ProductShapes::fold_batch_into_rows() {
  for (; ndim > 0; --ndim) {
    const int d = ndim - 1;
    if (shape[d] == 1) continue;
    if (stride[d][kB] != 0) return;
    for (int x : {kA, kC, kBias, kAddend}) {
      if (m != 1 && stride[d][x] != row[x] * m) return;
    }
    if (m == 1) {
      for (int x : {kA, kC, kBias, kAddend}) row[x] = stride[d][x];
    }
    m *= shape[d];
  }
}

void ProductShapes::offsets(int64_t index, int64_t (&offset)[kOperands]) const {
  std::fill(offset, offset + kOperands, 0);
  for (int d = ndim - 1; d >= 0; --d) {
    const int64_t i = index % shape[d];
    index /= shape[d];
    for (int x = 0; x < kOperands; ++x) offset[x] += i * stride[d][x];
  }
}

}  // namespace fd
