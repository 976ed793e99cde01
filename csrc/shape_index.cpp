// gather, index_select, scatter, scatter_add and index_add: one index array and one axis.
//
// index_select and index_add are the others with an index of stride 0 along all other dims.
// A scatter is cut between elements that cannot meet: those of different places off the axis.
// What lands on one element does so in the order of the index, so bits do not depend on threads.
#include "../kernels/cpu/shape_index.h"

#include <algorithm>

#include "array.h"
#include "isa.h"
#include "loops.h"
#include "plan.h"

namespace fd {
namespace {

constexpr int64_t kChunk = 1 << 14;  // elements of a chunk of parallel work
constexpr double kNanoseconds = 1;   // an element

int size_index(int64_t item) { return item == 1 ? 0 : item == 4 ? 1 : 2; }

void at_least_1d(Array& a) {
  if (a.ndim) return;
  a.ndim = 1;
  a.shape[0] = a.stride[0] = 1;
}

// Are all indices in [0, n)?
bool in_range(const Array& index, int64_t n) {
  Array once = index;  // an expanded index is looked at once
  for (int d = 0; d < once.ndim; ++d)
    if (once.stride[d] == 0 && once.shape[d] > 1) once.shape[d] = 1;
  if (once.size() == 0) return true;
  int order[kMaxDims];
  memory_order(once, order);
  Loops loops = make_loops({&once}, order);
  if (loops.count == 0) loops.add({1, {}, false});
  const Loop inner = loops.loop[--loops.count];
  int64_t found[2] = {0, 0};
  const int64_t total = loops.size();
  const auto& table = FD_TABLE(shape_index);
  for (int64_t i = 0; i < total; ++i)
    table.range(once.ptr<int64_t>() + loops.offset(i, 0), inner.size, inner.stride[0], found);
  return found[0] >= 0 && found[1] < n;
}

// Reads x and the index. For index_select (`flat`) the index has one dim, and is made to have x's
// dims, with stride 0 along all but the axis and the sizes of `like`.
bool read(py::handle x_object, py::handle index_object, py::handle dim, bool flat, Array& x,
          Array& index, int& axis) {
  if (!view(x_object, x) || !view(index_object, index) || index.dtype != DType::i64) return false;
  if (!parse_dim(dim, x.ndim, axis)) return false;
  at_least_1d(x);
  at_least_1d(index);
  if (flat) {
    if (index.ndim != 1) return false;
    const int64_t count = index.shape[0], stride = index.stride[0];
    index.ndim = x.ndim;
    for (int d = 0; d < x.ndim; ++d) {
      index.shape[d] = d == axis ? count : x.shape[d];
      index.stride[d] = d == axis ? stride : 0;
    }
  }
  if (index.ndim != x.ndim) return false;
  for (int d = 0; d < x.ndim; ++d)
    if (d != axis && index.shape[d] > x.shape[d]) return false;
  return index.size() == 0 || in_range(index, x.shape[axis]);
}

py::object gather(py::handle x_object, py::handle index_object, py::handle dim, bool flat,
                  py::handle out) {
  Array x, index;
  int axis;
  if (!read(x_object, index_object, dim, flat, x, index, axis)) return declined();
  Array original;
  view(x_object, original);
  Output y;
  if (!y.make(out, x.dtype, original.ndim, index.shape, nullptr, {&x, &index})) return declined();
  if (index.size() == 0) return y.done();
  Array to = y.dense(), from = x;
  at_least_1d(to);
  for (int d = 0; d < index.ndim; ++d) from.shape[d] = index.shape[d];
  from.stride[axis] = 0;
  int order[kMaxDims];
  for (int d = 0; d < index.ndim; ++d) order[d] = d;
  Loops loops = make_loops({&to, &index, &from}, order);
  if (loops.count == 0) loops.add({1, {}, false});
  const Loop inner = loops.loop[--loops.count];
  const int64_t rows = loops.size(), item = itemsize(x.dtype);
  const int64_t block = std::min(inner.size, kChunk), blocks = (inner.size + block - 1) / block;
  const int64_t group = std::max<int64_t>(1, kChunk / block), units = rows * blocks;
  const auto run = FD_TABLE(shape_index).gather[size_index(item)];
  // A run that is a copy moves memory at its bandwidth.
  const double each = inner.stride[1] == 0 ? 0.02 * static_cast<double>(item) : kNanoseconds;
  run_chunks((units + group - 1) / group, each * static_cast<double>(index.size()), [&](int64_t c) {
    for (int64_t u = c * group; u < std::min(units, (c + 1) * group); ++u) {
      const int64_t row = u / blocks, j = u % blocks * block;
      run({x.ptr<char>() + (loops.offset(row, 2) + j * inner.stride[2]) * item,
           index.ptr<int64_t>() + loops.offset(row, 1) + j * inner.stride[1],
           to.ptr<char>() + (loops.offset(row, 0) + j * inner.stride[0]) * item,
           std::min(block, inner.size - j), inner.stride[2], inner.stride[1], inner.stride[0],
           x.stride[axis]});
    }
  });
  return y.done();
}

py::object scatter(py::handle x_object, py::handle index_object, py::handle source_object,
                   py::handle dim, bool flat, bool adds, py::handle out) {
  Array x, index, source;
  int axis;
  if (!read(x_object, index_object, dim, flat, x, index, axis)) return declined();
  if (!view(source_object, source) || source.dtype != x.dtype) return declined();
  Array original;
  view(x_object, original);
  const bool broadcast = source.ndim == 0;
  at_least_1d(source);
  if (!broadcast && source.ndim != index.ndim) return declined();
  for (int d = 0; d < index.ndim; ++d) {
    if (broadcast)
      source.stride[d] = 0;
    else if (flat ? source.shape[d] != index.shape[d] : source.shape[d] < index.shape[d])
      return declined();
  }
  const int64_t item = itemsize(x.dtype);
  const auto& table = FD_TABLE(shape_index);
  const auto run = adds ? table.add[static_cast<int>(x.dtype)] : table.set[size_index(item)];
  if (!run) return declined();
  Output y;
  if (!y.make(out, x.dtype, original.ndim, original.shape, nullptr, {&x, &index, &source}))
    return declined();
  Array to = y.dense();
  at_least_1d(to);
  copy_part(x, to, to.size() * item);
  if (index.size() == 0) return y.done();

  Loops loops;  // off the axis; operands: y, index, source
  for (int d = 0; d < index.ndim; ++d)
    if (d != axis)
      loops.add({index.shape[d], {to.stride[d], index.stride[d], source.stride[d]}, false});
  loops.merge();
  const int64_t count = index.shape[axis];
  const int64_t along[] = {to.stride[axis], index.stride[axis], source.stride[axis]};
  const bool by_axis = loops.count == 0 || loops.loop[loops.count - 1].stride[0] > along[0];
  Loop inner{1, {}, false};
  if (!by_axis) inner = loops.loop[--loops.count];
  const int64_t rows = loops.size();
  // Narrow enough that there is work for all; the cut does not show in the result.
  const int64_t threads = num_threads();
  const int64_t share = (inner.size + 4 * threads - 1) / (4 * threads);
  const int64_t block = threads == 1 ? inner.size : std::max<int64_t>(64, share);
  const int64_t blocks = (inner.size + block - 1) / block, units = rows * blocks;
  const int64_t unit_size = count * std::min(block, inner.size);
  const int64_t group = std::max<int64_t>(1, kChunk / unit_size);
  const auto place = [&](int64_t row, int64_t j, int k) {
    return loops.offset(row, k) + j * inner.stride[k];
  };
  run_chunks((units + group - 1) / group, kNanoseconds * static_cast<double>(index.size()),
             [&](int64_t c) {
               for (int64_t u = c * group; u < std::min(units, (c + 1) * group); ++u) {
                 const int64_t row = u / blocks, j = u % blocks * block;
                 char* at = to.ptr<char>() + place(row, j, 0) * item;
                 const int64_t* i = index.ptr<int64_t>() + place(row, j, 1);
                 const char* from = source.ptr<char>() + place(row, j, 2) * item;
                 if (by_axis) {
                   run({at, i, from, count, 0, along[1], along[2], along[0]});
                   continue;
                 }
                 const int64_t n = std::min(block, inner.size - j);
                 for (int64_t k = 0; k < count; ++k)
                   run({at, i + k * along[1], from + k * along[2] * item, n, inner.stride[0],
                        inner.stride[1], inner.stride[2], along[0]});
               }
             });
  return y.done();
}

}  // namespace

void bind_shape_index(py::module_& m) {
  const auto x = py::arg("x"), index = py::arg("index"), dim = py::arg("dim");
  m.def("gather", gather, x, index, dim, py::arg("flat"), py::arg("out") = py::none());
  m.def("scatter", scatter, x, index, py::arg("source"), dim, py::arg("flat"), py::arg("adds"),
        py::arg("out") = py::none());
}
}  // namespace fd
