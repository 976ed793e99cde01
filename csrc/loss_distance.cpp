// pairwise_distance of rows a[..., D] and b[..., D], and its gradient.
#include "../kernels/cpu/loss_distance.h"

#include "isa.h"
#include "loops.h"

namespace fd {
namespace {

constexpr int64_t kChunk = 1 << 14;           // elements of a chunk of parallel work
constexpr double kNanosecondsPerByte = 0.04;  // where a register is 64 bytes

struct Call {
  Array given[2], a, b;  // as they came, and dense
  std::optional<Scratch> packed[2];
  int order[kMaxDims];
  double eps;
  int64_t rows = 1, n;

  bool read(py::handle a_, py::handle b_, py::handle eps_) {
    if (!view(a_, a) || !view(b_, b) || !parse_number(eps_, eps)) return false;
    if ((a.dtype != DType::f32 && a.dtype != DType::f64) || b.dtype != a.dtype) return false;
    if (a.ndim < 1 || !same_shape(a, b)) return false;
    given[0] = a, given[1] = b;
    for (int d = 0; d < a.ndim; ++d) order[d] = d;
    for (int d = 0; d < a.ndim - 1; ++d) rows *= a.shape[d];
    n = a.shape[a.ndim - 1];
    if (a.size() > 0) make_dense(a, order, packed[0]), make_dense(b, order, packed[1]);
    return true;
  }
  bool wide() const { return a.dtype == DType::f64; }

  void run(void (*kernel)(const DistanceStrip&), const void* g, void* y, void* dx) const {
    const int64_t item = itemsize(a.dtype),
                  group = std::max<int64_t>(kChunk / std::max<int64_t>(n, 1), 1);
    const double bytes = static_cast<double>((rows * n + rows) * item) * (dx ? 3 : 2);
    run_chunks((rows + group - 1) / group, bytes * kNanosecondsPerByte, [&](int64_t chunk) {
      const int64_t first = chunk * group;
      const auto at = [&](const void* p, int64_t step) -> char* {
        return p ? static_cast<char*>(const_cast<void*>(p)) + first * step * item : nullptr;
      };
      kernel({at(a.data, n), at(b.data, n), at(g, 1), at(y, 1), at(dx, n),
              std::min(group, rows - first), n, eps});
    });
  }
};

py::object pairwise_distance(py::handle a, py::handle b, py::handle eps, py::handle out) {
  Call call;
  if (!call.read(a, b, eps)) return declined();
  Output y;
  if (!y.make(out, call.a.dtype, call.a.ndim - 1, call.a.shape, call.order,
              {&call.given[0], &call.given[1]}))
    return declined();
  if (call.rows > 0)
    call.run(FD_TABLE(loss_distance).distance[call.wide()], nullptr, y.dense().data, nullptr);
  return y.done();
}

py::object pairwise_distance_backward(py::handle g_, py::handle a, py::handle b, py::handle y_,
                                      py::handle eps, py::handle out) {
  Call call;
  Array g, y;
  if (!view(g_, g) || !view(y_, y) || !call.read(a, b, eps)) return declined();
  Array rows = call.a;
  --rows.ndim;
  if (g.dtype != call.a.dtype || y.dtype != g.dtype || !same_shape(g, rows) || !same_shape(y, rows))
    return declined();
  Output dx;
  if (!dx.make(out, call.a.dtype, call.a.ndim, call.a.shape, call.order,
               {&call.given[0], &call.given[1], &g, &y}))
    return declined();
  if (call.a.size() == 0) return dx.done();
  std::optional<Scratch> packed_g, packed_y;
  make_dense(g, call.order, packed_g);
  make_dense(y, call.order, packed_y);
  call.run(FD_TABLE(loss_distance).backward[call.wide()], g.data, y.data, dx.dense().data);
  return dx.done();
}

}  // namespace

void bind_loss_distance(py::module_& m) {
  const auto none = py::none();
  m.def("pairwise_distance", pairwise_distance, py::arg("a"), py::arg("b"), py::arg("eps"),
        py::arg("out") = none);
  m.def("pairwise_distance_backward", pairwise_distance_backward, py::arg("g"), py::arg("a"),
        py::arg("b"), py::arg("y"), py::arg("eps"), py::arg("out") = none);
}
}  // namespace fd
