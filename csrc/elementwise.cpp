// Elementwise operations: how arrays of any strides are cut into the contiguous runs that
// kernels/cpu/elementwise.inc computes, and the argument checks of what Python calls.
#include <pybind11/pybind11.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>
#include <utility>

#include "../kernels/cpu/elementwise.h"
#include "array.h"
#include "elementwise.h"
#include "isa.h"
#include "memory.h"
#include "plan.h"
#include "threads.h"

namespace fd {
namespace {

constexpr int64_t kBlockBytes = 8192;        // of an operand staged in L1
constexpr int64_t kStreamBlockBytes = 4096;  // the same where the output bypasses the caches
constexpr int64_t kShortRow = 64;            // elements below which several rows share a loop
constexpr int64_t kLongRun = 1 << 14;        // the same for runs that are copied as they are
constexpr double kTaskNanoseconds = 20e3;    // of a task, where there is work for several
constexpr int64_t kSmallestTask = 1 << 13;   // elements
constexpr int64_t kStreamBytes = 16 << 20;   // outputs from here on bypass the caches
constexpr int64_t kBlocksAhead = 2;          // of an operand fetched meanwhile
constexpr int64_t kTransposeAtLeast = 4096;  // elements for which a transposing copy pays

int size_index(int64_t item) { return item == 1 ? 0 : item == 4 ? 1 : 2; }

// What a task keeps between pieces: blocks of operands, and where their rows came from.
struct Stage {
  alignas(64) char block[kMaxOperands][kBlockBytes];
  const char* held[kMaxOperands] = {};
  int64_t held_rows[kMaxOperands];
  void (*fence)() = nullptr;
  ~Stage() {
    if (fence) fence();
  }
};

// Elements of a task: from the shape and the op, never from the number of threads.
int64_t task_size(const Plan& p, double nanoseconds) {
  const int64_t size = p.size();
  const auto limit =
      static_cast<int64_t>(kTaskNanoseconds / nanoseconds * static_cast<double>(size));
  return std::max<int64_t>(kSmallestTask, std::min(limit, size / 4) / 1024 * 1024);
}

// Runs body(stage, pointers, n) over pieces of at most `piece` steps of the innermost dimension,
// each `width` elements, on the pool when it pays.
// `given` is passed on behind the operands.
template <class Body>
void for_each_piece(const Plan& p, int64_t piece, int64_t width, int64_t task, double nanoseconds,
                    Body&& body, const Given* given = nullptr) {
  const int last = p.ndim - 1;
  const int64_t length = p.shape[last], pieces = (length + piece - 1) / piece;
  const int64_t units = p.size() / length * pieces;
  const int64_t units_of_chunk = std::max<int64_t>(1, task / (std::min(piece, length) * width));
  const auto chunk = [&](int64_t c) {
    Stage stage;
    const int64_t first = c * units_of_chunk, end = std::min(units, first + units_of_chunk);
    int64_t index[kMaxDims], begin = first % pieces * piece;
    char* row[kMaxOperands];
    std::copy(p.data, p.data + p.operands, row);
    int64_t rest = first / pieces;
    for (int i = last - 1; i >= 0; --i) {
      index[i] = rest % p.shape[i];
      rest /= p.shape[i];
      for (int k = 0; k < p.operands; ++k) row[k] += index[i] * p.stride[k][i] * p.item[k];
    }
    for (int64_t u = first;;) {
      const void* at[kMaxOperands + 1];
      for (int k = 0; k < p.operands; ++k) at[k] = row[k] + begin * p.stride[k][last] * p.item[k];
      at[p.operands] = given;
      body(stage, at, std::min(piece, length - begin));
      if (++u == end) return;
      begin += piece;
      if (begin < length) continue;
      begin = 0;
      for (int i = last - 1; i >= 0; --i) {
        const bool carry = ++index[i] == p.shape[i];
        const int64_t step = carry ? 1 - p.shape[i] : 1;
        for (int k = 0; k < p.operands; ++k) row[k] += step * p.stride[k][i] * p.item[k];
        if (!carry) break;
        index[i] = 0;
      }
    }
  };
  const int64_t chunks = (units + units_of_chunk - 1) / units_of_chunk;
  if (nanoseconds < kSerialNanoseconds) {
    for (int64_t c = 0; c < chunks; ++c) chunk(c);
  } else {
    py::gil_scoped_release release;
    parallel_for(chunks, nanoseconds, chunk);
  }
}

// Runs a loop over a plan. A piece is a run of the innermost dimension or, where that is short, a
// block of whole rows. Operands that are not contiguous there pass through blocks in L1, and so
// does a large output of a loop that `moves` more than it computes, to bypass the caches.
// With `given` there is one loop for all variants.
void run(const Plan& p, const Loop* variants, int n_variants, double nanoseconds, bool moves,
         Given* given) {
  const auto& kernels = FD_TABLE(elementwise);
  const int64_t task = task_size(p, nanoseconds);
  const int last = p.ndim - 1;
  const int64_t length = p.shape[last];
  const bool rows = p.ndim > 1 && length < kShortRow;
  const auto row_stride = [&](int k) { return rows ? p.stride[k][last - 1] : 0; };

  int variant = 0;
  for (int k = 1; k < p.operands; ++k)
    if (p.stride[k][last] == 0 && row_stride(k) == 0) variant |= 1 << (k - 1);
  if (given)
    given->single = variant;
  else if (variant >= n_variants || !variants[variant])
    variant = 0;
  const Loop loop = variants[given ? 0 : variant];
  bool staged[kMaxOperands], any_staged = false;
  for (int k = 0; k < p.operands; ++k) {
    const bool single = k > 0 && (variant >> (k - 1) & 1);
    staged[k] = !single && (p.stride[k][last] != 1 || (rows && row_stride(k) != length));
    any_staged = any_staged || staged[k];
  }
  const bool stream =
      moves && !staged[0] && p.size() * p.item[0] >= kStreamBytes && (rows || length >= 512);

  if (!any_staged && !stream) {
    const auto whole = [=](Stage&, const void* const* at, int64_t n) {
      loop(const_cast<void*>(at[0]), at + 1, n);
    };
    for_each_piece(p, task, 1, task, nanoseconds, whole, given);
    return;
  }
  Plan outer = p;
  if (rows) --outer.ndim;
  const int64_t width = rows ? length : 1;
  const int64_t block = (stream ? kStreamBlockBytes : kBlockBytes) /
                        *std::max_element(p.item, p.item + p.operands) / width;
  const auto piece = [&](Stage& stage, const void* const* at, int64_t n) {
    const int64_t count = rows ? n : 1, columns = rows ? length : n;
    const void* in[kMaxOperands];
    for (int k = 1; k < p.operands; ++k) {
      in[k - 1] = staged[k] ? stage.block[k] : at[k];
      if (!staged[k]) continue;
      // The same row for all rows is staged once.
      if (rows && row_stride(k) == 0 && stage.held[k] == at[k] && stage.held_rows[k] >= n) continue;
      stage.held[k] = static_cast<const char*>(at[k]);
      stage.held_rows[k] = n;
      kernels.strided[size_index(p.item[k])](stage.block[k], columns, 1, at[k], row_stride(k),
                                             p.stride[k][last], count, columns);
    }
    in[p.operands - 1] = at[p.operands];
    char* out = static_cast<char*>(const_cast<void*>(at[0]));
    loop(staged[0] || stream ? stage.block[0] : out, in, count * columns);
    if (staged[0]) {
      kernels.strided[size_index(p.item[0])](out, row_stride(0), p.stride[0][last], stage.block[0],
                                             columns, 1, count, columns);
    } else if (stream) {
      // The core's own prefetching keeps up with some loops and not with others, by their
      // address: neg 1.6 ms or 0.75.
      const void* ahead[kMaxOperands];
      int n_ahead = 0;
      for (int k = 1; k < p.operands; ++k)
        if (in[k - 1] == at[k] && p.item[k] == p.item[0] && !(variant >> (k - 1) & 1))
          ahead[n_ahead++] =
              static_cast<const char*>(at[k]) + kBlocksAhead * count * columns * p.item[k];
      kernels.stream(out, stage.block[0], count * columns * p.item[0], ahead, n_ahead);
      stage.fence = kernels.fence;
    }
  };
  for_each_piece(outer, block, width, task, nanoseconds, piece, given);
}

// The dimension other than the innermost along which operand k is contiguous, or -1.
int transposed_dimension(const Plan& p, int k) {
  const int last = p.ndim - 1;
  if (p.stride[0][last] != 1 || p.stride[k][last] == 0 || p.stride[k][last] == 1) return -1;
  for (int i = last - 1; i >= 0; --i)
    if (p.stride[k][i] == 1 && p.shape[i] > 1) return i;
  return -1;
}

// Copies operand 1 to operand 0 of one item size, as part of a result of so many bytes.
void copy(Plan p, double nanoseconds, int64_t result_bytes) {
  const auto& kernels = FD_TABLE(elementwise);
  const int64_t item = p.item[0];
  const int size = size_index(item), last = p.ndim - 1, across = transposed_dimension(p, 1);
  const int64_t columns = p.shape[last];
  const int64_t out_step = p.stride[0][last], in_step = p.stride[1][last];
  if (across < 0) {
    const bool runs = out_step == 1 && in_step == 1;
    const bool stream = runs && result_bytes >= kStreamBytes && columns >= 512;
    const bool rows = p.ndim > 1 && columns < (runs && !stream ? kLongRun : kShortRow);
    Plan outer = p;
    if (rows) --outer.ndim;
    const int64_t task = nanoseconds < kSerialNanoseconds ? p.size() : task_size(p, nanoseconds);
    const int64_t out_row = rows ? p.stride[0][last - 1] : 0;
    const int64_t in_row = rows ? p.stride[1][last - 1] : 0;
    for_each_piece(outer, rows ? task / columns : task, rows ? columns : 1, task, nanoseconds,
                   [&](Stage& stage, const void* const* at, int64_t n) {
                     void* out = const_cast<void*>(at[0]);
                     if (stream) {
                       kernels.stream(out, at[1], n * item, nullptr, 0);
                       stage.fence = kernels.fence;
                     } else {
                       kernels.strided[size](out, out_row, out_step, at[1], in_row, in_step,
                                             rows ? n : 1, rows ? columns : n);
                     }
                   });
    return;
  }
  // A task transposes 64 rows of the output, tile by tile; the other dimensions number the tasks.
  constexpr int64_t kTile = 64;
  const int64_t rows = p.shape[across], out_row = p.stride[0][across];
  const int64_t row_tiles = (rows + kTile - 1) / kTile;
  p.shape[across] = p.shape[last] = 1;
  const auto task = [&](int64_t c) {
    const int64_t i = c % row_tiles * kTile;
    int64_t rest = c / row_tiles;
    char* out = p.data[0] + i * out_row * item;
    char* in = p.data[1] + i * item;
    for (int d = last; d >= 0; --d) {
      const int64_t index = rest % p.shape[d];
      rest /= p.shape[d];
      out += index * p.stride[0][d] * item;
      in += index * p.stride[1][d] * item;
    }
    for (int64_t j = 0; j < columns; j += kTile)
      kernels.transpose[size](out + j * item, out_row, in + j * in_step * item, in_step,
                              std::min(kTile, rows - i), std::min(kTile, columns - j));
  };
  const int64_t tasks = p.size() * row_tiles;
  if (nanoseconds < kSerialNanoseconds) {
    for (int64_t c = 0; c < tasks; ++c) task(c);
  } else {
    py::gil_scoped_release release;
    parallel_for(tasks, nanoseconds, task);
  }
}

// Bytes moved at the speed of a near cache, and `extra` for what is bound by instructions.
double estimate(const Plan& p, double extra = 0) {
  double bytes = 0;
  for (int k = 0; k < p.operands; ++k) bytes += static_cast<double>(p.item[k]);
  return static_cast<double>(p.size()) * (bytes * 0.012 + extra);
}

// Puts an operand that runs across the output's memory into the output's order: tile by tile a
// cache line is touched once, where the walk of `run` would touch it once per element.
void straighten(Plan& p, int k, Scratch& scratch) {
  Plan t = p;
  t.operands = 2;
  t.item[0] = t.item[1] = p.item[k];
  t.data[0] = scratch.as<char>();
  t.data[1] = p.data[k];
  int64_t size = 1;
  for (int i = p.ndim - 1; i >= 0; --i) {
    t.stride[1][i] = p.stride[k][i];
    if (p.stride[k][i] == 0) t.shape[i] = 1;
    t.stride[0][i] = size;
    p.stride[k][i] = p.stride[k][i] ? size : 0;
    size *= t.shape[i];
  }
  p.data[k] = t.data[0];
  copy(t, estimate(t), t.size() * t.item[0]);
}

py::object launch(const Loop* variants, int n_variants, Array* in, int n, DType dtype,
                  py::handle out, double extra = 0, bool last_first = false,
                  Given* given = nullptr) {
  int ndim;
  int64_t shape[kMaxDims];
  if (!variants[0] || !broadcast(in, n, ndim, shape)) return declined();
  Array o;
  py::object result = make_output(in, n, dtype, ndim, shape, out, o, last_first);
  if (!result) return declined();
  if (o.size() == 0) return result;
  Plan p = make_plan(o, in, n);
  const double nanoseconds = estimate(p, extra);
  std::optional<Scratch> scratch[kMaxOperands];
  if (p.ndim > 1 && p.size() >= kTransposeAtLeast)
    for (int k = 1; k <= n; ++k)
      if (transposed_dimension(p, k) >= 0) {
        int64_t bytes = p.item[k];
        for (int i = 0; i < p.ndim; ++i) bytes *= p.stride[k][i] ? p.shape[i] : 1;
        straighten(p, k, scratch[k].emplace(static_cast<size_t>(bytes)));
      }
  run(p, variants, n_variants, nanoseconds, extra == 0, given);
  return result;
}

// ---- What Python calls ------------------------------------------------------------------------
// A Python number as an element of `dtype`, where torch's promotion leaves an array of that dtype
// as it is and the number fits; false for anything else.
bool scalar(py::handle number, DType dtype, void* slot) {
  PyObject* x = number.ptr();
  const bool is_bool = PyBool_Check(x), is_float = PyFloat_CheckExact(x);
  if (!is_bool && !is_float && !PyLong_CheckExact(x)) return false;
  if (dtype == DType::f32 || dtype == DType::f64) {
    double value = 0;
    if (is_float) {
      value = PyFloat_AS_DOUBLE(x);
    } else {
      int overflow;
      const long long whole = PyLong_AsLongLongAndOverflow(x, &overflow);
      value = static_cast<double>(whole);
      if (overflow || std::abs(value) > 0x1p53) return false;
    }
    const float narrow = static_cast<float>(value);
    if (dtype == DType::f32 && std::isinf(narrow) && !std::isinf(value)) return false;
    dtype == DType::f32 ? std::memcpy(slot, &narrow, 4) : std::memcpy(slot, &value, 8);
    return true;
  }
  if (is_float || (dtype == DType::b8 && !is_bool)) return false;
  int overflow;
  const int64_t value = PyLong_AsLongLongAndOverflow(x, &overflow);
  const bool fits = dtype == DType::u8    ? value >= 0 && value <= 255
                    : dtype == DType::i32 ? value == static_cast<int32_t>(value)
                                          : true;
  if (overflow || !fits) return false;
  std::memcpy(slot, &value, static_cast<size_t>(itemsize(dtype)));  // little-endian
  return true;
}

// Operands of one dtype, some of which, but not all, may be numbers, kept in `slots`.
bool operands(const py::handle* x, int n, Array* in, int64_t* slots) {
  const Array* model = nullptr;
  bool is_array[kMaxOperands];
  for (int k = 0; k < n; ++k)
    if ((is_array[k] = view(x[k], in[k])) && !model) model = in + k;
  if (!model) return false;
  for (int k = 0; k < n; ++k) {
    if (!is_array[k]) {
      in[k].dtype = model->dtype;
      in[k].data = slots + k;
      in[k].ndim = 0;
      if (!scalar(x[k], model->dtype, slots + k)) return false;
    }
    if (in[k].dtype != model->dtype) return false;
  }
  return true;
}

py::object binary(Binary op, py::handle x, py::handle y, py::handle out, bool swapped) {
  Array in[2];
  int64_t slots[2];
  const py::handle both[] = {x, y};
  // torch subtracts no bools; a Python one would pass here as a number.
  if (op == Binary::sub && (PyBool_Check(x.ptr()) || PyBool_Check(y.ptr()))) return declined();
  if (!operands(both, 2, in, slots)) return declined();
  const bool compares = op >= Binary::eq && op <= Binary::le;
  const DType dtype = in[0].dtype;
  const Loop* loops = FD_TABLE(elementwise).binary[static_cast<int>(op)][static_cast<int>(dtype)];
  // The gradient of an activation takes the format of y, and is not broadcast.
  const bool backward = op >= Binary::relu_backward;
  if (backward && !same_shape(in[0], in[1].ndim, in[1].shape)) return declined();
  return launch(loops, 3, in, 2, compares ? DType::b8 : dtype, out, 0, swapped || backward);
}

py::object unary(Unary op, double extra, py::handle x, py::handle out) {
  Array in;
  if (!view(x, in)) return declined();
  const auto& kernels = FD_TABLE(elementwise);
  const Loop* loop = &kernels.unary[static_cast<int>(op)][static_cast<int>(in.dtype)];
  return launch(loop, 1, &in, 1, in.dtype, out, extra * static_cast<double>(itemsize(in.dtype)));
}

py::object where(py::handle condition, py::handle x, py::handle y, py::handle out) {
  Array in[3];
  int64_t slots[2];
  const py::handle both[] = {x, y};
  if (!view(condition, in[0]) || in[0].dtype != DType::b8) return declined();
  if (!operands(both, 2, in + 1, slots)) return declined();
  const DType dtype = in[1].dtype;
  const Loop* loops = FD_TABLE(elementwise).where[size_index(itemsize(dtype))];
  return launch(loops, 8, in, 3, dtype, out);
}

constexpr std::pair<const char*, DType> kNames[] = {
    {"bool", DType::b8},   {"uint8", DType::u8},    {"int32", DType::i32},
    {"int64", DType::i64}, {"float32", DType::f32}, {"float64", DType::f64}};

py::object copied(const Array& in, const Array& o, py::object result) {
  if (o.size() == 0 || o.data == in.data) return result;
  copy_part(in, o, o.size() * itemsize(o.dtype));
  return result;
}

py::object cast(py::handle x, const char* name, py::handle out) {
  Array in;
  if (!view(x, in)) return declined();
  for (const auto& [known, dtype] : kNames)
    if (std::strcmp(known, name) == 0) {
      if (dtype == in.dtype) {
        Array o;
        py::object result = make_output(&in, 1, dtype, in.ndim, in.shape, out, o);
        return result ? copied(in, o, std::move(result)) : declined();
      }
      const auto& kernels = FD_TABLE(elementwise);
      const Loop* loop = &kernels.cast[static_cast<int>(in.dtype)][static_cast<int>(dtype)];
      return launch(loop, 1, &in, 1, dtype, out);
    }
  return declined();
}

py::object copy_to(py::handle x, py::handle out) {
  Array in, o;
  if (!view(x, in)) return declined();
  py::object result = out.is_none() ? empty(in.dtype, in.ndim, in.shape, o)
                                    : make_output(&in, 1, in.dtype, in.ndim, in.shape, out, o);
  return result ? copied(in, o, std::move(result)) : declined();
}

}  // namespace

py::object run_op(const ElementwiseOp& op, const py::handle* x, Given& given, py::handle out) {
  Array in[kMaxOperands];
  int64_t slots[kMaxOperands];
  if (!operands(x, op.arrays, in, slots)) return declined();
  const DType dtype = in[0].dtype;
  const double extra = op.nanoseconds * static_cast<double>(itemsize(dtype));
  const Loop* loop = &op.loop[static_cast<int>(dtype)];
  // The gradient of an activation takes the format of x, and is not broadcast.
  const bool backward = std::strstr(op.name, "_backward") != nullptr;
  if (backward && !same_shape(in[0], in[1].ndim, in[1].shape)) return declined();
  return launch(loop, 1, in, op.arrays, op.decides ? DType::b8 : dtype, out, extra, backward,
                &given);
}

void copy_part(const Array& in, const Array& out, int64_t result_bytes) {
  if (out.size() == 0) return;
  const Plan p = make_plan(out, &in, 1);
  copy(p, estimate(p), result_bytes);
}

void bind_elementwise(py::module_& m) {
  const auto define = [&m](const char* name, Binary op, bool swapped, const char* x,
                           const char* y) {
    m.def(
        name,
        [=](py::handle a, py::handle b, py::handle out) {
          return swapped ? binary(op, b, a, out, true) : binary(op, a, b, out, false);
        },
        py::arg(x), py::arg(y), py::arg("out") = py::none());
  };
  define("add", Binary::add, false, "a", "b");
  define("sub", Binary::sub, false, "a", "b");
  define("mul", Binary::mul, false, "a", "b");
  define("div", Binary::div, false, "a", "b");
  define("eq", Binary::eq, false, "a", "b");
  define("ne", Binary::ne, false, "a", "b");
  define("lt", Binary::lt, false, "a", "b");
  define("le", Binary::le, false, "a", "b");
  define("gt", Binary::lt, true, "a", "b");
  define("ge", Binary::le, true, "a", "b");
  define("relu_backward", Binary::relu_backward, false, "g", "y");
  define("tanh_backward", Binary::tanh_backward, false, "g", "y");
  define("sigmoid_backward", Binary::sigmoid_backward, false, "g", "y");

  const auto define_unary = [&m](const char* name, Unary op, double extra) {
    m.def(
        name, [=](py::handle x, py::handle out) { return unary(op, extra, x, out); }, py::arg("x"),
        py::arg("out") = py::none());
  };
  define_unary("relu", Unary::relu, 0);  // nanoseconds per byte of an element beyond moving it
  define_unary("neg", Unary::neg, 0);
  define_unary("exp", Unary::exp, 0.03);
  define_unary("log", Unary::log, 0.03);
  define_unary("tanh", Unary::tanh, 0.05);
  define_unary("sigmoid", Unary::sigmoid, 0.04);
  define_unary("erf", Unary::erf, 0.1);

  m.def("where", where, py::arg("condition"), py::arg("a"), py::arg("b"),
        py::arg("out") = py::none());
  m.def("cast", cast, py::arg("x"), py::arg("dtype"), py::arg("out") = py::none());
  m.def("copy", copy_to, py::arg("x"), py::arg("out") = py::none());
}

}  // namespace fd
