// Reading and making NumPy arrays, through NumPy's C interface as pybind11 declares it: no NumPy
// headers at build time, one binary for NumPy 1 and 2.
#include "array.h"

#include <pybind11/numpy.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include <stdexcept>

#include "memory.h"

namespace fd {
namespace {

constexpr int kAligned = 0x100, kWriteable = 0x400, kContiguous = 0x1;
constexpr int kDTypes = 8;
// NumPy's type numbers: bool, ubyte, int, long, float, double; long long is a second int64. Then
// byte, and a type that registers itself when ml_dtypes is imported.
constexpr int kTypeNumber[kDTypes] = {0, 2, 5, 7, 11, 12, 1, -1};
constexpr int kFirstRegistered = 256;
constexpr char kForeign = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? '>' : '<';
constexpr signed char kDTypeOf[] = {0, -1, 1, -1, -1, 2, -1, 3, -1, 3, -1, 4, 5};
static_assert(sizeof(long) == 8, "NumPy's long is int64 here");

// The owner of an array's memory; its base object.
struct Block {
  PyObject_HEAD void* data;
  size_t bytes;
};

void dealloc_block(PyObject* self) {
  Block* block = reinterpret_cast<Block*>(self);
  release(block->data, block->bytes);
  PyTypeObject* type = Py_TYPE(self);
  PyObject_Free(self);
  Py_DECREF(type);
}

// NumPy asks this before it makes an array writeable again.
int block_buffer(PyObject* self, Py_buffer* buffer, int flags) {
  Block* block = reinterpret_cast<Block*>(self);
  return PyBuffer_FillInfo(buffer, self, block->data, static_cast<Py_ssize_t>(block->bytes), 0,
                           flags);
}

struct Numpy {
  py::detail::npy_api& api = py::detail::npy_api::get();
  PyTypeObject* array_type = api.PyArray_Type_;
  PyTypeObject* block_type;
  PyObject* descr[kDTypes];

  Numpy() {
    for (int i = 0; i < kDTypes; ++i) {
      descr[i] = kTypeNumber[i] < 0 ? nullptr : api.PyArray_DescrFromType_(kTypeNumber[i]);
    }
    PyType_Slot slots[] = {{Py_tp_dealloc, reinterpret_cast<void*>(dealloc_block)},
                           {Py_bf_getbuffer, reinterpret_cast<void*>(block_buffer)},
                           {0, nullptr}};
    PyType_Spec spec = {"fastdl._native.Block", sizeof(Block), 0,
                        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};
    block_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
    if (!block_type) throw py::error_already_set();
  }
};

Numpy& numpy() {
  static Numpy& numpy = *new Numpy;
  return numpy;
}

bool read(PyObject* numpy_dtype, DType& dtype) {
  const auto* descr = py::detail::array_descriptor_proxy(numpy_dtype);
  const unsigned type = static_cast<unsigned>(descr->type_num);
  if (type >= sizeof kDTypeOf || kDTypeOf[type] < 0) return false;
  if (descr->byteorder != '=' && descr->byteorder != '|') return false;
  dtype = static_cast<DType>(kDTypeOf[type]);
  return true;
}

bool read_narrow(PyObject* numpy_dtype, DType& dtype) {
  const auto* descr = py::detail::array_descriptor_proxy(numpy_dtype);
  PyObject*& bf16 = numpy().descr[static_cast<int>(DType::bf16)];
  if (numpy_dtype == bf16 || descr->type_num == kTypeNumber[static_cast<int>(DType::i8)]) {
    dtype = numpy_dtype == bf16 ? DType::bf16 : DType::i8;
    return true;
  }
  if (descr->type_num < kFirstRegistered) return read(numpy_dtype, dtype) && dtype == DType::u8;
  const char* name = reinterpret_cast<PyTypeObject*>(descr->typeobj)->tp_name;
  const char* dot = std::strrchr(name, '.');
  if (std::strcmp(dot ? dot + 1 : name, "bfloat16") != 0 || descr->byteorder == kForeign) {
    return false;
  }
  if (!bf16) {
    Py_INCREF(numpy_dtype);
    bf16 = numpy_dtype;
  }
  dtype = DType::bf16;
  return true;
}

bool view_as(py::handle object, Array& a, bool (*read_dtype)(PyObject*, DType&)) {
  if (Py_TYPE(object.ptr()) != numpy().array_type) return false;
  const auto* array = py::detail::array_proxy(object.ptr());
  if (!read_dtype(array->descr, a.dtype) || array->nd > kMaxDims || !(array->flags & kAligned)) {
    return false;
  }
  a.data = array->data;
  a.ndim = array->nd;
  a.writeable = array->flags & kWriteable;
  const int shift = __builtin_ctzll(static_cast<unsigned long long>(itemsize(a.dtype)));
  const int64_t partial = itemsize(a.dtype) - 1;
  for (int i = 0; i < a.ndim; ++i) {
    if (array->strides[i] & partial) return false;
    a.shape[i] = array->dimensions[i];
    a.stride[i] = array->strides[i] >> shift;
  }
  return true;
}

}  // namespace

bool dtype_of(py::handle numpy_dtype, DType& dtype) {
  if (!PyObject_TypeCheck(numpy_dtype.ptr(), numpy().api.PyArrayDescr_Type_)) return false;
  return read(numpy_dtype.ptr(), dtype);
}

bool view(py::handle object, Array& a) { return view_as(object, a, read); }
bool view_narrow(py::handle object, Array& a) { return view_as(object, a, read_narrow); }

py::object empty_ordered(DType dtype, int ndim, const int64_t* shape, const int* order, Array& a) {
  if (ndim < 0 || ndim > kMaxDims) throw std::invalid_argument("an array has 0 to 16 dimensions");
  const int64_t item = itemsize(dtype);
  ssize_t dims[kMaxDims], strides[kMaxDims];
  ssize_t bytes = item;
  bool in_order = true, overflow = false, none = false;
  for (int i = ndim - 1; i >= 0; --i) {
    const int d = order ? order[i] : i;
    in_order = in_order && d == i;
    if (shape[d] < 0) throw std::invalid_argument("negative dimension in the shape of an array");
    none = none || shape[d] == 0;
    dims[d] = shape[d];
    strides[d] = bytes;
    a.shape[d] = shape[d];
    a.stride[d] = bytes / item;
    overflow = overflow || __builtin_mul_overflow(bytes, std::max<int64_t>(shape[d], 1), &bytes);
  }
  if (overflow) throw std::bad_alloc();
  if (none) bytes = 0;

  const Numpy& np = numpy();
  Block* block = PyObject_New(Block, np.block_type);
  if (!block) throw py::error_already_set();
  block->bytes = 0;
  try {
    block->data = allocate(static_cast<size_t>(bytes));
  } catch (...) {
    PyTypeObject* type = Py_TYPE(block);
    PyObject_Free(block);
    Py_DECREF(type);
    throw;
  }
  block->bytes = static_cast<size_t>(bytes);
  PyObject* owner = reinterpret_cast<PyObject*>(block);

  PyObject* descr = np.descr[static_cast<int>(dtype)];
  Py_INCREF(descr);  // the call steals one
  PyObject* array = np.api.PyArray_NewFromDescr_(
      np.array_type, descr, ndim, reinterpret_cast<const Py_intptr_t*>(dims),
      in_order ? nullptr : reinterpret_cast<const Py_intptr_t*>(strides), block->data,
      kAligned | kWriteable | (in_order ? kContiguous : 0), nullptr);
  if (!array) {
    Py_DECREF(owner);
    throw py::error_already_set();
  }
  if (np.api.PyArray_SetBaseObject_(array, owner) < 0) {  // steals the owner, also when it fails
    Py_DECREF(array);
    throw py::error_already_set();
  }
  a.data = block->data;
  a.dtype = dtype;
  a.ndim = ndim;
  a.writeable = true;
  return py::reinterpret_steal<py::object>(array);
}

py::object empty(DType dtype, int ndim, const int64_t* shape, Array& a) {
  return empty_ordered(dtype, ndim, shape, nullptr, a);
}

bool separate_elements(const Array& a) {
  if (a.size() == 0) return true;
  int order[kMaxDims];
  for (int i = 0; i < a.ndim; ++i) order[i] = i;
  std::sort(order, order + a.ndim,
            [&a](int i, int j) { return std::abs(a.stride[i]) < std::abs(a.stride[j]); });
  int64_t reach = 0;  // of the dimensions with smaller strides
  for (int i = 0; i < a.ndim; ++i) {
    const int d = order[i];
    if (a.shape[d] == 1) continue;
    if (std::abs(a.stride[d]) <= reach) return false;
    reach += (a.shape[d] - 1) * std::abs(a.stride[d]);
  }
  return true;
}

bool may_overlap(const Array& a, const Array& b) {
  struct Range {
    uintptr_t low, high;
    explicit Range(const Array& x) : low(reinterpret_cast<uintptr_t>(x.data)), high(low) {
      const int64_t item = itemsize(x.dtype);
      for (int i = 0; i < x.ndim; ++i) {
        if (x.shape[i] == 0) {
          high = low = 0;
          return;
        }
        const int64_t reach = (x.shape[i] - 1) * x.stride[i] * item;
        (reach < 0 ? low : high) += static_cast<uintptr_t>(reach);
      }
      high += static_cast<uintptr_t>(item);
    }
  };
  const Range x(a), y(b);
  return x.low < y.high && y.low < x.high;
}

}  // namespace fd
