// The tables of the loops that read or write where an index says.
#pragma once
#include <cstdint>

#include "table.h"

namespace fd {
// For j in [0, n): y[j ys] = x[j xs + index[j is] axis]; strides in elements.
struct GatherRun {
  const void* x;
  const int64_t* index;
  void* y;
  int64_t n, xs, is, ys, axis;
};
// For j in [0, n), in order: y[j ys + index[j is] axis] = or += source[j ss].
struct ScatterRun {
  void* y;
  const int64_t* index;
  const void* source;
  int64_t n, ys, is, ss, axis;
};

struct ShapeIndexKernels {
  void (*gather[3])(const GatherRun&);  // of 1, 4, 8 bytes
  void (*set[3])(const ScatterRun&);
  void (*add[6])(const ScatterRun&);  // by DType; none for bool
  // The least and the largest of n indices, merged into `range`.
  void (*range)(const int64_t* index, int64_t n, int64_t stride, int64_t* range);
};
}  // namespace fd
FD_DECLARE_TABLE(ShapeIndexKernels, shape_index)
