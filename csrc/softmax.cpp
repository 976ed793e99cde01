// softmax, log_softmax and their gradients over any dimension of arrays of any strides.
#include "../kernels/cpu/softmax.h"

#include <algorithm>

#include "isa.h"
#include "loops.h"

namespace fd {
namespace {

constexpr int64_t kChunk = 1 << 14;           // elements of a chunk of parallel work
constexpr double kNanosecondsPerByte = 0.04;  // where a register is 64 bytes

using Kernel = void (*)(const SoftmaxStrip&);

// `x`, `g` (or none) and the dense result `y`, all of one shape.
void run(Kernel kernel, const Array& x, const Array* g, const Array& y, const int* order,
         int axis) {
  const AxisLoops l(make_loops({&x, &y, g ? g : &x}, order, x.ndim ? 1u << axis : 0));
  const int64_t item = itemsize(x.dtype);
  const double bytes = static_cast<double>(x.size() * item);
  l.parallel(kChunk, 256 / item, bytes * kNanosecondsPerByte,
             [&](int64_t row, int64_t count, int64_t column, int64_t columns) {
               const auto at = [&](const Array& a, int k) {
                 return a.ptr<char>() + (l.outer.offset(row, k) + column) * item;
               };
               const auto& step = l.step;
               kernel({at(x, 0), g ? at(*g, 2) : nullptr, at(y, 1), count, l.n, columns, step[0],
                       step[2], step[1], l.stride[0], l.stride[2], l.stride[1]});
             });
}

py::object any(const Kernel (&kernels)[2], py::handle g_object, py::handle x_object, py::handle dim,
               py::handle out_object) {
  Array x, g;
  int axis;
  const bool has_g = g_object.ptr() != nullptr;
  if (!view(x_object, x) || !parse_dim(dim, x.ndim, axis)) return declined();
  if (x.dtype != DType::f32 && x.dtype != DType::f64) return declined();
  if (has_g && (!view(g_object, g) || !same_shape(g, x) || g.dtype != x.dtype)) return declined();
  int order[kMaxDims];
  memory_order(x, order);
  Output out;
  if (!out.make(out_object, x.dtype, x.ndim, x.shape, order, {&x, has_g ? &g : &x}))
    return declined();
  if (x.size() == 0) return out.done();
  std::optional<Scratch> packed_x, packed_g;
  make_inner_dense(x, order, packed_x);
  if (has_g) make_inner_dense(g, order, packed_g);
  run(kernels[x.dtype == DType::f64], x, has_g ? &g : nullptr, out.dense(), order, axis);
  return out.done();
}

py::object log_softmax(py::handle x, py::handle dim, py::handle out) {
  return any(FD_TABLE(softmax).log_softmax, py::handle(), x, dim, out);
}
py::object log_softmax_backward(py::handle g, py::handle y, py::handle dim, py::handle out) {
  return any(FD_TABLE(softmax).log_softmax_backward, g, y, dim, out);
}
py::object softmax(py::handle x, py::handle dim, py::handle out) {
  return any(FD_TABLE(softmax).softmax, py::handle(), x, dim, out);
}
py::object softmax_backward(py::handle g, py::handle y, py::handle dim, py::handle out) {
  return any(FD_TABLE(softmax).softmax_backward, g, y, dim, out);
}

}  // namespace

void bind_softmax(py::module_& m) {
  m.def("log_softmax", log_softmax, py::arg("x"), py::arg("dim"), py::arg("out") = py::none());
  m.def("log_softmax_backward", log_softmax_backward, py::arg("g"), py::arg("y"), py::arg("dim"),
        py::arg("out") = py::none());
  m.def("softmax", softmax, py::arg("x"), py::arg("dim"), py::arg("out") = py::none());
  m.def("softmax_backward", softmax_backward, py::arg("g"), py::arg("y"), py::arg("dim"),
        py::arg("out") = py::none());
}
}  // namespace fd
