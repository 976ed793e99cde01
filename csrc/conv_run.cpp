// Plans a convolution in either memory format and runs its chunks (kernels/cpu/conv.inc).
#include <algorithm>
#include <vector>

#include "conv.h"
#include "isa.h"
#include "matmul.h"
#include "memory.h"
#include "threads.h"

namespace fd {
namespace {

template <class T>
const ConvKernels<T>& kernels() {
  if constexpr (sizeof(T) == 4)
    return FD_TABLE(conv).f32;
  else
    return FD_TABLE(conv).f64;
}

// Fewer chunks than this leave threads idle at the end.
constexpr int64_t kEnoughChunks = 16;
// Input channels whose weights are packed at once: their pages fit in the TLB where each has its
// own.
constexpr int64_t kPackedChannels = 32;
// Work worth a chunk of its own, in floating-point operations.
constexpr double kChunkFlops = 4e6;
// The most of it in a chunk, some 10 ms: Ctrl-C is seen between chunks.
constexpr double kLongestChunk = 2e9;

// How many of `parts` a chunk takes, where all of them would cost `flops`.
int64_t short_chunk(int64_t parts, double flops) {
  return int64_t(std::clamp(double(parts) * kLongestChunk / flops, 1.0, double(parts)));
}

// A 1 x 1 convolution reads and writes pixel by pixel: its stride is one of memory, and rows, then
// images, that follow each other there become one long row.
template <class T>
void flatten(Conv<T>& v) {
  if (v.taps != 1 || v.tap->dy || v.tap->dx) return;
  if ((v.P - 1) * v.stride_h >= v.H || (v.Q - 1) * v.stride_w >= v.W) return;
  v.xh *= v.stride_h;
  v.xw *= v.stride_w;
  v.stride_h = v.stride_w = 1;
  v.H = v.P;
  v.W = v.Q;
  if (v.xh != v.W * v.xw || v.yp != v.Q * v.yq) return;
  v.Q = v.W = v.P * v.Q;
  v.P = v.H = 1;
  if (v.xn != v.W * v.xw || v.yn != v.Q * v.yq) return;
  v.Q = v.W = v.N * v.Q;
  v.N = 1;
}

// Within each image only: where pixels lie channel by channel.
template <class T>
void flatten_image(Conv<T>& v) {
  const int64_t images = v.N;
  v.N = 1;
  flatten(v);
  v.N = images;
}

struct Extent {
  int64_t dy0, dy1, dx0, dx1;
};
template <class T>
Extent extent(const Conv<T>& v) {
  Extent e = {v.tap->dy, v.tap->dy, v.tap->dx, v.tap->dx};
  for (int64_t t = 1; t < v.taps; ++t) {
    e.dy0 = std::min(e.dy0, v.tap[t].dy);
    e.dy1 = std::max(e.dy1, v.tap[t].dy);
    e.dx0 = std::min(e.dx0, v.tap[t].dx);
    e.dx1 = std::max(e.dx1, v.tap[t].dx);
  }
  return e;
}

template <class T>
void run_last(Conv<T> v) {
  const auto& ops = kernels<T>();
  const auto& mm = matmul_kernels<T>();
  flatten(v);
  const Extent e = extent(v);
  const bool padded = e.dy0 < 0 || e.dx0 < 0 || (v.P - 1) * v.stride_h + e.dy1 >= v.H ||
                      (v.Q - 1) * v.stride_w + e.dx1 >= v.W;
  // Pixels of a tile that are a page apart share one set of the first cache.
  const int64_t page = 4096 / int64_t(sizeof(T));
  const auto collide = [&](int64_t pixel) { return pixel * v.stride_w % page == 0; };

  LastPlan plan;
  plan.staged = padded || v.xc != 1 || (collide(v.xw) && v.K > mm.nr);
  plan.turned = v.yk != 1;
  plan.dy0 = e.dy0;
  plan.dx0 = e.dx0;

  // About eight tiles of pixels, so that a panel of weights brought into the first cache is used
  // eight times; more where there is little to do for each.
  const double a_pixel = 2.0 * double(v.C) * double(v.taps) * double(v.K);
  const int64_t pixels =
      std::max<int64_t>(8 * mm.mr, int64_t(std::min(kChunkFlops / std::max(a_pixel, 1.0), 4096.0)));
  plan.chunk_q = balanced(v.Q, pixels);
  plan.tile = balanced(plan.chunk_q, mm.mr);
  if (plan.chunk_q < v.Q) plan.chunk_q = ceil_div(plan.chunk_q, plan.tile) * plan.tile;
  plan.chunk_p = balanced(v.P, std::max<int64_t>(1, pixels / plan.chunk_q));
  // Windows copied out cost about a cycle a vector, against K / 2 of multiply-adds.
  plan.gathered =
      v.Q * 3 < mm.mr * 2 && v.P > 1 && v.K >= 2 * mm.nr && (plan.turned || v.yp == v.Q * v.yq);
  if (plan.gathered) plan.tile = balanced(plan.chunk_p * v.Q, mm.mr);
  plan.rows = (plan.chunk_p - 1) * v.stride_h + e.dy1 - e.dy0 + 1;
  plan.width = (plan.chunk_q - 1) * v.stride_w + e.dx1 - e.dx0 + 1;
  plan.pixel = !plan.staged ? v.xw : collide(v.C) ? v.C + 16 : v.C;
  plan.row = plan.staged ? plan.width * plan.pixel : v.xh;

  std::vector<int64_t> offset(static_cast<size_t>(v.taps));
  for (int64_t t = 0; t < v.taps; ++t)
    offset[t] = (v.tap[t].dy - e.dy0) * plan.row + (v.tap[t].dx - e.dx0) * plan.pixel;
  const auto merges = [&](int64_t n) {  // do segments of n taps lie as one run each?
    for (int64_t t = 0; t < v.taps; ++t)
      if (t % n && offset[t] != offset[t - 1] + v.C) return false;
    return v.taps % n == 0;
  };
  int64_t together = 1;
  while (together < v.taps && offset[together] == offset[together - 1] + v.C) ++together;
  if (!merges(together)) together = 1;
  plan.segments = v.taps / together;
  plan.length = v.C * together;
  for (int64_t s = 0; s < plan.segments; ++s) offset[s] = offset[s * together];
  plan.offset = offset.data();

  const int64_t panels = ceil_div(v.K, mm.nr), terms = v.C * v.taps;
  const Scratch packed(static_cast<size_t>(v.groups * panels * terms * mm.nr) * sizeof(T));
  T* const weights = packed.template as<T>();
  const int64_t parts = ceil_div(v.C, kPackedChannels);
  parallel_for(v.groups * parts, double(v.groups * panels * terms * mm.nr), [&](int64_t i) {
    const int64_t g = i / parts, c = i % parts * kPackedChannels;
    ops.last_pack(v, g, c, std::min(c + kPackedChannels, v.C),
                  weights + g * panels * terms * mm.nr);
  });

  const int64_t rows = ceil_div(v.P, plan.chunk_p), columns = ceil_div(v.Q, plan.chunk_q);
  const int64_t chunks = v.groups * v.N * rows * columns;
  const int64_t most = chunks < kEnoughChunks ? ceil_div(panels * chunks, kEnoughChunks) : panels;
  const double cost = a_pixel * double(plan.chunk_p * plan.chunk_q);
  plan.chunk_panels = balanced(panels, std::min(most, short_chunk(panels, cost)));
  const int64_t splits = ceil_div(panels, plan.chunk_panels);
  parallel_for(chunks * splits, nanoseconds(v), [&](int64_t i) {
    LastChunk c;
    c.panel0 = i % splits * plan.chunk_panels;
    c.panel1 = std::min(c.panel0 + plan.chunk_panels, panels);
    i /= splits;
    c.q0 = i % columns * plan.chunk_q;
    c.q1 = std::min(c.q0 + plan.chunk_q, v.Q);
    i /= columns;
    c.p0 = i % rows * plan.chunk_p;
    c.p1 = std::min(c.p0 + plan.chunk_p, v.P);
    i /= rows;
    c.g = i % v.groups;
    c.n = i / v.groups;
    const Scratch workspace(static_cast<size_t>(ops.last_workspace(plan)) * sizeof(T));
    ops.last_chunk(v, plan, c, weights + c.g * panels * terms * mm.nr, workspace.template as<T>());
  });
}

template <class T>
void run_first(Conv<T> v) {
  const auto& ops = kernels<T>();
  const auto& mm = matmul_kernels<T>();

  flatten_image(v);

  // Columns with unit stride, split by phase where the window moves by more than one.
  FirstPlan plan;
  const int64_t columns = ceil_div(v.W, v.stride_w), row = columns * v.stride_w;
  const bool copied = v.xw != 1 || v.stride_w != 1;
  plan.phase = copied ? columns : 0;
  const int64_t channels = v.groups * v.C;
  const Scratch copy(copied ? static_cast<size_t>(v.N * channels * v.H * row) * sizeof(T) : 0);
  if (copied) {
    T* const to = copy.template as<T>();
    parallel_for(v.N * channels, double(v.N * channels * v.H * row), [&](int64_t i) {
      const int64_t n = i / channels, g = i % channels / v.C, c = i % v.C;
      const T* from = v.x + n * v.xn + g * v.xg + c * v.xc;
      for (int64_t y = 0; y < v.H; ++y)
        ops.split(from + y * v.xh, v.xw, v.W, v.stride_w, columns, to + (i * v.H + y) * row);
    });
    v.x = to;
    v.xw = 1;
    v.xh = row;
    v.xc = v.H * row;
    v.xg = v.C * v.xc;
    v.xn = v.groups * v.xg;
    flatten_image(v);  // the rows of the copy follow each other
  }

  const int64_t pixels = v.P * v.Q, terms = v.C * v.taps;
  // The panels of one image may leave too many lanes empty: then of some images together.
  const auto waste = [&](int64_t images) {
    const int64_t used = images * pixels;
    return double(ceil_div(used, mm.nr) * mm.nr - used) / double(used);
  };
  plan.images = 1;
  for (int64_t n = 2; n <= std::min<int64_t>(v.N, 32) && waste(plan.images) > 0.05; ++n)
    if (waste(n) < waste(plan.images)) plan.images = n;
  plan.panels = ceil_div(plan.images * pixels, mm.nr);
  plan.direct = plan.images == 1 && v.yq == 1 && (v.P == 1 || v.yp == v.Q);
  plan.tile = balanced(v.K, mm.mr);
  plan.tiles = ceil_div(v.K, plan.tile);
  plan.block_t = balanced(v.taps, kConvChain);
  plan.block_c =
      plan.block_t < v.taps ? 1 : balanced(v.C, std::max<int64_t>(1, kConvChain / v.taps));

  // Up to eight panels share a tile of weights brought into the first cache; fewer, down to two,
  // where there would be too few chunks.
  const int64_t batches = ceil_div(v.N, plan.images);  // of images
  const int64_t enough = v.groups * batches * plan.panels / kEnoughChunks;
  plan.chunk_panels = v.taps > 4096 ? 1 : balanced(plan.panels, std::clamp<int64_t>(enough, 2, 8));

  const Scratch packed(static_cast<size_t>(v.groups * v.K * terms) * sizeof(T));
  T* const weights = packed.template as<T>();
  const int64_t across = ceil_div(v.taps, plan.block_t);
  const int64_t blocks = ceil_div(v.C, plan.block_c) * across;
  parallel_for(v.groups * blocks, double(v.groups * v.K * terms), [&](int64_t i) {
    const int64_t g = i / blocks;
    const int64_t c = i % blocks / across * plan.block_c, t = i % across * plan.block_t;
    ops.first_pack(v, plan, g, c, t, weights + (g * terms + c * v.taps + t) * v.K);
  });

  const int64_t groups_of_panels = ceil_div(plan.panels, plan.chunk_panels);
  const double one = 2.0 * double(terms) * double(v.K) * double(plan.chunk_panels * mm.nr);
  const int64_t wanted =
      int64_t(std::clamp(kChunkFlops / std::max(one, 1.0), 1.0, double(batches)));
  const int64_t spare = std::max<int64_t>(1, v.groups * groups_of_panels * batches / kEnoughChunks);
  const int64_t chunk_batches = balanced(batches, std::min(wanted, spare));
  const int64_t runs = ceil_div(batches, chunk_batches);
  const int64_t chunks = v.groups * groups_of_panels * runs;
  const int64_t most =  // each split gathers the panels again
      chunks < kEnoughChunks / 2 ? ceil_div(2 * plan.tiles * chunks, kEnoughChunks) : plan.tiles;
  const int64_t chunk_tiles =
      balanced(plan.tiles, std::min(most, short_chunk(plan.tiles, one * double(chunk_batches))));
  const int64_t splits = ceil_div(plan.tiles, chunk_tiles);
  parallel_for(chunks * splits, nanoseconds(v), [&](int64_t i) {
    FirstChunk c;
    c.tile0 = i % splits * chunk_tiles;
    c.tile1 = std::min(c.tile0 + chunk_tiles, plan.tiles);
    i /= splits;
    c.panel0 = i % groups_of_panels * plan.chunk_panels;
    c.panel1 = std::min(c.panel0 + plan.chunk_panels, plan.panels);
    i /= groups_of_panels;
    c.g = i % v.groups;
    i /= v.groups;
    c.image0 = i * chunk_batches * plan.images;
    c.image1 = std::min(c.image0 + chunk_batches * plan.images, v.N);
    const Scratch workspace(static_cast<size_t>(ops.first_workspace(v, plan, c)));
    ops.first_chunk(v, plan, c, weights + c.g * v.K * terms, workspace.template as<void>());
  });
}

// In NCHW, are two transpositions cheaper than gathering every tap, and are vectors of channels
// full?
template <class T>
bool worth_turning(const Conv<T>& v) {
  const int64_t lanes = matmul_kernels<T>().nr / 2, used = ceil_div(v.K, lanes) * lanes;
  return v.taps >= 4 && v.C >= 4 && v.xw == 1 && v.yq == 1 && 4 * v.K >= 3 * used;
}

}  // namespace

template <class T>
void convolve(const Conv<T>& v, bool channels_last) {
  if (is_depthwise(v, channels_last))
    convolve_depthwise(v, channels_last);
  else if (channels_last || worth_turning(v))
    run_last(v);
  else
    run_first(v);
}

template void convolve(const Conv<float>&, bool);
template void convolve(const Conv<double>&, bool);
}  // namespace fd
