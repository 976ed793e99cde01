// Adaptive max pooling, and values sent to and read from places of their plane.
#pragma once
#include <cstdint>

#include "pool.h"

namespace fd {
template <class T>
struct PoolAdaptiveOf {
  int lanes;
  // One image of `channels` adjacent channels: output (i, j) is the maximum of the rows
  // [i H / OH, ceil((i + 1) H / OH)) and the columns likewise, with its place h * W + w (less than
  // 2^31), for i in [first, last). The index has the strides of y.
  void (*max)(int64_t H, int64_t W, int64_t OH, int64_t OW, int64_t channels, Image<const T> x,
              Image<T> y, int64_t* index, int64_t first, int64_t last);
  // For i < n in order: plane[index[i]] = values[i]; += values[i]; and values[i] = plane[index[i]].
  void (*put)(const T* values, const int64_t* index, int64_t n, T* plane);
  void (*add)(const T* values, const int64_t* index, int64_t n, T* plane);
  void (*take)(const T* plane, const int64_t* index, int64_t n, T* values);
};
struct PoolAdaptiveKernels {
  PoolAdaptiveOf<float> f32;
  PoolAdaptiveOf<double> f64;
};
}  // namespace fd

FD_DECLARE_TABLE(PoolAdaptiveKernels, pool_adaptive)
