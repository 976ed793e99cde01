// Measures of the machine for fastdl bench: each call does its work on every thread of the pool.
#include <pybind11/pybind11.h>

#include <string>
#include <vector>

#include "../kernels/cpu/roofline.h"
#include "array.h"
#include "isa.h"
#include "threads.h"

namespace fd {
namespace {

double flops_burst(const std::string& dtype, int64_t iterations) {
  const RooflineKernels& k = FD_WIDE_TABLE(roofline);
  const auto burst = [&]() -> double {
    double sink64[8] = {1.0, 0.5};
    float sink32[8] = {1.0f, 0.5f};
    if (dtype == "float64") return k.fma_f64(iterations, sink64);
    if (dtype == "bfloat16") return k.dot_bf16 ? k.dot_bf16(iterations) : 0;
    if (dtype == "int8") return k.dot_int8 ? k.dot_int8(iterations) : 0;
    return k.fma_f32(iterations, sink32);
  };
  py::gil_scoped_release release;
  std::vector<double> flops(static_cast<size_t>(num_threads()));
  parallel_for(static_cast<int64_t>(flops.size()), 1e9,
               [&](int64_t i) { flops[static_cast<size_t>(i)] = burst(); });
  double total = 0;
  for (double f : flops) total += f;
  return total;
}

py::object read_burst(py::handle x, int64_t repeats) {
  Array a;
  if (!view(x, a) || a.dtype != DType::f32 || a.ndim != 1 || (a.shape[0] > 1 && a.stride[0] != 1)) {
    return declined();
  }
  const RooflineKernels& k = FD_WIDE_TABLE(roofline);
  float sum = 0;
  {
    py::gil_scoped_release release;
    const int64_t threads = num_threads(), n = a.shape[0];
    std::vector<float> parts(static_cast<size_t>(threads));
    parallel_for(threads, 1e9, [&](int64_t i) {
      const int64_t begin = n * i / threads, end = n * (i + 1) / threads;
      float part = 0;
      for (int64_t r = 0; r < repeats; ++r) part += k.read_f32(a.ptr<float>() + begin, end - begin);
      parts[static_cast<size_t>(i)] = part;
    });
    for (float part : parts) sum += part;
  }
  return py::float_(sum);
}

}  // namespace

void bind_roofline(py::module_& m) {
  m.def("flops_burst", &flops_burst, py::arg("dtype"), py::arg("iterations"),
        "Runs a dtype's multiply-adds on every thread; returns their flops, 0 where it has none.");
  m.def("read_burst", &read_burst, py::arg("x"), py::arg("repeats"),
        "Reads a float32 vector `repeats` times, cut into a part a thread.");
}
}  // namespace fd
