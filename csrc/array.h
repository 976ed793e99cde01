// What csrc knows of a NumPy array: pointer, dtype, shape, strides in elements.
#pragma once
#include <pybind11/pybind11.h>

#include <cstdint>

namespace fd {
namespace py = pybind11;

enum class DType : uint8_t { b8, u8, i32, i64, f32, f64, i8, bf16 };
inline int64_t itemsize(DType t) {
  constexpr int64_t size[] = {1, 1, 4, 8, 4, 8, 1, 2};
  return size[static_cast<int>(t)];
}

constexpr int kMaxDims = 16;

struct Array {
  void* data;
  DType dtype;
  int ndim;
  bool writeable;
  int64_t shape[kMaxDims];
  int64_t stride[kMaxDims];  // in elements, may be zero or negative

  int64_t size() const {
    int64_t n = 1;
    for (int i = 0; i < ndim; ++i) n *= shape[i];
    return n;
  }
  template <class T>
  T* ptr() const {
    return static_cast<T*>(data);
  }
};

// Fills `a` from an exact numpy.ndarray of one of the dtypes up to f64, native byte order, aligned,
// with strides that are multiples of the item size and at most kMaxDims dimensions. False for
// anything else: the caller then returns NotImplemented and Python takes the general path.
bool view(py::handle object, Array& a);
// As `view`, for the numbers that only products of matrices take: u8, i8 and ml_dtypes' bfloat16.
bool view_narrow(py::handle object, Array& a);

// The DType of a numpy.dtype; false when it is none of ours or of foreign byte order.
bool dtype_of(py::handle numpy_dtype, DType& dtype);

// A new uninitialised C-contiguous array from the caching allocator, and its view. One of bf16 can
// be made once view_narrow has seen one.
py::object empty(DType dtype, int ndim, const int64_t* shape, Array& a);
// As `empty`, with the memory order of the dimensions given from outermost to innermost.
py::object empty_ordered(DType dtype, int ndim, const int64_t* shape, const int* order, Array& a);

// Do the byte ranges [lowest, highest) of two arrays meet? (conservative: false means disjoint)
bool may_overlap(const Array& a, const Array& b);

// Does every index of `a` have an element of its own? (conservative: false means perhaps not)
// What is written to must pass this.
bool separate_elements(const Array& a);

inline py::object declined() { return py::reinterpret_borrow<py::object>(Py_NotImplemented); }
}  // namespace fd
