// scaled_dot_product_attention and its gradient, tile by tile: scores never leave the cache.
//
// A chunk of the forward pass is some blocks of queries of one head; keys are packed once for it.
// Blocks of keys that a causal mask hides from a block of queries are left out. Backward takes one
// head a chunk, as the gradients of keys and values are sums over all its queries.
#include "../kernels/cpu/attention.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "isa.h"
#include "loops.h"
#include "matmul.h"
#include "parts.h"

namespace fd {
namespace {

constexpr int64_t kKeys = 128;    // of a block; whole groups of 64 random words
constexpr int64_t kBlocks = 4;    // of queries in a chunk
constexpr int64_t kPadding = 16;  // rows of scores 2^n apart would meet in few sets of L1

bool unit_rows(const Array& a) { return a.shape[a.ndim - 1] <= 1 || a.stride[a.ndim - 1] == 1; }

// Dimensions from outermost to innermost: those of memory, if a row is a row there.
void row_order(const Array& a, int* order) {
  memory_order(a, order);
  if (order[a.ndim - 1] == a.ndim - 1) return;
  for (int d = 0; d < a.ndim; ++d) order[d] = d;
}

void make_rows(Array& a, std::optional<Scratch>& packed) {
  int order[kMaxDims];
  for (int d = 0; d < a.ndim; ++d) order[d] = d;
  if (!unit_rows(a)) make_dense(a, order, packed);
}

// A checked call: q[..., L, E], k[..., S, E], v[..., S, D] and a mask [..., L, S] or none.
struct Call {
  Array q, k, v, mask;
  bool masked = false, causal = false;
  double scale = 1, p = 0;
  uint64_t seed = 0, offset = 0;
  int64_t heads = 1, queries = 0, keys = 0, width = 0, depth = 0;
  std::optional<Scratch> packed[5];

  bool read(py::handle q_object, py::handle k_object, py::handle v_object, py::handle mask_object) {
    if (!view(q_object, q) || !view(k_object, k) || !view(v_object, v)) return false;
    if (q.dtype != DType::f32 && q.dtype != DType::f64) return false;
    if (k.dtype != q.dtype || v.dtype != q.dtype) return false;
    const int n = q.ndim;
    if (n < 2 || k.ndim != n || v.ndim != n) return false;
    for (int d = 0; d < n - 2; ++d) {
      if (k.shape[d] != q.shape[d] || v.shape[d] != q.shape[d]) return false;
      heads *= q.shape[d];
    }
    queries = q.shape[n - 2];
    keys = k.shape[n - 2];
    depth = q.shape[n - 1];
    width = v.shape[n - 1];
    if (k.shape[n - 1] != depth || v.shape[n - 2] != keys) return false;
    masked = !mask_object.is_none();
    if (masked && !read_mask(mask_object)) return false;
    make_rows(q, packed[0]);
    make_rows(k, packed[1]);
    make_rows(v, packed[2]);
    return true;
  }

  // Booleans become what is added, 0 or -inf; then sizes of 1 are spread.
  bool read_mask(py::handle object) {
    if (!view(object, mask) || mask.ndim > q.ndim || mask.ndim < 1) return false;
    int order[kMaxDims];
    for (int d = 0; d < mask.ndim; ++d) order[d] = d;
    if (mask.dtype == DType::b8) {
      std::optional<Scratch> dense;
      make_dense(mask, order, dense);
      const int64_t n = mask.size();
      packed[3].emplace(static_cast<size_t>(std::max<int64_t>(n, 1) * itemsize(q.dtype)));
      const uint8_t* from = mask.ptr<uint8_t>();
      const auto convert = [&](auto* to) {
        using T = std::remove_pointer_t<decltype(to)>;
        for (int64_t i = 0; i < n; ++i)
          to[i] = from[i] ? T(0) : -std::numeric_limits<T>::infinity();
      };
      q.dtype == DType::f64 ? convert(packed[3]->as<double>()) : convert(packed[3]->as<float>());
      mask.data = packed[3]->as<void>();
      mask.dtype = q.dtype;
      int64_t stride = 1;
      for (int d = mask.ndim - 1; d >= 0; --d) {
        mask.stride[d] = stride;
        stride *= mask.shape[d];
      }
    } else if (mask.dtype != q.dtype) {
      return false;
    }
    if (mask.shape[mask.ndim - 1] > 1 && mask.stride[mask.ndim - 1] > 1)
      make_dense(mask, order, packed[4]);
    if (mask.shape[mask.ndim - 1] > 1 && mask.stride[mask.ndim - 1] < 0)
      make_dense(mask, order, packed[4]);
    Array wide = mask;
    wide.ndim = q.ndim;
    for (int d = q.ndim - 1, from = mask.ndim - 1; d >= 0; --d, --from) {
      const int64_t size = d == q.ndim - 1 ? keys : q.shape[d];
      wide.shape[d] = size;
      wide.stride[d] = from >= 0 && mask.shape[from] != 1 ? mask.stride[from] : 0;
      if (from >= 0 && mask.shape[from] != 1 && mask.shape[from] != size) return false;
    }
    mask = wide;
    return true;
  }

  // Where head `index` of an array begins, in elements.
  int64_t head(const Array& a, int64_t index) const {
    int64_t at = 0;
    for (int d = q.ndim - 3; d >= 0; --d) {
      at += index % q.shape[d] * a.stride[d];
      index /= q.shape[d];
    }
    return at;
  }
  static int64_t ld(const Array& a) { return a.stride[a.ndim - 2]; }

  // The block of queries i.. and keys j.. of a head.
  template <class T>
  ScoreBlock block(T* scores, int64_t head_index, int64_t i, int64_t rows, int64_t j,
                   int64_t columns) const {
    ScoreBlock b{};
    b.scores = scores;
    b.ld = kKeys + kPadding;
    b.rows = rows;
    b.columns = columns;
    b.scale = scale;
    b.diagonal = causal ? i - j : keys;
    if (masked) {
      b.mask_row = ld(mask);
      b.mask_column = mask.stride[mask.ndim - 1] != 0;
      b.mask = mask.ptr<T>() + head(mask, head_index) + i * b.mask_row + j * b.mask_column;
    }
    b.drops = p > 0;
    b.p = p;
    b.keep = p < 1 ? 1 / (1 - p) : 0;
    b.key = seed;
    b.row_counters = static_cast<uint64_t>(ceil_div(keys, 64) * 16);
    b.counter = offset + static_cast<uint64_t>(head_index * queries + i) * b.row_counters +
                static_cast<uint64_t>(j / 64 * 16);
    return b;
  }
};

// c[m, n] (+)= a[m, k] b[k, n], b in place or packed in panels.
template <class T>
void product(int64_t k, const T* a, int64_t a_row, int64_t a_k, const T* b, int64_t ldb,
             bool panels, T* c, int64_t ldc, int64_t m, int64_t n, bool accumulate) {
  const MatmulKernels<T>& kernels = matmul_kernels<T>();
  const int64_t nr = kernels.nr, tiles = ceil_div(m, kernels.mr);
  Epilogue<T> epilogue;
  epilogue.accumulate = accumulate;
  for (int64_t j = 0; j < n; j += nr) {
    const T* from = panels ? b + j * k : b + j;
    for (int64_t t = 0; t < tiles; ++t) {
      const int64_t i = m * t / tiles, end = m * (t + 1) / tiles;
      kernels.tile(k, {a + i * a_row, a_row, a_k}, from, panels ? nr : ldb, panels, c + i * ldc + j,
                   ldc, static_cast<int>(end - i), static_cast<int>(std::min(nr, n - j)), epilogue);
    }
  }
}

// The rows of an array as columns of panels.
template <class T>
void pack_rows(const T* rows, int64_t ld, int64_t count, int64_t k, T* panels) {
  const MatmulKernels<T>& kernels = matmul_kernels<T>();
  kernels.pack(k, static_cast<int>(count), rows, ld, 1, panels, kernels.nr);
}
template <class T>
int64_t panels_size(int64_t count, int64_t k) {
  const int64_t nr = matmul_kernels<T>().nr;
  return ceil_div(count, nr) * nr * k;
}
template <class T>
int64_t queries_of_a_block() {
  const int64_t mr = matmul_kernels<T>().mr;
  return mr * std::max<int64_t>(1, 56 / mr);
}

// Is every number of some rows finite?
template <class T>
bool finite(const T* rows, int64_t ld, int64_t count, int64_t width) {
  AttentionRows r{};
  r.x = rows;
  r.ldx = ld;
  r.rows = count;
  r.width = width;
  return FD_TABLE(attention).finite[sizeof(T) == 8](r);
}

template <class T>
void forward(const Call& c, const Array& y, const Array& lse) {
  constexpr int which = sizeof(T) == 8;
  const AttentionKernels& kernels = FD_TABLE(attention);
  const int64_t block = queries_of_a_block<T>(), step = block * kBlocks;
  const int64_t parts = ceil_div(c.queries, step), ld = kKeys + kPadding;
  const double products = static_cast<double>(c.heads * c.queries) *
                          static_cast<double>(c.keys * (c.width + c.depth + 20));
  run_chunks(c.heads * parts, products / 60 * sizeof(T) / 4, [&](int64_t chunk) {
    const int64_t head = chunk / parts, first = chunk % parts * step;
    const int64_t last = std::min(c.queries, first + step);
    const T *q = c.q.ptr<T>() + c.head(c.q, head), *k = c.k.ptr<T>() + c.head(c.k, head);
    const T* v = c.v.ptr<T>() + c.head(c.v, head);
    const int64_t visible = c.causal ? std::min(c.keys, last) : c.keys;
    Scratch scratch(sizeof(T) * static_cast<size_t>(panels_size<T>(visible, c.depth) +
                                                    block * (ld + c.width + 2)));
    T* panels = scratch.as<T>();
    T *scores = panels + panels_size<T>(visible, c.depth), *sums = scores + block * ld;
    T *top = sums + block * c.width, *total = top + block;
    if (visible) pack_rows(k, c.ld(c.k), visible, c.depth, panels);
    const bool careful = (c.causal || c.masked) && !finite<T>(v, c.ld(c.v), visible, c.width);
    for (int64_t i = first; i < last; i += block) {
      const int64_t rows = std::min(block, last - i);
      std::fill_n(sums, rows * c.width, T(0));
      std::fill_n(top, rows, -std::numeric_limits<T>::infinity());
      std::fill_n(total, rows, T(0));
      const int64_t end = c.causal ? std::min(c.keys, i + rows) : c.keys;
      for (int64_t j = 0; j < end; j += kKeys) {
        const int64_t columns = std::min(kKeys, end - j);
        product<T>(c.depth, q + i * c.ld(c.q), c.ld(c.q), 1, panels + j * c.depth, 0, true, scores,
                   ld, rows, columns, false);
        const ScoreBlock b = c.block(scores, head, i, rows, j, columns);
        kernels.forward[which]({b, top, total, sums, c.width, c.width});
        if (careful)
          kernels.careful[which](
              {b, scores, v + j * c.ld(c.v), c.ld(c.v), sums, c.width, c.width, false, true});
        else
          product<T>(columns, scores, ld, 1, v + j * c.ld(c.v), c.ld(c.v), false, sums, c.width,
                     rows, c.width, true);
      }
      AttentionRows r{};
      r.x = sums;
      r.ldx = r.width = c.width;
      r.rows = rows;
      r.y = y.ptr<T>() + c.head(y, head) + i * c.ld(y);
      r.ldy = c.ld(y);
      r.top = top;
      r.sum = total;
      r.lse = lse.ptr<T>() + head * c.queries + i;
      kernels.finish[which](r);
    }
  });
}

template <class T>
void zero_rows(T* rows, int64_t ld, int64_t count, int64_t width) {
  for (int64_t i = 0; i < count; ++i) std::fill_n(rows + i * ld, width, T(0));
}

template <class T>
void backward(const Call& c, const Array& g, const Array& y, const Array& lse, const Array& dq,
              const Array& dk, const Array& dv) {
  constexpr int which = sizeof(T) == 8;
  const AttentionKernels& kernels = FD_TABLE(attention);
  const int64_t block = queries_of_a_block<T>(), ld = kKeys + kPadding;
  const double products = static_cast<double>(c.heads * c.queries) *
                          static_cast<double>(c.keys * (2 * c.width + 3 * c.depth + 20));
  run_chunks(c.heads, products / 60 * sizeof(T) / 4, [&](int64_t head) {
    const auto of = [&](const Array& a) { return a.ptr<T>() + c.head(a, head); };
    const T *q = of(c.q), *k = of(c.k), *v = of(c.v), *gh = of(g), *yh = of(y);
    T *dqh = of(dq), *dkh = of(dk), *dvh = of(dv);
    const T* lse_h = lse.ptr<T>() + head * c.queries;
    const int64_t k_size = panels_size<T>(kKeys, c.depth), v_size = panels_size<T>(kKeys, c.width);
    Scratch scratch(sizeof(T) * static_cast<size_t>(k_size + v_size + 2 * block * ld + c.queries));
    T *k_panels = scratch.as<T>(), *v_panels = k_panels + k_size, *scores = v_panels + v_size;
    T *gradients = scores + block * ld, *dots = gradients + block * ld;
    AttentionRows r{};
    r.x = yh;
    r.ldx = c.ld(y);
    r.g = gh;
    r.ldg = c.ld(g);
    r.rows = c.queries;
    r.width = c.width;
    r.y = dots;
    kernels.dots[which](r);
    // What is hidden adds nothing even where 0 times another operand would.
    bool careful = c.causal || c.masked;
    if (careful) {
      careful = !finite<T>(q, c.ld(c.q), c.queries, c.depth) ||
                !finite<T>(k, c.ld(c.k), c.keys, c.depth) ||
                !finite<T>(v, c.ld(c.v), c.keys, c.width) ||
                !finite<T>(gh, c.ld(g), c.queries, c.width) || !finite<T>(dots, 1, 1, c.queries) ||
                std::any_of(lse_h, lse_h + c.queries, [](T x) { return x != x; });
    }
    if (c.keys == 0) zero_rows(dqh, c.ld(dq), c.queries, c.depth);
    for (int64_t j = 0; j < c.keys; j += kKeys) {
      const int64_t columns = std::min(kKeys, c.keys - j);
      // Queries before the block's first key do not see it.
      const int64_t first = c.causal ? j / block * block : 0;
      T *dkj = dkh + j * c.ld(dk), *dvj = dvh + j * c.ld(dv);
      if (first >= c.queries) {
        zero_rows(dkj, c.ld(dk), columns, c.depth);
        zero_rows(dvj, c.ld(dv), columns, c.width);
        continue;
      }
      pack_rows(k + j * c.ld(c.k), c.ld(c.k), columns, c.depth, k_panels);
      pack_rows(v + j * c.ld(c.v), c.ld(c.v), columns, c.width, v_panels);
      for (int64_t i = first; i < c.queries; i += block) {
        const int64_t rows = std::min(block, c.queries - i);
        const T *qi = q + i * c.ld(c.q), *gi = gh + i * c.ld(g);
        product<T>(c.depth, qi, c.ld(c.q), 1, k_panels, 0, true, scores, ld, rows, columns, false);
        product<T>(c.width, gi, c.ld(g), 1, v_panels, 0, true, gradients, ld, rows, columns, false);
        const ScoreBlock b = c.block(scores, head, i, rows, j, columns);
        kernels.backward[which]({b, gradients, lse_h + i, dots + i});
        const T* kj = k + j * c.ld(c.k);
        T* dqi = dqh + i * c.ld(dq);
        const bool more = i > first;
        if (careful) {
          kernels.careful[which]({b, scores, gi, c.ld(g), dvj, c.ld(dv), c.width, true, more});
          kernels.careful[which]({b, gradients, qi, c.ld(c.q), dkj, c.ld(dk), c.depth, true, more});
          kernels.careful[which](
              {b, gradients, kj, c.ld(c.k), dqi, c.ld(dq), c.depth, false, j > 0});
          continue;
        }
        product<T>(rows, scores, 1, ld, gi, c.ld(g), false, dvj, c.ld(dv), columns, c.width, more);
        product<T>(rows, gradients, 1, ld, qi, c.ld(c.q), false, dkj, c.ld(dk), columns, c.depth,
                   more);
        product<T>(columns, gradients, ld, 1, kj, c.ld(c.k), false, dqi, c.ld(dq), rows, c.depth,
                   j > 0);
      }
    }
  });
}

bool read_options(Call& c, bool causal, double scale, double p, py::handle seed,
                  py::handle offset) {
  c.causal = causal;
  c.scale = scale;
  c.p = p;
  c.seed = PyLong_AsUnsignedLongLongMask(seed.ptr());
  c.offset = PyLong_AsUnsignedLongLongMask(offset.ptr());
  return !PyErr_Occurred();
}

// An array like `a`, in its order of memory, with rows of `width`.
py::object empty_rows(const Array& a, int64_t width, Array& made) {
  int order[kMaxDims];
  row_order(a, order);
  int64_t shape[kMaxDims];
  std::copy_n(a.shape, a.ndim, shape);
  shape[a.ndim - 1] = width;
  return empty_ordered(a.dtype, a.ndim, shape, order, made);
}

py::object attention(py::handle q, py::handle k, py::handle v, py::handle mask, bool causal,
                     double scale, double p, py::handle seed, py::handle offset) {
  Call c;
  if (!c.read(q, k, v, mask) || !read_options(c, causal, scale, p, seed, offset)) return declined();
  Array y, lse;
  py::object y_object = empty_rows(c.q, c.width, y);
  py::object lse_object = empty(c.q.dtype, c.q.ndim - 1, c.q.shape, lse);
  if (c.heads * c.queries > 0) {
    if (c.q.dtype == DType::f64)
      forward<double>(c, y, lse);
    else
      forward<float>(c, y, lse);
  }
  return py::make_tuple(y_object, lse_object);
}

py::object attention_backward(py::handle g_object, py::handle q, py::handle k, py::handle v,
                              py::handle y_object, py::handle lse_object, py::handle mask,
                              bool causal, double scale, double p, py::handle seed,
                              py::handle offset) {
  Call c;
  Array g, y, lse, dq, dk, dv;
  if (!c.read(q, k, v, mask) || !read_options(c, causal, scale, p, seed, offset)) return declined();
  if (!view(g_object, g) || !view(y_object, y) || !view(lse_object, lse)) return declined();
  if (g.dtype != c.q.dtype || y.dtype != c.q.dtype || lse.dtype != c.q.dtype) return declined();
  if (g.ndim != c.q.ndim || !same_shape(g, y) || lse.size() != c.heads * c.queries ||
      g.size() != lse.size() * c.width)
    return declined();
  std::optional<Scratch> packed[3];
  make_rows(g, packed[0]);
  make_rows(y, packed[1]);
  int order[kMaxDims];
  for (int d = 0; d < lse.ndim; ++d) order[d] = d;
  make_dense(lse, order, packed[2]);
  py::object results[] = {empty_rows(c.q, c.depth, dq), empty_rows(c.k, c.depth, dk),
                          empty_rows(c.v, c.width, dv)};
  if (c.q.dtype == DType::f64)
    backward<double>(c, g, y, lse, dq, dk, dv);
  else
    backward<float>(c, g, y, lse, dq, dk, dv);
  return py::make_tuple(results[0], results[1], results[2]);
}

}  // namespace

void bind_attention(py::module_& m) {
  m.def("attention", attention);
  m.def("attention_backward", attention_backward);
}
}  // namespace fd
