// cross_entropy of logits x[N, C, *] (or x[C]) with targets of int64 classes or of probabilities,
// and nll_loss of log-probabilities; and their gradients.
#include "../kernels/cpu/loss.h"

#include <algorithm>
#include <string>

#include "isa.h"
#include "loops.h"
#include "reduce.h"

namespace fd {
namespace {

constexpr int64_t kChunk = 1 << 14;           // logits of a chunk of parallel work
constexpr double kNanosecondsPerByte = 0.04;  // where a register is 64 bytes

[[noreturn]] void out_of_range(const char* op, int64_t value, int64_t classes) {
  const std::string text = std::string(op) + ": target: got class " + std::to_string(value) +
                           ", want 0 to " + std::to_string(classes - 1);
  const py::object error = py::module_::import("fastdl.core.errors").attr("IndexRangeError");
  PyErr_SetString(error.ptr(), text.c_str());
  throw py::error_already_set();
}

enum class Reduction { none, sum, mean };

// A checked call. Places are the elements of a target of classes, in x's order of memory.
struct Call {
  Array x, target, weight;
  bool soft = false, weighted = false;  // soft: the target is probabilities, of x's shape
  Reduction reduction;
  int64_t ignore_index, places = 1;
  double smoothing;
  int axis;
  int order[kMaxDims], place_order[kMaxDims];
  Array where;  // the shape of the places
  std::optional<Scratch> packed_x, packed_target, packed_weight;
  double weights = 0;      // their sum
  double denominator = 1;  // of a mean

  // False for what is not taken; throws for a target out of range.
  bool read(const char* op, py::handle x_object, py::handle target_object, py::handle weight_object,
            py::handle ignore, py::handle how, py::handle smooth) {
    if (!view(x_object, x) || !view(target_object, target)) return false;
    if (x.dtype != DType::f32 && x.dtype != DType::f64) return false;
    if (x.ndim < 1) return false;
    axis = x.ndim == 1 ? 0 : 1;
    where.ndim = x.ndim - 1;
    for (int d = 0; d < where.ndim; ++d) places *= where.shape[d] = x.shape[d < axis ? d : d + 1];
    soft = target.dtype == x.dtype;
    if (!same_shape(target, soft ? x : where) || (!soft && target.dtype != DType::i64))
      return false;
    weighted = !weight_object.is_none();
    if (weighted && (!view(weight_object, weight) || weight.dtype != x.dtype || weight.ndim != 1 ||
                     weight.shape[0] != x.shape[axis]))
      return false;
    if (!parse_int(ignore, ignore_index) || !parse_number(smooth, smoothing)) return false;
    if (soft && ignore_index >= 0) return false;
    if (!(smoothing >= 0 && smoothing <= 1) || !PyUnicode_Check(how.ptr())) return false;
    const auto is = [&](const char* name) {
      return PyUnicode_CompareWithASCIIString(how.ptr(), name) == 0;
    };
    if (!is("mean") && !is("sum") && !is("none")) return false;
    reduction = is("mean") ? Reduction::mean : is("sum") ? Reduction::sum : Reduction::none;

    memory_order(x, order);
    for (int i = 0, k = 0; i < x.ndim; ++i)
      if (order[i] != axis) place_order[k++] = order[i] < axis ? order[i] : order[i] - 1;
    const int64_t classes = x.shape[axis];
    int64_t counted = 0;
    if (soft) {
      counted = classes > 0 ? places : 0;
      if (x.size() > 0) make_inner_dense(target, order, packed_target);
    } else {
      make_dense(target, place_order, packed_target);
      const int64_t* t = target.ptr<int64_t>();
      const auto wrong = [&](int64_t i) {
        return (t[i] != ignore_index) & (static_cast<uint64_t>(t[i]) >= uint64_t(classes));
      };
      bool any_wrong = false;  // without branches, so that it vectorises
      for (int64_t i = 0; i < places; ++i) {
        any_wrong |= wrong(i);
        counted += t[i] != ignore_index;
      }
      for (int64_t i = 0; any_wrong; ++i)
        if (wrong(i)) out_of_range(op, t[i], classes);
    }
    if (x.size() > 0) make_inner_dense(x, order, packed_x);
    weights = static_cast<double>(classes);
    denominator = static_cast<double>(counted);
    if (weighted && soft) {
      const int only[] = {0};
      make_dense(weight, only, packed_weight);
    } else if (weighted) {
      const int only[] = {0};
      make_dense(weight, only, packed_weight);
      x.dtype == DType::f32 ? weigh<float>() : weigh<double>();
    }
    return true;
  }

  template <class T>
  void weigh() {
    const T* w = weight.ptr<T>();
    const int64_t* t = target.ptr<int64_t>();
    T sum = 0;
    if (weight.shape[0] > 0) sum_dense(x.dtype, w, weight.shape[0], &sum, 1);
    weights = static_cast<double>(sum);
    sum = 0;
    if (places > 0 && reduction == Reduction::mean) {
      Scratch taken(static_cast<size_t>(places) * sizeof(T));
      for (int64_t i = 0; i < places; ++i) taken.as<T>()[i] = t[i] == ignore_index ? T(0) : w[t[i]];
      sum_dense(x.dtype, taken.as<T>(), places, &sum, 1);
    }
    denominator = static_cast<double>(sum);
  }

  LossStrip strip() const {
    LossStrip s{};
    if (soft)
      s.share = target.data;
    else
      s.target = target.ptr<int64_t>();
    s.ignore_index = ignore_index;
    s.weight = weighted ? weight.data : nullptr;
    s.weights = weights;
    s.smoothing = smoothing;
    return s;
  }
  bool wide() const { return x.dtype == DType::f64; }
};

// Runs a kernel over all places; y is an array like x, or x itself.
void run(const Call& call, void (*kernel)(const LossStrip&), const LossStrip& all, const Array& y) {
  const Array& same = call.soft ? call.target : call.x;
  const AxisLoops l(make_loops({&call.x, &y, &same}, call.order, 1u << call.axis));
  const int64_t item = itemsize(call.x.dtype);
  const double bytes = static_cast<double>(call.x.size() * item);
  l.parallel(kChunk, 256 / item, bytes * kNanosecondsPerByte,
             [&](int64_t row, int64_t count, int64_t column, int64_t columns) {
               const int64_t place = row * l.m + column;
               LossStrip s = all;
               s.x = call.x.ptr<char>() + (l.outer.offset(row, 0) + column) * item;
               s.dx = y.ptr<char>() + (l.outer.offset(row, 1) + column) * item;
               s.count = count;
               s.n = l.n;
               s.m = columns;
               s.xs = l.step[0];
               s.ds = l.step[1];
               s.xc = l.stride[0];
               s.dc = l.stride[1];
               if (s.target) s.target += place;
               if (s.share)
                 s.share = call.target.ptr<char>() + (l.outer.offset(row, 2) + column) * item;
               s.ps = l.step[2];
               s.pc = l.stride[2];
               if (s.loss) s.loss = static_cast<char*>(s.loss) + place * item;
               if (s.g) s.g = static_cast<const char*>(s.g) + place * item;
               kernel(s);
             });
}

using Kernel = void (*)(const LossStrip&);

py::object loss(const char* op, const Kernel (&kernels)[2], py::handle x, py::handle target,
                py::handle weight, py::handle ignore_index, py::handle reduction,
                py::handle label_smoothing, py::handle out) {
  Call call;
  if (!call.read(op, x, target, weight, ignore_index, reduction, label_smoothing))
    return declined();
  const bool none = call.reduction == Reduction::none;
  const Array& places = call.where;
  Output y;
  if (!y.make(out, call.x.dtype, none ? places.ndim : 0, places.shape, call.place_order,
              {&call.x, &call.target, call.weighted ? &call.weight : &call.x}))
    return declined();
  const int64_t item = itemsize(call.x.dtype);
  Scratch losses(none ? 0 : static_cast<size_t>(call.places * item));
  LossStrip strip = call.strip();
  strip.loss = none ? y.dense().data : losses.as<void>();
  if (call.x.size() > 0)
    run(call, kernels[call.wide()], strip, call.x);
  else if (call.places > 0)  // no classes: every target is ignored
    std::fill_n(static_cast<char*>(strip.loss), call.places * item, 0);
  if (!none) {
    const double divisor = call.reduction == Reduction::mean ? call.denominator : 1;
    const double zero = 0;
    sum_dense(call.x.dtype, call.places ? losses.as<void>() : &zero,
              std::max<int64_t>(call.places, 1), y.dense().data, divisor);
  }
  return y.done();
}

py::object backward(const char* op, const Kernel (&kernels)[2], py::handle g_object, py::handle x,
                    py::handle target, py::handle weight, py::handle ignore_index,
                    py::handle reduction, py::handle label_smoothing, py::handle out) {
  Call call;
  Array g;
  if (!view(g_object, g)) return declined();
  if (!call.read(op, x, target, weight, ignore_index, reduction, label_smoothing))
    return declined();
  const bool none = call.reduction == Reduction::none;
  if (g.dtype != call.x.dtype || (none ? !same_shape(g, call.where) : g.ndim != 0))
    return declined();
  Output dx;
  if (!dx.make(out, call.x.dtype, call.x.ndim, call.x.shape, call.order,
               {&call.x, &g, &call.target, call.weighted ? &call.weight : &call.x}))
    return declined();
  if (call.x.size() == 0) return dx.done();
  LossStrip strip = call.strip();
  std::optional<Scratch> packed;
  if (none) {
    make_dense(g, call.place_order, packed);
    strip.g = g.data;
  } else {
    const double value = call.wide() ? *g.ptr<double>() : *g.ptr<float>();
    strip.scale = call.reduction == Reduction::mean ? value / call.denominator : value;
  }
  run(call, kernels[call.wide()], strip, dx.dense());
  return dx.done();
}

py::object cross_entropy(py::handle x, py::handle target, py::handle weight,
                         py::handle ignore_index, py::handle reduction, py::handle label_smoothing,
                         py::handle out) {
  return loss("cross_entropy", FD_TABLE(loss).cross_entropy, x, target, weight, ignore_index,
              reduction, label_smoothing, out);
}
py::object cross_entropy_backward(py::handle g, py::handle x, py::handle target, py::handle weight,
                                  py::handle ignore_index, py::handle reduction,
                                  py::handle label_smoothing, py::handle out) {
  return backward("cross_entropy_backward", FD_TABLE(loss).cross_entropy_backward, g, x, target,
                  weight, ignore_index, reduction, label_smoothing, out);
}

// Classes only: a target of x's dtype would be taken for probabilities.
bool of_classes(py::handle target) {
  Array t;
  return view(target, t) && t.dtype == DType::i64;
}
py::object nll_loss(py::handle x, py::handle target, py::handle weight, py::handle ignore_index,
                    py::handle reduction, py::handle out) {
  if (!of_classes(target)) return declined();
  return loss("nll_loss", FD_TABLE(loss).nll_loss, x, target, weight, ignore_index, reduction,
              py::float_(0.0), out);
}
py::object nll_loss_backward(py::handle g, py::handle x, py::handle target, py::handle weight,
                             py::handle ignore_index, py::handle reduction, py::handle out) {
  if (!of_classes(target)) return declined();
  return backward("nll_loss_backward", FD_TABLE(loss).nll_loss_backward, g, x, target, weight,
                  ignore_index, reduction, py::float_(0.0), out);
}

}  // namespace

void bind_loss(py::module_& m) {
  const auto none = py::none();
  m.def("cross_entropy", cross_entropy, py::arg("x"), py::arg("target"), py::arg("weight") = none,
        py::arg("ignore_index") = -100, py::arg("reduction") = "mean",
        py::arg("label_smoothing") = 0.0, py::arg("out") = none);
  m.def("cross_entropy_backward", cross_entropy_backward, py::arg("g"), py::arg("x"),
        py::arg("target"), py::arg("weight") = none, py::arg("ignore_index") = -100,
        py::arg("reduction") = "mean", py::arg("label_smoothing") = 0.0, py::arg("out") = none);
  m.def("nll_loss", nll_loss, py::arg("x"), py::arg("target"), py::arg("weight"),
        py::arg("ignore_index"), py::arg("reduction"), py::arg("out") = none);
  m.def("nll_loss_backward", nll_loss_backward, py::arg("g"), py::arg("x"), py::arg("target"),
        py::arg("weight"), py::arg("ignore_index"), py::arg("reduction"), py::arg("out") = none);
}
}  // namespace fd
