// How a convolution is planned, split over threads and run; csrc/conv.cpp checks the arguments.
#pragma once
#include "../kernels/cpu/conv.h"
#include "parts.h"

namespace fd {
// Runs v over its groups: in tiles of pixels x channels if `channels_last` (then xc and yk are 1,
// or there is one channel), else in tiles of channels x pixels (any strides).
template <class T>
void convolve(const Conv<T>& v, bool channels_last);

// dw[...] = the gradient of v's weights, with v.y the gradient of its output; any strides.
template <class T>
void convolve_weight_grad(const Conv<T>& v, T* dw);

// One input channel a group, in a layout that conv_depthwise takes: its own loops.
template <class T>
bool is_depthwise(const Conv<T>& v, bool channels_last);
template <class T>
void convolve_depthwise(const Conv<T>& v, bool channels_last);
template <class T>
void depthwise_weight_grad(const Conv<T>& v, bool channels_last, T* dw);

// What v costs, in floating-point operations, and a guess at nanoseconds on one thread.
template <class T>
double flops(const Conv<T>& v) {
  return 2.0 * double(v.N) * double(v.P) * double(v.Q) * double(v.K) * double(v.C) *
         double(v.taps) * double(v.groups);
}
template <class T>
double nanoseconds(const Conv<T>& v) {
  const double outputs = double(v.N) * double(v.P) * double(v.Q) * double(v.K) * double(v.groups);
  return flops(v) / (sizeof(T) == 4 ? 200 : 100) + outputs;
}
// The size of each of the fewest equal parts no larger than `most`.
inline int64_t balanced(int64_t n, int64_t most) { return ceil_div(n, ceil_div(n, most)); }
}  // namespace fd
