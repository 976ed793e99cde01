// Pooling of one image: windows of kh x kw taps, from which a kernel takes the maximum or the mean.
#pragma once
#include <cstdint>

#include "table.h"

namespace fd {
// Output (i, j) reads x[i*sh - ph + k*dh, j*sw - pw + l*dw] for 0 <= k < kh, 0 <= l < kw, of which
// only the taps inside x [H, W] count. The host bounds kh, kw, sh, sw by the size of x, so that
// workspaces stay in proportion to it.
struct Window {
  int64_t H, W, OH, OW;
  int64_t kh, kw, sh, sw, ph, pw, dh, dw;
};

// Rows of pixels. A plane of an NCHW array is an image of one channel whose pixels are adjacent;
// a channels-last image has its channels adjacent. Strides in elements.
template <class T>
struct Image {
  T* data;
  int64_t row, pixel;
};

// The divisor of output (i, j) of an average is row[i] * column[j].
template <class T>
struct Divisors {
  const T* row;
  const T* column;
};

// Every function does a band of rows [first, last): of the output y, or of the gradient dx.
// `_plane` is for NCHW, `_last` for channels-last with any number of channels. `work` has
// work_bytes() bytes.
template <class T>
struct PoolOf {
  int64_t (*work_bytes)(const Window&, int64_t channels);
  void (*max_plane)(const Window&, Image<const T> x, Image<T> y, int64_t first, int64_t last,
                    void* work);
  void (*max_last)(const Window&, int64_t channels, Image<const T> x, Image<T> y, int64_t first,
                   int64_t last, void* work);
  // index has the strides of y and counts elements of the H x W plane, which holds less than 2^31.
  void (*max_index_plane)(const Window&, Image<const T> x, Image<T> y, int64_t* index,
                          int64_t first, int64_t last, void* work);
  void (*max_index_last)(const Window&, int64_t channels, Image<const T> x, Image<T> y,
                         int64_t* index, int64_t first, int64_t last, void* work);
  // dx of a plane has adjacent rows. `first` is a multiple of sh.
  void (*max_backward_plane)(const Window&, Image<const T> x, Image<const T> g, T* dx,
                             int64_t first, int64_t last, void* work);
  void (*max_backward_last)(const Window&, int64_t channels, Image<const T> x, Image<const T> g,
                            Image<T> dx, int64_t first, int64_t last, void* work);
  void (*avg_plane)(const Window&, Image<const T> x, Image<T> y, Divisors<T> by, int64_t first,
                    int64_t last, void* work);
  void (*avg_last)(const Window&, int64_t channels, Image<const T> x, Image<T> y, Divisors<T> by,
                   int64_t first, int64_t last, void* work);
  void (*avg_backward_plane)(const Window&, Image<const T> g, Image<T> dx, Divisors<T> by,
                             int64_t first, int64_t last, void* work);
  void (*avg_backward_last)(const Window&, int64_t channels, Image<const T> g, Image<T> dx,
                            Divisors<T> by, int64_t first, int64_t last, void* work);
};

struct PoolKernels {
  PoolOf<float> f32;
  PoolOf<double> f64;
};
}  // namespace fd

FD_DECLARE_TABLE(PoolKernels, pool)
