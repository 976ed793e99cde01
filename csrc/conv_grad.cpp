// Plans the gradient of a convolution's weights and runs its chunks (kernels/cpu/conv_grad.inc).
#include "../kernels/cpu/conv_grad.h"

#include <algorithm>

#include "conv.h"
#include "isa.h"
#include "matmul.h"
#include "memory.h"
#include "threads.h"

namespace fd {
namespace {

constexpr int64_t kEnoughChunks = 16;    // fewer leave threads idle at the end
constexpr double kLongestChunk = 2e9;    // floating-point operations, some 10 ms
constexpr int64_t kTileBytes = 1 << 20;  // of the padded image in a block of a tile

template <class T>
const ConvGradKernels<T>& kernels() {
  if constexpr (sizeof(T) == 4)
    return FD_TABLE(conv_grad).f32;
  else
    return FD_TABLE(conv_grad).f64;
}

template <class T>
GradPlan make_plan(const Conv<T>& v) {
  const auto& mm = matmul_kernels<T>();
  GradPlan plan;
  const auto [top, bottom] = std::minmax_element(
      v.tap, v.tap + v.taps, [](const Tap& a, const Tap& b) { return a.dy < b.dy; });
  const auto [left, right] = std::minmax_element(
      v.tap, v.tap + v.taps, [](const Tap& a, const Tap& b) { return a.dx < b.dx; });
  plan.dy0 = top->dy;
  plan.dx0 = left->dx;
  plan.span_h = bottom->dy - top->dy + 1;
  plan.span_w = right->dx - left->dx + 1;
  plan.block_cols = balanced(v.Q, kConvGradChain);
  plan.block_rows = std::min(v.N * v.P, std::max<int64_t>(1, kConvGradChain / plan.block_cols));

  const int64_t tile = balanced(v.C, mm.mr);
  const double padded = double(grad_image_rows(v, plan.block_rows, plan.span_h)) *
                        double((plan.block_cols - 1) * v.stride_w + plan.span_w);
  plan.unrolled = v.taps == 1 || v.C <= 2 || padded * double(tile) * sizeof(T) > kTileBytes;
  plan.channels = plan.unrolled ? v.C * v.taps : v.C;
  plan.taps = plan.unrolled ? 1 : v.taps;
  plan.tile = balanced(plan.channels, mm.mr);
  plan.tiles = ceil_div(plan.channels, plan.tile);
  plan.panels = ceil_div(v.K, mm.nr);
  return plan;
}

}  // namespace

template <class T>
void convolve_weight_grad(const Conv<T>& v, T* dw) {
  const bool last = v.xg == 1 && v.yg == 1 && v.groups > 1;
  // One input channel, as of a first layer on grey images, is depthwise with a multiplier.
  const bool grey = v.C == 1 && v.groups == 1 && v.yq == 1 && v.taps <= kConvChain && v.taps > 1;
  if (grey || is_depthwise(v, last)) return depthwise_weight_grad(v, last, dw);
  const auto& ops = kernels<T>();
  const auto& mm = matmul_kernels<T>();
  const GradPlan plan = make_plan(v);

  // A chunk is some 70 x 64 channels, twice that for a single tap, so that a packed pixel is used
  // often; and a part of the blocks where that alone gives too few chunks.
  const int64_t times = plan.taps == 1 ? 2 : 1;
  const int64_t chunk_tiles = balanced(plan.tiles, 5 * times);
  const int64_t chunk_panels = balanced(plan.panels, 2 * times);
  const int64_t across = ceil_div(plan.tiles, chunk_tiles);
  const int64_t down = ceil_div(plan.panels, chunk_panels);
  const int64_t blocks = ceil_div(v.N * v.P, plan.block_rows) * ceil_div(v.Q, plan.block_cols);
  const int64_t units = v.groups * across * down;
  const int64_t wanted =
      std::max(ceil_div(kEnoughChunks, units), int64_t(flops(v) / double(units) / kLongestChunk));
  const int64_t chunk_blocks = ceil_div(blocks, std::min(wanted, blocks));
  const int64_t parts = ceil_div(blocks, chunk_blocks);

  const int64_t group = plan.panels * plan.tiles * plan.taps * plan.tile * mm.nr;
  const int64_t part = v.groups * group;
  const Scratch scratch(static_cast<size_t>(parts * part) * sizeof(T));
  T* const sums = scratch.template as<T>();
  parallel_for(units * parts, nanoseconds(v), [&](int64_t i) {
    GradChunk c;
    c.tile0 = i % across * chunk_tiles;
    c.tile1 = std::min(c.tile0 + chunk_tiles, plan.tiles);
    i /= across;
    c.panel0 = i % down * chunk_panels;
    c.panel1 = std::min(c.panel0 + chunk_panels, plan.panels);
    i /= down;
    c.g = i % v.groups;
    i /= v.groups;
    c.block0 = i * chunk_blocks;
    c.block1 = std::min(c.block0 + chunk_blocks, blocks);
    const Scratch workspace(static_cast<size_t>(ops.workspace(v, plan, c)));
    ops.chunk(v, plan, c, sums + i * part + c.g * group, workspace.template as<void>());
  });
  parallel_for(v.groups * plan.panels, double(parts * part), [&](int64_t i) {
    const int64_t g = i / plan.panels;
    ops.finish(v, plan, g, i % plan.panels, sums + g * group, parts, part, dw);
  });
}

template void convolve_weight_grad(const Conv<float>&, float*);
template void convolve_weight_grad(const Conv<double>&, double*);
}  // namespace fd
