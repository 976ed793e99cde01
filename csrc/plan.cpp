#include "plan.h"

#include <algorithm>
#include <cstdlib>

namespace fd {

bool same_shape(const Array& a, int ndim, const int64_t* shape) {
  return a.ndim == ndim && std::equal(shape, shape + ndim, a.shape);
}

namespace {

// Dimensions from the outermost to the innermost by the strides of `a`. Like NumPy's K order:
// dimensions of stride 0 stay where they are among the others.
void memory_order(const Array& a, int* order) {
  for (int i = 0; i < a.ndim; ++i) {
    int at = i;
    for (int j = i - 1; j >= 0; --j) {
      const int64_t outer = std::abs(a.stride[order[j]]), inner = std::abs(a.stride[i]);
      if (a.shape[i] == 1 || a.shape[order[j]] == 1 || outer == 0 || inner == 0) continue;
      if (outer >= inner) break;
      at = j;
    }
    for (int j = i; j > at; --j) order[j] = order[j - 1];
    order[at] = i;
  }
}

bool same_view(const Array& a, const Array& b) {
  return a.data == b.data && a.dtype == b.dtype && same_shape(a, b.ndim, b.shape) &&
         std::equal(a.stride, a.stride + a.ndim, b.stride);
}

}  // namespace

bool broadcast(const Array* in, int n, int& ndim, int64_t* shape) {
  ndim = 0;
  for (int k = 0; k < n; ++k) ndim = std::max(ndim, in[k].ndim);
  for (int i = 0; i < ndim; ++i) shape[i] = 1;
  for (int k = 0; k < n; ++k) {
    int64_t* tail = shape + ndim - in[k].ndim;
    for (int i = 0; i < in[k].ndim; ++i) {
      if (in[k].shape[i] == tail[i] || in[k].shape[i] == 1) continue;
      if (tail[i] != 1) return false;
      tail[i] = in[k].shape[i];
    }
  }
  return true;
}

py::object make_output(const Array* in, int n, DType dtype, int ndim, const int64_t* shape,
                       py::handle out, Array& o, bool last_first) {
  if (out.is_none()) {
    const Array* model = nullptr;
    for (int k = 0; k < n && !model; ++k) {
      const Array& candidate = in[last_first ? n - 1 - k : k];
      if (same_shape(candidate, ndim, shape)) model = &candidate;
    }
    if (!model || ndim < 2) return empty(dtype, ndim, shape, o);
    int order[kMaxDims];
    memory_order(*model, order);
    return empty_ordered(dtype, ndim, shape, order, o);
  }
  if (!view(out, o) || !o.writeable || o.dtype != dtype || !same_shape(o, ndim, shape)) return {};
  if (!separate_elements(o)) return {};
  for (int k = 0; k < n; ++k)
    if (may_overlap(o, in[k]) && !same_view(o, in[k])) return {};
  return py::reinterpret_borrow<py::object>(out);
}

Plan make_plan(const Array& out, const Array* in, int n) {
  Plan p;
  p.operands = n + 1;
  for (int k = 0; k <= n; ++k) {
    const Array& a = k ? in[k - 1] : out;
    p.data[k] = a.ptr<char>();
    p.item[k] = itemsize(a.dtype);
  }
  int order[kMaxDims];
  memory_order(out, order);
  for (int i = 0; i < out.ndim; ++i) {
    const int d = order[i];
    const int64_t size = out.shape[d];
    if (size == 1) continue;
    int64_t step[kMaxOperands] = {out.stride[d]};
    for (int k = 1; k <= n; ++k) {
      const Array& a = in[k - 1];
      const int own = d - (out.ndim - a.ndim);
      step[k] = own < 0 || a.shape[own] == 1 ? 0 : a.stride[own];
    }
    if (step[0] < 0)
      for (int k = 0; k <= n; ++k) {
        p.data[k] += (size - 1) * step[k] * p.item[k];
        step[k] = -step[k];
      }
    bool merge = p.ndim > 0;
    for (int k = 0; k <= n && merge; ++k) merge = p.stride[k][p.ndim - 1] == step[k] * size;
    if (!merge) p.shape[p.ndim++] = 1;
    p.shape[p.ndim - 1] *= size;
    for (int k = 0; k <= n; ++k) p.stride[k][p.ndim - 1] = step[k];
  }
  if (p.ndim == 0) {  // a single element
    p.ndim = 1;
    p.shape[0] = 1;
    for (int k = 0; k <= n; ++k) p.stride[k][0] = 1;
  }
  return p;
}

}  // namespace fd
