// float32 <-> bfloat16, the latter as a uint16 array. Declines where avx512_bf16 is not in use.
#include "../kernels/cpu/bfloat16.h"

#include <pybind11/numpy.h>

#include <algorithm>

#include "array.h"
#include "isa.h"
#include "threads.h"

namespace fd {
namespace {

#if defined(__x86_64__)
constexpr int64_t kChunk = 1 << 16;
constexpr double kNanosecondsPerElement = 0.1;
constexpr int kUint16 = 4, kFloat32 = 11;  // NumPy's type numbers

// An exact, C-contiguous, aligned ndarray of native byte order? csrc/array.h knows no uint16.
template <class T>
bool is_run_of(py::handle object, int type_number) {
  if (Py_TYPE(object.ptr()) != py::detail::npy_api::get().PyArray_Type_) return false;
  const auto a = py::reinterpret_borrow<py::array>(object);
  return a.dtype().num() == type_number && a.dtype().byteorder() == '=' &&
         (a.flags() & py::array::c_style) && reinterpret_cast<uintptr_t>(a.data()) % sizeof(T) == 0;
}

// Both C-contiguous, of one shape, apart in memory; `out` is written.
template <class From, class To>
py::object convert(py::handle from, int from_type, py::handle to, int to_type,
                   void (*kernel)(const From*, To*, int64_t)) {
  if (isa() != Isa::avx512_bf16) return declined();
  if (!is_run_of<From>(from, from_type) || !is_run_of<To>(to, to_type)) return declined();
  const auto x = py::reinterpret_borrow<py::array>(from);
  auto out = py::reinterpret_borrow<py::array>(to);
  if (x.ndim() != out.ndim() || !std::equal(x.shape(), x.shape() + x.ndim(), out.shape()) ||
      !out.writeable()) {
    return declined();
  }
  const auto* source = static_cast<const From*>(x.data());
  auto* target = static_cast<To*>(out.mutable_data());
  const int64_t n = x.size();
  const auto low = reinterpret_cast<uintptr_t>(source), high = reinterpret_cast<uintptr_t>(target);
  if (low < high + n * sizeof(To) && high < low + n * sizeof(From)) return declined();

  const double cost = double(n) * kNanosecondsPerElement;
  if (cost < kSerialNanoseconds) {
    kernel(source, target, n);
  } else {
    py::gil_scoped_release nogil;
    parallel_for((n + kChunk - 1) / kChunk, cost, [&](int64_t c) {
      kernel(source + c * kChunk, target + c * kChunk, std::min(kChunk, n - c * kChunk));
    });
  }
  return out;
}
#endif

}  // namespace

void bind_bfloat16(py::module_& m) {
#if defined(__x86_64__)
  m.def("float32_to_bfloat16", [](py::handle x, py::handle out) {
    note_isa(Isa::avx512_bf16);
    return convert(x, kFloat32, out, kUint16, avx512_bf16::bfloat16.narrow);
  });
  m.def("bfloat16_to_float32", [](py::handle x, py::handle out) {
    note_isa(Isa::avx512_bf16);
    return convert(x, kUint16, out, kFloat32, avx512_bf16::bfloat16.widen);
  });
#else
  for (const char* name : {"float32_to_bfloat16", "bfloat16_to_float32"}) {
    m.def(name, [](py::handle, py::handle) { return declined(); });
  }
#endif
}

}  // namespace fd
