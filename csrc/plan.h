// What elementwise loops iterate over: operands broadcast to one shape, the dimensions put into
// memory order and merged.
#pragma once
#include "array.h"

namespace fd {

constexpr int kMaxOperands = 4;  // the output is operand 0

// Dimensions from outermost to innermost with every operand's strides.
struct Plan {
  int operands;
  int ndim = 0;
  int64_t shape[kMaxDims];
  char* data[kMaxOperands];
  int64_t item[kMaxOperands];
  int64_t stride[kMaxOperands][kMaxDims];  // in elements

  int64_t size() const {
    int64_t n = 1;
    for (int i = 0; i < ndim; ++i) n *= shape[i];
    return n;
  }
};

bool same_shape(const Array& a, int ndim, const int64_t* shape);

// The shape that n arrays broadcast to; false when they do not.
bool broadcast(const Array* in, int n, int& ndim, int64_t* shape);

// A new output in the memory order of the first (or last) of the n operands of its shape, or `out`
// itself if that is writeable, of this dtype and shape, does not overlap itself, and overlaps an
// operand only by being the very same view. Otherwise a null object: the caller declines.
py::object make_output(const Array* in, int n, DType dtype, int ndim, const int64_t* shape,
                       py::handle out, Array& o, bool last_first = false);

// Dimensions sorted by the output's strides, made positive there, those of size 1 dropped, and
// neighbours merged wherever every operand steps through the two as through one. Not for empty
// outputs; at least one dimension.
Plan make_plan(const Array& out, const Array* in, int n);

// Copies elements to an array of the same shape and item size, which is (part of) a result of so
// many bytes: a large one bypasses the caches.
void copy_part(const Array& in, const Array& out, int64_t result_bytes);

}  // namespace fd
