// Layer, group and RMS norm (rows), batch norm (channels over a batch), and their gradients.
//
// Sums over rows or blocks are made chunk by chunk and combined in the order of the chunks, which
// are cut by shapes only.
#include "../kernels/cpu/norm.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "isa.h"
#include "layout.h"
#include "loops.h"

namespace fd {
namespace {

constexpr int64_t kChunk = 1 << 14;           // numbers of a chunk of parallel work
constexpr double kNanosecondsPerByte = 0.05;  // read or written
constexpr int kFirst[kMaxDims] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

bool is_float(const Array& a) { return a.dtype == DType::f32 || a.dtype == DType::f64; }

// A vector of parameters, dense; nothing for None. False for what does not fit.
struct Vector {
  Array array;
  bool given = false;
  std::optional<Scratch> packed;

  bool read(py::handle object, DType dtype, int64_t size) {
    given = !object.is_none();
    if (!given) return true;
    if (!view(object, array) || array.dtype != dtype || array.size() != size) return false;
    make_dense(array, kFirst, packed);
    return true;
  }
  const void* data() const { return given ? array.data : nullptr; }
};

// An output in C order, channels-last in memory if asked.
py::object make_output(Output& out, py::handle object, const Array& like, bool last,
                       std::initializer_list<const Array*> inputs) {
  py::object target = py::reinterpret_borrow<py::object>(object);
  if (last && object.is_none()) {
    Array made;
    target = empty_ordered(like.dtype, like.ndim, like.shape, kChannelsLast, made);
  }
  return out.make(target, like.dtype, like.ndim, like.shape, kFirst, inputs) ? target
                                                                             : py::object();
}

// x as rows of channels * inner numbers in C order, of which `samples` share a set of groups.
struct RowCall {
  Array x;
  bool last;
  std::optional<Scratch> packed;
  NormRows rows{};
  int64_t samples = 1;

  bool read(py::handle x_object, int64_t width, int64_t groups, int64_t inner, double eps,
            bool center) {
    if (!view(x_object, x) || !is_float(x)) return false;
    last = is_channels_last(x);
    rows.groups = groups;
    rows.channels = width;
    rows.inner = inner;
    rows.eps = eps;
    rows.center = center;
    const int64_t one = width * inner * groups;
    samples = one ? x.size() / one : 0;
    return samples * one == x.size();
  }
  int64_t item() const { return itemsize(x.dtype); }
  int64_t sample() const { return rows.groups * rows.channels * rows.inner; }
  int64_t samples_of_a_chunk() const { return std::max<int64_t>(1, kChunk / sample()); }
};

py::object norm_rows(py::handle x_object, py::handle weight_object, py::handle bias_object,
                     int64_t width, int64_t groups, int64_t inner, double eps, bool center,
                     py::handle out) {
  RowCall call;
  Vector weight, bias;
  Output y;
  if (!call.read(x_object, width, groups, inner, eps, center)) return declined();
  if (!weight.read(weight_object, call.x.dtype, width * groups) ||
      !bias.read(bias_object, call.x.dtype, width * groups))
    return declined();
  if (!make_output(
          y, out, call.x, call.last,
          {&call.x, weight.given ? &weight.array : &call.x, bias.given ? &bias.array : &call.x}))
    return declined();
  if (call.x.size() == 0) return y.done();
  make_dense(call.x, kFirst, call.packed);
  // Rows of different groups may run apart.
  const int64_t row = width * inner, rows = call.samples * groups;
  const int64_t most = std::max<int64_t>(1, kChunk / row);
  const int64_t step = groups == 1 ? most : most >= groups ? most / groups * groups : 1;
  const auto kernel = FD_TABLE(norm).rows[call.x.dtype == DType::f64];
  const double bytes = 4.0 * static_cast<double>(call.x.size() * call.item());
  run_chunks((rows + step - 1) / step, bytes * kNanosecondsPerByte, [&](int64_t c) {
    NormRows s = call.rows;
    const int64_t first = c * step, at = first * row * call.item();
    const int64_t channel = first % groups * width * call.item();
    s.x = call.x.ptr<char>() + at;
    s.y = y.dense().ptr<char>() + at;
    s.rows = std::min(step, rows - first);
    s.groups = step == 1 ? 1 : groups;
    s.weight = weight.given ? weight.array.ptr<char>() + channel : nullptr;
    s.bias = bias.given ? bias.array.ptr<char>() + channel : nullptr;
    kernel(s);
  });
  return y.done();
}

// total[i] = parts[0][i] + parts[1][i] + ..., in this order
template <class T>
void add_up(const T* parts, int64_t count, int64_t n, int64_t stride, T* total) {
  for (int64_t i = 0; i < n; ++i) total[i] = 0;
  for (int64_t part = 0; part < count; ++part)
    for (int64_t i = 0; i < n; ++i) total[i] += parts[part * stride + i];
}

py::object norm_rows_backward(py::handle g_object, py::handle x_object, py::handle weight_object,
                              int64_t width, int64_t groups, int64_t inner, double eps, bool center,
                              py::handle out) {
  RowCall call;
  Array g, dw, db;
  Vector weight;
  Output dx;
  if (!call.read(x_object, width, groups, inner, eps, center) || !view(g_object, g))
    return declined();
  if (g.dtype != call.x.dtype || !same_shape(g, call.x)) return declined();
  const int64_t channels = width * groups, item = call.item();
  if (!weight.read(weight_object, call.x.dtype, channels)) return declined();
  if (!make_output(dx, out, call.x, call.last,
                   {&call.x, &g, weight.given ? &weight.array : &call.x}))
    return declined();
  py::object dw_object = empty(call.x.dtype, 1, &channels, dw);
  py::object db_object = empty(call.x.dtype, 1, &channels, db);
  std::optional<Scratch> packed;
  const bool any = call.x.size() > 0;
  if (any) make_dense(call.x, kFirst, call.packed);
  if (any) make_dense(g, kFirst, packed);
  const int64_t step = any ? call.samples_of_a_chunk() : 1;
  const int64_t chunks = any ? (call.samples + step - 1) / step : 0;
  Scratch parts(static_cast<size_t>(chunks * 2 * channels * item));
  const auto kernel = FD_TABLE(norm).rows_backward[call.x.dtype == DType::f64];
  const double bytes = 7.0 * static_cast<double>(call.x.size() * item);
  run_chunks(chunks, bytes * kNanosecondsPerByte, [&](int64_t c) {
    NormRows s = call.rows;
    const int64_t at = c * step * call.sample() * item;
    s.x = call.x.ptr<char>() + at;
    s.g = g.ptr<char>() + at;
    s.y = dx.dense().ptr<char>() + at;
    s.rows = std::min(step, call.samples - c * step) * groups;
    s.weight = weight.data();
    char* part = parts.as<char>() + c * 2 * channels * item;
    std::fill_n(part, 2 * channels * item, 0);
    s.dweight = part;
    s.dbias = part + channels * item;
    kernel(s);
  });
  const auto combine = [&](auto zero) {
    using T = decltype(zero);
    add_up(parts.as<T>(), chunks, channels, 2 * channels, dw.ptr<T>());
    add_up(parts.as<T>() + channels, chunks, channels, 2 * channels, db.ptr<T>());
  };
  call.x.dtype == DType::f64 ? combine(0.0) : combine(0.0f);
  return py::make_tuple(dx.done(), dw_object, db_object);
}

// ---- Channels over a batch ----------------------------------------------------------------------

// x[N, C, ...] as planes (N * C runs of one channel) or, channels-last, as rows of C.
struct BatchCall {
  Array x;
  int64_t channels = 0, inner = 1;
  bool columns = false, last = false;
  const int* order = kFirst;
  std::optional<Scratch> packed;

  bool read(py::handle object) {
    if (!view(object, x) || !is_float(x) || x.ndim < 2) return false;
    channels = x.shape[1];
    for (int d = 2; d < x.ndim; ++d) inner *= x.shape[d];
    last = is_channels_last(x);
    columns = last || inner == 1;
    if (last) order = kChannelsLast;
    return true;
  }
  void pack() { make_dense(x, order, packed); }
  bool wide() const { return x.dtype == DType::f64; }
  int64_t item() const { return itemsize(x.dtype); }
  int64_t places() const { return x.shape[0] * inner; }  // of a channel
  int64_t units() const { return columns ? places() : x.shape[0] * channels; }
  int64_t unit() const { return columns ? channels : inner; }  // numbers of one
  // At least 16 rows of a block of columns, so that its sums are worth adding up.
  int64_t step() const { return std::max<int64_t>(columns ? 16 : 1, kChunk / unit()); }
  int64_t chunks() const { return (units() + step() - 1) / step(); }

  // Runs a kernel over all; s0 and s1 are `sums` (units of planes, or a row of channels a chunk).
  void run(void (*planes)(const NormBlock&), void (*rows)(const NormBlock&), const NormBlock& all,
           char* s0, char* s1, double passes) const {
    const double bytes = passes * static_cast<double>(x.size() * item());
    run_chunks(chunks(), bytes * kNanosecondsPerByte, [&](int64_t c) {
      NormBlock s = all;
      const int64_t first = c * step(), count = std::min(step(), units() - first);
      const int64_t at = first * unit() * item();
      const int64_t place = (columns ? c * channels : first) * item();
      s.x = x.ptr<char>() + at;
      if (s.g) s.g = static_cast<const char*>(s.g) + at;
      if (s.y) s.y = static_cast<char*>(s.y) + at;
      if (s0) s.s0 = s0 + place, s.s1 = s1 + place;
      s.channels = channels;
      s.first = first % channels;
      s.n = columns ? count : inner;
      s.count = columns ? channels : count;
      s.stride = channels;
      (columns ? rows : planes)(s);
    });
  }
  // Blocks of a channel in order: how many, where block b of channel c is, how many numbers.
  int64_t blocks() const { return columns ? chunks() : x.shape[0]; }
  int64_t sums_size() const { return blocks() * channels; }
  int64_t numbers(int64_t b) const {
    return columns ? std::min(step(), units() - b * step()) : inner;
  }
};

// Mean and variance of the channels, from those of their blocks (Chan et al.), in double. Means are
// taken from the first one, so that what is added up is as small as they differ.
template <class T>
void combine_moments(const BatchCall& call, const T* means, const T* squares, T* mean,
                     T* variance) {
  const double n = static_cast<double>(call.places());
  for (int64_t c = 0; c < call.channels; ++c) {
    const auto apart = [&](int64_t b) {
      return static_cast<double>(means[b * call.channels + c]) - static_cast<double>(means[c]);
    };
    double sum = 0, rest = 0;
    for (int64_t b = 0; b < call.blocks(); ++b)
      sum += apart(b) * static_cast<double>(call.numbers(b));
    const double middle = sum / n;
    for (int64_t b = 0; b < call.blocks(); ++b) {
      const double d = apart(b) - middle;
      rest += static_cast<double>(squares[b * call.channels + c]) +
              d * d * static_cast<double>(call.numbers(b));
    }
    mean[c] = static_cast<T>((call.blocks() ? static_cast<double>(means[c]) : 0) + middle);
    variance[c] = static_cast<T>(rest / n);
  }
}

py::object batch_norm(py::handle x_object, py::handle weight_object, py::handle bias_object,
                      py::handle mean_object, py::handle variance_object, double eps,
                      py::handle out) {
  BatchCall call;
  Vector weight, bias, given_mean, given_variance;
  Output y;
  if (!call.read(x_object)) return declined();
  const DType dtype = call.x.dtype;
  const int64_t channels = call.channels, item = call.item();
  if (!weight.read(weight_object, dtype, channels) || !bias.read(bias_object, dtype, channels) ||
      !given_mean.read(mean_object, dtype, channels) ||
      !given_variance.read(variance_object, dtype, channels))
    return declined();
  const Array* x = &call.x;
  if (!y.make(out, dtype, x->ndim, x->shape, call.order, {x})) return declined();
  for (const Vector* v : {&weight, &bias, &given_mean, &given_variance})
    if (v->given && may_overlap(v->array, y.array())) return declined();
  call.pack();
  const bool training = !given_mean.given;
  Array mean = given_mean.array, variance = given_variance.array;
  py::object mean_result, variance_result;
  NormBlock s{};
  if (training) {
    mean_result = empty(dtype, 1, &channels, mean);
    variance_result = empty(dtype, 1, &channels, variance);
    Scratch sums(static_cast<size_t>(2 * call.sums_size() * item));
    char *s0 = sums.as<char>(), *s1 = s0 + call.sums_size() * item;
    if (call.x.size())
      call.run(FD_TABLE(norm).plane_moments[call.wide()],
               FD_TABLE(norm).column_moments[call.wide()], s, s0, s1, 2);
    const auto combine = [&](auto zero) {
      using T = decltype(zero);
      combine_moments(call, reinterpret_cast<const T*>(s0), reinterpret_cast<const T*>(s1),
                      mean.ptr<T>(), variance.ptr<T>());
    };
    call.wide() ? combine(0.0) : combine(0.0f);
  }
  Array root;
  py::object root_result = empty(dtype, 1, &channels, root);
  Scratch scale(static_cast<size_t>(channels * item));
  const auto prepare = [&](auto zero) {
    using T = decltype(zero);
    const T* w = static_cast<const T*>(weight.data());
    for (int64_t c = 0; c < channels; ++c) {
      root.ptr<T>()[c] = T(1) / std::sqrt(variance.ptr<T>()[c] + static_cast<T>(eps));
      scale.as<T>()[c] = w ? root.ptr<T>()[c] * w[c] : root.ptr<T>()[c];
    }
  };
  call.wide() ? prepare(0.0) : prepare(0.0f);
  s.mean = mean.data;
  s.scale = scale.as<void>();
  s.bias = bias.data();
  s.y = y.dense().data;
  if (call.x.size())
    call.run(FD_TABLE(norm).plane_apply[call.wide()], FD_TABLE(norm).column_apply[call.wide()], s,
             nullptr, nullptr, 2);
  py::object result = y.done();
  return training ? py::object(py::make_tuple(result, mean_result, variance_result, root_result))
                  : result;
}

py::object batch_norm_backward(py::handle g_object, py::handle x_object, py::handle mean_object,
                               py::handle root_object, py::handle weight_object, bool training) {
  BatchCall call;
  Array g, dw, db;
  Vector weight, mean, root;
  Output dx;
  if (!call.read(x_object) || !view(g_object, g)) return declined();
  const DType dtype = call.x.dtype;
  const int64_t channels = call.channels, item = call.item();
  if (g.dtype != dtype || !same_shape(g, call.x)) return declined();
  if (!weight.read(weight_object, dtype, channels) || mean_object.is_none() ||
      !mean.read(mean_object, dtype, channels) || root_object.is_none() ||
      !root.read(root_object, dtype, channels))
    return declined();
  dx.make(py::none(), dtype, call.x.ndim, call.x.shape, call.order, {});
  py::object dw_object = empty(dtype, 1, &channels, dw), db_object = empty(dtype, 1, &channels, db);
  call.pack();
  std::optional<Scratch> packed;
  make_dense(g, call.order, packed);
  Scratch sums(static_cast<size_t>(2 * call.sums_size() * item));
  char *s0 = sums.as<char>(), *s1 = s0 + call.sums_size() * item;
  NormBlock s{};
  s.g = g.data;
  s.mean = mean.data();
  if (call.x.size())
    call.run(FD_TABLE(norm).plane_sums[call.wide()], FD_TABLE(norm).column_sums[call.wide()], s, s0,
             s1, 2);
  Scratch scratch(static_cast<size_t>(3 * channels * item));
  const auto prepare = [&](auto zero) {
    using T = decltype(zero);
    T *scale = scratch.as<T>(), *k0 = scale + channels, *k1 = k0 + channels;
    const double n = static_cast<double>(call.places());
    const T* w = static_cast<const T*>(weight.data());
    for (int64_t c = 0; c < channels; ++c) {
      double sum = 0, along = 0;
      for (int64_t b = 0; b < call.blocks(); ++b) {
        sum += static_cast<double>(reinterpret_cast<const T*>(s0)[b * channels + c]);
        along += static_cast<double>(reinterpret_cast<const T*>(s1)[b * channels + c]);
      }
      const T s = root.array.template ptr<T>()[c];
      const double wide = static_cast<double>(s);
      db.ptr<T>()[c] = static_cast<T>(sum);
      dw.ptr<T>()[c] = static_cast<T>(along * wide);
      k0[c] = training ? static_cast<T>(sum / n) : T(0);
      k1[c] = training ? static_cast<T>(along * wide * wide / n) : T(0);
      scale[c] = w ? s * w[c] : s;
    }
    s.scale = scale;
    s.k0 = k0;
    s.k1 = k1;
  };
  call.wide() ? prepare(0.0) : prepare(0.0f);
  s.y = dx.dense().data;
  if (call.x.size() && training) {
    call.run(FD_TABLE(norm).plane_backward[call.wide()],
             FD_TABLE(norm).column_backward[call.wide()], s, nullptr, nullptr, 3);
  } else if (call.x.size()) {  // dx = scale g: y = (x - mean) scale of g and no mean
    call.x.data = g.data;
    s.mean = s.k0;
    call.run(FD_TABLE(norm).plane_apply[call.wide()], FD_TABLE(norm).column_apply[call.wide()], s,
             nullptr, nullptr, 2);
  }
  return py::make_tuple(dx.done(), dw_object, db_object);
}

}  // namespace

void bind_norm(py::module_& m) {
  m.def("norm_rows", norm_rows);
  m.def("norm_rows_backward", norm_rows_backward);
  m.def("batch_norm", batch_norm);
  m.def("batch_norm_backward", batch_norm_backward);
}
}  // namespace fd
