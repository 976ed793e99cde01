// normalize and cosine_similarity along an axis of arrays of any strides, and their gradients.
#include "../kernels/cpu/norm_length.h"

#include "isa.h"
#include "loops.h"

namespace fd {
namespace {

constexpr int64_t kChunk = 1 << 14;           // elements of a chunk of parallel work
constexpr double kNanosecondsPerByte = 0.06;  // where a register is 64 bytes

using Kernel = void (*)(const LengthStrip&);

struct Call {
  Array given[2], a, b;  // as they came, and dense along the innermost dimension
  std::optional<Scratch> packed[2];
  int order[kMaxDims], order_of_y[kMaxDims];
  int axis = 0;
  bool two = false;

  // `other` may be no handle.
  bool read(py::handle a_object, py::handle other, py::handle dim) {
    two = other.ptr() != nullptr;
    if (!view(a_object, a) || !parse_dim(dim, a.ndim, axis)) return false;
    if (a.dtype != DType::f32 && a.dtype != DType::f64) return false;
    if (two && (!view(other, b) || b.dtype != a.dtype || !same_shape(a, b))) return false;
    given[0] = a, given[1] = two ? b : a;
    memory_order(a, order);
    int k = 0;
    for (int i = 0; i < a.ndim; ++i)
      if (order[i] != axis) order_of_y[k++] = order[i] - (order[i] > axis);
    return true;
  }
  // The shape of y, without the axis.
  Array without_axis() const {
    Array y = a;
    if (a.ndim == 0) return y;
    --y.ndim;
    for (int d = axis; d < y.ndim; ++d) y.shape[d] = a.shape[d + 1];
    return y;
  }

  // `d` is the dense result of a's shape, or null; `c` has the vectors one after the other.
  void run(Kernel kernel, const Array* d, void* db, void* c, double p, double eps) {
    make_inner_dense(a, order, packed[0]);
    if (two) make_inner_dense(b, order, packed[1]);
    const Array& third = d ? *d : a;
    const AxisLoops l(make_loops({&a, two ? &b : &a, &third}, order, a.ndim ? 1u << axis : 0));
    const int64_t item = itemsize(a.dtype);
    const double bytes = static_cast<double>(a.size() * item) * (1 + two + (d != nullptr));
    l.parallel(kChunk, 256 / item, bytes * kNanosecondsPerByte,
               [&](int64_t row, int64_t count, int64_t column, int64_t columns) {
                 const auto at = [&](const void* base, int k) -> char* {
                   return static_cast<char*>(const_cast<void*>(base)) +
                          (l.outer.offset(row, k) + column) * item;
                 };
                 LengthStrip s{};
                 s.a = at(a.data, 0);
                 s.b = two ? at(b.data, 1) : nullptr;
                 s.da = d ? at(d->data, 2) : nullptr;
                 s.db = db ? at(db, 2) : nullptr;
                 s.c = c ? static_cast<char*>(c) + (row * l.m + column) * item : nullptr;
                 s.count = count, s.n = l.n, s.m = columns;
                 s.as = l.step[0], s.bs = l.step[1], s.ds = l.step[2];
                 s.ak = l.stride[0], s.bk = l.stride[1], s.dk = l.stride[2];
                 s.p = p, s.eps = eps;
                 kernel(s);
               });
  }
};

// y, or dx if there is a g.
py::object normalized(py::handle g, py::handle x, py::handle p_object, py::handle dim,
                      py::handle eps_object, py::handle out) {
  Call call;
  double p, eps;
  if (!parse_number(p_object, p) || !parse_number(eps_object, eps) || p != p) return declined();
  if (!call.read(x, g, dim)) return declined();
  const bool wide = call.a.dtype == DType::f64, backward = g.ptr() != nullptr;
  Output y;
  if (!y.make(out, call.a.dtype, call.a.ndim, call.a.shape, call.order,
              {&call.given[0], &call.given[1]}))
    return declined();
  if (call.a.size() == 0) return y.done();
  const Kernel kernel = backward ? FD_TABLE(norm_length).normalize_backward[wide]
                                 : FD_TABLE(norm_length).normalize[wide];
  call.run(kernel, &y.dense(), nullptr, nullptr, p, eps);
  return y.done();
}

py::object normalize(py::handle x, py::handle p, py::handle dim, py::handle eps, py::handle out) {
  return normalized(py::handle(), x, p, dim, eps, out);
}
py::object normalize_backward(py::handle g, py::handle x, py::handle p, py::handle dim,
                              py::handle eps, py::handle out) {
  return normalized(g, x, p, dim, eps, out);
}

py::object cosine_similarity(py::handle a, py::handle b, py::handle dim, py::handle eps_object,
                             py::handle out) {
  Call call;
  double eps;
  Output y;
  if (!parse_number(eps_object, eps) || !call.read(a, b, dim)) return declined();
  const Array shape = call.without_axis();
  if (!y.make(out, shape.dtype, shape.ndim, shape.shape, call.order_of_y,
              {&call.given[0], &call.given[1]}))
    return declined();
  if (shape.size() > 0 && call.a.size() == 0) return declined();
  if (shape.size() > 0)
    call.run(FD_TABLE(norm_length).cosine[shape.dtype == DType::f64], nullptr, nullptr,
             y.dense().data, 2, eps);
  return y.done();
}

py::object cosine_similarity_backward(py::handle g_object, py::handle a, py::handle b,
                                      py::handle dim, py::handle eps_object) {
  Call call;
  double eps;
  Array g, da, db;
  if (!parse_number(eps_object, eps) || !call.read(a, b, dim) || !view(g_object, g))
    return declined();
  if (g.dtype != call.a.dtype || !same_shape(g, call.without_axis())) return declined();
  py::object first = empty_ordered(g.dtype, call.a.ndim, call.a.shape, call.order, da);
  int order_of_b[kMaxDims];  // b's gradient has b's format, but is computed in a's
  memory_order(call.b, order_of_b);
  py::object second = empty_ordered(g.dtype, call.a.ndim, call.a.shape, order_of_b, db);
  const bool same = std::equal(call.order, call.order + call.a.ndim, order_of_b);
  if (call.a.size() > 0) {
    std::optional<Scratch> packed;
    make_dense(g, call.order_of_y, packed);
    Array written = db;
    std::optional<Scratch> apart;
    if (!same) {
      apart.emplace(static_cast<size_t>(da.size() * itemsize(da.dtype)));
      written = da;
      written.data = apart->as<void>();
    }
    call.run(FD_TABLE(norm_length).cosine_backward[g.dtype == DType::f64], &da, written.data,
             g.data, 2, eps);
    if (!same) copy(written, db);
  }
  return py::make_tuple(first, second);
}

}  // namespace

void bind_norm_length(py::module_& m) {
  using py::arg;
  const auto none = py::none();
  m.def("normalize", normalize, arg("x"), arg("p"), arg("dim"), arg("eps"), arg("out") = none);
  m.def("normalize_backward", normalize_backward, arg("g"), arg("x"), arg("p"), arg("dim"),
        arg("eps"), arg("out") = none);
  m.def("cosine_similarity", cosine_similarity, arg("a"), arg("b"), arg("dim"), arg("eps"),
        arg("out") = none);
  m.def("cosine_similarity_backward", cosine_similarity_backward, arg("g"), arg("a"), arg("b"),
        arg("dim"), arg("eps"));
}
}  // namespace fd
