// embedding: rows of a table picked by index, and the gradient that goes back to them; one_hot, the
// rows of a unit matrix.
#include "../kernels/cpu/embed.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "isa.h"
#include "loops.h"

namespace fd {
namespace {

constexpr int64_t kChunk = 1 << 14;  // numbers of a chunk of parallel work
constexpr double kNanosecondsPerByte = 0.1;
constexpr int kFirst[kMaxDims] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

[[noreturn]] void out_of_range(const char* op, int64_t value, int64_t rows) {
  const std::string text = std::string(op) + ": index: got " + std::to_string(value) +
                           ", want 0 to " + std::to_string(rows - 1);
  const py::object error = py::module_::import("fastdl.core.errors").attr("IndexRangeError");
  PyErr_SetString(error.ptr(), text.c_str());
  throw py::error_already_set();
}

// An int64 index in C order, all of it within [0, rows).
bool read_index(const char* op, py::handle object, int64_t rows, Array& index,
                std::optional<Scratch>& packed) {
  if (!view(object, index) || index.dtype != DType::i64) return false;
  make_dense(index, kFirst, packed);
  const int64_t n = index.size(), *at = index.ptr<int64_t>();
  for (int64_t i = 0; i < n; ++i)
    if (at[i] < 0 || at[i] >= rows) out_of_range(op, at[i], rows);
  return true;
}

py::object embedding(py::handle weight_object, py::handle index_object, py::handle out) {
  Array weight, index;
  std::optional<Scratch> packed, packed_weight;
  if (!view(weight_object, weight) || weight.ndim != 2) return declined();
  if (weight.dtype != DType::f32 && weight.dtype != DType::f64) return declined();
  if (!read_index("embedding", index_object, weight.shape[0], index, packed)) return declined();
  if (index.ndim + 1 > kMaxDims) return declined();
  int64_t shape[kMaxDims];
  std::copy_n(index.shape, index.ndim, shape);
  shape[index.ndim] = weight.shape[1];
  Output y;
  if (!y.make(out, weight.dtype, index.ndim + 1, shape, kFirst, {&weight, &index}))
    return declined();
  const int64_t count = index.size();
  if (count * weight.shape[1] == 0) return y.done();
  if (weight.stride[1] != 1 && weight.shape[1] > 1) make_dense(weight, kFirst, packed_weight);
  const int64_t item = itemsize(weight.dtype), row = weight.shape[1] * item;
  const int64_t stride = weight.stride[0] * item, step = std::max<int64_t>(1, kChunk * item / row);
  const int64_t* at = index.ptr<int64_t>();
  const double bytes = static_cast<double>(count * row);
  run_chunks((count + step - 1) / step, bytes * kNanosecondsPerByte, [&](int64_t c) {
    for (int64_t i = c * step; i < std::min(count, (c + 1) * step); ++i)
      std::memcpy(y.dense().ptr<char>() + i * row, weight.ptr<char>() + at[i] * stride,
                  static_cast<size_t>(row));
  });
  return y.done();
}

// Zeros and a one in every row: stores at the speed of memory.
py::object one_hot(py::handle index_object, py::handle classes_object, py::handle out) {
  Array index;
  std::optional<Scratch> packed;
  int64_t classes;
  if (!parse_int(classes_object, classes) || classes < 1) return declined();
  if (!read_index("one_hot", index_object, classes, index, packed)) return declined();
  if (index.ndim + 1 > kMaxDims) return declined();
  int64_t shape[kMaxDims];
  std::copy_n(index.shape, index.ndim, shape);
  shape[index.ndim] = classes;
  Output y;
  if (!y.make(out, DType::i64, index.ndim + 1, shape, kFirst, {&index})) return declined();
  const int64_t count = index.size(), step = std::max<int64_t>(1, kChunk / classes);
  const int64_t* at = index.ptr<int64_t>();
  const double bytes = static_cast<double>(count * classes * itemsize(DType::i64));
  run_chunks((count + step - 1) / step, bytes * kNanosecondsPerByte, [&](int64_t c) {
    const int64_t first = c * step, last = std::min(count, first + step);
    int64_t* rows = y.dense().ptr<int64_t>() + first * classes;
    std::memset(rows, 0, static_cast<size_t>((last - first) * classes) * sizeof *rows);
    for (int64_t i = first; i < last; ++i, rows += classes) rows[at[i]] = 1;
  });
  return y.done();
}

// Every row of the table adds up its own gradients, in the order of the index: counting sort.
py::object embedding_backward(py::handle g_object, py::handle index_object, int64_t rows,
                              int64_t padding, bool by_frequency, py::handle out) {
  Array g, index;
  std::optional<Scratch> packed, packed_g;
  if (!view(g_object, g) || (g.dtype != DType::f32 && g.dtype != DType::f64)) return declined();
  if (!read_index("embedding_backward", index_object, rows, index, packed)) return declined();
  if (g.ndim != index.ndim + 1) return declined();
  const int64_t width = g.shape[g.ndim - 1], shape[2] = {rows, width};
  Output dw;
  if (!dw.make(out, g.dtype, 2, shape, kFirst, {&g, &index})) return declined();
  if (rows * width == 0) return dw.done();
  make_dense(g, kFirst, packed_g);
  const int64_t count = index.size(), item = itemsize(g.dtype), *at = index.ptr<int64_t>();
  Scratch scratch(static_cast<size_t>(rows + 1 + count) * sizeof(int64_t));
  int64_t *begin = scratch.as<int64_t>(), *place = begin + rows + 1;
  std::fill_n(begin, rows + 1, 0);
  for (int64_t i = 0; i < count; ++i) ++begin[at[i] + 1];
  for (int64_t r = 0; r < rows; ++r) begin[r + 1] += begin[r];
  for (int64_t i = 0; i < count; ++i) place[begin[at[i]]++] = i;  // begin is now the end
  const int64_t step = std::max<int64_t>(1, kChunk / width);
  const auto kernel = FD_TABLE(embed).sum_rows[g.dtype == DType::f64];
  const double bytes = static_cast<double>((count + rows) * width * item);
  run_chunks((rows + step - 1) / step, bytes * kNanosecondsPerByte, [&](int64_t c) {
    for (int64_t r = c * step; r < std::min(rows, (c + 1) * step); ++r) {
      const int64_t first = r ? begin[r - 1] : 0, n = r == padding ? 0 : begin[r] - first;
      char* to = dw.dense().ptr<char>() + r * width * item;
      if (n == 0) {
        std::memset(to, 0, static_cast<size_t>(width * item));
        continue;
      }
      const double scale = by_frequency ? 1.0 / static_cast<double>(n) : 1.0;
      kernel({g.data, width, place + first, n, scale, to, width});
    }
  });
  return dw.done();
}

}  // namespace

void bind_embed(py::module_& m) {
  m.def("embedding", embedding);
  m.def("embedding_backward", embedding_backward);
  m.def("one_hot", one_hot);
}
}  // namespace fd
