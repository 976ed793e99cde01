// Resampling along one axis: every output is a sum of a few inputs with weights.
#pragma once
#include <cstdint>

#include "table.h"

namespace fd {
// Output o is the sum over k in [first[o], first[o + 1]) of weight[k] * input[index[k]].
template <class T>
struct Mixture {
  const int64_t* first;
  const int64_t* index;
  const T* weight;
};

// Where the runs of an axis lie: element (i, q, c) is at data[i * step + q * pixel + c], c < m.
template <class T>
struct Runs {
  T* data;
  int64_t step, pixel;
};

template <class T>
struct InterpolateOf {
  int lanes;
  // The outputs [o, end) of an axis, for `pixels` runs of m; y's first is output o.
  void (*mix)(const Mixture<T>&, int64_t o, int64_t end, Runs<const T> x, Runs<T> y, int64_t pixels,
              int64_t m);
};
struct InterpolateKernels {
  InterpolateOf<float> f32;
  InterpolateOf<double> f64;
};
}  // namespace fd

FD_DECLARE_TABLE(InterpolateKernels, interpolate)
