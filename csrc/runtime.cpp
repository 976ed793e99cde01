// What Python sees of the threads, the memory, the instruction sets and the machine.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "array.h"
#include "isa.h"
#include "memory.h"
#include "threads.h"

#ifndef FASTDL_BUILD_FLAGS
#define FASTDL_BUILD_FLAGS "unknown"
#endif

namespace fd {
namespace {

constexpr Isa kIsas[] = {Isa::baseline, Isa::avx2, Isa::avx512, Isa::avx512_bf16};

std::vector<std::string> runnable_isas() {
  std::vector<std::string> names;
  for (Isa isa : kIsas) {
    if (isa_runs(isa)) names.push_back(isa_name(isa));
  }
  return names;
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

Isa isa_named(const std::string& name) {
  for (Isa isa : kIsas) {
    if (name == isa_name(isa) && isa_runs(isa)) return isa;
  }
  throw std::invalid_argument("'" + name +
                              "' is not an instruction set this machine runs; choose from " +
                              joined(runnable_isas()));
}

void choose_isa_from_environment() {
  const char* name = std::getenv("FASTDL_ISA");
  if (!name || !*name) return;
  try {
    set_isa(isa_named(name));
  } catch (const std::invalid_argument& error) {
    throw std::invalid_argument(std::string("the environment variable FASTDL_ISA: ") +
                                error.what());
  }
}

MemoryMode memory_mode_named(const std::string& name) {
  constexpr const char* kNames[] = {"normal", "poison", "guard_end", "guard_start"};
  for (int i = 0; i < 4; ++i) {
    if (name == kNames[i]) return static_cast<MemoryMode>(i);
  }
  throw std::invalid_argument("memory mode '" + name +
                              "' is not one of normal, poison, guard_end, guard_start");
}

// A name or a numpy.dtype; false for a dtype csrc does not compute in.
bool read_dtype(py::handle object, DType& dtype) {
  if (!PyUnicode_Check(object.ptr())) return dtype_of(object, dtype);
  constexpr const char* kNames[] = {"bool", "uint8", "int32", "int64", "float32", "float64"};
  for (int i = 0; i < 6; ++i) {
    if (PyUnicode_CompareWithASCIIString(object.ptr(), kNames[i]) == 0) {
      dtype = static_cast<DType>(i);
      return true;
    }
  }
  throw std::invalid_argument("dtype " + std::string(py::repr(object)) +
                              " is not one of bool, uint8, int32, int64, float32, float64");
}

int read_shape(const py::tuple& shape, int64_t* dims) {
  const size_t ndim = shape.size();
  if (ndim > kMaxDims) throw std::invalid_argument("an array has at most 16 dimensions");
  for (size_t i = 0; i < ndim; ++i) {
    dims[i] = PyNumber_AsSsize_t(PyTuple_GET_ITEM(shape.ptr(), i), PyExc_OverflowError);
    if (dims[i] == -1 && PyErr_Occurred()) throw py::error_already_set();
  }
  return static_cast<int>(ndim);
}

// A new array; NotImplemented for a dtype csrc does not compute in. channels_last: (N, C, ...) with
// the channels innermost in memory.
py::object empty_array(const py::tuple& shape, py::handle dtype, bool channels_last) {
  Array a;
  DType type = DType::f32;
  if (!read_dtype(dtype, type)) return declined();
  int64_t dims[kMaxDims];
  const int ndim = read_shape(shape, dims);
  if (!channels_last) return empty(type, ndim, dims, a);
  if (ndim < 3) {
    throw std::invalid_argument("channels_last wants (N, C, ...) with 3 dimensions or more");
  }
  int order[kMaxDims];
  for (int i = 0; i < ndim; ++i) order[i] = i;
  std::rotate(order + 1, order + 2, order + ndim);
  return empty_ordered(type, ndim, dims, order, a);
}

// For the tests of `view`: (address, itemsize, shape, strides in elements, writeable).
py::object view_tuple(py::handle object) {
  Array a;
  if (!view(object, a)) return declined();
  return py::make_tuple(reinterpret_cast<uintptr_t>(a.data), itemsize(a.dtype),
                        std::vector<int64_t>(a.shape, a.shape + a.ndim),
                        std::vector<int64_t>(a.stride, a.stride + a.ndim), a.writeable);
}

bool arrays_overlap(py::handle x, py::handle y) {
  Array a, b;
  if (!view(x, a) || !view(y, b)) throw std::invalid_argument("not arrays csrc takes");
  return may_overlap(a, b);
}

py::dict memory_stats_dict() {
  const MemoryStats stats = memory_stats();
  py::dict d;
  d["in_use"] = stats.in_use;
  d["cached"] = stats.cached;
  d["limit"] = stats.limit;
  return d;
}

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::string cpu_model() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("model name", 0) == 0) return line.substr(line.find(':') + 2);
  }
  return "unknown";
}

int64_t bytes_of(const std::string& text) {  // "48K"
  if (text.empty()) return 0;
  const int64_t n = std::atoll(text.c_str());
  return text.back() == 'K' ? n << 10 : text.back() == 'M' ? n << 20 : n;
}

// Data caches of the first core, in bytes; those the system does not tell are absent.
py::dict cpu_info() {
  py::dict d;
  d["model"] = cpu_model();
  d["cores"] = std::thread::hardware_concurrency();
  cpu_set_t set;
  d["affinity"] = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 0;
  for (int i = 0; i < 8; ++i) {
    const std::string index = "/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(i) + "/";
    const std::string type = first_line(index + "type");
    if (type.empty()) break;
    if (type == "Instruction") continue;
    d[("l" + first_line(index + "level")).c_str()] = bytes_of(first_line(index + "size"));
  }
  return d;
}

py::dict build_info() {
  py::dict d;
#if defined(__clang__)
  d["compiler"] = "clang " __clang_version__;
#else
  d["compiler"] = "gcc " __VERSION__;
#endif
  d["flags"] = FASTDL_BUILD_FLAGS;
  d["pybind11"] =
      std::to_string(PYBIND11_VERSION_MAJOR) + "." + std::to_string(PYBIND11_VERSION_MINOR);
  return d;
}

// For the tests of the pool: a parallel job that only takes time. The float mode of each thread
// that took part.
std::vector<unsigned> burn(int64_t chunks, int64_t nanoseconds, bool fail) {
  using Clock = std::chrono::steady_clock;
  std::mutex lock;
  std::map<std::thread::id, unsigned> modes;
  {
    py::gil_scoped_release nogil;
    parallel_for(chunks, double(chunks) * double(nanoseconds), [&](int64_t i) {
      const auto end = Clock::now() + std::chrono::nanoseconds(nanoseconds);
      while (Clock::now() < end) {
      }
      std::lock_guard<std::mutex> hold(lock);
      modes[std::this_thread::get_id()] = float_mode();
      if (fail && i == chunks / 2) throw std::runtime_error("a chunk failed");
    });
  }
  std::vector<unsigned> each;
  for (const auto& thread : modes) each.push_back(thread.second);
  return each;
}

// How often each chunk of a parallel job ran.
std::vector<int> count(int64_t chunks) {
  std::vector<int> runs(static_cast<size_t>(chunks));
  py::gil_scoped_release nogil;
  parallel_for(chunks, 1e6, [&](int64_t i) { ++runs[static_cast<size_t>(i)]; });
  return runs;
}

int64_t count_nested(int64_t outer, int64_t inner) {
  std::atomic<int64_t> runs{0};
  py::gil_scoped_release nogil;
  parallel_for(outer, 1e6, [&](int64_t) { parallel_for(inner, 1e6, [&](int64_t) { ++runs; }); });
  return runs;
}

}  // namespace

void bind_runtime(py::module_& m) {
  choose_isa_from_environment();
  num_threads();  // reads the environment: a bad value is an error of the import
  Array a;
  view(py::none(), a);  // finds NumPy's C interface now, not in the middle of a first call

  m.def("num_threads", &num_threads);
  m.def("set_num_threads", &set_num_threads, py::arg("n"),
        py::call_guard<py::gil_scoped_release>());
  m.def("empty_cache", &empty_cache, py::call_guard<py::gil_scoped_release>());
  m.def("memory_stats", &memory_stats_dict);
  m.def(
      "set_memory_mode",
      [](const std::string& mode, uint8_t pattern) {
        set_memory_mode(memory_mode_named(mode), pattern);
      },
      py::arg("mode"), py::arg("pattern") = 0);
  m.def("isa", [] { return isa_name(isa()); });
  m.def("set_isa", [](const std::string& name) { set_isa(isa_named(name)); }, py::arg("name"));
  m.def("best_isa", [] { return isa_name(best_isa()); });
  m.def("runnable_isas", &runnable_isas);
  m.def("forget_isa", [] { picked_isa.store(-1); });
  m.def("ran_isa", [] {
    const int picked = picked_isa.load();
    return picked < 0 ? "" : isa_name(static_cast<Isa>(picked));
  });
  m.def("empty", &empty_array, py::arg("shape"), py::arg("dtype") = "float32",
        py::arg("channels_last") = false);
  m.def("_view", &view_tuple);
  m.def("_may_overlap", &arrays_overlap);
  m.def("mxcsr", &float_mode);
  m.def("cpu_info", &cpu_info);
  m.def("build_info", &build_info);
  m.def("_count", &count, py::arg("chunks"));
  m.def("_count_nested", &count_nested, py::arg("outer"), py::arg("inner"));
  m.def("_burn", &burn, py::arg("chunks"), py::arg("nanoseconds"), py::arg("fail") = false);
}

}  // namespace fd
