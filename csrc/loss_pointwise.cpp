// Losses of two arrays, element by element, and their gradients: one entry for all of them.
#include "../kernels/cpu/loss_pointwise.h"

#include <cstring>
#include <string>

#include "isa.h"
#include "loops.h"
#include "reduce.h"

namespace fd {
namespace {

constexpr int64_t kChunk = 1 << 14;  // elements of a chunk of parallel work, and of a partial sum
constexpr const char* kNames[kPointwise] = {"mse_loss",
                                            "l1_loss",
                                            "smooth_l1_loss",
                                            "huber_loss",
                                            "soft_margin_loss",
                                            "hinge_embedding_loss",
                                            "binary_cross_entropy",
                                            "binary_cross_entropy_with_logits",
                                            "binary_cross_entropy_with_logits, pos_weight",
                                            "kl_div",
                                            "kl_div, log_target"};

// A checked call; every array dense, in x's order of memory.
struct Call {
  Array x, target, weight, positive;
  Array given[4];  // the same as they came; x where there is none
  bool weighted = false, positives = false;
  int kind, order[kMaxDims];
  double divisor = 1;  // of a mean
  bool none;
  double parameter;
  std::optional<Scratch> packed[4];

  // False for what is not taken; throws for what is not allowed.
  bool read(const std::string& name, py::handle x_, py::handle target_, py::handle weight_,
            py::handle positive_, py::handle reduction, double p, bool backward) {
    kind = 0;
    while (kind < kPointwise && name != kNames[kind]) ++kind;
    if (kind == kPointwise) throw std::invalid_argument("no loss is called " + name);
    parameter = p;
    if (!view(x_, x) || (x.dtype != DType::f32 && x.dtype != DType::f64)) return false;
    memory_order(x, order);
    for (Array& a : given) a = x;
    weighted = !weight_.is_none();
    positives = !positive_.is_none();
    if (!take(target_, target, 1)) return false;
    if (weighted && !take(weight_, weight, 2)) return false;
    if (positives && !take(positive_, positive, 3)) return false;
    if (!PyUnicode_Check(reduction.ptr())) return false;
    const auto is = [&](const char* word) {
      return PyUnicode_CompareWithASCIIString(reduction.ptr(), word) == 0;
    };
    none = is("none");
    if (!none && !is("sum") && !is("mean")) return false;
    if (is("mean")) divisor = static_cast<double>(x.size());
    if (x.size() > 0) make_dense(x, order, packed[0]);
    if (kind == static_cast<int>(Pointwise::bce)) check_range(backward);
    return true;
  }

  bool take(py::handle object, Array& a, int i) {
    if (!view(object, a) || a.dtype != x.dtype || !same_shape(a, x)) return false;
    given[i] = a;
    if (x.size() > 0) make_dense(a, order, packed[i]);
    return true;
  }

  void check_range(bool backward) const {
    const auto within = FD_TABLE(loss_pointwise).within_0_1[wide()];
    if (x.size() == 0 || within(x.data, x.size())) return;
    const py::object error = py::module_::import("fastdl.core.errors").attr("ArgumentError");
    PyErr_SetString(error.ptr(),
                    backward ? "binary_cross_entropy_backward: x: got a value outside 0 to 1"
                             : "binary_cross_entropy: x: got a value outside 0 to 1");
    throw py::error_already_set();
  }

  bool wide() const { return x.dtype == DType::f64; }

  // Runs kernel over all elements; `out` has one element a chunk if `partial`, else one each.
  void run(void (*kernel)(const PointwiseStrip&), PointwiseStrip all, bool partial) const {
    const int64_t n = x.size(), item = itemsize(x.dtype);
    const double arrays = 3.0 + weighted + positives;
    const bool costly = kind >= static_cast<int>(Pointwise::soft_margin);  // it has a logarithm
    const double nanoseconds = static_cast<double>(n * item) * arrays * (costly ? 0.06 : 0.02);
    all.x = x.data;
    all.target = target.data;
    all.weight = weighted ? weight.data : nullptr;
    all.positive = positives ? positive.data : nullptr;
    all.parameter = parameter;
    run_chunks((n + kChunk - 1) / kChunk, nanoseconds, [&](int64_t chunk) {
      const int64_t from = chunk * kChunk * item;
      PointwiseStrip s = all;
      const auto move = [&](const void*& p) {
        if (p) p = static_cast<const char*>(p) + from;
      };
      move(s.x), move(s.target), move(s.weight), move(s.positive), move(s.g);
      s.out = static_cast<char*>(s.out) + (partial ? chunk * item : from);
      s.n = std::min(kChunk, n - chunk * kChunk);
      kernel(s);
    });
  }
};

py::object pointwise_loss(const std::string& name, py::handle x, py::handle target,
                          py::handle weight, py::handle positive, py::handle reduction,
                          double parameter, py::handle out) {
  Call call;
  if (!call.read(name, x, target, weight, positive, reduction, parameter, false)) return declined();
  Output y;
  const Array* given = call.given;
  if (!y.make(out, call.x.dtype, call.none ? call.x.ndim : 0, call.x.shape, call.order,
              {&given[0], &given[1], &given[2], &given[3]}))
    return declined();
  const PointwiseKernels& table = FD_TABLE(loss_pointwise);
  const int64_t n = call.x.size(), chunks = (n + kChunk - 1) / kChunk;
  PointwiseStrip strip{};
  if (call.none) {
    strip.out = y.dense().data;
    if (n > 0) call.run(table.loss[call.kind][call.wide()], strip, false);
    return y.done();
  }
  const double zero = 0;
  Scratch partial(static_cast<size_t>(chunks) * sizeof(double));
  strip.out = partial.as<void>();
  if (n > 0) call.run(table.sum[call.kind][call.wide()], strip, true);
  sum_dense(call.x.dtype, n > 0 ? partial.as<void>() : &zero, std::max<int64_t>(chunks, 1),
            y.dense().data, call.divisor);
  return y.done();
}

py::object pointwise_loss_backward(const std::string& name, py::handle g_, py::handle x,
                                   py::handle target, py::handle weight, py::handle positive,
                                   py::handle reduction, double parameter, py::handle out) {
  Call call;
  Array g;
  if (!view(g_, g)) return declined();
  if (!call.read(name, x, target, weight, positive, reduction, parameter, true)) return declined();
  if (g.dtype != call.x.dtype || (call.none ? !same_shape(g, call.x) : g.ndim != 0))
    return declined();
  Output dx;
  const Array* given = call.given;
  if (!dx.make(out, call.x.dtype, call.x.ndim, call.x.shape, call.order,
               {&g, &given[0], &given[1], &given[2], &given[3]}))
    return declined();
  if (call.x.size() == 0) return dx.done();
  PointwiseStrip strip{};
  std::optional<Scratch> packed;
  if (call.none) {
    make_dense(g, call.order, packed);
    strip.g = g.data;
  } else {
    strip.scale = (call.wide() ? *g.ptr<double>() : *g.ptr<float>()) / call.divisor;
  }
  strip.out = dx.dense().data;
  call.run(FD_TABLE(loss_pointwise).slope[call.kind][call.wide()], strip, false);
  return dx.done();
}

}  // namespace

void bind_loss_pointwise(py::module_& m) {
  const auto none = py::none();
  m.def("pointwise_loss", pointwise_loss, py::arg("name"), py::arg("x"), py::arg("target"),
        py::arg("weight"), py::arg("positive"), py::arg("reduction"), py::arg("parameter"),
        py::arg("out") = none);
  m.def("pointwise_loss_backward", pointwise_loss_backward, py::arg("name"), py::arg("g"),
        py::arg("x"), py::arg("target"), py::arg("weight"), py::arg("positive"),
        py::arg("reduction"), py::arg("parameter"), py::arg("out") = none);
}
}  // namespace fd
