// Elementwise loops as csrc sees them.
#pragma once
#include <cstdint>

#include "table.h"

namespace fd {

// out[i] = f(in[0][i], in[1][i], ...) for n elements, everything contiguous but the operands whose
// bit is set in the variant the loop was taken from: those are one element for all i. `out` may be
// an input.
using Loop = void (*)(void* out, const void* const* in, int64_t n);

// What in[number of inputs] points to for the loops of an ElementwiseOp, which know at run time
// which inputs are single elements (bit k of `single`: in[k]).
struct Given {
  int64_t single;
  double option[4];
};

// An op that needs no more than this line in its table: csrc binds it under its name.
struct ElementwiseOp {
  const char* name;
  int arrays;           // up to three; any but all may be Python numbers
  const char* options;  // their names, in the order of Given::option: "alpha scale"
  bool decides;         // results are bools
  double nanoseconds;   // a byte of an element, beyond moving it
  Loop loop[6];         // by DType; null where the op is not defined
};
struct ElementwiseOps {
  const ElementwiseOp* ops;
  int count;
};

enum class Binary {
  add,
  sub,
  mul,
  div,
  eq,
  ne,
  lt,
  le,
  relu_backward,
  tanh_backward,
  sigmoid_backward,
  count
};  // clang-format off
enum class Unary { relu, neg, exp, log, tanh, sigmoid, erf, count };
constexpr int kLoopDTypes = 6;  // the order of DType: b8 u8 i32 i64 f32 f64

struct ElementwiseKernels {
  // No loop (null) where the op is not defined for the dtype.
  Loop binary[static_cast<int>(Binary::count)][kLoopDTypes][3];  // variants 0, 1 and 2
  Loop unary[static_cast<int>(Unary::count)][kLoopDTypes];
  Loop cast[kLoopDTypes][kLoopDTypes];  // [from][to]
  // The rest knows elements by size only: 1, 4 or 8 bytes at index 0, 1, 2.
  Loop where[3][8];  // operands: condition, a, b; variant bit 0, of the condition, is never set
  // out[i * out_row + j * out_step] = in[i * in_row + j * in_step], 0 <= i < rows, 0 <= j < n.
  void (*strided[3])(void* out, int64_t out_row, int64_t out_step, const void* in, int64_t in_row,
                     int64_t in_step, int64_t rows, int64_t n);
  // out[i * out_row + j] = in[j * in_column + i], 0 <= i < rows, 0 <= j < columns.
  void (*transpose[3])(void* out, int64_t out_row, const void* in, int64_t in_column, int64_t rows,
                       int64_t columns);
  // Bytes past the caches; `fence` before another thread may read them. Meanwhile as many bytes are
  // fetched from each of the n pointers in `ahead`, which may lie past the end of anything.
  void (*stream)(void* out, const void* in, int64_t bytes, const void* const* ahead, int n);
  void (*fence)();
};

}  // namespace fd

FD_DECLARE_TABLE(fd::ElementwiseKernels, elementwise)
FD_DECLARE_TABLE(fd::ElementwiseOps, elementwise_math)
FD_DECLARE_TABLE(fd::ElementwiseOps, elementwise_activation)
