// Folds of rows, and the p-norms made of them: what normalize and the triplet loss share.
#pragma once
#include "logsumexp.inc"
#include "math_pow.h"

namespace fd::FD_ISA {
namespace {

// C folds of a row in one sweep, in the order of row_sum: f(k, lanes, acc) adds to acc[C], which
// begin as `start`; join(c, x, y) joins two partial results of fold c.
template <int C, class T, class Join, class F>
FD_INLINE void fold_row(int64_t n, const Vec<T> (&start)[C], T (&total)[C], Join join, F f) {
  using V = Vec<T>;
  V all[C];
  for (int c = 0; c < C; ++c) all[c] = start[c];
  for (int64_t from = 0; from < n; from += kBlock) {
    V acc[A][C];
    for (int u = 0; u < A; ++u)
      for (int c = 0; c < C; ++c) acc[u][c] = start[c];
    sweep<T>(n - from < kBlock ? n - from : kBlock,
             [&](int64_t k, int u, int lanes) { f(from + k, lanes, acc[u]); });
    for (int half = A / 2; half; half /= 2)
      for (int u = 0; u < half; ++u)
        for (int c = 0; c < C; ++c) acc[u][c] = join(c, acc[u][c], acc[u + half][c]);
    for (int c = 0; c < C; ++c) all[c] = join(c, all[c], acc[0][c]);
  }
  for (int c = 0; c < C; ++c)
    total[c] = fold<V::N / 2>(all[c], [&](V x, V y) { return join(c, x, y); });
}

constexpr auto add = [](int, auto x, auto y) __attribute__((always_inline)) { return x + y; };

// The p-norm: terms of x, how they are joined, and what is made of their fold.
enum Kind { kTwo, kThree, kOne, kMost, kLeast, kCount, kOther };

template <class T, Kind kind>
struct Length {
  using V = Vec<T>;
  V p, inverse;
  explicit Length(double p)
      : p(V::set(static_cast<T>(p))), inverse(V::set(static_cast<T>(1 / p))) {}

  static FD_INLINE V start() { return kind == kLeast ? V::set(kInf<T>) : V::zero(); }
  static FD_INLINE V join(V x, V y) {
    return kind == kMost ? max_nan(x, y) : kind == kLeast ? min_nan(x, y) : x + y;
  }
  FD_INLINE V add(V total, V x) const {
    if constexpr (kind == kTwo) return fma(x, x, total);
    if constexpr (kind == kCount) return total + select(x != V::zero(), V::set(1), V::zero());
    if constexpr (kind == kThree) return total + x * x * abs(x);
    if constexpr (kind == kOther) return total + pow(abs(x), p);
    return join(total, abs(x));
  }
  FD_INLINE V root(V total) const {
    if constexpr (kind == kTwo) return sqrt(total);
    if constexpr (kind == kThree || kind == kOther) return pow(total, inverse);
    return total;
  }
  // What c is multiplied by in dx; of kTwo c holds another 1 / L.
  FD_INLINE V slope(V x, V length) const {
    const V one = V::set(1), zero = V::zero();
    const V sign = select(x > zero, one, select(x < zero, -one, zero));
    if constexpr (kind == kTwo) return x;
    if constexpr (kind == kOne) return sign;
    if constexpr (kind == kCount) return zero;
    if constexpr (kind == kThree) return x / length * (abs(x) / length);
    if constexpr (kind == kOther)
      return select(x == zero, zero, copy_sign(pow(abs(x) / length, p - one), x));
    return select(abs(x) == length, sign, zero);
  }
};

// name(s) as name_by<T, kind>(s), by the p of the strip s.
#define FD_KINDS(name, Strip)                                 \
  template <class T>                                          \
  void name(const Strip& s) {                                 \
    if (s.p == 2) return name##_by<T, kTwo>(s);               \
    if (s.p == 3) return name##_by<T, kThree>(s);             \
    if (s.p == 1) return name##_by<T, kOne>(s);               \
    if (s.p == 0) return name##_by<T, kCount>(s);             \
    if (s.p == kInf<double>) return name##_by<T, kMost>(s);   \
    if (s.p == -kInf<double>) return name##_by<T, kLeast>(s); \
    name##_by<T, kOther>(s);                                  \
  }

}  // namespace
}  // namespace fd::FD_ISA
