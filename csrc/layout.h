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
}  // namespace fd
