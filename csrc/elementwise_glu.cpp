// glu of x along a dimension, and its gradient: checks, and the cut into chunks.
#include "../kernels/cpu/elementwise_glu.h"

#include "isa.h"
#include "loops.h"

namespace fd {
namespace {

constexpr int64_t kChunk = 1 << 14;          // elements of y of a chunk of parallel work
constexpr double kNanosecondsPerByte = 0.1;  // where a register is 64 bytes

struct Call {
  Array given, x;  // as it came, and dense
  Array y;         // only its shape: that of x with half the dimension
  std::optional<Scratch> packed;
  int order[kMaxDims];
  int64_t count = 1, half = 1;

  bool read(py::handle x_object, py::handle dim) {
    int axis;
    if (!view(x_object, x) || x.ndim == 0 || !parse_dim(dim, x.ndim, axis)) return false;
    if ((x.dtype != DType::f32 && x.dtype != DType::f64) || x.shape[axis] % 2) return false;
    given = y = x;
    y.shape[axis] /= 2;
    memory_order(x, order);
    bool inside = false;
    for (int i = 0; i < x.ndim; ++i) {
      inside = inside || order[i] == axis;
      (inside ? half : count) *= y.shape[order[i]];
    }
    return true;
  }

  void run(void (*const (&kernels)[2])(const GluStrip&), const void* g, void* result) {
    make_dense(x, order, packed);
    const int64_t item = itemsize(x.dtype);
    const int64_t pieces = (half + kChunk - 1) / kChunk, piece = (half + pieces - 1) / pieces;
    const int64_t group = std::max<int64_t>(kChunk / half, 1);
    const double bytes = static_cast<double>(y.size() * item) * (g ? 5 : 3);
    run_chunks((count + group - 1) / group * pieces, bytes * kNanosecondsPerByte, [&](int64_t c) {
      const int64_t first = c / pieces * group, from = c % pieces * piece;
      const int64_t wide = (first * 2 * half + from) * item, narrow = (first * half + from) * item;
      GluStrip s{x.ptr<char>() + wide,
                 nullptr,
                 static_cast<char*>(result) + narrow,
                 std::min(group, count - first),
                 std::min(piece, half - from),
                 half};
      if (g) {
        s.g = static_cast<const char*>(g) + narrow;
        s.y = static_cast<char*>(result) + wide;
      }
      kernels[x.dtype == DType::f64](s);
    });
  }
};

py::object glu(py::handle x, py::handle dim, py::handle out) {
  Call call;
  Output y;
  if (!call.read(x, dim)) return declined();
  if (!y.make(out, call.y.dtype, call.y.ndim, call.y.shape, call.order, {&call.given}))
    return declined();
  if (call.y.size() > 0) call.run(FD_TABLE(elementwise_glu).glu, nullptr, y.dense().data);
  return y.done();
}

py::object glu_backward(py::handle g_object, py::handle x, py::handle dim, py::handle out) {
  Call call;
  Array g;
  Output dx;
  if (!view(g_object, g) || !call.read(x, dim)) return declined();
  if (g.dtype != call.y.dtype || !same_shape(g, call.y)) return declined();
  if (!dx.make(out, g.dtype, g.ndim, call.x.shape, call.order, {&call.given, &g}))
    return declined();
  if (g.size() == 0) return dx.done();
  std::optional<Scratch> packed;
  make_dense(g, call.order, packed);
  call.run(FD_TABLE(elementwise_glu).backward, g.data, dx.dense().data);
  return dx.done();
}

}  // namespace

void bind_elementwise_glu(py::module_& m) {
  m.def("glu", glu, py::arg("x"), py::arg("dim"), py::arg("out") = py::none());
  m.def("glu_backward", glu_backward, py::arg("g"), py::arg("x"), py::arg("dim"),
        py::arg("out") = py::none());
}
}  // namespace fd
