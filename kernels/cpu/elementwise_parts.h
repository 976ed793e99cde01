// The two loops behind the tables of elementwise ops, and what their lines are written with.
//
// A function F is a struct with `of(o, x...)`: o are the options. `vec_loop` gives it registers;
// `plain_loop` elements, for integers and for results that are bools: gcc vectorises those. Both
// read a single element from a small block of copies of it, so that one loop serves all variants.
#pragma once
#include "elementwise.h"
#include "math_pow.h"

namespace fd::FD_ISA {
namespace {

template <class V>
struct LaneType {
  using type = V;
  static FD_INLINE V set(V x) { return x; }
};
template <class T>
struct LaneType<Vec<T>> {
  using type = T;
  static FD_INLINE Vec<T> set(T x) { return Vec<T>::set(x); }
};
// A constant, in all lanes of a register.
template <class V>
FD_INLINE V number(double x) {
  return LaneType<V>::set(static_cast<typename LaneType<V>::type>(x));
}

// F(x) as struct Name, with any statements before its `return`; likewise of two and three.
#define FD_OP1(Name, ...)                                        \
  struct Name {                                                  \
    template <class V>                                           \
    static FD_INLINE auto of([[maybe_unused]] const V* o, V x) { \
      __VA_ARGS__                                                \
    }                                                            \
  };
#define FD_OP2(Name, a, b, ...)                                       \
  struct Name {                                                       \
    template <class V>                                                \
    static FD_INLINE auto of([[maybe_unused]] const V* o, V a, V b) { \
      __VA_ARGS__                                                     \
    }                                                                 \
  };
#define FD_OP3(Name, a, b, c, ...)                                         \
  struct Name {                                                            \
    template <class V>                                                     \
    static FD_INLINE auto of([[maybe_unused]] const V* o, V a, V b, V c) { \
      __VA_ARGS__                                                          \
    }                                                                      \
  };

template <class F, int arrays, class V, class Get>
FD_INLINE auto apply(const V* o, Get get) {
  if constexpr (arrays == 1) return F::of(o, get(0));
  if constexpr (arrays == 2) return F::of(o, get(0), get(1));
  if constexpr (arrays == 3) return F::of(o, get(0), get(1), get(2));
}

// Where the inputs are read: `move` is 0 for a single element, copied `size` times.
template <class T, int arrays, int64_t size>
struct Inputs {
  alignas(64) T copies[arrays][size];
  const T* p[arrays];
  int64_t move[arrays];
  bool any_single = false;

  FD_INLINE Inputs(const void* const* in, const Given& given, int64_t n) {
    for (int k = 0; k < arrays; ++k) {
      p[k] = static_cast<const T*>(in[k]);
      move[k] = 1;
      if (given.single >> k & 1) {
        const T value = *p[k];
        for (int64_t i = 0; i < size && i < n; ++i) copies[k][i] = value;
        p[k] = copies[k];
        move[k] = 0;
        any_single = true;
      }
    }
  }
};

template <class F, class T, int arrays, int together>
FD_INLINE void registers(void* out, const void* const* in, int64_t n) {
  using V = Vec<T>;
  constexpr int64_t step = together * V::N;
  const Given& given = *static_cast<const Given*>(in[arrays]);
  V o[4];
  for (int i = 0; i < 4; ++i) o[i] = V::set(static_cast<T>(given.option[i]));
  const Inputs<T, arrays, step> x(in, given, n);
  T* y = static_cast<T*>(out);
  int64_t i = 0;
  for (; i + step <= n; i += step) {
    V v[together];
    for (int t = 0; t < together; ++t)
      v[t] = apply<F, arrays>(o, [&](int k) __attribute__((always_inline)) {
        return V::load(x.p[k] + i * x.move[k] + t * V::N);
      });
    for (int t = 0; t < together; ++t) v[t].store(y + i + t * V::N);
  }
  for (; i < n; i += V::N) {
    const int m = n - i < V::N ? static_cast<int>(n - i) : V::N;
    apply<F, arrays>(o, [&](int k) __attribute__((always_inline)) {
      return V::load(x.p[k] + i * x.move[k], m);
    }).store(y + i, m);
  }
}

// Two or four registers together and interleaved, as in elementwise.inc; long functions one by one,
// which the registers there are do not hold twice.
template <class F, class T, int arrays>
__attribute__((optimize("schedule-insns"))) void vec_loop(void* out, const void* const* in,
                                                          int64_t n) {
  registers<F, T, arrays, 2>(out, in, n);
}
template <class F, class T, int arrays>
__attribute__((optimize("schedule-insns"))) void wide_loop(void* out, const void* const* in,
                                                           int64_t n) {
  registers<F, T, arrays, FD_VEC_REGISTERS == 32 ? 4 : 2>(out, in, n);
}
template <class F, class T, int arrays>
void long_loop(void* out, const void* const* in, int64_t n) {
  registers<F, T, arrays, 1>(out, in, n);
}

template <class F, class T, class R, int arrays>
void plain_loop(void* out, const void* const* in, int64_t n) {
  constexpr int64_t size = 256;
  const Given& given = *static_cast<const Given*>(in[arrays]);
  T o[4];
  for (int i = 0; i < 4; ++i) o[i] = static_cast<T>(given.option[i]);
  const Inputs<T, arrays, size> x(in, given, n);
  const int64_t block = x.any_single ? size : n;
  for (int64_t begin = 0; begin < n; begin += block) {
    const int64_t count = n - begin < block ? n - begin : block;
    R* y = static_cast<R*>(out) + begin;
    const T* p[arrays];
    for (int k = 0; k < arrays; ++k) p[k] = x.p[k] + begin * x.move[k];
#pragma GCC ivdep
    for (int64_t i = 0; i < count; ++i)
      y[i] = static_cast<R>(
          apply<F, arrays>(o, [&](int k) __attribute__((always_inline)) { return p[k][i]; }));
  }
}

// The loops of a line of a table, by DType: b8 u8 i32 i64 f32 f64.
#define FD_FLOATS(F, arrays) \
  {nullptr, nullptr, nullptr, nullptr, vec_loop<F, float, arrays>, vec_loop<F, double, arrays>}
#define FD_WIDE(F, arrays) \
  {nullptr, nullptr, nullptr, nullptr, wide_loop<F, float, arrays>, wide_loop<F, double, arrays>}
#define FD_LONG(F, arrays) \
  {nullptr, nullptr, nullptr, nullptr, long_loop<F, float, arrays>, long_loop<F, double, arrays>}
#define FD_NUMBERS(F, I, arrays)            \
  {nullptr,                                 \
   plain_loop<I, uint8_t, uint8_t, arrays>, \
   plain_loop<I, int32_t, int32_t, arrays>, \
   plain_loop<I, int64_t, int64_t, arrays>, \
   vec_loop<F, float, arrays>,              \
   vec_loop<F, double, arrays>}
#define FD_ALL(F, I, arrays)                \
  {plain_loop<I, uint8_t, uint8_t, arrays>, \
   plain_loop<I, uint8_t, uint8_t, arrays>, \
   plain_loop<I, int32_t, int32_t, arrays>, \
   plain_loop<I, int64_t, int64_t, arrays>, \
   vec_loop<F, float, arrays>,              \
   vec_loop<F, double, arrays>}
#define FD_DECIDES(F, arrays)                                                        \
  {plain_loop<F, uint8_t, uint8_t, arrays>, plain_loop<F, uint8_t, uint8_t, arrays>, \
   plain_loop<F, int32_t, uint8_t, arrays>, plain_loop<F, int64_t, uint8_t, arrays>, \
   plain_loop<F, float, uint8_t, arrays>,   plain_loop<F, double, uint8_t, arrays>}
#define FD_BITS(B, F, arrays)               \
  {plain_loop<B, uint8_t, uint8_t, arrays>, \
   plain_loop<F, uint8_t, uint8_t, arrays>, \
   plain_loop<F, int32_t, int32_t, arrays>, \
   plain_loop<F, int64_t, int64_t, arrays>, \
   nullptr,                                 \
   nullptr}

}  // namespace
}  // namespace fd::FD_ISA
