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
const PoolOf<T>& plane_kernels() {
  if constexpr (sizeof(T) == 4)
    return FD_TABLE(pool).f32;
  else
    return FD_TABLE(pool).f64;
}
template <class T>
const PoolLastOf<T>& last_kernels() {
  if constexpr (sizeof(T) == 4)
    return FD_TABLE(pool_last).f32;
  else
    return FD_TABLE(pool_last).f64;
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
    const int64_t step = stride[d], pad = padding[d], reach = (kernel[d] - 1) * dilation[d] + 1;
    const int64_t room = size + 2 * pad - reach + (ceil_mode ? step - 1 : 0);
    if (2 * pad > kernel[d] || room < 0 || size < 1 || size >= kMaxSize) return 0;
    int64_t n = room / step + 1;
    if (ceil_mode && (n - 1) * step >= size + pad) --n;
    return n;
  }

  // False if it is refused, or the plane is too large for 32-bit places in it.
  bool window(int64_t channels, int64_t height, int64_t width, Window& w) const {
    w = {height,    width,     outputs(0, height), outputs(1, width), kernel[0],   kernel[1],
         stride[0], stride[1], padding[0],         padding[1],        dilation[0], dilation[1]};
    if (channels < 1 || w.OH < 1 || w.OW < 1) return false;
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

// The distance of two pixels; where rows have one pixel, of two rows.
int64_t pixel(const Array& a, bool last) { return !last ? 1 : a.stride[a.shape[3] == 1 ? 2 : 3]; }

// The image (n, c) of an array; c is 0 for channels-last.
template <class T>
Image<T> image(const Array& a, bool last, int64_t n, int64_t c) {
  T* data = a.ptr<T>() + n * a.stride[0] + c * a.stride[1];
  return {data, a.stride[2], pixel(a, last)};
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
  if (dense_rows && shape[2] > 1 && a.stride[2] != shape[3] * pixel(a, last)) return false;
  for (const Array* input : inputs)
    if (input && may_overlap(a, *input)) return false;
  return adjacent(a, last);
}

// ---- Work -------------------------------------------------------------------------------------
// The arrays of one call: x and y, g and dx, or all but y. Of these `result` is written.
struct Call {
  Window w;
  bool channels_last;
  const Array *x, *y, *g, *dx;
  int64_t* index;  // beside y

  const Array& result() const { return y ? *y : *dx; }
  int64_t rows() const { return y ? w.OH : w.H; }
};
template <class T>
struct Images {
  Image<const T> x, g;
  Image<T> out;
  int64_t* index;
};

// What a band of the result needs of the inputs: rows [top, bottom) of x, [first, last) of g.
struct Reach {
  int64_t first, last, top, bottom;

  Reach(const Call& call, int64_t from, int64_t to) : first(from), last(to) {
    const Window& w = call.w;
    if (!call.y) windows_over(w, from, to, first, last);
    if (first >= last) {
      first = last = top = bottom = 0;
      return;
    }
    top = std::max<int64_t>(first * w.sh - w.ph, 0);
    bottom = std::max(top, std::min((last - 1) * w.sh - w.ph + (w.kh - 1) * w.dh + 1, w.H));
  }
};

// Rows of outputs shorter than a register leave it empty, and strides over 2 split slowly: then a
// register of planes at a time is transposed to channels-last. The folds of an output row both
// ways, with weights fitted to measurements.
bool transposing_pays(const Window& w, int64_t lanes, int64_t planes) {
  if (is_2x2(w) || planes < lanes / 2) return false;
  const int64_t fresh = std::min(w.kh, w.sh);  // rows not folded for the output row before
  const int64_t blocks = (w.OW + lanes - 1) / lanes;
  const int64_t split = w.sw > 2 ? fresh * w.W : 0;
  const int64_t by_row = blocks * (w.kh + fresh * w.kw) + 6 * (fresh + 1) + split;
  return 3 * (w.OW * w.kh * w.kw + fresh * w.W) < lanes * by_row;
}

// Calls plane(images, first, last, work) for bands of every plane, or last(channels, images, first,
// last, work) for bands of every channels-last image. Images small beside kChunkBytes share a
// chunk, larger ones are cut into bands of rows, each from a multiple of sh.
template <class T, class Plane, class Last>
void for_bands(const Call& call, Plane&& plane, Last&& last) {
  constexpr double kChunkBytes = 256 << 10;
  const Window& w = call.w;
  const Array& result = call.result();
  const int64_t N = result.shape[0], C = result.shape[1], rows = call.rows();
  const PoolLastOf<T>& k = last_kernels<T>();
  const bool transposed = !call.channels_last && transposing_pays(w, k.lanes, C);
  const int64_t channels = call.channels_last ? C : transposed ? k.lanes : 1;
  const int64_t per_image = (C + channels - 1) / channels, images = N * per_image;

  const double elements = double(channels) * (double(w.H) * w.W + double(w.OH) * w.OW);
  const double taps = double(channels) * w.OH * w.OW * double(w.kh + w.kw);
  const double bytes = sizeof(T) * (elements + taps / 4);
  const int64_t group = bytes < kChunkBytes ? int64_t(kChunkBytes / bytes) : 1;
  const int64_t wanted = std::min<int64_t>(int64_t(bytes / kChunkBytes) + 1, rows);
  // Bands repeat the rows their windows share, so they are tall beside those.
  const int64_t tall = std::max((rows + wanted - 1) / wanted, 4 * (w.kh - 1) * w.dh);
  const int64_t band = (std::min(tall, rows) + w.sh - 1) / w.sh * w.sh;
  const int64_t bands = (rows + band - 1) / band, groups = (images + group - 1) / group;

  const int64_t plane_bytes = plane_kernels<T>().work_bytes(w);
  parallel_for(groups * bands, double(images) * bytes * 0.02, [&](int64_t chunk) {
    const int64_t from = chunk % bands * band, to = std::min(from + band, rows);
    const int64_t end = std::min((chunk / bands + 1) * group, images);
    const Reach reach(call, from, to);
    const int64_t work_size = w.OW * channels * (call.x && call.g ? reach.last - reach.first : 1);
    // Transposed copies of the bands: of x, g and the result, whose rows are w.W or w.OW long.
    const int64_t out_width = call.y ? w.OW : w.W;
    const int64_t x_size = call.x ? (reach.bottom - reach.top) * w.W * channels : 0;
    const int64_t g_size = call.g ? (reach.last - reach.first) * w.OW * channels : 0;
    const int64_t out_size = (to - from) * out_width * channels;
    const int64_t copies = transposed ? x_size + g_size + out_size : 0;
    const Scratch scratch(transposed || call.channels_last
                              ? static_cast<size_t>((work_size + copies) * sizeof(T) +
                                                    (transposed ? out_size * 8 : 0))
                              : static_cast<size_t>(plane_bytes));
    for (int64_t i = chunk / bands * group; i < end; ++i) {
      const int64_t n = i / per_image, c = i % per_image * channels;
      Images<T> m;
      if (call.x) m.x = image<const T>(*call.x, call.channels_last, n, c);
      if (call.g) m.g = image<const T>(*call.g, call.channels_last, n, c);
      m.out = image<T>(result, call.channels_last, n, c);
      m.index = call.index ? call.index + (m.out.data - result.ptr<T>()) : nullptr;
      if (!transposed) {
        if (call.channels_last)
          last(C, m, from, to, scratch.template as<T>());
        else
          plane(m, from, to, scratch.template as<void>());
        continue;
      }
      const int64_t planes = std::min<int64_t>(C - c, channels);
      T* next = scratch.template as<T>() + work_size;
      const auto copy_in = [&](Image<const T>& in, const Array& a, int64_t top, int64_t bottom) {
        if (bottom <= top) return;
        const int64_t width = a.shape[3], row = width * channels;
        k.gather(in.data + top * in.row, a.stride[1], in.row, planes, bottom - top, width, next);
        in = {next - top * row, row, channels};
        next += (bottom - top) * row;
      };
      if (call.x) copy_in(m.x, *call.x, reach.top, reach.bottom);
      if (call.g) copy_in(m.g, *call.g, reach.first, reach.last);
      Images<T> t = m;
      t.out = {next - from * out_width * channels, out_width * channels, channels};
      int64_t* places = reinterpret_cast<int64_t*>(next + out_size);
      t.index = places - from * t.out.row;
      last(channels, t, from, to, scratch.template as<T>());
      k.scatter(next, planes, to - from, out_width, m.out.data + from * m.out.row, result.stride[1],
                m.out.row);
      if (!m.index) continue;
      for (int64_t p = 0; p < planes; ++p)
        for (int64_t r = from; r < to; ++r)
          for (int64_t j = 0; j < out_width; ++j)
            m.index[p * result.stride[1] + r * m.out.row + j] =
                t.index[r * t.out.row + j * channels + p];
    }
  });
}

template <class F>
void by_type(DType dtype, F&& f) {
  dtype == DType::f32 ? f(float()) : f(double());
}

// ---- Max --------------------------------------------------------------------------------------
py::object max_pool(py::handle x_, py::handle kernel_size, py::handle stride, py::handle padding,
                    py::handle dilation, py::handle ceil_mode, py::handle out, bool with_index) {
  Array x, y, index;
  Options options;
  Window w;
  if (!view(x_, x) || x.ndim != 4 || !is_float(x)) return declined();
  if (!options.read(kernel_size, stride, padding, dilation, ceil_mode)) return declined();
  if (!options.window(x.shape[1], x.shape[2], x.shape[3], w)) return declined();
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
      using T = decltype(t);
      const Input<T> input(x, last);
      const PoolOf<T>& k = plane_kernels<T>();
      const PoolLastOf<T>& l = last_kernels<T>();
      Call call{w, last, &input.array, &y, nullptr, nullptr, nullptr};
      if (with_index) {
        call.index = index.ptr<int64_t>();
        for_bands<T>(
            call,
            [&](const Images<T>& m, int64_t from, int64_t to, void* work) {
              k.max_index(w, m.x, m.out, m.index, from, to, work);
            },
            [&](int64_t channels, const Images<T>& m, int64_t from, int64_t to, T*) {
              l.max_index(w, channels, m.x, m.out, m.index, from, to);
            });
      } else {
        for_bands<T>(
            call,
            [&](const Images<T>& m, int64_t from, int64_t to, void* work) {
              k.max(w, m.x, m.out, from, to, work);
            },
            [&](int64_t channels, const Images<T>& m, int64_t from, int64_t to, T*) {
              l.max(w, channels, m.x, m.out, from, to);
            });
      }
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
  if (!options.window(x.shape[1], x.shape[2], x.shape[3], w)) return declined();
  const int64_t shape[4] = {x.shape[0], x.shape[1], w.OH, w.OW};
  if (!std::equal(shape, shape + 4, g.shape)) return declined();
  const bool last = is_channels_last(x);
  const int64_t like_x[4] = {x.shape[0], x.shape[1], w.H, w.W};
  py::object object;
  if (!result(out, x.dtype, like_x, last, true, {&x, &g}, object, dx)) return declined();
  if (dx.size() == 0) return object;
  py::gil_scoped_release nogil;
  by_type(x.dtype, [&](auto t) {
    using T = decltype(t);
    const Input<T> input(x, last), gradient(g, last);
    const Call call{w, last, &input.array, nullptr, &gradient.array, &dx, nullptr};
    for_bands<T>(
        call,
        [&](const Images<T>& m, int64_t from, int64_t to, void* work) {
          plane_kernels<T>().max_backward(w, m.x, m.g, m.out, from, to, work);
        },
        [&](int64_t channels, const Images<T>& m, int64_t from, int64_t to, T* work) {
          last_kernels<T>().max_backward(w, channels, m.x, m.g, m.out, from, to, work);
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
  if (!options.window(x.shape[1], x.shape[2], x.shape[3], w)) return declined();
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
    const Call call{w, last, &input.array, &y, nullptr, nullptr, nullptr};
    for_bands<T>(
        call,
        [&](const Images<T>& m, int64_t from, int64_t to, void* work) {
          plane_kernels<T>().avg(w, m.x, m.out, by.get(), from, to, work);
        },
        [&](int64_t channels, const Images<T>& m, int64_t from, int64_t to, T*) {
          last_kernels<T>().avg(w, channels, m.x, m.out, by.get(), from, to);
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
  if (!options.window(g.shape[1], size[0], size[1], w)) return declined();
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
    const Call call{w, last, nullptr, nullptr, &gradient.array, &dx, nullptr};
    for_bands<T>(
        call,
        [&](const Images<T>& m, int64_t from, int64_t to, void* work) {
          plane_kernels<T>().avg_backward(w, m.g, m.out, by.get(), from, to, work);
        },
        [&](int64_t channels, const Images<T>& m, int64_t from, int64_t to, T* work) {
          last_kernels<T>().avg_backward(w, channels, m.g, m.out, by.get(), from, to, work);
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
