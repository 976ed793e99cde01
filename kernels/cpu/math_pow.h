// x^y = e^(y log x) of a Vec<float> or Vec<double>, C's pow for every special case.
//
// The product y log x may be 745, so its absolute error, which becomes the relative one of the
// result, must be 2^-10 of an ULP. Float: in double. Double: log x in two doubles with s = f/(2+f):
// 2 (s + s^3/3 + s^5 Q(s^2)), all but Q in two; Q minimax (2^-53.9 relative, times s^4 <= 2^-9).
#pragma once
#include "math_trig.h"

namespace fd::FD_ISA {
namespace {

// log |x| = high + low for finite x != 0.
FD_INLINE VecD log_in_two(VecD x, VecD& low) {
  using V = VecD;
  static constexpr double Q[] = {0x1.f3bfbfd4e160ap-5, 0x1.dd458fb85c4b9p-5, 0x1.11256bafd2d8ep-4,
                                 0x1.3b134e44c9867p-4, 0x1.745d184a4b242p-4, 0x1.c71c71c5cc6a1p-4,
                                 0x1.24924924929bap-3, 0x1.9999999999999p-3};
  const auto split = SplitLog<double>::of(x);
  const V f = split.f, t = V::set(2) + f, t_low = f - (t - V::set(2)), inverse = V::set(1) / t;
  const V s = f * inverse, st = s * t;
  const V s_low = (((f - st) - product_low(s, t, st)) - s * t_low) * inverse;
  const V z = s * s, z_low = product_low(s, s, z) + V::set(2) * (s * s_low);
  const V third = V::set(0x1.5555555555555p-2), p = z * third;
  const V p_low = product_low(z, third, p) + fma(z, V::set(0x1.5555555555555p-56), z_low * third);
  const V u = z * z * polynomial(z, z * z, Q), w = p + u, w_low = (u - (w - p)) + p_low;
  const V v = s * w, v_low = product_low(s, w, v) + fma(s, w_low, s_low * w);
  const V head = s + v, tail = (v - (head - s)) + (v_low + s_low);
  const V two_head = head + head, a = split.n * V::set(LogOf<double>::ln2_high);
  const V sum = a + two_head;
  const V rest = (two_head - (sum - a)) + fma(split.n, V::set(LogOf<double>::ln2_low), tail + tail);
  const V high = sum + rest;
  low = rest - (high - sum);
  return high;
}

// |x|^y for finite x != 0 and finite y.
FD_INLINE VecD power(VecD x, VecD y) {
  using V = VecD;
  using C = ExpOf<double>;
  V low;
  const V high = log_in_two(x, low), p = y * high;
  V p_low = fma(y, low, product_low(y, high, p));
  // Of a huge y the halves overflow; then p is huge too, or x is 1 and nothing is low.
  p_low = select((abs(p) < V::set(1000)) & (abs(y) < V::set(0x1p900)), p_low, V::zero());
  const auto split = SplitExp<double>::of(max(V::set(C::lowest), min(V::set(C::highest), p)));
  const V one = V::set(1);
  return scale(one + fma(p_low, one + split.e, split.e), split.n());
}

FD_INLINE VecF power(VecF x, VecF y) {
  typedef float Half __attribute__((vector_size(FD_VEC_BYTES / 2)));
  struct Halves {
    Half half[2];
  } a, b;
  __builtin_memcpy(&a, &x.v, sizeof a);
  __builtin_memcpy(&b, &y.v, sizeof b);
  for (int i = 0; i < 2; ++i) {
    const VecD base = {__builtin_convertvector(a.half[i], F64)};
    const VecD exponent = {__builtin_convertvector(b.half[i], F64)};
    a.half[i] = __builtin_convertvector(exp(exponent * log(base)).v, Half);
  }
  __builtin_memcpy(&x.v, &a, sizeof a);
  return x;
}

template <class T>
FD_INLINE Vec<T> pow(Vec<T> x, Vec<T> y) {
  using V = Vec<T>;
  const V t = abs(x), one = V::set(1), inf = V::set(kInf<T>);
  V r = power(t, y);
  const auto plain = (x > V::zero()) & (x < inf) & (abs(y) < inf);
  if (__builtin_expect(all(plain), 1)) return r;
  // Zeros and infinities: e to an infinite power or none; 1 to an infinite one is 1.
  const auto usual = (t > V::zero()) & (t < inf) & (abs(y) < inf);
  if (!all(usual)) r = select(usual, r, exp(y * select(t == one, V::zero(), log(t))));
  const V half = V::set(T(0.5)) * y;
  const auto whole = round(y) == y, odd = whole & (round(half) != half);
  r = select(odd, copy_sign(r, x), r);
  r = select((x < V::zero()) & (t < inf) & !whole & (abs(y) < inf), V::set(kNaN<T>), r);
  r = select(is_nan(x) | is_nan(y), x + y, r);
  r = select((t == one) & (abs(y) == inf), one, r);
  return select((y == V::zero()) | (x == one), one, r);
}

}  // namespace
}  // namespace fd::FD_ISA
