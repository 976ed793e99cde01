// bfloat16 products with few rows, included by matmul_bf16.inc: B is read once and left where it
// is, its memory is the limit, and every instruction set multiplies in float32.
//
// A vector of words of B holds the even and the odd elements of a run, each half a word: a shift
// and a mask widen them, and nothing is shuffled until the sums are done.
#pragma once
#include "matmul_bf16.h"
#include "matmul_words.h"

namespace fd::FD_ISA {
namespace {

FD_INLINE VecF even_half(VecI x) { return VecF::bits(x << 16); }
FD_INLINE VecF odd_half(VecI x) {
  return VecF::bits(x & VecI::set(static_cast<int32_t>(0xFFFF0000)));
}
typedef uint16_t Halves __attribute__((vector_size(FD_VEC_BYTES / 2)));

// To nearest even; a NaN becomes the quiet NaN of its sign.
FD_INLINE Halves narrow(VecF x) {
  const VecI bits = x.bits();
  const VecI rounded = bits + VecI::set(0x7FFF) + (bits >> 16 & VecI::set(1));
  const VecI quiet = (bits & VecI::set(INT32_MIN)) | VecI::set(0x7FC00000);
  const VecI chosen = select(is_nan(x), quiet, rounded);
  return __builtin_convertvector((typename Register<uint32_t>::type)(chosen >> 16).v, Halves);
}

FD_INLINE void store(Halves x, uint16_t* to, int lanes) {
  if (lanes == VecF::N) {
    __builtin_memcpy(to, &x, sizeof x);
  } else {
#if FD_VEC_BYTES == 64
    _mm256_mask_storeu_epi16(to, VecF::first_n(lanes).m, (__m256i)x);
#else
    for (int i = 0; i < lanes; ++i) to[i] = x[i];
#endif
  }
}

FD_INLINE float widened(uint16_t x) {
  const uint32_t bits = uint32_t{x} << 16;
  float value;
  __builtin_memcpy(&value, &bits, sizeof value);
  return value;
}
// n elements as words; what is missing of the last vector is 0.
FD_INLINE VecI load_words(const uint16_t* p, int64_t n) {
  if (n >= 2 * VecI::N) return VecI::load(reinterpret_cast<const int*>(p));
#if FD_VEC_BYTES == 64
  return {(I32)_mm512_maskz_loadu_epi16(_bzhi_u32(0xFFFFFFFF, static_cast<unsigned>(n)), p)};
#else
  uint16_t part[2 * VecI::N] = {};
  for (int64_t i = 0; i < n; ++i) part[i] = p[i];
  return VecI::load(reinterpret_cast<const int*>(part));
#endif
}

template <int M, int R>
FD_INLINE void dot_columns(int64_t k_size, const float* a, int64_t lda, const uint16_t* b,
                           int64_t ldb, float (&total)[M][R]) {
  constexpr int N = VecF::N;
  VecF even[M][R], odd[M][R];
#pragma GCC unroll 8
  for (int i = 0; i < M; ++i) {
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) even[i][r] = odd[i][r] = VecF::zero();
  }
  const auto step = [&](int64_t k, auto load) __attribute__((always_inline)) {
    VecI words[R];
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) words[r] = load(b + r * ldb + k);
#pragma GCC unroll 8
    for (int i = 0; i < M; ++i) {
      const float* ai = a + i * lda + k / 2;
      const VecF first = VecF::load(ai), second = VecF::load(ai + lda / 2);
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) {
        even[i][r] = fma(first, even_half(words[r]), even[i][r]);
        odd[i][r] = fma(second, odd_half(words[r]), odd[i][r]);
      }
    }
  };
  constexpr int64_t ahead = 1024;
  int64_t k = 0;
  for (; k + 2 * N <= k_size; k += 2 * N) {
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) __builtin_prefetch(b + r * ldb + k + ahead);
    step(k, [](const uint16_t* p) { return VecI::load(reinterpret_cast<const int*>(p)); });
  }
  const int64_t rest = k_size - k;
  if (rest) step(k, [rest](const uint16_t* p) { return load_words(p, rest); });
#pragma GCC unroll 8
  for (int i = 0; i < M; ++i) {
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) total[i][r] = reduce_add(even[i][r] + odd[i][r]);
  }
}

template <int M>
void dot(int64_t k_size, const float* a, int64_t lda, const uint16_t* b, int64_t ldb, uint16_t* c,
         int64_t c_row, int64_t c_column, int64_t n, const float* bias) {
  constexpr int R = FD_VEC_BYTES == 64 ? (M <= 2 ? 4 : 2) : M == 1 ? 2 : 1;
  const auto store = [&](int64_t j, int i, float sum) {
    c[i * c_row + j * c_column] = narrow(VecF::set(bias ? sum + bias[j] : sum))[0];
  };
  int64_t j = 0;
  for (; j + R <= n; j += R) {
    float total[M][R];
    dot_columns<M, R>(k_size, a, lda, b + j * ldb, ldb, total);
    for (int i = 0; i < M; ++i) {
      for (int r = 0; r < R; ++r) store(j + r, i, total[i][r]);
    }
  }
  for (; j < n; ++j) {
    float total[M][1];
    dot_columns<M, 1>(k_size, a, lda, b + j * ldb, ldb, total);
    for (int i = 0; i < M; ++i) store(j, i, total[i][0]);
  }
}

// sums[i][even, odd][columns / 2] (+)= G rows of B, each times its M numbers of A.
template <int M, int G>
FD_INLINE void sweep_rows(bool first, const uint16_t* a, int64_t row_stride, int64_t k_stride,
                          const uint16_t* b, int64_t ldb, float* sums, int64_t half, int64_t n) {
  constexpr int N = VecF::N;
  VecF ak[M][G];
#pragma GCC unroll 8
  for (int i = 0; i < M; ++i) {
#pragma GCC unroll 4
    for (int g = 0; g < G; ++g) ak[i][g] = VecF::set(widened(a[i * row_stride + g * k_stride]));
  }
  const auto columns = [&](int64_t j, auto load) __attribute__((always_inline)) {
    VecF sum[M][2];
    float* at = sums + j / 2;
#pragma GCC unroll 8
    for (int i = 0; i < M; ++i) {
#pragma GCC unroll 2
      for (int h = 0; h < 2; ++h)
        sum[i][h] = first ? VecF::zero() : VecF::load(at + (2 * i + h) * half);
    }
#pragma GCC unroll 4
    for (int g = 0; g < G; ++g) {
      const VecI words = load(b + g * ldb + j);
      const VecF even = even_half(words), odd = odd_half(words);
#pragma GCC unroll 8
      for (int i = 0; i < M; ++i) {
        sum[i][0] = fma(ak[i][g], even, sum[i][0]);
        sum[i][1] = fma(ak[i][g], odd, sum[i][1]);
      }
    }
#pragma GCC unroll 8
    for (int i = 0; i < M; ++i) {
#pragma GCC unroll 2
      for (int h = 0; h < 2; ++h) sum[i][h].store(at + (2 * i + h) * half);
    }
  };
  constexpr int64_t ahead = 1024;
  int64_t j = 0;
  for (; j + 2 * N <= n; j += 2 * N) {
    const uint16_t* next = b + j + ahead < b + n ? b + j + ahead : b + G * ldb + j + ahead - n;
#pragma GCC unroll 4
    for (int g = 0; g < G; ++g) __builtin_prefetch(next + g * ldb);
    columns(j, [](const uint16_t* p) { return VecI::load(reinterpret_cast<const int*>(p)); });
  }
  const int64_t rest = n - j;
  if (rest) columns(j, [rest](const uint16_t* p) { return load_words(p, rest); });
}

// Several rows of B at once sweep over sums that stay in L1.
template <int M>
void sweep(int64_t k_size, const uint16_t* a, int64_t row_stride, int64_t k_stride,
           const uint16_t* b, int64_t ldb, uint16_t* c, int64_t c_stride, int64_t n,
           const float* bias) {
  constexpr int N = VecF::N, G = M <= 2 ? 4 : M <= 4 ? 2 : 1;
  constexpr int64_t half = int64_t{2048} / M / N * N, width = 2 * half;
  alignas(64) float sums[2 * M * half];
  for (int64_t j0 = 0; j0 < n; j0 += width) {
    const int64_t columns = n - j0 < width ? n - j0 : width;
    const uint16_t *ak = a, *bk = b + j0;
    int64_t k = 0;
    for (; k + G <= k_size; k += G, ak += G * k_stride, bk += G * ldb)
      sweep_rows<M, G>(k == 0, ak, row_stride, k_stride, bk, ldb, sums, half, columns);
    for (; k < k_size; ++k, ak += k_stride, bk += ldb)
      sweep_rows<M, 1>(k == 0, ak, row_stride, k_stride, bk, ldb, sums, half, columns);
    for (int i = 0; i < M; ++i) {
      for (int64_t j = 0; j < columns; j += 2 * N) {
        VecF low = VecF::zero(), high = low;
        if (k_size) {
          const float* at = sums + 2 * i * half + j / 2;
          interleave(VecF::load(at), VecF::load(at + half), low, high);
        }
        const auto finish = [&](VecF sum, int64_t at) __attribute__((always_inline)) {
          const int64_t left = columns - at;
          if (left <= 0) return;
          const int lanes = left < N ? static_cast<int>(left) : N;
          if (bias) sum += VecF::load(bias + j0 + at, lanes);
          store(narrow(sum), c + i * c_stride + j0 + at, lanes);
        };
        finish(low, j);
        finish(high, j + N);
      }
    }
  }
}

struct FewRows {
  decltype(&dot<1>) dot[kFewBf16Rows];  // [rows - 1]
  decltype(&sweep<1>) sweep[kFewBf16Rows];
};
template <int... M>
constexpr FewRows make_few_rows(Lanes<M...>) {
  return {{dot<M + 1>...}, {sweep<M + 1>...}};
}
constexpr FewRows kFew = make_few_rows(Iota<kFewBf16Rows>());

void any_dot(int64_t k_size, const float* a, int64_t lda, const uint16_t* b, int64_t ldb,
             uint16_t* c, int64_t c_row, int64_t c_column, int m, int64_t n, const float* bias) {
  kFew.dot[m - 1](k_size, a, lda, b, ldb, c, c_row, c_column, n, bias);
}
void any_sweep(int64_t k_size, const uint16_t* a, int64_t row_stride, int64_t k_stride,
               const uint16_t* b, int64_t ldb, uint16_t* c, int64_t c_stride, int m, int64_t n,
               const float* bias) {
  kFew.sweep[m - 1](k_size, a, row_stride, k_stride, b, ldb, c, c_stride, n, bias);
}
}  // namespace
}  // namespace fd::FD_ISA
