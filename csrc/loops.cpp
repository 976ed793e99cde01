#include "loops.h"

#include <cstdlib>
#include <cstring>
#include <utility>

namespace fd {

void Loops::merge() {
  int kept = 0;
  for (int i = 0; i < count; ++i) {
    if (loop[i].size == 1) continue;
    if (kept > 0) {
      Loop& outer = loop[kept - 1];
      bool joins = outer.reduced == loop[i].reduced;
      for (int k = 0; k < kOperands; ++k)
        joins = joins && outer.stride[k] == loop[i].stride[k] * loop[i].size;
      if (joins) {
        const int64_t size = outer.size * loop[i].size;
        outer = loop[i];
        outer.size = size;
        continue;
      }
    }
    loop[kept++] = loop[i];
  }
  count = kept;
}

int64_t Loops::size() const {
  int64_t n = 1;
  for (int i = 0; i < count; ++i) n *= loop[i].size;
  return n;
}

int64_t Loops::offset(int64_t index, int k) const {
  int64_t offset = 0;
  for (int i = count - 1; i > 0; --i) {
    offset += index % loop[i].size * loop[i].stride[k];
    index /= loop[i].size;
  }
  return count ? offset + index * loop[0].stride[k] : 0;
}

void memory_order(const Array& a, int* order) {
  for (int i = 0; i < a.ndim; ++i) order[i] = i;
  const auto ambiguous = [&](int d) { return a.shape[d] == 1 || a.stride[d] == 0; };
  for (int i = 1; i < a.ndim; ++i)
    for (int at = i, k = i - 1; k >= 0; --k) {
      if (ambiguous(order[at]) || ambiguous(order[k])) continue;
      if (std::abs(a.stride[order[k]]) >= std::abs(a.stride[order[at]])) break;
      std::swap(order[k], order[at]);
      at = k;
    }
}

Loops make_loops(std::initializer_list<const Array*> arrays, const int* order, uint32_t reduced) {
  Loops loops;
  const int ndim = (*arrays.begin())->ndim;
  for (int i = 0; i < ndim; ++i) {
    const int d = order[i];
    Loop l{(*arrays.begin())->shape[d], {}, (reduced >> d & 1) != 0};
    int k = 0;
    for (const Array* a : arrays) l.stride[k++] = a->stride[d];
    loops.add(l);
  }
  loops.merge();
  return loops;
}

namespace {
template <class T>
void copy_run(const void* from, int64_t from_stride, void* to, int64_t to_stride, int64_t n) {
  const T* f = static_cast<const T*>(from);
  T* t = static_cast<T*>(to);
  if (from_stride == 1 && to_stride == 1)
    std::memcpy(t, f, static_cast<size_t>(n) * sizeof(T));
  else
    for (int64_t i = 0; i < n; ++i) t[i * to_stride] = f[i * from_stride];
}
}  // namespace

void copy(const Array& from, const Array& to) {
  if (to.size() == 0) return;
  int order[kMaxDims];
  memory_order(to, order);
  Loops loops = make_loops({&from, &to}, order);
  if (loops.count == 0) loops.add({1, {}, false});
  const Loop inner = loops.loop[--loops.count];
  const int64_t item = itemsize(from.dtype);
  const int64_t total = loops.size();
  for (int64_t i = 0; i < total; ++i) {
    const void* f = from.ptr<char>() + loops.offset(i, 0) * item;
    void* t = to.ptr<char>() + loops.offset(i, 1) * item;
    const auto run = item == 1   ? copy_run<uint8_t>
                     : item == 4 ? copy_run<uint32_t>
                                 : copy_run<uint64_t>;
    run(f, inner.stride[0], t, inner.stride[1], inner.size);
  }
}

bool same_shape(const Array& a, const Array& b) {
  return a.ndim == b.ndim && std::equal(a.shape, a.shape + a.ndim, b.shape);
}

void make_dense(Array& a, const int* order, std::optional<Scratch>& scratch) {
  Array dense = a;
  bool is_dense = true;
  int64_t stride = 1;
  for (int i = a.ndim - 1; i >= 0; --i) {
    const int d = order[i];
    is_dense = is_dense && (a.shape[d] == 1 || a.stride[d] == stride);
    dense.stride[d] = stride;
    stride *= a.shape[d];
  }
  if (is_dense) return;
  scratch.emplace(static_cast<size_t>(stride * itemsize(a.dtype)));
  dense.data = scratch->as<void>();
  copy(a, dense);
  a = dense;
}

void make_inner_dense(Array& a, const int* order, std::optional<Scratch>& scratch) {
  int inner = a.ndim - 1;
  while (inner >= 0 && a.shape[order[inner]] == 1) --inner;
  if (inner >= 0 && a.stride[order[inner]] != 1) make_dense(a, order, scratch);
}

AxisLoops::AxisLoops(const Loops& loops) {
  const int last = loops.count - 1;
  int axis = last;
  while (axis >= 0 && !loops.loop[axis].reduced) --axis;
  for (int i = 0; i < last; ++i)
    if (i != axis) outer.add(loops.loop[i]);
  if (axis >= 0) {
    n = loops.loop[axis].size;
    std::copy_n(loops.loop[axis].stride, kOperands, stride);
  }
  if (axis != last) m = loops.loop[last].size;
  if (outer.count) std::copy_n(outer.loop[outer.count - 1].stride, kOperands, step);
}

bool parse_bool(py::handle option, bool& value) {
  value = option.ptr() == Py_True;
  return PyBool_Check(option.ptr());
}

bool parse_int(py::handle option, int64_t& value) {
  if (!PyLong_Check(option.ptr()) || PyBool_Check(option.ptr())) return false;
  int overflow = 0;
  value = PyLong_AsLongLongAndOverflow(option.ptr(), &overflow);
  return !overflow;
}

bool parse_number(py::handle option, double& value) {
  int64_t whole;
  if (PyFloat_Check(option.ptr()))
    value = PyFloat_AS_DOUBLE(option.ptr());
  else if (parse_int(option, whole))
    value = static_cast<double>(whole);
  else
    return false;
  return true;
}

bool parse_dim(py::handle dim, int ndim, int& axis) {
  int64_t d;
  const int n = ndim ? ndim : 1;
  if (!parse_int(dim, d) || d < -n || d >= n) return false;
  axis = static_cast<int>(d < 0 ? d + n : d);
  return true;
}

bool parse_dims(py::handle dim, int ndim, uint32_t& mask) {
  const uint32_t all = (1u << (ndim ? ndim : 1)) - 1;
  int axis;
  mask = 0;
  if (dim.is_none()) {
    mask = all;
  } else if (parse_dim(dim, ndim, axis)) {
    mask = 1u << axis;
  } else {
    if (!PyTuple_Check(dim.ptr()) && !PyList_Check(dim.ptr())) return false;
    const Py_ssize_t n = PySequence_Fast_GET_SIZE(dim.ptr());
    for (Py_ssize_t i = 0; i < n; ++i) {
      if (!parse_dim(PySequence_Fast_GET_ITEM(dim.ptr(), i), ndim, axis)) return false;
      if (mask >> axis & 1) return false;
      mask |= 1u << axis;
    }
    if (n == 0) mask = all;
  }
  return true;
}

bool Output::make(py::handle out, DType dtype, int ndim, const int64_t* shape, const int* order,
                  std::initializer_list<const Array*> inputs) {
  if (out.is_none()) {
    object_ = empty_ordered(dtype, ndim, shape, order, array_);
    dense_ = array_;
    return true;
  }
  if (!view(out, array_) || array_.dtype != dtype || array_.ndim != ndim || !array_.writeable)
    return false;
  for (int i = 0; i < ndim; ++i)
    if (array_.shape[i] != shape[i]) return false;
  if (!separate_elements(array_)) return false;
  for (const Array* x : inputs)
    if (may_overlap(*x, array_)) return false;
  object_ = py::reinterpret_borrow<py::object>(out);
  dense_ = array_;
  bool is_dense = true;
  int64_t stride = 1;
  for (int i = ndim - 1; i >= 0; --i) {
    const int d = order ? order[i] : i;
    is_dense = is_dense && (shape[d] == 1 || array_.stride[d] == stride);
    dense_.stride[d] = stride;
    stride *= shape[d];
  }
  if (!is_dense) {
    scratch_.emplace(static_cast<size_t>(stride * itemsize(dtype)));
    dense_.data = scratch_->as<void>();
  }
  return true;
}

py::object Output::done() {
  if (scratch_) copy(dense_, array_);
  return std::move(object_);
}
}  // namespace fd
