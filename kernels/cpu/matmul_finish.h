// What a product does with its finished sums, included by matmul.inc: scale, activation, and those
// addends that the tile does not add in its registers.
//
// A pass over the rows of a tile, some panels wide, when their sums are in C: they are in L1 or L2,
// and long enough for several registers at a time. In the registers of the tile it would be
// compiled into each of its 4 mr variants, once an activation (megabytes), where gelu needs more
// registers than the sums leave. Tried before: a tile at a time, in C (10 to 25% slower than a pass
// over all of C at the end) or on the way there from a buffer (2 to 15%); all rows of a chunk (up
// to 10%: rows a power of two apart share sets of L2).
#pragma once
#include "elementwise_activation.h"
#include "matmul.h"
#include "vec.inc"

namespace fd::FD_ISA {
namespace {

template <class T, class F>
FD_INLINE void each_vector(int64_t n, T* x, F f) {
  using V = Vec<T>;
  int64_t j = 0;
  for (; j + V::N <= n; j += V::N) f(V::load(x + j), j, V::N).store(x + j);
  const int rest = static_cast<int>(n - j);
  if (rest) f(V::load(x + j, rest), j, rest).store(x + j, rest);
}

// x = alpha * x + addends, of which these are the first elements.
template <class T>
void combine(int64_t n, T* x, T alpha, const typename Finish<T>::Addend (&addends)[2]) {
  using V = Vec<T>;
  const V a = V::set(alpha);
  if (alpha != T(1)) each_vector(n, x, [a](V v, int64_t, int) { return a * v; });
  for (const auto& add : addends) {
    const V scale = V::set(add.scale);
    const T* p = add.data;
    if (p && add.column_stride == 1) {
      each_vector(n, x, [=](V v, int64_t j, int lanes) {
        return fma(scale, lanes == V::N ? V::load(p + j) : V::load(p + j, lanes), v);
      });
    } else if (p) {
      const int64_t step = add.column_stride;
      each_vector(n, x, [=](V v, int64_t j, int lanes) {
        T values[V::N] = {};
        for (int l = 0; l < lanes; ++l) values[l] = p[(j + l) * step];
        return fma(scale, V::load(values), v);
      });
    }
  }
}

// Registers together as in elementwise_parts.h, where these functions are measured.
template <class F, class T, int together>
FD_INLINE int64_t activate_together(int64_t i, int64_t n, T* x) {
  using V = Vec<T>;
  for (; i + together * V::N <= n; i += together * V::N) {
    V v[together];
    for (int t = 0; t < together; ++t) v[t] = F::template of<V>(nullptr, V::load(x + i + t * V::N));
    for (int t = 0; t < together; ++t) v[t].store(x + i + t * V::N);
  }
  return i;
}
template <class F, class T>
__attribute__((optimize("schedule-insns"))) void activate(int64_t m, int64_t n, T* x, int64_t row) {
  using V = Vec<T>;
  for (; m > 0; --m, x += row) {
    int64_t i = 0;
    if (FD_VEC_REGISTERS == 32) i = activate_together<F, T, 4>(i, n, x);
    i = activate_together<F, T, 2>(i, n, x);
    for (; i < n; i += V::N) {
      const int lanes = n - i < V::N ? static_cast<int>(n - i) : V::N;
      F::template of<V>(nullptr, V::load(x + i, lanes)).store(x + i, lanes);
    }
  }
}

template <class T>
void finish_rows(int64_t m, int64_t n, T* x, int64_t row, const Finish<T>& f) {
  if (f.alpha != T(1) || f.addends[0].data || f.addends[1].data) {
    for (int64_t i = 0; i < m; ++i) {
      typename Finish<T>::Addend addends[2] = {f.addends[0], f.addends[1]};
      for (auto& add : addends) {
        if (add.data) add.data += i * add.row_stride;
      }
      combine(n, x + i * row, f.alpha, addends);
    }
  }
  static constexpr decltype(&activate<Relu, T>) functions[] = {
      nullptr,           activate<Relu, T>, activate<Sigmoid, T>, activate<Tanh, T>,
      activate<Silu, T>, activate<Gelu, T>, activate<GeluTanh, T>};
  if (const auto function = functions[static_cast<int>(f.activation)]) function(m, n, x, row);
}

// Elements apart from each other go through a piece of a row at a time.
template <class T>
void finish(int64_t m, int64_t n, T* c, int64_t c_row, int64_t c_column, const Finish<T>& f) {
  if (c_column == 1) return finish_rows(m, n, c, c_row, f);
  constexpr int64_t most = 512;
  T piece[most];
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; j += most) {
      const int64_t count = n - j < most ? n - j : most;
      T* at = c + i * c_row + j * c_column;
      Finish<T> part = f;
      for (auto& add : part.addends) {
        if (add.data) add.data += i * add.row_stride + j * add.column_stride;
      }
      for (int64_t l = 0; l < count; ++l) piece[l] = at[l * c_column];
      finish_rows(1, count, piece, most, part);
      for (int64_t l = 0; l < count; ++l) at[l * c_column] = piece[l];
    }
  }
}

}  // namespace
}  // namespace fd::FD_ISA
