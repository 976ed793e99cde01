// Adaptive max pooling, and scattering and gathering within planes: checks, and the cut into
// chunks.
#include "../kernels/cpu/pool_adaptive.h"

#include <algorithm>
#include <atomic>

#include "array.h"
#include "isa.h"
#include "layout.h"
#include "memory.h"
#include "threads.h"

namespace fd {
namespace {

template <class T>
const PoolAdaptiveOf<T>& kernels() {
  if constexpr (sizeof(T) == 4)
    return FD_TABLE(pool_adaptive).f32;
  else
    return FD_TABLE(pool_adaptive).f64;
}
template <class T>
const PoolLastOf<T>& transposes() {
  if constexpr (sizeof(T) == 4)
    return FD_TABLE(pool_last).f32;
  else
    return FD_TABLE(pool_last).f64;
}

bool is_float(const Array& a) { return a.dtype == DType::f32 || a.dtype == DType::f64; }

template <class T>
void adaptive_max(const Array& x, const Array& y, const Array& index, bool last) {
  const PoolAdaptiveOf<T>& k = kernels<T>();
  const int64_t H = x.shape[2], W = x.shape[3], OH = y.shape[2], OW = y.shape[3];
  const int64_t in = H * W, out = OH * OW, channels = x.shape[1];
  int64_t* const places = index.ptr<int64_t>();
  const double cost = double(x.size()) * sizeof(T) * 0.1;
  if (last) {
    parallel_for(x.shape[0] * OH, cost, [&](int64_t i) {
      const int64_t n = i / OH, row = i % OH, to = n * out * channels;
      k.max(H, W, OH, OW, channels, {x.ptr<T>() + n * in * channels, W * channels, channels},
            {y.ptr<T>() + to, OW * channels, channels}, places + to, row, row + 1);
    });
    return;
  }
  // A register of planes at a time is transposed to channels-last.
  const PoolLastOf<T>& turn = transposes<T>();
  const int64_t lanes = k.lanes, planes = x.shape[0] * channels;
  parallel_for((planes + lanes - 1) / lanes, cost, [&](int64_t i) {
    const int64_t first = i * lanes, count = std::min(lanes, planes - first);
    const Scratch values(static_cast<size_t>((in + out) * lanes) * sizeof(T));
    const Scratch found(static_cast<size_t>(out * lanes) * sizeof(int64_t));
    T* const turned = values.template as<T>();
    T* const result = turned + in * lanes;
    turn.gather(x.ptr<T>() + first * in, in, 0, count, 1, in, turned);
    k.max(H, W, OH, OW, lanes, {turned, W * lanes, lanes}, {result, OW * lanes, lanes},
          found.template as<int64_t>(), 0, OH);
    turn.scatter(result, count, 1, out, y.ptr<T>() + first * out, out, 0);
    for (int64_t p = 0; p < count; ++p)
      for (int64_t o = 0; o < out; ++o)
        places[(first + p) * out + o] = found.template as<int64_t>()[o * lanes + p];
  });
}

// x[N, C, H, W] into y and index[N, C, OH, OW], all dense in one format.
py::object adaptive_max_pool2d(py::handle x_, bool last, py::handle y_, py::handle index_) {
  Array x, y, index;
  if (!view(x_, x) || !view(y_, y) || !view(index_, index)) return declined();
  if (x.ndim != 4 || y.ndim != 4 || index.ndim != 4 || !is_float(x)) return declined();
  if (y.dtype != x.dtype || index.dtype != DType::i64) return declined();
  if (!y.writeable || !index.writeable || !std::equal(y.shape, y.shape + 4, index.shape))
    return declined();
  if (x.shape[0] != y.shape[0] || x.shape[1] != y.shape[1]) return declined();
  if (!is_dense(x, last) || !is_dense(y, last) || !is_dense(index, last)) return declined();
  if (may_overlap(x, y) || may_overlap(x, index) || may_overlap(y, index)) return declined();
  // Places of 32 bits in the kernel, and i * H must not overflow.
  constexpr int64_t kMost = int64_t{1} << 31;
  for (int d = 2; d < 4; ++d)
    if (x.shape[d] < 1 || x.shape[d] >= kMost || y.shape[d] >= kMost) return declined();
  if (x.shape[2] * x.shape[3] >= kMost) return declined();
  if (y.size() > 0) {
    py::gil_scoped_release nogil;
    if (x.dtype == DType::f32)
      adaptive_max<float>(x, y, index, last);
    else
      adaptive_max<double>(x, y, index, last);
  }
  return py::make_tuple(py::reinterpret_borrow<py::object>(y_),
                        py::reinterpret_borrow<py::object>(index_));
}

enum class Way { put, add, take };

// False if a place is not within its plane.
template <class T>
bool move(Way way, const Array& list, const Array& index, const Array& plane) {
  const PoolAdaptiveOf<T>& k = kernels<T>();
  const int64_t planes = list.shape[0], n = list.shape[1], size = plane.shape[1];
  const int64_t group = std::max<int64_t>(1, (1 << 14) / std::max<int64_t>(n + size, 1));
  const double cost = double(planes) * (double(n) + double(size) * 0.2);
  std::atomic<bool> inside = true;
  parallel_for((planes + group - 1) / group, cost, [&](int64_t i) {
    for (int64_t p = i * group; p < std::min((i + 1) * group, planes); ++p) {
      const int64_t* const places = index.ptr<int64_t>() + p * n;
      uint64_t most = 0;
      for (int64_t j = 0; j < n; ++j) most = std::max(most, static_cast<uint64_t>(places[j]));
      if (n && most >= static_cast<uint64_t>(size)) {
        inside = false;
        return;
      }
      T* const values = list.ptr<T>() + p * n;
      T* const to = plane.ptr<T>() + p * size;
      if (way == Way::take) {
        k.take(to, places, n, values);
        continue;
      }
      std::fill_n(to, size, T(0));
      (way == Way::put ? k.put : k.add)(values, places, n, to);
    }
  });
  return inside;
}

// values[planes, n] and index[planes, n] to or from plane[planes, size]; all dense, places in
// range.
py::object planes(Way way, py::handle values_, py::handle index_, py::handle plane_) {
  Array values, index, plane;
  if (!view(values_, values) || !view(index_, index) || !view(plane_, plane)) return declined();
  if (values.ndim != 2 || index.ndim != 2 || plane.ndim != 2 || !is_float(values))
    return declined();
  if (plane.dtype != values.dtype || index.dtype != DType::i64) return declined();
  if (!std::equal(values.shape, values.shape + 2, index.shape)) return declined();
  if (plane.shape[0] != values.shape[0]) return declined();
  if (!is_dense(values, false) || !is_dense(index, false) || !is_dense(plane, false))
    return declined();
  const bool take = way == Way::take;
  if (!(take ? values : plane).writeable || may_overlap(values, plane)) return declined();
  bool inside;
  {
    py::gil_scoped_release nogil;
    inside = values.dtype == DType::f32 ? move<float>(way, values, index, plane)
                                        : move<double>(way, values, index, plane);
  }
  if (!inside) return declined();
  return py::reinterpret_borrow<py::object>(take ? values_ : plane_);
}
py::object plane_put(py::handle values, py::handle index, py::handle plane) {
  return planes(Way::put, values, index, plane);
}
py::object plane_add(py::handle values, py::handle index, py::handle plane) {
  return planes(Way::add, values, index, plane);
}
py::object plane_take(py::handle values, py::handle index, py::handle plane) {
  return planes(Way::take, values, index, plane);
}
}  // namespace

void bind_pool_adaptive(py::module_& m) {
  using py::arg;
  m.def("adaptive_max_pool2d", &adaptive_max_pool2d, arg("x"), arg("channels_last"), arg("y"),
        arg("index"));
  m.def("plane_put", &plane_put, arg("values"), arg("index"), arg("plane"));
  m.def("plane_add", &plane_add, arg("values"), arg("index"), arg("plane"));
  m.def("plane_take", &plane_take, arg("values"), arg("index"), arg("plane"));
}
}  // namespace fd
