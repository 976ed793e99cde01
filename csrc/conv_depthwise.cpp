// Plans a depthwise convolution and its weights' gradient (kernels/cpu/conv_depthwise.inc).
#include "../kernels/cpu/conv_depthwise.h"

#include <algorithm>
#include <vector>

#include "conv.h"
#include "isa.h"
#include "memory.h"
#include "threads.h"

namespace fd {
namespace {

constexpr int64_t kStagedBytes = 96 << 10;  // of an image at once: between the two first caches
constexpr double kChunkFlops = 1e6;

template <class T>
const ConvDepthwiseKernels<T>& kernels() {
  if constexpr (sizeof(T) == 4)
    return FD_TABLE(conv_depthwise).f32;
  else
    return FD_TABLE(conv_depthwise).f64;
}

// The plan, and the arrays it points to.
template <class T>
struct Planned : DepthPlan {
  std::vector<int64_t> offsets;
  std::vector<Site> all_sites;

  Planned(const Conv<T>& v, bool last) {
    const int64_t N = kernels<T>().lanes;
    const auto low = [&](auto member) {
      return std::min_element(v.tap, v.tap + v.taps, [&](const Tap& a, const Tap& b) {
               return a.*member < b.*member;
             })->*member;
    };
    const auto high = [&](auto member) {
      return std::max_element(v.tap, v.tap + v.taps, [&](const Tap& a, const Tap& b) {
               return a.*member < b.*member;
             })->*member;
    };
    channels_last = last;
    units = last ? ceil_div(v.groups, N) : v.groups * v.K;
    dy0 = low(&Tap::dy);
    dx0 = low(&Tap::dx);
    span_h = high(&Tap::dy) - dy0 + 1;
    const int64_t span_w = high(&Tap::dx) - dx0 + 1;
    columns = last ? (v.Q - 1) * v.stride_w + span_w
                   : ceil_div(v.Q, N) * N + ceil_div(span_w, v.stride_w);
    row = last ? columns * N : columns * v.stride_w;
    const int64_t rows = kStagedBytes / (row * int64_t(sizeof(T)));
    block_rows = balanced(v.P, std::max<int64_t>(1, (rows - span_h) / v.stride_h + 1));

    for (int64_t t = 0; t < v.taps; ++t) {
      const int64_t y = v.tap[t].dy - dy0, x = v.tap[t].dx - dx0;
      offsets.push_back(y * row + (last ? x * N : x % v.stride_w * columns + x / v.stride_w));
    }
    offset = offsets.data();
    row_sites = last ? v.Q : ceil_div(v.Q, N);
    all_sites.reserve(static_cast<size_t>(block_rows * row_sites));
    for (int64_t p = 0; p < block_rows; ++p) {
      for (int64_t i = 0; i < row_sites; ++i) {
        const int64_t x = last ? i * v.stride_w * N : i * N;
        const int64_t y = last ? i * v.yq : i * N * v.yq;
        all_sites.push_back(
            {p * v.stride_h * row + x, p * v.yp + y, int(last ? N : std::min(N, v.Q - i * N))});
      }
    }
    sites = all_sites.data();
  }
};

}  // namespace

template <class T>
bool is_depthwise(const Conv<T>& v, bool channels_last) {
  if (v.C != 1 || v.taps > kConvChain) return false;
  if (channels_last) return v.groups > 1 && v.K == 1 && v.xg == 1 && v.yg == 1;
  return v.groups > 1;
}

template <class T>
void convolve_depthwise(const Conv<T>& v, bool channels_last) {
  const auto& ops = kernels<T>();
  const Planned<T> plan(v, channels_last);
  const int64_t blocks = ceil_div(v.P, plan.block_rows);
  const double one = flops(v) / double(v.N * blocks * plan.units);
  const int64_t most = std::clamp<int64_t>(int64_t(kChunkFlops / one), 1, plan.units);
  const int64_t chunk_units = balanced(plan.units, most);
  const int64_t splits = ceil_div(plan.units, chunk_units);
  parallel_for(v.N * blocks * splits, 4 * nanoseconds(v), [&](int64_t i) {
    const int64_t unit = i % splits * chunk_units, p = i / splits % blocks * plan.block_rows;
    const Scratch workspace(static_cast<size_t>(ops.workspace(v, plan)) * sizeof(T));
    ops.chunk(v, plan, i / splits / blocks, p, std::min(p + plan.block_rows, v.P), unit,
              std::min(unit + chunk_units, plan.units), workspace.template as<T>());
  });
}

template <class T>
void depthwise_weight_grad(const Conv<T>& v, bool channels_last, T* dw) {
  const auto& ops = kernels<T>();
  const Planned<T> plan(v, channels_last);
  // Chunks of units that share staged images, as far as there are enough chunks; and of images, at
  // most 64 so that sums stay short.
  const double one = flops(v) / double(v.N * plan.units);
  const int64_t units = v.K > 1 ? 1 : plan.units;  // outputs of one input stay together
  const int64_t images = balanced(v.N, std::clamp<int64_t>(v.N * units / 16, 1, 64));
  const int64_t parts = ceil_div(v.N, images), unit = v.taps * ops.lanes;
  const int64_t enough = std::max<int64_t>(1, plan.units * parts / 16);
  const int64_t wanted = std::max<int64_t>(1, int64_t(kChunkFlops / (one * double(images))));
  const int64_t chunk_units = balanced(plan.units, std::min({plan.units, enough, wanted}));
  const int64_t splits = ceil_div(plan.units, chunk_units);
  const Scratch scratch(static_cast<size_t>(parts * plan.units * unit) * sizeof(T));
  T* const sums = scratch.template as<T>();
  parallel_for(parts * splits, 4 * nanoseconds(v), [&](int64_t i) {
    const int64_t n = i / splits * images, first = i % splits * chunk_units;
    const Scratch workspace(static_cast<size_t>(ops.workspace(v, plan)) * sizeof(T));
    ops.grad(v, plan, n, std::min(n + images, v.N), first,
             std::min(first + chunk_units, plan.units),
             sums + (i / splits * plan.units + first) * unit, workspace.template as<T>());
  });
  for (int64_t i = 0; i < plan.units; ++i)
    ops.grad_finish(v, plan, i, sums + i * unit, parts, plan.units * unit, dw);
}

template bool is_depthwise(const Conv<float>&, bool);
template bool is_depthwise(const Conv<double>&, bool);
template void convolve_depthwise(const Conv<float>&, bool);
template void convolve_depthwise(const Conv<double>&, bool);
template void depthwise_weight_grad(const Conv<float>&, bool, float*);
template void depthwise_weight_grad(const Conv<double>&, bool, double*);
}  // namespace fd
