// Max and average pooling over [N, C, H, W], NCHW or channels-last: checks, and the cut into
// chunks.
#include "../kernels/cpu/pool.h"

#include <algorithm>
#include <vector>

#include "array.h"
#include "isa.h"
#include "layout.h"
#include "memory.h"
#include "threads.h"

namespace fd {
namespace {

template <class T>
const PoolOf<T>& kernels() {
  if constexpr (sizeof(T) == 4)
    return FD_TABLE(pool).f32;
  else
    return FD_TABLE(pool).f64;
}

// ---- Options ----------------------------------------------------------------------------------
// Sizes past these go to the reference: they keep products of sizes far from overflow.
constexpr int64_t kMaxOption = int64_t{1} << 16, kMaxSize = int64_t{1} << 31;

bool integer(py::handle o, int64_t& value) {
  if (!PyLong_CheckExact(o.ptr())) return false;
  int overflow = 0;
  value = PyLong_AsLongLongAndOverflow(o.ptr(), &overflow);
  return !overflow;
}
// An int for both, or a tuple of two, each within [low, high].
bool pair(py::handle o, int64_t low, int64_t high, int64_t (&value)[2]) {
  if (PyTuple_CheckExact(o.ptr())) {
    if (PyTuple_GET_SIZE(o.ptr()) != 2) return false;
    for (int i = 0; i < 2; ++i)
      if (!integer(PyTuple_GET_ITEM(o.ptr(), i), value[i])) return false;
  } else {
    if (!integer(o, value[0])) return false;
    value[1] = value[0];
  }
  return std::min(value[0], value[1]) >= low && std::max(value[0], value[1]) <= high;
}
bool boolean(py::handle o, bool& value) {
  value = o.ptr() == Py_True;
  return PyBool_Check(o.ptr());
}

struct Options {
  int64_t kernel[2], stride[2], padding[2], dilation[2] = {1, 1};
  bool ceil_mode;

  bool read(py::handle kernel_size, py::handle stride_, py::handle padding_, py::handle dilation_,
            py::handle ceil_mode_) {
    return pair(kernel_size, 1, kMaxOption, kernel) &&
           pair(stride_.is_none() ? kernel_size : stride_, 1, kMaxSize, stride) &&
           pair(padding_, 0, kMaxOption, padding) &&
           (!dilation_ || pair(dilation_, 1, kMaxOption, dilation)) &&
           boolean(ceil_mode_, ceil_mode);
  }

  // torch's size of one dimension: under ceil_mode the last window must start inside the image or
  // its padding on the left. Zero when there is no window.
  int64_t outputs(int d, int64_t size) const {
    const int64_t reach = (kernel[d] - 1) * dilation[d] + 1;
    const int64_t room = size + 2 * padding[d] - reach + (ceil_mode ? stride[d] - 1 : 0);
    if (padding[d] > reach / 2 || room < 0 || size < 1 || size >= kMaxSize) return 0;
    const int64_t n = room / stride[d] + 1;
    return ceil_mode && (n - 1) * stride[d] >= size + padding[d] ? n - 1 : n;
  }

  // False if torch would refuse, or the plane is too large for 32-bit places in it.
  bool window(int64_t height, int64_t width, Window& w) const {
    w = {height,    width,     outputs(0, height), outputs(1, width), kernel[0],   kernel[1],
         stride[0], stride[1], padding[0],         padding[1],        dilation[0], dilation[1]};
    if (w.OH < 1 || w.OW < 1) return false;
    if ((height + w.dh) * (width + w.dw) >= kMaxSize) return false;
    w.kh = std::min(w.kh, (height - 1 + w.ph) / w.dh + 1);  // taps past these are never inside
    w.kw = std::min(w.kw, (width - 1 + w.pw) / w.dw + 1);
    if (w.OH == 1) w.sh = 1;
    if (w.OW == 1) w.sw = 1;
    return true;
  }
};

// ---- Arrays -----------------------------------------------------------------------------------
bool is_float(const Array& a) { return a.dtype == DType::f32 || a.dtype == DType::f64; }

// Are the elements of a kernel's rows (or of its pixels) adjacent?
bool adjacent(const Array& a, bool last) {
  const int d = last ? 1 : 3;
  return a.shape[d] == 1 || a.stride[d] == 1;
}

// The image (n, c) of an array; c is 0 for channels-last.
template <class T>
Image<T> image(const Array& a, bool last, int64_t n, int64_t c) {
  T* data = a.ptr<T>() + n * a.stride[0] + c * a.stride[1];
  return {data, a.stride[2], last ? a.stride[3] : 1};
}

// An input as the kernels read it: itself, or a dense copy in the format wanted.
template <class T>
class Input {
 public:
  Input(const Array& a, bool last) : array(a), copy_(adjacent(a, last) ? 0 : a.size() * sizeof(T)) {
    if (adjacent(a, last)) return;
    array.data = copy_.template as<T>();
    int64_t stride = 1;
    for (int i = 3; i >= 0; --i) {
      const int d = (last ? kChannelsLast : kChannelsFirst)[i];
      array.stride[d] = stride;
      stride *= a.shape[d];
    }
    const int64_t rows = a.shape[2];
    parallel_for(a.shape[0] * rows, double(a.size()), [&](int64_t i) {
      const int64_t n = i / rows, h = i % rows;
      for (int64_t c = 0; c < a.shape[1]; ++c) {
        const T* from = a.ptr<T>() + n * a.stride[0] + c * a.stride[1] + h * a.stride[2];
        T* to = array.ptr<T>() + n * array.stride[0] + c * array.stride[1] + h * array.stride[2];
        for (int64_t w = 0; w < a.shape[3]; ++w) to[w * array.stride[3]] = from[w * a.stride[3]];
      }
    });
  }
  Array array;

 private:
  Scratch copy_;
};

// A result: `out` if it is one a kernel can write, else new. False if `out` is refused.
bool result(py::handle out, DType dtype, const int64_t (&shape)[4], bool last, bool dense_rows,
            const Array* const (&inputs)[2], py::object& object, Array& a) {
  if (out.is_none()) {
    object = empty_ordered(dtype, 4, shape, last ? kChannelsLast : kChannelsFirst, a);
    return true;
  }
  object = py::reinterpret_borrow<py::object>(out);
  if (!view(out, a) || a.ndim != 4 || a.dtype != dtype || !a.writeable) return false;
  if (!std::equal(shape, shape + 4, a.shape)) return false;
  int64_t least = 1;  // no element twice: every dimension steps over the one inside it
  for (int i = 3; i >= 0; --i) {
    const int d = (last ? kChannelsLast : kChannelsFirst)[i];
    if (shape[d] > 1 && a.stride[d] < least) return false;
    if (shape[d] > 1) least = a.stride[d] * shape[d];
  }
  if (dense_rows && shape[2] > 1 && a.stride[2] != shape[3]) return false;
  for (const Array* input : inputs)
    if (input && may_overlap(a, *input)) return false;
  return adjacent(a, last);
}

// ---- Work -------------------------------------------------------------------------------------
// Runs body(n, c, first, last, work) over bands of `rows` rows of every image, each first a
// multiple of `step`. Images small beside kChunkBytes share a chunk, larger ones are cut into
// bands.
template <class T, class F>
void for_bands(const Window& w, int64_t N, int64_t C, bool channels_last, int64_t rows,
               int64_t step, F&& body) {
  constexpr double kChunkBytes = 256 << 10;
  const int64_t images = channels_last ? N : N * C, channels = channels_last ? C : 1;
  const double elements = double(channels) * (double(w.H) * w.W + double(w.OH) * w.OW);
  const double taps = double(channels) * w.OH * w.OW * double(w.kh + w.kw);
  const double bytes = sizeof(T) * (elements + taps / 4);
  const int64_t group = bytes < kChunkBytes ? int64_t(kChunkBytes / bytes) : 1;
  const int64_t wanted = std::min<int64_t>(int64_t(bytes / kChunkBytes) + 1, rows);
  const int64_t band = ((rows + wanted - 1) / wanted + step - 1) / step * step;
  const int64_t bands = (rows + band - 1) / band;
  const int64_t groups = (images + group - 1) / group;
  const PoolOf<T>& k = kernels<T>();
  parallel_for(groups * bands, double(images) * bytes * 0.02, [&](int64_t chunk) {
    const int64_t first = chunk % bands * band, last = std::min(first + band, rows);
    const Scratch work(static_cast<size_t>(k.work_bytes(w, channels)));
    const int64_t end = std::min((chunk / bands + 1) * group, images);
    for (int64_t i = chunk / bands * group; i < end; ++i)
      body(channels_last ? i : i / C, channels_last ? 0 : i % C, first, last,
           work.template as<void>());
  });
}

template <class F>
auto by_type(DType dtype, F&& f) {
  return dtype == DType::f32 ? f(float()) : f(double());
}

// ---- Max --------------------------------------------------------------------------------------
template <class T>
void max_forward(const Window& w, const Array& x, bool last, const Array& y, int64_t* index) {
  const Input<T> input(x, last);
  const PoolOf<T>& k = kernels<T>();
  for_bands<T>(w, x.shape[0], x.shape[1], last, w.OH, 1,
               [&](int64_t n, int64_t c, int64_t from, int64_t to, void* work) {
                 const auto in = image<const T>(input.array, last, n, c);
                 const auto out = image<T>(y, last, n, c);
                 int64_t* where = index ? index + (out.data - y.ptr<T>()) : nullptr;
                 if (index && last)
                   k.max_index_last(w, x.shape[1], in, out, where, from, to, work);
                 else if (index)
                   k.max_index_plane(w, in, out, where, from, to, work);
                 else if (last)
                   k.max_last(w, x.shape[1], in, out, from, to, work);
                 else
                   k.max_plane(w, in, out, from, to, work);
               });
}

py::object max_pool(py::handle x_, py::handle kernel_size, py::handle stride, py::handle padding,
                    py::handle dilation, py::handle ceil_mode, py::handle out, bool with_index) {
  Array x, y, index;
  Options options;
  Window w;
  if (!view(x_, x) || x.ndim != 4 || !is_float(x)) return declined();
  if (!options.read(kernel_size, stride, padding, dilation, ceil_mode)) return declined();
  if (!options.window(x.shape[2], x.shape[3], w)) return declined();
  const bool last = is_channels_last(x);
  const int64_t shape[4] = {x.shape[0], x.shape[1], w.OH, w.OW};
  py::object result_object, index_object;
  if (!result(out, x.dtype, shape, last, false, {&x, nullptr}, result_object, y)) return declined();
  if (with_index)
    index_object =
        empty_ordered(DType::i64, 4, shape, last ? kChannelsLast : kChannelsFirst, index);
  if (y.size() > 0) {
    py::gil_scoped_release nogil;
    by_type(x.dtype, [&](auto t) {
      max_forward<decltype(t)>(w, x, last, y, with_index ? index.ptr<int64_t>() : nullptr);
    });
  }
  if (with_index) return py::make_tuple(result_object, index_object);
  return result_object;
}

py::object max_pool2d(py::handle x, py::handle kernel_size, py::handle stride, py::handle padding,
                      py::handle dilation, py::handle ceil_mode, py::handle out) {
  return max_pool(x, kernel_size, stride, padding, dilation, ceil_mode, out, false);
}
py::object max_pool2d_with_indices(py::handle x, py::handle kernel_size, py::handle stride,
                                   py::handle padding, py::handle dilation, py::handle ceil_mode) {
  return max_pool(x, kernel_size, stride, padding, dilation, ceil_mode, py::none(), true);
}

py::object max_pool2d_backward(py::handle g_, py::handle x_, py::handle kernel_size,
                               py::handle stride, py::handle padding, py::handle dilation,
                               py::handle ceil_mode, py::handle out) {
  Array g, x, dx;
  Options options;
  Window w;
  if (!view(x_, x) || x.ndim != 4 || !is_float(x)) return declined();
  if (!view(g_, g) || g.ndim != 4 || g.dtype != x.dtype) return declined();
  if (!options.read(kernel_size, stride, padding, dilation, ceil_mode)) return declined();
  if (!options.window(x.shape[2], x.shape[3], w)) return declined();
  const int64_t shape[4] = {x.shape[0], x.shape[1], w.OH, w.OW};
  if (!std::equal(shape, shape + 4, g.shape)) return declined();
  const bool last = is_channels_last(x);
  const int64_t like_x[4] = {x.shape[0], x.shape[1], w.H, w.W};
  py::object object;
  if (!result(out, x.dtype, like_x, last, !last, {&x, &g}, object, dx)) return declined();
  if (dx.size() == 0) return object;
  py::gil_scoped_release nogil;
  by_type(x.dtype, [&](auto t) {
    using T = decltype(t);
    const Input<T> input(x, last), gradient(g, last);
    const PoolOf<T>& k = kernels<T>();
    for_bands<T>(w, x.shape[0], x.shape[1], last, w.H, w.sh,
                 [&](int64_t n, int64_t c, int64_t from, int64_t to, void* work) {
                   const auto in = image<const T>(input.array, last, n, c);
                   const auto of = image<const T>(gradient.array, last, n, c);
                   const auto d = image<T>(dx, last, n, c);
                   if (last)
                     k.max_backward_last(w, x.shape[1], in, of, d, from, to, work);
                   else
                     k.max_backward_plane(w, in, of, d.data, from, to, work);
                 });
  });
  return object;
}

// ---- Average ----------------------------------------------------------------------------------
// The divisor of output (i, j) as a product; the window as torch counts it ends with the padding.
template <class T>
class DivisorTable {
 public:
  DivisorTable(const Options& o, const Window& w, bool count_include_pad, int64_t override_)
      : row_(w.OH), column_(w.OW) {
    for (int d = 0; d < 2; ++d) {
      const int64_t size = d ? w.W : w.H, pad = o.padding[d];
      std::vector<T>& table = d ? column_ : row_;
      for (int64_t i = 0; i < int64_t(table.size()); ++i) {
        const int64_t start = i * o.stride[d] - pad;
        const int64_t end = std::min(start + o.kernel[d], size + pad);
        const int64_t inside = std::min(end, size) - std::max<int64_t>(start, 0);
        const int64_t count = count_include_pad ? end - start : inside;
        table[i] = static_cast<T>(!override_ ? count : d ? 1 : override_);
      }
    }
  }
  Divisors<T> get() const { return {row_.data(), column_.data()}; }

 private:
  std::vector<T> row_, column_;
};

// Zero stands for None, as torch refuses a divisor of zero.
bool read_divisor(py::handle o, int64_t& value) {
  value = 0;
  return o.is_none() || (integer(o, value) && value != 0);
}

py::object avg_pool2d(py::handle x_, py::handle kernel_size, py::handle stride, py::handle padding,
                      py::handle ceil_mode, py::handle count_include_pad,
                      py::handle divisor_override, py::handle out) {
  Array x, y;
  Options options;
  Window w;
  bool include;
  int64_t divisor;
  if (!view(x_, x) || x.ndim != 4 || !is_float(x)) return declined();
  if (!options.read(kernel_size, stride, padding, {}, ceil_mode)) return declined();
  if (!boolean(count_include_pad, include)) return declined();
  if (!read_divisor(divisor_override, divisor)) return declined();
  if (!options.window(x.shape[2], x.shape[3], w)) return declined();
  const bool last = is_channels_last(x);
  const int64_t shape[4] = {x.shape[0], x.shape[1], w.OH, w.OW};
  py::object object;
  if (!result(out, x.dtype, shape, last, false, {&x, nullptr}, object, y)) return declined();
  if (y.size() == 0) return object;
  py::gil_scoped_release nogil;
  by_type(x.dtype, [&](auto t) {
    using T = decltype(t);
    const Input<T> input(x, last);
    const DivisorTable<T> by(options, w, include, divisor);
    const PoolOf<T>& k = kernels<T>();
    for_bands<T>(w, x.shape[0], x.shape[1], last, w.OH, 1,
                 [&](int64_t n, int64_t c, int64_t from, int64_t to, void* work) {
                   const auto in = image<const T>(input.array, last, n, c);
                   const auto of = image<T>(y, last, n, c);
                   if (last)
                     k.avg_last(w, x.shape[1], in, of, by.get(), from, to, work);
                   else
                     k.avg_plane(w, in, of, by.get(), from, to, work);
                 });
  });
  return object;
}

py::object avg_pool2d_backward(py::handle g_, py::handle input_size, py::handle kernel_size,
                               py::handle stride, py::handle padding, py::handle ceil_mode,
                               py::handle count_include_pad, py::handle divisor_override,
                               py::handle channels_last, py::handle out) {
  Array g, dx;
  Options options;
  Window w;
  bool include, last;
  int64_t size[2], divisor;
  if (!view(g_, g) || g.ndim != 4 || !is_float(g)) return declined();
  if (!pair(input_size, 1, kMaxSize, size)) return declined();
  if (!options.read(kernel_size, stride, padding, {}, ceil_mode)) return declined();
  if (!boolean(count_include_pad, include) || !boolean(channels_last, last)) return declined();
  if (!read_divisor(divisor_override, divisor)) return declined();
  if (!options.window(size[0], size[1], w)) return declined();
  if (g.shape[2] != w.OH || g.shape[3] != w.OW) return declined();
  const int64_t shape[4] = {g.shape[0], g.shape[1], w.H, w.W};
  py::object object;
  if (!result(out, g.dtype, shape, last, false, {&g, nullptr}, object, dx)) return declined();
  if (dx.size() == 0) return object;
  py::gil_scoped_release nogil;
  by_type(g.dtype, [&](auto t) {
    using T = decltype(t);
    const Input<T> gradient(g, last);
    const DivisorTable<T> by(options, w, include, divisor);
    const PoolOf<T>& k = kernels<T>();
    for_bands<T>(w, g.shape[0], g.shape[1], last, w.H, w.sh,
                 [&](int64_t n, int64_t c, int64_t from, int64_t to, void* work) {
                   const auto of = image<const T>(gradient.array, last, n, c);
                   const auto d = image<T>(dx, last, n, c);
                   if (last)
                     k.avg_backward_last(w, g.shape[1], of, d, by.get(), from, to, work);
                   else
                     k.avg_backward_plane(w, of, d, by.get(), from, to, work);
                 });
  });
  return object;
}
}  // namespace

void bind_pool(py::module_& m) {
  using py::arg;
  const py::none none;
  m.def("max_pool2d", &max_pool2d, arg("x"), arg("kernel_size"), arg("stride"), arg("padding"),
        arg("dilation"), arg("ceil_mode"), arg("out") = none);
  m.def("max_pool2d_with_indices", &max_pool2d_with_indices, arg("x"), arg("kernel_size"),
        arg("stride"), arg("padding"), arg("dilation"), arg("ceil_mode"));
  m.def("max_pool2d_backward", &max_pool2d_backward, arg("g"), arg("x"), arg("kernel_size"),
        arg("stride"), arg("padding"), arg("dilation"), arg("ceil_mode"), arg("out") = none);
  m.def("avg_pool2d", &avg_pool2d, arg("x"), arg("kernel_size"), arg("stride"), arg("padding"),
        arg("ceil_mode"), arg("count_include_pad"), arg("divisor_override"), arg("out") = none);
  m.def("avg_pool2d_backward", &avg_pool2d_backward, arg("g"), arg("input_size"),
        arg("kernel_size"), arg("stride"), arg("padding"), arg("ceil_mode"),
        arg("count_include_pad"), arg("divisor_override"), arg("channels_last"), arg("out") = none);
}
}  // namespace fd
