// Joining arrays: each is copied into its slice of the result.
#include <algorithm>
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

}  // namespace

void bind_shape(py::module_& m) { m.def("cat", cat, py::arg("dim"), py::arg("out") = py::none()); }

}  // namespace fd
