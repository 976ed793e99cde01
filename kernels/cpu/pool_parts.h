// What pool.inc and pool_last.inc share: the two folds, partial registers, windows.
#pragma once
#include "pool.h"
#include "vec.inc"

namespace fd::FD_ISA {
namespace {

FD_INLINE int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
FD_INLINE int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

template <class T>
struct Max {
  static constexpr T identity = -static_cast<T>(__builtin_inf());
  static FD_INLINE Vec<T> fold(Vec<T> before, Vec<T> x) { return max_nan(x, before); }
};
template <class T>
struct Sum {
  static constexpr T identity = 0;
  static FD_INLINE Vec<T> fold(Vec<T> before, Vec<T> x) { return before + x; }
};

template <class T>
using IntOf = typename LaneOf<sizeof(T)>::type;

// A number known to the compiler, as an argument.
template <int count>
struct Count {
  static constexpr int value = count;
};

// torch's rule: a value takes over when it is greater, or NaN.
template <class T>
FD_INLINE auto takes_over(Vec<T> best, Vec<T> x) {
  return (x > best) | is_nan(x);
}
template <class T>
FD_INLINE void keep_first(Vec<T>& best, Vec<IntOf<T>>& where, Vec<T> x, Vec<IntOf<T>> here) {
  const auto takes = takes_over(best, x);
  best = select(takes, x, best);
  where = select(takes, here, where);
}

// In these n counts what is left, and may be more than a register; in load_or also less than one
// element.
template <class T>
FD_INLINE Vec<T> load_or(const T* p, int64_t n, T otherwise) {
  constexpr int N = Vec<T>::N;
  if (n >= N) return Vec<T>::load(p);
  if (n <= 0) return Vec<T>::set(otherwise);
  const int lanes = static_cast<int>(n);
  return select(Vec<T>::first_n(lanes), Vec<T>::load(p, lanes), Vec<T>::set(otherwise));
}
template <class T>
FD_INLINE Vec<T> load_some(const T* p, int64_t n) {
  return n >= Vec<T>::N ? Vec<T>::load(p) : Vec<T>::load(p, static_cast<int>(n));
}
template <class T>
FD_INLINE void store_some(Vec<T> v, T* p, int64_t n) {
  if (n >= Vec<T>::N)
    v.store(p);
  else
    v.store(p, static_cast<int>(n));
}
template <class T>
void fill(T* p, int64_t n, T value) {
  for (int64_t i = 0; i < n; i += Vec<T>::N) store_some(Vec<T>::set(value), p + i, n - i);
}

}  // namespace
}  // namespace fd::FD_ISA
