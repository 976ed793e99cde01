// CTC of log-probabilities x[T, N, C] with int64 targets[N, S] and lengths, and its gradient: one
// sequence is one piece of work.
#include "../kernels/cpu/loss_ctc.h"

#include "isa.h"
#include "loops.h"
#include "reduce.h"

namespace fd {
namespace {

constexpr double kNanoseconds = 0.6;  // a place and step, where a register is 64 bytes

// A checked call. The spec's shape function has seen to the values of lengths and targets.
struct Call {
  Array x, targets, times, lengths;
  std::optional<Scratch> packed[3];
  int64_t blank;
  bool none, mean, zero_infinity, wide;

  bool read(py::handle x_, py::handle targets_, py::handle times_, py::handle lengths_,
            py::handle blank_, py::handle reduction, py::handle zero) {
    if (!view(x_, x) || x.ndim != 3 || (x.dtype != DType::f32 && x.dtype != DType::f64))
      return false;
    wide = x.dtype == DType::f64;
    const int order[] = {0, 1};
    int i = 0;
    for (auto [object, array] :
         {std::pair{targets_, &targets}, {times_, &times}, {lengths_, &lengths}}) {
      if (!view(object, *array) || array->dtype != DType::i64) return false;
      if (array->ndim != (i ? 1 : 2) || array->shape[0] != x.shape[1]) return false;
      if (array->size() > 0) make_dense(*array, order, packed[i]);
      ++i;
    }
    if (!parse_int(blank_, blank) || !parse_bool(zero, zero_infinity)) return false;
    if (!PyUnicode_Check(reduction.ptr()) || blank < 0 || blank >= x.shape[2]) return false;
    const auto is = [&](const char* name) {
      return PyUnicode_CompareWithASCIIString(reduction.ptr(), name) == 0;
    };
    none = is("none"), mean = is("mean");
    return (none || mean || is("sum")) && in_range();
  }

  bool in_range() const {
    const int64_t most = targets.shape[1];
    for (int64_t n = 0; n < x.shape[1]; ++n) {
      const int64_t length = lengths.ptr<int64_t>()[n], time = times.ptr<int64_t>()[n];
      if (time < 0 || time > x.shape[0] || length < 0 || length > most) return false;
      const int64_t* target = targets.ptr<int64_t>() + n * most;
      for (int64_t s = 0; s < length; ++s)
        if (target[s] < 0 || target[s] >= x.shape[2]) return false;
    }
    return true;
  }

  // Calls body(n, strip) for every sequence, with the memory it works in.
  template <class F>
  void each(bool backward, F&& body) const {
    const int64_t item = itemsize(x.dtype), most = targets.shape[1];
    double places = 0;
    for (int64_t n = 0; n < x.shape[1]; ++n)
      places += double(times.ptr<int64_t>()[n]) * double(2 * lengths.ptr<int64_t>()[n] + 1);
    run_chunks(x.shape[1], places * double(item) * kNanoseconds, [&](int64_t n) {
      CtcStrip s{};
      s.time = times.ptr<int64_t>()[n];
      s.length = lengths.ptr<int64_t>()[n];
      s.target = targets.ptr<int64_t>() + n * most;
      s.x = x.ptr<char>() + n * x.stride[1] * item;
      s.xt = x.stride[0], s.xc = x.stride[2];
      s.blank = blank;
      s.classes = x.shape[2];
      s.zero_infinity = zero_infinity;
      const Scratch labels(static_cast<size_t>(2 * s.length + 1) * sizeof(int64_t));
      const Scratch work(static_cast<size_t>(ctc_work(s.time, s.length, backward) * item));
      s.labels = labels.as<int64_t>();
      s.work = work.as<void>();
      body(n, s);
    });
  }
};

py::object ctc_loss(py::handle x, py::handle targets, py::handle times, py::handle lengths,
                    py::handle blank, py::handle reduction, py::handle zero_infinity,
                    py::handle out) {
  Call call;
  if (!call.read(x, targets, times, lengths, blank, reduction, zero_infinity)) return declined();
  const int order[] = {0};
  const int64_t batch = call.x.shape[1], item = itemsize(call.x.dtype);
  Output y;
  if (!y.make(out, call.x.dtype, call.none, &batch, order, {&call.x})) return declined();
  const Scratch each(static_cast<size_t>(call.none ? 0 : (batch + 1) * item));
  char* losses = call.none ? y.dense().ptr<char>() : each.as<char>();
  const auto kernel = FD_TABLE(loss_ctc).loss[call.wide];
  call.each(false, [&](int64_t n, CtcStrip& s) {
    s.loss = losses + n * item;
    s.divisor = call.mean ? static_cast<double>(std::max<int64_t>(s.length, 1)) : 1;
    kernel(s);
  });
  if (call.none) return y.done();
  const double zero = 0;
  sum_dense(call.x.dtype, batch ? losses : static_cast<const void*>(&zero),
            std::max<int64_t>(batch, 1), y.dense().data,
            call.mean ? static_cast<double>(batch) : 1);
  return y.done();
}

py::object ctc_loss_backward(py::handle g_, py::handle x, py::handle targets, py::handle times,
                             py::handle lengths, py::handle blank, py::handle reduction,
                             py::handle zero_infinity, py::handle out) {
  Call call;
  Array g;
  if (!view(g_, g)) return declined();
  if (!call.read(x, targets, times, lengths, blank, reduction, zero_infinity)) return declined();
  const int64_t batch = call.x.shape[1], item = itemsize(call.x.dtype);
  if (g.dtype != call.x.dtype || g.ndim != call.none || (call.none && g.shape[0] != batch))
    return declined();
  const int order[] = {0, 1, 2};
  Output dx;
  if (!dx.make(out, call.x.dtype, 3, call.x.shape, order, {&call.x, &g})) return declined();
  if (call.x.size() == 0) return dx.done();
  const auto kernel = FD_TABLE(loss_ctc).backward[call.wide];
  const Array& d = dx.dense();
  call.each(true, [&](int64_t n, CtcStrip& s) {
    const int64_t at = call.none ? n * g.stride[0] : 0;
    s.scale = call.wide ? g.ptr<double>()[at] : g.ptr<float>()[at];
    if (call.mean)
      s.scale = s.scale / static_cast<double>(batch) /
                static_cast<double>(std::max<int64_t>(s.length, 1));
    s.dt = batch * s.classes;
    char* rows = d.ptr<char>() + n * s.classes * item;
    s.dx = rows;
    kernel(s);
    for (int64_t t = s.time; t < call.x.shape[0]; ++t)
      std::fill_n(rows + t * s.dt * item, s.classes * item, 0);
  });
  return dx.done();
}

}  // namespace

void bind_loss_ctc(py::module_& m) {
  using py::arg;
  const auto none = py::none();
  m.def("ctc_loss", ctc_loss, arg("x"), arg("targets"), arg("input_lengths"), arg("target_lengths"),
        arg("blank"), arg("reduction"), arg("zero_infinity"), arg("out") = none);
  m.def("ctc_loss_backward", ctc_loss_backward, arg("g"), arg("x"), arg("targets"),
        arg("input_lengths"), arg("target_lengths"), arg("blank"), arg("reduction"),
        arg("zero_infinity"), arg("out") = none);
}
}  // namespace fd
