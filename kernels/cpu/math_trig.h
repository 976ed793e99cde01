// sin and cos of a Vec<float> or Vec<double>, for every finite input.
//
// x = q pi/2 + r + low with |r| <= pi/4: pi/2 in three parts (Cody and Waite), of which the first
// times q leaves an exact difference and `low` keeps what the second loses; from 2^13 on, lane by
// lane, 192 bits of 2/pi times the mantissa, modulo 4 (Payne and Hanek). Then the polynomials of
// FreeBSD's k_sin.c and k_cos.c (double) and of Cephes' sinf.c (float), with `low` as a correction
// of first order.
//
// The measured errors stand in math.inc.
#pragma once
#include "math.inc"

namespace fd::FD_ISA {
namespace {

template <class T>
struct TrigOf;
template <>
struct TrigOf<float> {
  static constexpr float two_over_pi = 0x1.45f306p-1f, magic = 0x1.8p23f;
  static constexpr float half_pi[] = {0x1.921fb6p0f, -0x1.777a5cp-25f, -0x1.ee59dap-50f};
  static constexpr float S[] = {-1.9515295891e-4f, 8.3321608736e-3f, -1.6666654611e-1f};
  static constexpr float C[] = {2.443315711809948e-5f, -1.388731625493765e-3f,
                                4.166664568298827e-2f};
};
template <>
struct TrigOf<double> {
  static constexpr double two_over_pi = 0x1.45f306dc9c883p-1, magic = 0x1.8p52;
  static constexpr double half_pi[] = {0x1.921fb54442d18p0, 0x1.1a62633145c07p-54,
                                       -0x1.f1976b7ed8fbcp-110};
  static constexpr double S[] = {1.58969099521155010221e-10, -2.50507602534068634195e-8,
                                 2.75573137070700676789e-6,  -1.98412698298579493134e-4,
                                 8.33333333332248946124e-3,  -1.66666666666666324348e-1};
  static constexpr double C[] = {-1.13596475577881948265e-11, 2.08757232129817482790e-9,
                                 -2.75573143513906633035e-7,  2.48015872894767294178e-5,
                                 -1.38888888888741095749e-3,  4.16666666666666019037e-2};
};

// The bits of 2/pi after 64 zeros.
constexpr uint64_t kTwoOverPi[] = {0x0000000000000000, 0xa2f9836e4e441529, 0xfc2757d1f534ddc0,
                                   0xdb6295993c439041, 0xfe5163abdebbc561, 0xb7246e3a424dd2e0,
                                   0x06492eea09d1921c, 0xfe1deb1cb129a73e, 0xe88235f52ebb4484,
                                   0xe99c7026b45f7e41, 0x3991d639835339f4, 0x9c845f8bbdf9283b,
                                   0x1ff897ffde05980f, 0xef2f118b5a0a6d1f, 0x6d367ecf27cb09b7,
                                   0x4f463f669e5fea2d, 0x7527bac7ebe5f17b, 0x3d0739f78a5292ea,
                                   0x6bfb5fb11f8d5d08, 0x56033046fc7b6bab, 0xf0cfbc209af4361d};

struct Reduced {
  double r, low;
  int64_t quadrant;
};

// Of finite |x| >= 2^13. Bits of 2/pi that make multiples of 4 are skipped; of the product's 190
// bits after the point 128 are kept, as a signed fraction of a quadrant.
__attribute__((noinline)) inline Reduced reduce_large(double x) {
  int64_t word;
  __builtin_memcpy(&word, &x, 8);
  const uint64_t m = (static_cast<uint64_t>(word) & ((uint64_t{1} << 52) - 1)) | uint64_t{1} << 52;
  const int exponent = static_cast<int>(word >> 52 & 2047) - 1075;
  const int at = exponent - 2 + 64, shift = at % 64;
  uint64_t w[3];
  for (int i = 0; i < 3; ++i) {
    const uint64_t* p = kTwoOverPi + at / 64 + i;
    w[i] = shift ? p[0] << shift | p[1] >> (64 - shift) : p[0];
  }
  using Wide = unsigned __int128;
  const Wide middle = Wide{m} * w[1] + (Wide{m} * w[2] >> 64);
  const uint64_t top = m * w[0] + static_cast<uint64_t>(middle >> 64);
  const uint64_t next = static_cast<uint64_t>(middle), last = m * w[2];
  int64_t quadrant = static_cast<int64_t>(top >> 62);
  const uint64_t high = top << 2 | next >> 62;
  const __int128 fraction = static_cast<__int128>(Wide{high} << 64 | next << 2 | last >> 62);
  quadrant += static_cast<int64_t>(high >> 63);
  const double f = static_cast<double>(fraction);
  const double rest = static_cast<double>(fraction - static_cast<__int128>(f));
  // f pi/2: the product of two numbers of 53 bits in two, by halves of 27 and 26.
  constexpr double a = TrigOf<double>::half_pi[0], a_low = TrigOf<double>::half_pi[1];
  constexpr double split = 0x1p27 + 1, ac = a * split, ah = ac - (ac - a), al = a - ah;
  const double g = f * 0x1p-128, fc = g * split, fh = fc - (fc - g), fl = g - fh;
  const double product = g * a;
  double low = ((fh * ah - product) + fh * al + fl * ah) + fl * al;
  low += g * a_low + rest * 0x1p-128 * a;
  const double r = product + low;
  low -= r - product;
  if (word < 0) return {-r, -low, -quadrant};
  return {r, low, quadrant};
}

// sin(x + quarter pi/2) for a quarter of 0 or 1.
template <int quarter, class T>
FD_INLINE Vec<T> sin_or_cos(Vec<T> x) {
  using V = Vec<T>;
  using Int = typename V::Int;
  using C = TrigOf<T>;
  using Lane = typename LaneOf<sizeof(T)>::type;
  const auto large = !(abs(x) < V::set(T(0x1p13)));
  const V magic = V::set(C::magic), shifted = fma(x, V::set(C::two_over_pi), magic);
  const V n = shifted - magic, a = V::set(C::half_pi[0]), b = V::set(C::half_pi[1]);
  Int quadrant = shifted.bits() - magic.bits();
  const V na = n * a, r1 = (x - na) - product_low(n, a, na);
  const V nb = n * b;
  V r = r1 - nb;
  V low = ((r1 - r) - nb) - product_low(n, b, nb) - n * V::set(C::half_pi[2]);
  if (__builtin_expect(any(large), 0)) {
    T xs[V::N], rs[V::N], lows[V::N];
    Lane quadrants[V::N];
    x.store(xs), r.store(rs), low.store(lows), quadrant.store(quadrants);
    for (unsigned lanes = large.bits(); lanes; lanes &= lanes - 1) {
      const int i = __builtin_ctz(lanes);
      rs[i] = kNaN<T>;  // of infinities and NaN
      if (!(__builtin_fabs(xs[i]) < kInf<T>)) continue;
      const Reduced reduced = reduce_large(xs[i]);
      rs[i] = static_cast<T>(reduced.r);
      lows[i] = static_cast<T>((reduced.r - static_cast<double>(rs[i])) + reduced.low);
      quadrants[i] = static_cast<Lane>(reduced.quadrant);
    }
    r = V::load(rs), low = V::load(lows), quadrant = Int::load(quadrants);
  }
  quadrant = quadrant + Int::set(quarter);
  const V one = V::set(1), z = r * r, z2 = z * z, half = V::set(T(0.5)) * z;
  const V sine = r + fma(r * z, polynomial(z, z2, C::S), fnma(half, low, low));
  const V near = one - half;
  const V cosine = near + (((one - near) - half) + fma(z2, polynomial(z, z2, C::C), -(r * low)));
  const auto odd = (quadrant & Int::set(1)) == Int::set(1);
  const V y = select(odd, cosine, sine);
  const V sign = V::bits((quadrant & Int::set(2)) << (sizeof(T) * 8 - 2));
  const V signed_y = V::bits(y.bits() ^ sign.bits());
  if constexpr (quarter) return signed_y;
  return select(x == V::zero(), x, signed_y);
}
template <class T>
FD_INLINE Vec<T> sin(Vec<T> x) {
  return sin_or_cos<0>(x);
}
template <class T>
FD_INLINE Vec<T> cos(Vec<T> x) {
  return sin_or_cos<1>(x);
}

}  // namespace
}  // namespace fd::FD_ISA
