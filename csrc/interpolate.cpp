// Resampling of [N, C, spatial...] axis by axis (kernels/cpu/interpolate.inc): checks, and the cut
// into chunks. Interpolation, its gradient and adaptive averages differ in their tables only.
#include "../kernels/cpu/interpolate.h"

#include <algorithm>
#include <vector>

#include "../kernels/cpu/pool.h"
#include "array.h"
#include "isa.h"
#include "layout.h"
#include "memory.h"
#include "threads.h"

namespace fd {
namespace {

constexpr int kAxes = 3;                   // spatial ones; a missing one has size 1
constexpr int64_t kMostChannels = 1024;    // of a channels-last chunk
constexpr double kChunkBytes = 256 << 10;  // of the intermediate arrays of a chunk

template <class T>
const InterpolateOf<T>& kernels() {
  if constexpr (sizeof(T) == 4)
    return FD_TABLE(interpolate).f32;
  else
    return FD_TABLE(interpolate).f64;
}
template <class T>
const PoolLastOf<T>& transposes() {
  if constexpr (sizeof(T) == 4)
    return FD_TABLE(pool_last).f32;
  else
    return FD_TABLE(pool_last).f64;
}

struct Axis {
  int64_t in = 1, out = 1;
  bool mixed = false;  // else it stays as it is
  Array first, index, weight;
};

bool dense(const Array& a) { return a.ndim == 1 && (a.size() < 2 || a.stride[0] == 1); }

// A table (first, index, weight), or None for an axis that stays.
bool read(py::handle table, DType dtype, Axis& axis) {
  if (table.is_none()) return axis.in == axis.out;
  if (!PyTuple_Check(table.ptr()) || PyTuple_GET_SIZE(table.ptr()) != 3) return false;
  if (!view(PyTuple_GET_ITEM(table.ptr(), 0), axis.first)) return false;
  if (!view(PyTuple_GET_ITEM(table.ptr(), 1), axis.index)) return false;
  if (!view(PyTuple_GET_ITEM(table.ptr(), 2), axis.weight)) return false;
  if (axis.first.dtype != DType::i64 || axis.index.dtype != DType::i64) return false;
  if (axis.weight.dtype != dtype || !dense(axis.first) || !dense(axis.index)) return false;
  if (!dense(axis.weight) || axis.first.size() != axis.out + 1) return false;
  if (axis.index.size() != axis.weight.size()) return false;
  const int64_t* first = axis.first.ptr<int64_t>();
  if (first[0] != 0 || first[axis.out] != axis.index.size()) return false;
  for (int64_t o = 0; o < axis.out; ++o)
    if (first[o] > first[o + 1]) return false;
  for (int64_t k = 0; k < axis.index.size(); ++k) {
    const int64_t i = axis.index.ptr<int64_t>()[k];
    if (i < 0 || i >= axis.in) return false;
  }
  axis.mixed = true;
  return true;
}

template <class T>
struct Job {
  const T* x;
  T* y;
  int64_t images, channels;  // images is 1 and channels are all planes unless `last`
  bool last;
  Axis axis[kAxes];

  int64_t band_axis() const {  // the outermost axis that is one
    for (int a = 0; a < kAxes; ++a)
      if (axis[a].in > 1 || axis[a].out > 1) return a;
    return kAxes - 1;
  }
  // Those that are mixed, shrinking ones before growing ones, and inner ones first: the last pass
  // is the largest, and its runs are then the longest.
  std::vector<int> passes() const {
    std::vector<int> order;
    for (int a = kAxes - 1; a >= 0; --a)
      if (axis[a].mixed) order.push_back(a);
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
      return axis[a].out * axis[b].in < axis[b].out * axis[a].in;
    });
    return order;
  }
};

// What the outputs [from, to) of an axis read: inputs [low, high).
void reach(const Axis& axis, int64_t from, int64_t to, int64_t& low, int64_t& high) {
  low = from, high = to;
  if (!axis.mixed) return;
  const int64_t* first = axis.first.ptr<int64_t>();
  const int64_t* index = axis.index.ptr<int64_t>();
  low = high = 0;
  if (first[from] == first[to]) return;
  const auto [least, most] = std::minmax_element(index + first[from], index + first[to]);
  low = *least, high = *most + 1;
}

template <class T>
void run(const Job<T>& job) {
  const InterpolateOf<T>& ops = kernels<T>();
  const PoolLastOf<T>& turn = transposes<T>();
  const int band_axis = static_cast<int>(job.band_axis());
  const std::vector<int> passes = job.passes();
  int64_t in = 1, out = 1;  // pixels of an image
  for (const Axis& a : job.axis) in *= a.in, out *= a.out;

  // A chunk is a block of channels (a register of planes, if they have to be transposed) of a band.
  const int64_t bands_in = job.axis[band_axis].in, bands_out = job.axis[band_axis].out;
  const int64_t across = job.last ? std::min(job.channels, kMostChannels) : ops.lanes;
  const int64_t blocks = (job.channels + across - 1) / across;
  const double image = double(across) * double(2 * in + 2 * out) * sizeof(T);
  const int64_t wanted = std::min<int64_t>(int64_t(image / kChunkBytes) + 1, bands_out);
  // Bands repeat the inputs their outputs share.
  const int64_t band = std::min(std::max<int64_t>((bands_out + wanted - 1) / wanted, 8), bands_out);
  const int64_t bands = (bands_out + band - 1) / band;
  const double moved = double(job.images) * double(job.channels) * double(in + out) * sizeof(T);
  parallel_for(job.images * blocks * bands, 0.15 * moved, [&](int64_t i) {
    const int64_t from = i % bands * band, to = std::min(from + band, bands_out);
    i /= bands;
    const int64_t n = i / blocks, c = i % blocks * across;
    const int64_t m = job.last ? std::min(across, job.channels - c) : across;
    int64_t low, high;
    reach(job.axis[band_axis], from, to, low, high);

    // The sizes before and after each pass, and two buffers for the largest of them.
    int64_t size[kAxes], most = 0;
    for (int a = 0; a < kAxes; ++a) size[a] = a == band_axis ? high - low : job.axis[a].in;
    const int64_t x_rest = in / bands_in, y_rest = out / bands_out;
    most = std::max((high - low) * x_rest, (to - from) * y_rest);
    {
      int64_t later[kAxes] = {size[0], size[1], size[2]};
      for (int a : passes) {
        later[a] = a == band_axis ? to - from : job.axis[a].out;
        most = std::max(most, later[0] * later[1] * later[2]);
      }
    }
    const Scratch scratch(static_cast<size_t>(2 * most * m) * sizeof(T));
    T* const buffer[2] = {scratch.template as<T>(), scratch.template as<T>() + most * m};

    // Where the pixels lie now, and how far apart.
    const T* now;
    int64_t pixel = m;
    int other = 0;
    if (job.last) {
      now = job.x + n * in * job.channels + low * x_rest * job.channels + c;
      pixel = job.channels;
    } else {
      const int64_t planes = std::min(m, job.channels - c);
      turn.gather(job.x + c * in + low * x_rest, in, 0, planes, 1, (high - low) * x_rest,
                  buffer[0]);
      now = buffer[0];
      other = 1;
    }
    T* const y = job.y + (job.last ? n * out * job.channels + from * y_rest * job.channels + c
                                   : c * out + from * y_rest);
    for (size_t p = 0; p < passes.size(); ++p) {
      const int a = passes[p];
      const Axis& axis = job.axis[a];
      const bool banded = a == band_axis, direct = job.last && p + 1 == passes.size();
      int64_t outer = 1, inner = 1;
      for (int b = 0; b < a; ++b) outer *= size[b];
      for (int b = a + 1; b < kAxes; ++b) inner *= size[b];
      const int64_t first = banded ? from : 0, end = banded ? to : axis.out;
      T* const next = direct ? y : buffer[other];
      const int64_t next_pixel = direct ? job.channels : m;
      const Mixture<T> mixture = {axis.first.ptr<int64_t>(), axis.index.ptr<int64_t>(),
                                  axis.weight.ptr<T>()};
      for (int64_t o = 0; o < outer; ++o) {
        const T* start = now + o * size[a] * inner * pixel;
        if (banded) start -= low * inner * pixel;
        ops.mix(mixture, first, end, {start, inner * pixel, pixel},
                {next + o * (end - first) * inner * next_pixel, inner * next_pixel, next_pixel},
                inner, m);
      }
      size[a] = end - first;
      now = next;
      pixel = next_pixel;
      other = 1 - other;
    }
    if (!job.last)
      turn.scatter(now, std::min(m, job.channels - c), 1, (to - from) * y_rest, y, out, 0);
  });
}

// y[N, C, out...] of x[N, C, in...] by a table for each spatial axis; both dense, in NCHW or both
// channels-last. At least one axis is mixed.
py::object resample(py::handle x_, py::tuple tables, bool last, py::handle y_) {
  Array x, y;
  if (!view(x_, x) || !view(y_, y) || x.ndim != y.ndim || x.dtype != y.dtype) return declined();
  const int axes = x.ndim - 2;
  if (axes < 1 || axes > kAxes || int64_t(tables.size()) != axes) return declined();
  if (x.dtype != DType::f32 && x.dtype != DType::f64) return declined();
  if (!y.writeable || may_overlap(x, y) || (last && x.ndim != 4)) return declined();
  if (x.shape[0] != y.shape[0] || x.shape[1] != y.shape[1]) return declined();
  if (!is_dense(x, last) || !is_dense(y, last)) return declined();
  Axis axis[kAxes];
  bool any = false;
  for (int i = 0; i < axes; ++i) {
    Axis& a = axis[kAxes - axes + i];
    a.in = x.shape[2 + i];
    a.out = y.shape[2 + i];
    if (a.in < 1 || !read(PyTuple_GET_ITEM(tables.ptr(), i), x.dtype, a)) return declined();
    any = any || a.mixed;
  }
  if (!any) return declined();
  if (y.size() > 0) {
    py::gil_scoped_release nogil;
    const auto start = [&](auto t) {
      using T = decltype(t);
      Job<T> job = {x.ptr<T>(), y.ptr<T>(), x.shape[0], x.shape[1], last, {}};
      if (!last) job.channels *= job.images, job.images = 1;
      std::copy_n(axis, kAxes, job.axis);
      run(job);
    };
    x.dtype == DType::f32 ? start(float()) : start(double());
  }
  return py::reinterpret_borrow<py::object>(y_);
}
}  // namespace

void bind_interpolate(py::module_& m) {
  m.def("resample", &resample, py::arg("x"), py::arg("tables"), py::arg("channels_last"),
        py::arg("y"));
}
}  // namespace fd
