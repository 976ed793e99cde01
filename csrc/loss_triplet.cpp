// triplet_margin_loss of rows a, b, c[..., D], and its gradients: checks, and the cut into chunks.
#include "../kernels/cpu/loss_triplet.h"

#include "isa.h"
#include "loops.h"
#include "reduce.h"

namespace fd {
namespace {

constexpr int64_t kChunk = 1 << 13;           // elements of one array in a chunk of parallel work
constexpr double kNanosecondsPerByte = 0.04;  // where a register is 64 bytes

struct Call {
  Array given[3], x[3];  // as they came, and dense
  std::optional<Scratch> packed[3];
  int order[kMaxDims];
  int64_t rows = 1, n;
  double margin, p, eps, divisor = 1;
  bool swap, none;

  bool read(py::handle a, py::handle b, py::handle c, py::handle margin_, py::handle p_,
            py::handle eps_, py::handle swap_, py::handle reduction) {
    const py::handle objects[] = {a, b, c};
    for (int i = 0; i < 3; ++i) {
      if (!view(objects[i], x[i]) || x[i].dtype != x[0].dtype || !same_shape(x[i], x[0]))
        return false;
      given[i] = x[i];
    }
    if ((x[0].dtype != DType::f32 && x[0].dtype != DType::f64) || x[0].ndim < 1) return false;
    if (!parse_number(margin_, margin) || !parse_number(p_, p) || !parse_number(eps_, eps))
      return false;
    if (!(margin > 0) || p != p || !parse_bool(swap_, swap) || !PyBool_Check(swap_.ptr()))
      return false;
    if (!PyUnicode_Check(reduction.ptr())) return false;
    const auto is = [&](const char* word) {
      return PyUnicode_CompareWithASCIIString(reduction.ptr(), word) == 0;
    };
    none = is("none");
    if (!none && !is("sum") && !is("mean")) return false;
    for (int d = 0; d < x[0].ndim; ++d) order[d] = d;
    for (int d = 0; d < x[0].ndim - 1; ++d) rows *= x[0].shape[d];
    n = x[0].shape[x[0].ndim - 1];
    if (is("mean")) divisor = static_cast<double>(rows);
    if (x[0].size() > 0)
      for (int i = 0; i < 3; ++i) make_dense(x[i], order, packed[i]);
    return true;
  }
  bool wide() const { return x[0].dtype == DType::f64; }

  void run(void (*kernel)(const TripletStrip&), const TripletStrip& all) const {
    const int64_t item = itemsize(x[0].dtype);
    const int64_t group = std::max<int64_t>(kChunk / std::max<int64_t>(n, 1), 1);
    const double bytes = static_cast<double>((rows * n + rows) * item) * (all.da ? 9 : 3);
    run_chunks((rows + group - 1) / group, bytes * kNanosecondsPerByte, [&](int64_t chunk) {
      const int64_t first = chunk * group;
      const auto at = [&](const void* base, int64_t step) -> char* {
        return base ? static_cast<char*>(const_cast<void*>(base)) + first * step * item : nullptr;
      };
      kernel({at(x[0].data, n), at(x[1].data, n), at(x[2].data, n), at(all.g, 1), at(all.y, 1),
              at(all.da, n), at(all.db, n), at(all.dc, n), std::min(group, rows - first), n, margin,
              p, eps, all.scale, swap});
    });
  }
};

py::object triplet_margin_loss(py::handle a, py::handle b, py::handle c, py::handle margin,
                               py::handle p, py::handle eps, py::handle swap, py::handle reduction,
                               py::handle out) {
  Call call;
  if (!call.read(a, b, c, margin, p, eps, swap, reduction)) return declined();
  const Array& x = call.x[0];
  Output y;
  if (!y.make(out, x.dtype, call.none ? x.ndim - 1 : 0, x.shape, call.order,
              {&call.given[0], &call.given[1], &call.given[2]}))
    return declined();
  const double zero = 0;
  const Scratch rows(call.none ? 0 : static_cast<size_t>(call.rows * itemsize(x.dtype)));
  TripletStrip strip{};
  strip.y = call.none ? y.dense().data : rows.as<void>();
  if (call.rows > 0) call.run(FD_TABLE(loss_triplet).loss[call.wide()], strip);
  if (!call.none)
    sum_dense(x.dtype, call.rows > 0 ? strip.y : &zero, std::max<int64_t>(call.rows, 1),
              y.dense().data, call.divisor);
  return y.done();
}

py::object triplet_margin_loss_backward(py::handle g_, py::handle a, py::handle b, py::handle c,
                                        py::handle margin, py::handle p, py::handle eps,
                                        py::handle swap, py::handle reduction) {
  Call call;
  Array g, d[3];
  if (!view(g_, g) || !call.read(a, b, c, margin, p, eps, swap, reduction)) return declined();
  const Array& x = call.x[0];
  Array rows = x;
  --rows.ndim;
  if (g.dtype != x.dtype || (call.none ? !same_shape(g, rows) : g.ndim != 0)) return declined();
  py::object results[3];
  for (int i = 0; i < 3; ++i) results[i] = empty(x.dtype, x.ndim, x.shape, d[i]);
  if (x.size() > 0) {
    std::optional<Scratch> packed;
    TripletStrip strip{};
    if (call.none) {
      make_dense(g, call.order, packed);
      strip.g = g.data;
    } else {
      strip.scale = (call.wide() ? *g.ptr<double>() : *g.ptr<float>()) / call.divisor;
    }
    strip.da = d[0].data, strip.db = d[1].data, strip.dc = d[2].data;
    call.run(FD_TABLE(loss_triplet).backward[call.wide()], strip);
  }
  return py::make_tuple(results[0], results[1], results[2]);
}

}  // namespace

void bind_loss_triplet(py::module_& m) {
  m.def("triplet_margin_loss", triplet_margin_loss);
  m.def("triplet_margin_loss_backward", triplet_margin_loss_backward);
}
}  // namespace fd
