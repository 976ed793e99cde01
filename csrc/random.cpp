// Random fills and dropout: which counters make which numbers, and how the work is cut.
#include "../kernels/cpu/random.h"

#include <algorithm>

#include "isa.h"
#include "layout.h"
#include "loops.h"

namespace fd {
namespace {

constexpr int64_t kChunk = 1 << 14;  // numbers of a chunk of parallel work: whole groups
constexpr int kFirst[kMaxDims] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

bool parse_unsigned(py::handle option, uint64_t& value) {
  if (!PyLong_Check(option.ptr())) return false;
  value = PyLong_AsUnsignedLongLongMask(option.ptr());
  if (PyErr_Occurred()) throw py::error_already_set();
  return true;
}

// `per_group` numbers are made from 16 counters. x is read only if `reads`; y may be x itself.
py::object fill(void (*const (&kernels)[2])(const RandomStrip&), int64_t per_group, bool reads,
                double nanoseconds, py::handle x_object, double a, double b, py::handle seed,
                py::handle offset, bool last, py::handle out_object) {
  Array x;
  RandomStrip all{};
  if (!view(x_object, x) || !parse_unsigned(seed, all.key) || !parse_unsigned(offset, all.counter))
    return declined();
  if (x.dtype != DType::f32 && x.dtype != DType::f64) return declined();
  const int* order = last ? kChannelsLast : kFirst;
  Output out;
  if (!out.make(out_object, x.dtype, x.ndim, x.shape, order, {})) return declined();
  if (reads && out_object.ptr() != x_object.ptr() && may_overlap(x, out.array())) return declined();
  std::optional<Scratch> packed;
  if (reads) make_dense(x, order, packed);
  const int64_t n = x.size(), item = itemsize(x.dtype);
  const auto kernel = kernels[x.dtype == DType::f64];
  char* const y = out.dense().ptr<char>();
  run_chunks((n + kChunk - 1) / kChunk, static_cast<double>(n) * nanoseconds, [&](int64_t c) {
    RandomStrip s = all;
    s.x = reads ? x.ptr<char>() + c * kChunk * item : nullptr;
    s.y = y + c * kChunk * item;
    s.count = std::min(kChunk, n - c * kChunk);
    s.counter += static_cast<uint64_t>(c * (kChunk / per_group) * kRandomCounters);
    s.a = a;
    s.b = b;
    kernel(s);
  });
  return out.done();
}

int64_t numbers_of(py::handle x_object) {
  Array x;
  return view(x_object, x) && x.dtype == DType::f64 ? kRandomPairs : kRandomGroup;
}

py::object uniform(py::handle x, double low, double high, py::handle seed, py::handle offset,
                   py::handle out) {
  return fill(FD_TABLE(random).uniform, numbers_of(x), false, 0.5, x, low, high, seed, offset,
              false, out);
}
py::object normal(py::handle x, double mean, double deviation, py::handle seed, py::handle offset,
                  py::handle out) {
  return fill(FD_TABLE(random).normal, numbers_of(x), false, 1, x, mean, deviation, seed, offset,
              false, out);
}
py::object bernoulli(py::handle p, py::handle seed, py::handle offset, py::handle out) {
  return fill(FD_TABLE(random).bernoulli, kRandomGroup, true, 0.5, p, 0, 0, seed, offset, false,
              out);
}
py::object dropout(py::handle x_object, py::handle probability, py::handle seed, py::handle offset,
                   py::handle last, py::handle out) {
  Array x;
  double p;
  bool channels_last;
  if (!view(x_object, x) || !parse_number(probability, p) || !(p >= 0 && p <= 1)) return declined();
  if (last.is_none())
    channels_last = is_channels_last(x);
  else if (!parse_bool(last, channels_last) || (channels_last && x.ndim != 4))
    return declined();
  return fill(FD_TABLE(random).dropout, kRandomGroup, true, 0.5, x_object, p,
              p < 1 ? 1 / (1 - p) : 0, seed, offset, channels_last, out);
}

}  // namespace

void bind_random(py::module_& m) {
  const auto none = py::none();
  m.def("uniform", uniform, py::arg("x"), py::arg("low"), py::arg("high"), py::arg("seed"),
        py::arg("offset"), py::arg("out") = none);
  m.def("normal", normal, py::arg("x"), py::arg("mean"), py::arg("std"), py::arg("seed"),
        py::arg("offset"), py::arg("out") = none);
  m.def("bernoulli", bernoulli, py::arg("p"), py::arg("seed"), py::arg("offset"),
        py::arg("out") = none);
  m.def("dropout", dropout, py::arg("x"), py::arg("p"), py::arg("seed"), py::arg("offset"),
        py::arg("channels_last") = none, py::arg("out") = none);
}
}  // namespace fd
