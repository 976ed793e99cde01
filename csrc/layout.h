// The memory format of an activation [N, C, H, W]: its strides decide.
#pragma once
#include "array.h"

namespace fd {
// torch's rule for strides that look channels-last: channels innermost, then width, height, batch,
// no dimension lying inside the one before it. Gaps (a slice of a channels-last array) are allowed.
// Ambiguous shapes, where both formats are the same memory (one channel, or one pixel), and empty
// ones are NCHW.
inline bool is_channels_last(const Array& a) {
  if (a.ndim != 4 || a.size() == 0 || a.shape[1] == 1 || a.shape[2] * a.shape[3] == 1) return false;
  int64_t least = 1;
  for (int d : {1, 3, 2, 0}) {
    if (a.shape[d] == 1) continue;
    if (a.stride[d] < least) return false;
    least = a.stride[d] * a.shape[d];
  }
  return true;
}

// The dimensions from outermost to innermost, for empty_ordered.
inline constexpr int kChannelsFirst[4] = {0, 1, 2, 3};
inline constexpr int kChannelsLast[4] = {0, 2, 3, 1};

// Is `a` one run of memory in this format (NCHW order for any number of dimensions)?
inline bool is_dense(const Array& a, bool channels_last) {
  int64_t stride = 1;
  for (int i = a.ndim - 1; i >= 0; --i) {
    const int d = channels_last ? kChannelsLast[i] : i;
    if (a.shape[d] > 1 && a.stride[d] != stride) return false;
    stride *= a.shape[d];
  }
  return true;
}
}  // namespace fd
