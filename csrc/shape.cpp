// Joining arrays, each copied into its slice of the result; and triangles of matrices.
#include <algorithm>
#include <cstring>
#include <vector>

#include "array.h"
#include "layout.h"
#include "loops.h"
#include "plan.h"

namespace fd {
namespace {

// torch lets an empty vector join anything.
bool is_empty_vector(const Array& a) { return a.ndim == 1 && a.shape[0] == 0; }

py::object cat(const py::args& tensors, py::handle dim, py::handle out) {
  std::vector<Array> parts(tensors.size());
  size_t kept = 0;
  for (py::handle tensor : tensors) {
    Array& part = parts[kept];
    if (!view(tensor, part) || part.dtype != parts[0].dtype) return declined();
    if (kept > 0 && is_empty_vector(part)) continue;
    if (kept == 1 && is_empty_vector(parts[0]))
      parts[0] = part;
    else
      ++kept;
  }
  if (kept == 0) return declined();
  parts.resize(kept);
  const Array& first = parts[0];
  const int ndim = first.ndim;
  int axis;
  if (ndim == 0 || !parse_dim(dim, ndim, axis)) return declined();

  int64_t shape[kMaxDims];
  std::copy(first.shape, first.shape + ndim, shape);
  shape[axis] = 0;
  bool channels_last = true;
  for (const Array& part : parts) {
    if (part.ndim != ndim) return declined();
    for (int d = 0; d < ndim; ++d)
      if (d != axis && part.shape[d] != first.shape[d]) return declined();
    shape[axis] += part.shape[axis];
    channels_last = channels_last && is_channels_last(part);
  }
  Array y;
  py::object result = channels_last && out.is_none()
                          ? empty_ordered(first.dtype, ndim, shape, kChannelsLast, y)
                          : make_output(nullptr, 0, first.dtype, ndim, shape, out, y);
  if (!result) return declined();
  for (const Array& part : parts)
    if (!out.is_none() && may_overlap(y, part)) return declined();

  const int64_t bytes = y.size() * itemsize(y.dtype);
  Array slice = y;
  for (const Array& part : parts) {
    slice.shape[axis] = part.shape[axis];
    copy_part(part, slice, bytes);
    slice.data = slice.ptr<char>() + part.shape[axis] * slice.stride[axis] * itemsize(y.dtype);
  }
  return result;
}

// The matrices in the last two dims, zero above (or below) a diagonal.
py::object triangle(py::handle x_object, int64_t diagonal, bool lower, py::handle out) {
  Array x, y;
  if (!view(x_object, x) || x.ndim < 2) return declined();
  // `out` may be x itself; a new one is in C order, whatever that of x is.
  py::object result = make_output(&x, out.is_none() ? 0 : 1, x.dtype, x.ndim, x.shape, out, y);
  if (!result) return declined();
  if (y.size() == 0) return result;
  const int64_t columns = y.shape[y.ndim - 1], rows = y.shape[y.ndim - 2];
  const int64_t item = itemsize(y.dtype), step = y.stride[y.ndim - 1];
  if (y.data != x.data) copy_part(x, y, y.size() * item);
  Loops loops;
  for (int d = 0; d < y.ndim - 1; ++d) loops.add({y.shape[d], {y.stride[d]}, false});
  const int64_t total = loops.size(), group = std::max<int64_t>(1, (1 << 14) / columns);
  const double nanoseconds = 0.02 * static_cast<double>(y.size() * item);
  run_chunks((total + group - 1) / group, nanoseconds, [&](int64_t c) {
    for (int64_t i = c * group; i < std::min(total, (c + 1) * group); ++i) {
      const int64_t row = i % rows;
      // Kept are columns - row <= diagonal, or >= it.
      const int64_t far = diagonal > columns ? columns : diagonal < -rows ? -rows : diagonal;
      const int64_t edge = std::clamp<int64_t>(row + far + (lower ? 1 : 0), 0, columns);
      const int64_t first = lower ? edge : 0, last = lower ? columns : edge;
      char* at = y.ptr<char>() + loops.offset(i, 0) * item;
      if (step == 1)
        std::memset(at + first * item, 0, static_cast<size_t>((last - first) * item));
      else
        for (int64_t j = first; j < last; ++j)
          std::memset(at + j * step * item, 0, static_cast<size_t>(item));
    }
  });
  return result;
}

}  // namespace

void bind_shape(py::module_& m) {
  m.def("cat", cat, py::arg("dim"), py::arg("out") = py::none());
  m.def("triangle", triangle, py::arg("x"), py::arg("diagonal"), py::arg("lower"),
        py::arg("out") = py::none());
}

}  // namespace fd
