// conv2d, its two gradients and conv_transpose2d: arguments checked, described as Conv
// (kernels/cpu/conv.h), run.
#include "conv.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "array.h"
#include "layout.h"
#include "loops.h"
#include "threads.h"

namespace fd {
namespace {

constexpr int64_t kLargest = int64_t(1) << 40;  // any size or option beyond is refused

bool integer(py::handle h, int64_t low, int64_t& value) {
  if (!PyLong_Check(h.ptr()) || PyBool_Check(h.ptr())) return false;
  int overflow = 0;
  value = PyLong_AsLongLongAndOverflow(h.ptr(), &overflow);
  return !overflow && value >= low && value < kLargest;
}
// An int, or a pair of them.
bool pair(py::handle h, int64_t low, int64_t (&value)[2]) {
  if (integer(h, low, value[0])) {
    value[1] = value[0];
    return true;
  }
  if (!PyTuple_Check(h.ptr()) || PyTuple_GET_SIZE(h.ptr()) != 2) return false;
  return integer(PyTuple_GET_ITEM(h.ptr(), 0), low, value[0]) &&
         integer(PyTuple_GET_ITEM(h.ptr(), 1), low, value[1]);
}

struct Options {
  int64_t stride[2], before[2], after[2], dilation[2], groups;

  bool read(py::handle s, py::handle padding, py::handle d, py::handle g) {
    return pair(s, 1, stride) && pair(d, 1, dilation) && integer(g, 1, groups) && pads(padding);
  }
  // An int, a pair of them, or ((top, bottom), (left, right)).
  bool pads(py::handle h) {
    int64_t both[2];
    if (pair(h, 0, both)) {
      for (int i = 0; i < 2; ++i) before[i] = after[i] = both[i];
      return true;
    }
    if (!PyTuple_Check(h.ptr()) || PyTuple_GET_SIZE(h.ptr()) != 2) return false;
    for (int i = 0; i < 2; ++i) {
      const py::handle ends = PyTuple_GET_ITEM(h.ptr(), i);
      if (!PyTuple_Check(ends.ptr()) || !pair(ends, 0, both)) return false;
      before[i] = both[0];
      after[i] = both[1];
    }
    return true;
  }
  // Outputs along dimension i; 0 if the kernel is larger than the padded image.
  int64_t outputs(int i, int64_t size, int64_t kernel) const {
    int64_t reach;
    if (__builtin_mul_overflow(dilation[i], kernel - 1, &reach)) return 0;
    const int64_t room = size + before[i] + after[i] - reach - 1;
    return room < 0 ? 0 : room / stride[i] + 1;
  }
};

// Is x [N, C, H, W], not without pixels, convolved by w [K, C / groups, R, S] to y [N, K, P, Q]?
bool fits(const int64_t (&x)[4], const int64_t (&w)[4], const int64_t (&y)[4], const Options& o) {
  if (x[2] < 1 || x[3] < 1 || w[2] < 1 || w[3] < 1) return false;
  if (w[0] < o.groups || w[0] % o.groups || x[1] != w[1] * o.groups) return false;
  if (x[0] != y[0] || y[1] != w[0]) return false;
  for (int i = 0; i < 2; ++i)
    if (y[2 + i] < 1 || y[2 + i] != o.outputs(i, x[2 + i], w[2 + i])) return false;
  return true;
}

bool is_float(const Array& a, DType dtype) {
  return a.dtype == dtype && (dtype == DType::f32 || dtype == DType::f64);
}

// The result: `out` if it has the right shape and shares no memory with the inputs, else a new one.
bool result(py::handle out, DType dtype, const int64_t (&shape)[4], bool channels_last,
            std::initializer_list<const Array*> inputs, py::object& object, Array& y) {
  if (out.is_none()) {
    object = empty_ordered(dtype, 4, shape, channels_last ? kChannelsLast : kChannelsFirst, y);
    return true;
  }
  if (!view(out, y) || y.dtype != dtype || y.ndim != 4 || !y.writeable) return false;
  for (int i = 0; i < 4; ++i)
    if (y.shape[i] != shape[i]) return false;
  if (!separate_elements(y)) return false;
  for (const Array* a : inputs)
    if (may_overlap(y, *a)) return false;
  object = py::reinterpret_borrow<py::object>(out);
  return true;
}

// The bias, or zeros: what is left where no term is summed.
template <class T>
void fill(const Array& y, const T* bias) {
  const int64_t rows = y.shape[0] * y.shape[1] * y.shape[2];
  const bool last = y.stride[1] == 1;  // the inner loop over what is contiguous
  const int64_t images = y.shape[0], n = last ? y.shape[1] : y.shape[3];
  const int64_t outer[2] = {last ? y.shape[2] : y.shape[1], last ? y.shape[3] : y.shape[2]};
  const int64_t step[2] = {last ? y.stride[2] : y.stride[1], last ? y.stride[3] : y.stride[2]};
  const int64_t inner = last ? 1 : y.stride[3];
  parallel_for(images * outer[0], double(rows), [&](int64_t i) {
    T* to = y.ptr<T>() + i / outer[0] * y.stride[0] + i % outer[0] * step[0];
    const T value = bias && !last ? bias[i % outer[0]] : T(0);
    for (int64_t j = 0; j < outer[1]; ++j, to += step[1]) {
      if (bias && last)
        std::copy_n(bias, n, to);
      else if (inner == 1)
        std::fill_n(to, n, value);
      else
        for (int64_t k = 0; k < n; ++k) to[k * inner] = value;
    }
  });
}

template <class T>
std::vector<T> dense(const Array* bias) {
  std::vector<T> values;
  for (int64_t k = 0; bias && k < bias->shape[0]; ++k)
    values.push_back(bias->ptr<T>()[k * bias->stride[0]]);
  return values;
}

std::vector<Tap> window(const Array& w, const Options& o) {
  std::vector<Tap> taps;
  for (int64_t r = 0; r < w.shape[2]; ++r)
    for (int64_t s = 0; s < w.shape[3]; ++s)
      taps.push_back({r * o.dilation[0] - o.before[0], s * o.dilation[1] - o.before[1],
                      r * w.stride[2] + s * w.stride[3]});
  return taps;
}

// x * w -> y; x is described by `run`.
template <class T>
Conv<T> describe(const Array& x, const Array& w, const Array& y, const Options& o,
                 const std::vector<Tap>& taps) {
  Conv<T> v = {};
  v.w = w.ptr<T>();
  v.y = y.ptr<T>();
  v.groups = o.groups;
  v.N = x.shape[0];
  v.C = w.shape[1];
  v.H = x.shape[2];
  v.W = x.shape[3];
  v.K = w.shape[0] / o.groups;
  v.P = y.shape[2];
  v.Q = y.shape[3];
  v.wk = w.stride[0];
  v.wg = v.K * v.wk;
  v.wc = w.stride[1];
  v.yn = y.stride[0];
  v.yk = y.stride[1];
  v.yg = v.K * v.yk;
  v.yp = y.stride[2];
  v.yq = y.stride[3];
  v.stride_h = o.stride[0];
  v.stride_w = o.stride[1];
  v.taps = static_cast<int64_t>(taps.size());
  v.tap = taps.data();
  return v;
}

template <class T>
void set_image(Conv<T>& v, const Array& x) {
  v.x = x.ptr<T>();
  v.xn = x.stride[0];
  v.xc = x.stride[1];
  v.xg = v.C * v.xc;
  v.xh = x.stride[2];
  v.xw = x.stride[3];
}

// Runs x * w -> y, with y's strides deciding the path; x comes as it is.
template <class T>
void run(const Array& x, const Array& y, Conv<T> v) {
  set_image(v, x);
  convolve(v, is_channels_last(y) && y.stride[1] == 1);
}

template <class T>
void forward(const Array& x, const Array& w, const Array* bias, const Array& y, const Options& o) {
  const std::vector<T> values = dense<T>(bias);
  const std::vector<Tap> taps = window(w, o);
  Conv<T> v = describe<T>(x, w, y, o, taps);
  v.bias = bias ? values.data() : nullptr;
  run(x, y, v);
}

template <class T>
void weight_grad(const Array& x, const Array& g, const Array& dw, const Options& o) {
  if (g.size() == 0) return fill<T>(dw, nullptr);
  const std::vector<Tap> taps = window(dw, o);
  Conv<T> v = describe<T>(x, dw, g, o, taps);
  set_image(v, x);
  convolve_weight_grad(v, dw.ptr<T>());
}

// The taps of one dimension that meet inputs i = residue (mod stride): i + before = r * dilation +
// stride * output, and where they then read in the gradient of the output.
struct Meeting {
  int64_t r, shift;
};
std::vector<Meeting> meeting(const Options& o, int i, int64_t kernel, int64_t residue) {
  std::vector<Meeting> all;
  for (int64_t r = 0; r < kernel; ++r) {
    const int64_t reach = residue + o.before[i] - r * o.dilation[i];
    if (reach % o.stride[i] == 0) all.push_back({r, reach / o.stride[i]});
  }
  return all;
}

// Is each image of `a` one run, in this order of its dimensions?
bool images_dense(const Array& a, const int* order) {
  int64_t stride = 1;
  for (int i = 3; i >= 1; stride *= a.shape[order[i--]])
    if (a.shape[order[i]] > 1 && a.stride[order[i]] != stride) return false;
  return true;
}

// One pixel of g a plane, and dx the taps it meets: a matrix product, whose columns are a pixel's
// numbers of dx in the order of memory. (As a convolution each of them would read R S pixels of
// which one is not padding.)
template <class T>
bool input_grad_of_pixels(const Array& g, Array w, const T* bias, const Array& dx,
                          const Options& o) {
  const int64_t taps = w.shape[2] * w.shape[3];
  if (g.shape[2] != 1 || g.shape[3] != 1 || w.shape[0] == 0 || taps == 1) return false;
  for (int i = 0; i < 2; ++i) {
    if (o.before[i] || (o.dilation[i] != 1 && w.shape[2 + i] != 1)) return false;
    if (w.shape[2 + i] != dx.shape[2 + i]) return false;
  }
  const bool last = !images_dense(dx, kChannelsFirst);
  const int* const order = last ? kChannelsLast : kChannelsFirst;
  if (!images_dense(dx, order) || (last && o.groups > 1)) return false;
  std::optional<Scratch> packed;
  if (!images_dense(w, order)) make_dense(w, order, packed);
  std::vector<T> each;
  for (int64_t i = 0; bias && i < dx.shape[1] * taps; ++i)
    each.push_back(bias[last ? i % dx.shape[1] : i / taps]);
  const Tap tap = {0, 0, 0};
  Conv<T> v = {};
  v.x = g.ptr<T>();
  v.w = w.ptr<T>();
  v.y = dx.ptr<T>();
  v.bias = bias ? each.data() : nullptr;
  v.groups = o.groups;
  v.N = v.H = v.P = 1;
  v.Q = v.W = g.shape[0];
  v.C = w.shape[0] / o.groups;
  v.K = w.shape[1] * taps;
  v.xc = g.stride[1];
  v.xg = v.C * v.xc;
  v.xw = g.stride[0];
  v.wk = 1;
  v.wc = w.stride[0];
  v.wg = v.C * v.wc;
  v.yk = 1;
  v.yg = v.K;
  v.yq = dx.stride[0];
  v.stride_h = v.stride_w = 1;
  v.taps = 1;
  v.tap = &tap;
  convolve(v, true);
  return true;
}

// Each residue of (h, w) modulo the stride is a convolution of g, with stride 1; plus a bias, which
// makes it a transposed convolution.
template <class T>
void input_grad(const Array& g, const Array& w, const Array* bias, const Array& dx,
                const Options& o) {
  const std::vector<T> values = dense<T>(bias);
  const T* const b = bias ? values.data() : nullptr;
  if (input_grad_of_pixels(g, w, b, dx, o)) return;
  const int64_t residues[2] = {std::min(o.stride[0], dx.shape[2]),
                               std::min(o.stride[1], dx.shape[3])};
  // Residues that no tap meets, as in a 1 x 1 kernel of stride 2, are zero.
  bool zeros = w.shape[0] == 0;
  for (int i = 0; i < 2; ++i)
    for (int64_t a = 0; a < residues[i]; ++a)
      zeros = zeros || meeting(o, i, w.shape[2 + i], a).empty();
  if (zeros) fill<T>(dx, b);
  if (w.shape[0] == 0) return;

  for (int64_t i = 0; i < residues[0]; ++i) {
    for (int64_t j = 0; j < residues[1]; ++j) {
      std::vector<Tap> taps;
      for (const Meeting& r : meeting(o, 0, w.shape[2], i))
        for (const Meeting& s : meeting(o, 1, w.shape[3], j))
          taps.push_back({r.shift, s.shift, r.r * w.stride[2] + s.r * w.stride[3]});
      if (taps.empty()) continue;
      Conv<T> v = {};
      v.w = w.ptr<T>();
      v.bias = b;
      v.y = dx.ptr<T>() + i * dx.stride[2] + j * dx.stride[3];
      v.groups = o.groups;
      v.N = g.shape[0];
      v.C = w.shape[0] / o.groups;
      v.H = g.shape[2];
      v.W = g.shape[3];
      v.K = w.shape[1];
      v.P = ceil_div(dx.shape[2] - i, o.stride[0]);
      v.Q = ceil_div(dx.shape[3] - j, o.stride[1]);
      v.wk = w.stride[1];
      v.wc = w.stride[0];
      v.wg = v.C * v.wc;
      v.yn = dx.stride[0];
      v.yk = dx.stride[1];
      v.yg = v.K * v.yk;
      v.yp = dx.stride[2] * o.stride[0];
      v.yq = dx.stride[3] * o.stride[1];
      v.stride_h = v.stride_w = 1;
      v.taps = static_cast<int64_t>(taps.size());
      v.tap = taps.data();
      run(g, dx, v);
    }
  }
}

py::object conv2d(py::handle x, py::handle w, py::handle bias, py::handle stride,
                  py::handle padding, py::handle dilation, py::handle groups, py::handle out) {
  Array xa, wa, ba, ya;
  Options o;
  if (!view(x, xa) || !view(w, wa) || xa.ndim != 4 || wa.ndim != 4) return declined();
  if (!is_float(xa, xa.dtype) || wa.dtype != xa.dtype) return declined();
  if (!o.read(stride, padding, dilation, groups)) return declined();
  const bool biased = !bias.is_none();
  if (biased) {
    if (!view(bias, ba) || ba.ndim != 1 || ba.dtype != xa.dtype) return declined();
    if (ba.shape[0] != wa.shape[0]) return declined();
  }
  int64_t shape[4] = {xa.shape[0], wa.shape[0], o.outputs(0, xa.shape[2], wa.shape[2]),
                      o.outputs(1, xa.shape[3], wa.shape[3])};
  const int64_t xs[4] = {xa.shape[0], xa.shape[1], xa.shape[2], xa.shape[3]};
  const int64_t ws[4] = {wa.shape[0], wa.shape[1], wa.shape[2], wa.shape[3]};
  if (!fits(xs, ws, shape, o)) return declined();
  if (xs[1] == 0) shape[1] = 0;  // torch: without input channels there are no output channels
  py::object y;
  const Array& b = biased ? ba : wa;
  if (!result(out, xa.dtype, shape, is_channels_last(xa), {&xa, &wa, &b}, y, ya)) return declined();
  if (ya.size() == 0) return y;
  py::gil_scoped_release nogil;
  if (xa.dtype == DType::f32)
    forward<float>(xa, wa, biased ? &ba : nullptr, ya, o);
  else
    forward<double>(xa, wa, biased ? &ba : nullptr, ya, o);
  return y;
}

py::object conv2d_input_grad(py::handle g, py::handle w, py::handle input_size, py::handle stride,
                             py::handle padding, py::handle dilation, py::handle groups,
                             bool channels_last, py::handle out) {
  Array ga, wa, dxa;
  Options o;
  int64_t size[2];
  if (!view(g, ga) || !view(w, wa) || ga.ndim != 4 || wa.ndim != 4) return declined();
  if (!is_float(ga, ga.dtype) || wa.dtype != ga.dtype) return declined();
  if (!o.read(stride, padding, dilation, groups) || !pair(input_size, 0, size)) return declined();
  int64_t channels;
  if (__builtin_mul_overflow(wa.shape[1], o.groups, &channels)) return declined();
  const int64_t shape[4] = {ga.shape[0], channels, size[0], size[1]};
  const int64_t gs[4] = {ga.shape[0], ga.shape[1], ga.shape[2], ga.shape[3]};
  const int64_t ws[4] = {wa.shape[0], wa.shape[1], wa.shape[2], wa.shape[3]};
  if (!fits(shape, ws, gs, o)) return declined();
  py::object dx;
  if (!result(out, ga.dtype, shape, channels_last, {&ga, &wa}, dx, dxa)) return declined();
  if (dxa.size() == 0) return dx;
  py::gil_scoped_release nogil;
  if (ga.dtype == DType::f32)
    input_grad<float>(ga, wa, nullptr, dxa, o);
  else
    input_grad<double>(ga, wa, nullptr, dxa, o);
  return dx;
}

py::object conv_transpose2d(py::handle x, py::handle w, py::handle bias, py::handle stride,
                            py::handle padding, py::handle output_padding, py::handle dilation,
                            py::handle groups, py::handle out) {
  Array xa, wa, ba, ya;
  Options o;
  int64_t more[2];
  if (!view(x, xa) || !view(w, wa) || xa.ndim != 4 || wa.ndim != 4) return declined();
  if (!is_float(xa, xa.dtype) || wa.dtype != xa.dtype) return declined();
  if (!o.read(stride, padding, dilation, groups) || !pair(output_padding, 0, more))
    return declined();
  int64_t channels;
  if (__builtin_mul_overflow(wa.shape[1], o.groups, &channels)) return declined();
  const bool biased = !bias.is_none();
  if (biased) {
    if (!view(bias, ba) || ba.ndim != 1 || ba.dtype != xa.dtype) return declined();
    if (ba.shape[0] != channels) return declined();
  }
  int64_t shape[4] = {xa.shape[0], channels, 0, 0};
  for (int i = 0; i < 2; ++i) {
    if (xa.shape[2 + i] < 1 || more[i] >= std::max(o.stride[i], o.dilation[i])) return declined();
    int64_t reach, steps;
    if (__builtin_mul_overflow(o.dilation[i], wa.shape[2 + i] - 1, &reach)) return declined();
    if (__builtin_mul_overflow(o.stride[i], xa.shape[2 + i] - 1, &steps)) return declined();
    shape[2 + i] = steps - o.before[i] - o.after[i] + reach + more[i] + 1;
    if (shape[2 + i] < 1 || shape[2 + i] >= kLargest || wa.shape[2 + i] < 1) return declined();
  }
  if (wa.shape[0] < o.groups || wa.shape[0] % o.groups || xa.shape[1] != wa.shape[0])
    return declined();
  py::object y;
  const Array& b = biased ? ba : wa;
  if (!result(out, xa.dtype, shape, is_channels_last(xa), {&xa, &wa, &b}, y, ya)) return declined();
  if (ya.size() == 0) return y;
  py::gil_scoped_release nogil;
  if (xa.dtype == DType::f32)
    input_grad<float>(xa, wa, biased ? &ba : nullptr, ya, o);
  else
    input_grad<double>(xa, wa, biased ? &ba : nullptr, ya, o);
  return y;
}

py::object conv2d_weight_grad(py::handle x, py::handle g, py::handle kernel_size, py::handle stride,
                              py::handle padding, py::handle dilation, py::handle groups,
                              bool channels_last, py::handle out) {
  Array xa, ga, dwa;
  Options o;
  int64_t kernel[2];
  if (!view(x, xa) || !view(g, ga) || xa.ndim != 4 || ga.ndim != 4) return declined();
  if (!is_float(xa, xa.dtype) || ga.dtype != xa.dtype) return declined();
  if (!o.read(stride, padding, dilation, groups) || !pair(kernel_size, 1, kernel))
    return declined();
  const int64_t shape[4] = {ga.shape[1], xa.shape[1] / o.groups, kernel[0], kernel[1]};
  const int64_t xs[4] = {xa.shape[0], xa.shape[1], xa.shape[2], xa.shape[3]};
  const int64_t gs[4] = {ga.shape[0], ga.shape[1], ga.shape[2], ga.shape[3]};
  if (!fits(xs, shape, gs, o)) return declined();
  py::object dw;
  if (!result(out, xa.dtype, shape, channels_last, {&xa, &ga}, dw, dwa)) return declined();
  if (dwa.size() == 0) return dw;
  py::gil_scoped_release nogil;
  if (xa.dtype == DType::f32)
    weight_grad<float>(xa, ga, dwa, o);
  else
    weight_grad<double>(xa, ga, dwa, o);
  return dw;
}

}  // namespace

void bind_conv(py::module_& m) {
  using py::arg;
  m.def("conv2d", &conv2d, arg("x"), arg("w"), arg("bias"), arg("stride"), arg("padding"),
        arg("dilation"), arg("groups"), arg("out") = py::none());
  m.def("conv2d_input_grad", &conv2d_input_grad, arg("g"), arg("w"), arg("input_size"),
        arg("stride"), arg("padding"), arg("dilation"), arg("groups"), arg("channels_last"),
        arg("out") = py::none());
  m.def("conv_transpose2d", &conv_transpose2d, arg("x"), arg("w"), arg("bias"), arg("stride"),
        arg("padding"), arg("output_padding"), arg("dilation"), arg("groups"),
        arg("out") = py::none());
  m.def("conv2d_weight_grad", &conv2d_weight_grad, arg("x"), arg("g"), arg("kernel_size"),
        arg("stride"), arg("padding"), arg("dilation"), arg("groups"), arg("channels_last"),
        arg("out") = py::none());
}
}  // namespace fd
