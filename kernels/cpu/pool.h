// Pooling of one image: windows of kh x kw taps, from which a kernel takes the maximum or the mean.
#pragma once
#include <cstdint>

#include "table.h"

namespace fd {
// Output (i, j) reads x[i*sh - ph + k*dh, j*sw - pw + l*dw] for 0 <= k < kh, 0 <= l < kw, of which
// only the taps inside x [H, W] count. The host bounds kh, kw, sh, sw by the size of x, so that
// workspaces stay in proportion to it.
// A dilated window may step over the image and hold no tap. As in torch its maximum is then -inf
// and its index that of the first tap not before the image, which lies behind the image's end or
// is somebody else's; its gradient goes nowhere.
struct Window {
  int64_t H, W, OH, OW;
  int64_t kh, kw, sh, sw, ph, pw, dh, dw;
};

// ceil(a / b), and not below zero.
static inline int64_t ceil_div(int64_t a, int64_t b) { return a <= 0 ? 0 : (a + b - 1) / b; }

// The first tap of a window, starting here, that is not before the image.
static inline int64_t first_inside(int64_t start, int64_t dilation) {
  return start + ceil_div(-start, dilation) * dilation;
}
// The rows of output [first, last) whose windows may meet the rows [from, to) of the image.
static inline void windows_over(const Window& w, int64_t from, int64_t to, int64_t& first,
                                int64_t& last) {
  first = ceil_div(from + w.ph - (w.kh - 1) * w.dh, w.sh);
  last = ceil_div(to + w.ph, w.sh);
  if (last > w.OH) last = w.OH;
}
static inline bool is_2x2(const Window& w) {
  return w.kh == 2 && w.kw == 2 && w.sh == 2 && w.sw == 2 && w.ph == 0 && w.pw == 0 && w.dh == 1 &&
         w.dw == 1 && 2 * w.OH <= w.H && 2 * w.OW <= w.W;  // not so under ceil_mode
}

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

// Every function does a band of rows [first, last): of the output y, or of the gradient dx, where
// `first` is a multiple of sh. The index counts elements of the H x W plane, which holds less than
// 2^31, and has the strides of y.

// NCHW, one plane. `work` has work_bytes(w) bytes.
template <class T>
struct PoolOf {
  int64_t (*work_bytes)(const Window&);
  void (*max)(const Window&, Image<const T> x, Image<T> y, int64_t first, int64_t last, void* work);
  void (*max_index)(const Window&, Image<const T> x, Image<T> y, int64_t* index, int64_t first,
                    int64_t last, void* work);
  // dx has adjacent rows.
  void (*max_backward)(const Window&, Image<const T> x, Image<const T> g, Image<T> dx,
                       int64_t first, int64_t last, void* work);
  void (*avg)(const Window&, Image<const T> x, Image<T> y, Divisors<T> by, int64_t first,
              int64_t last, void* work);
  void (*avg_backward)(const Window&, Image<const T> g, Image<T> dx, Divisors<T> by, int64_t first,
                       int64_t last, void* work);
};
struct PoolKernels {
  PoolOf<float> f32;
  PoolOf<double> f64;
};

// Channels-last, one image. `work` holds OW * channels elements for every row of windows over the
// band, and for one.
template <class T>
struct PoolLastOf {
  void (*max)(const Window&, int64_t channels, Image<const T> x, Image<T> y, int64_t first,
              int64_t last);
  void (*max_index)(const Window&, int64_t channels, Image<const T> x, Image<T> y, int64_t* index,
                    int64_t first, int64_t last);
  // dx has adjacent rows.
  void (*max_backward)(const Window&, int64_t channels, Image<const T> x, Image<const T> g,
                       Image<T> dx, int64_t first, int64_t last, T* work);
  void (*avg)(const Window&, int64_t channels, Image<const T> x, Image<T> y, Divisors<T> by,
              int64_t first, int64_t last);
  void (*avg_backward)(const Window&, int64_t channels, Image<const T> g, Image<T> dx,
                       Divisors<T> by, int64_t first, int64_t last, T* work);
  // Up to `lanes` planes, `plane` apart, as one channels-last image out[rows][width][lanes], and
  // back: for windows that leave most of a register of a plane's row empty.
  int lanes;
  void (*gather)(const T* x, int64_t plane, int64_t row, int64_t planes, int64_t rows,
                 int64_t width, T* out);
  void (*scatter)(const T* x, int64_t planes, int64_t rows, int64_t width, T* out, int64_t plane,
                  int64_t row);
};
struct PoolLastKernels {
  PoolLastOf<float> f32;
  PoolLastOf<double> f64;
};
}  // namespace fd

FD_DECLARE_TABLE(PoolKernels, pool)
FD_DECLARE_TABLE(PoolLastKernels, pool_last)
