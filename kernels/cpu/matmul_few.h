// Matrix products with few rows, included by matmul.inc: every number of B is used a few times, so
// the memory of B is the limit, and the kernels only have to keep several rows of it in flight and
// leave it where it is.
#pragma once
#include "matmul.h"
#include "vec.inc"

namespace fd::FD_ISA {
namespace {

// A load across two lines of the cache costs the hardware's prefetch more than the load. A GEMV of
// NumPy's arrays, which begin 16 bytes past a line, read from L3 and from memory at 65% of the
// bandwidth with such loads, at 85% when lines were asked for ahead as well, and at 92 to 95% with
// whole lines alone, where asking ahead only costs. (It pays with 3 rows of A and more, whose sums
// leave L1 room for short pieces of B's rows only: half the time at 8 x 4096 x 4096.) So where all
// rows of B begin at one place in a line, the first few numbers are loaded apart, and whole lines
// from there on.
template <class T>
FD_INLINE int64_t place_in_line(const T* b, int64_t ldb) {
  const auto address = reinterpret_cast<uintptr_t>(b);
  const bool one_place = address % sizeof(T) == 0 && ldb % Vec<T>::N == 0;
  return FD_VEC_BYTES == 64 && one_place ? address % FD_VEC_BYTES / sizeof(T) : 0;
}

// What lane i of the result is: lane i + shift of x and then y, one after the other.
template <class T>
FD_INLINE Vec<T> shifted(Vec<T> x, Vec<T> y, int64_t shift) {
  using Int = typename Vec<T>::Int;
  typename Int::Raw lane;
  for (int i = 0; i < Vec<T>::N; ++i) lane[i] = i;
  return {__builtin_shuffle(x.v, y.v, lane + Int::set(shift).v)};
}

// `count` <= N - at numbers in the lanes from `at` on; the others are 0.
template <class T>
FD_INLINE Vec<T> load_at(const T* p, int64_t count, int64_t at) {
  const Vec<T> first = Vec<T>::load(p, static_cast<int>(count));
  if constexpr (FD_VEC_BYTES < 64) return first;
  return shifted(first, first, -at);
}

// sums[i * stride + at + j] (+)= G rows of B, each times its M numbers of A, for j < n.
template <class T, int M, int G>
FD_INLINE void sweep_rows(bool first, const T* a, int64_t row_stride, int64_t k_stride, const T* b,
                          int64_t ldb, int64_t at, T* sums, int64_t stride, int64_t n) {
  using V = Vec<T>;
  V ak[M][G];
#pragma GCC unroll 8
  for (int i = 0; i < M; ++i) {
#pragma GCC unroll 8
    for (int g = 0; g < G; ++g) ak[i][g] = V::set(a[i * row_stride + g * k_stride]);
  }
  const auto column = [&](int64_t to, const T* from, auto load_b) __attribute__((always_inline)) {
    V sum[M];
#pragma GCC unroll 8
    for (int i = 0; i < M; ++i) sum[i] = first ? V::zero() : V::load(sums + i * stride + to);
#pragma GCC unroll 8
    for (int g = 0; g < G; ++g) {
      const V bg = load_b(from + g * ldb);
      if (M > 2) __builtin_prefetch(from + (g + G) * ldb);
#pragma GCC unroll 8
      for (int i = 0; i < M; ++i) sum[i] = fma(ak[i][g], bg, sum[i]);
    }
#pragma GCC unroll 8
    for (int i = 0; i < M; ++i) sum[i].store(sums + i * stride + to);
  };
  const int64_t head = n < V::N - at ? n : V::N - at;
  column(0, b, [=](const T* p) { return load_at(p, head, at); });
  int64_t j = head;
  for (; j + V::N <= n; j += V::N) column(at + j, b + j, [](const T* p) { return V::load(p); });
  const int rest = static_cast<int>(n - j);
  if (rest) column(at + j, b + j, [rest](const T* p) { return V::load(p, rest); });
}

// Rows of B and of A at once: with more rows of A, their numbers leave the registers.
constexpr int kAtOnce = FD_VEC_REGISTERS == 32 ? 4 : 2;
constexpr int kStrip = FD_VEC_REGISTERS == 32 ? 6 : 8;
constexpr int rows_at_once(int m) { return m <= 2 ? 2 * kAtOnce : kAtOnce; }

template <class T>
struct Sweeps {
  using Function = void (*)(bool, const T*, int64_t, int64_t, const T*, int64_t, int64_t, T*,
                            int64_t, int64_t);
  Function several[kStrip], one[kStrip];  // rows of B; [rows of A - 1]
};

template <class T, int... M>
constexpr Sweeps<T> make_sweeps(Lanes<M...>) {
  return {{sweep_rows<T, M + 1, rows_at_once(M + 1)>...}, {sweep_rows<T, M + 1, 1>...}};
}

template <class T>
constexpr Sweeps<T> kSweeps = make_sweeps<T>(Iota<kStrip>());

// Columns of B contiguous: several rows of B at once sweep over sums that stay in L1, for one strip
// of rows of A after the other.
template <class T>
void sweep(int64_t k_size, const Rows<T>& rows, const T* b, int64_t ldb, T* c, int64_t ldc, int m,
           int64_t n, const Epilogue<T>& epilogue) {
  using V = Vec<T>;
  constexpr int64_t most = 16384 / sizeof(T);  // sums
  alignas(64) T sums[most + kSweepRows * V::N];
  const int strips = (m + kStrip - 1) / kStrip;
  const int64_t at_once = rows_at_once(m);  // a strip of 1 or 2 rows is alone
  // Where the next rows are asked for, they, the ones in use and the sums share L1.
  const int64_t in_l1 = 2 * most / (m + 2 * at_once), fair = m == 1 ? most / 2 : most / m;
  const int64_t width = (m > 2 && in_l1 < fair ? in_l1 : fair) / V::N * V::N, stride = width + V::N;
  const int64_t at = place_in_line(b, ldb);
  for (int64_t j0 = 0; j0 < n; j0 += width) {
    const int64_t columns = n - j0 < width ? n - j0 : width;
    for (int64_t k = 0; k < k_size;) {
      const bool several = k + at_once <= k_size;
      for (int s = 0; s < strips; ++s) {
        const int i = m * s / strips, end = m * (s + 1) / strips;
        const auto function = (several ? kSweeps<T>.several : kSweeps<T>.one)[end - i - 1];
        function(k == 0, rows.a + i * rows.row_stride + k * rows.k_stride, rows.row_stride,
                 rows.k_stride, b + k * ldb + j0, ldb, at, sums + i * stride, stride, columns);
      }
      k += several ? at_once : 1;
    }

    for (int i = 0; i < m; ++i) {
      for (int64_t j = 0; j < columns; j += V::N) {
        const int lanes = columns - j < V::N ? static_cast<int>(columns - j) : V::N;
        T* to = c + i * ldc + j0 + j;
        V sum = k_size ? V::load(sums + i * stride + at + j, lanes) : V::zero();
        if (epilogue.row_bias) sum += V::set(epilogue.row_bias[i]);
        if (epilogue.accumulate) sum = V::load(to, lanes) + sum;
        if (epilogue.column_bias) sum += V::load(epilogue.column_bias + j0 + j, lanes);
        sum.store(to, lanes);
      }
    }
  }
}

// Terms of a sum contiguous in A and in B: M x R dot products at once, in U chains each. Term k is
// added in chain k / N % U, lane k % N, wherever in a line B begins (`at`).
template <class T, int M, int R>
FD_INLINE void dot_rows(int64_t k_size, const T* a, int64_t lda, const T* b, int64_t ldb,
                        int64_t at, T (&total)[M][R]) {
  using V = Vec<T>;
  constexpr int U = M > 1 ? 1 : 2;
  V sum[M][R][U];
#pragma GCC unroll 4
  for (int i = 0; i < M; ++i) {
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
      for (int u = 0; u < U; ++u) sum[i][r][u] = V::zero();
    }
  }
  const auto step = [&](int64_t k, int u, auto load) __attribute__((always_inline)) {
    V ak[M];
#pragma GCC unroll 4
    for (int i = 0; i < M; ++i) ak[i] = load(a + i * lda + k);
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) {
      const V br = load(b + r * ldb + k);
#pragma GCC unroll 4
      for (int i = 0; i < M; ++i) sum[i][r][u] = fma(ak[i], br, sum[i][r][u]);
    }
  };
  const int64_t head = k_size < V::N - at ? k_size : V::N - at;
  step(0, 0, [=](const T* p) { return load_at(p, head, at); });
  int64_t k = head;
  for (; k + U * V::N <= k_size; k += U * V::N) {
#pragma GCC unroll 4
    for (int u = 0; u < U; ++u)
      step(k + u * V::N, (u + 1) % U, [](const T* p) { return V::load(p); });
  }
#pragma GCC unroll 4
  for (int u = 0; u < U; ++u, k += V::N) {
    const int64_t left = k_size - k;
    if (left <= 0) break;
    const int rest = left < V::N ? static_cast<int>(left) : V::N;
    step(k, (u + 1) % U, [rest](const T* p) { return V::load(p, rest); });
  }
#pragma GCC unroll 4
  for (int i = 0; i < M; ++i) {
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) {
      V chain[U];
#pragma GCC unroll 4
      for (int u = 0; u < U; ++u)
        chain[u] =
            FD_VEC_BYTES < 64 ? sum[i][r][u] : shifted(sum[i][r][u], sum[i][r][(u + 1) % U], at);
      if constexpr (U == 4) chain[0] += chain[2], chain[1] += chain[3];
      if constexpr (U > 1) chain[0] += chain[1];
      total[i][r] = reduce_add(chain[0]) + T(0);  // lanes without a term make a -0 of underflow 0
    }
  }
}

// One block of the sums, n columns of c.
template <class T, int M>
void dot_block(int64_t k_size, const T* a, int64_t lda, const T* b, int64_t ldb, T* c,
               int64_t c_row, int64_t c_column, int64_t n, const Epilogue<T>& epilogue) {
  constexpr int R = FD_VEC_REGISTERS == 32 || M <= 2 ? 4 : 2;
  const auto store = [&](int64_t j, int i, T sum) {
    T* to = c + i * c_row + j * c_column;
    if (epilogue.row_bias) sum += epilogue.row_bias[i];
    if (epilogue.accumulate) sum = *to + sum;
    if (epilogue.column_bias) sum += epilogue.column_bias[j];
    *to = sum;
  };
  // Rows that begin at different places in a line: one at a time, if M numbers of A are no burden.
  const bool apart = M == 1 && FD_VEC_BYTES == 64 && ldb % Vec<T>::N != 0;
  int64_t j = 0;
  for (; !apart && j + R <= n; j += R) {
    T total[M][R];
    const T* rows = b + j * ldb;
    dot_rows<T, M, R>(k_size, a, lda, rows, ldb, place_in_line(rows, ldb), total);
    for (int i = 0; i < M; ++i) {
      for (int r = 0; r < R; ++r) store(j + r, i, total[i][r]);
    }
  }
  for (; j < n; ++j) {
    T total[M][1];
    dot_rows<T, M, 1>(k_size, a, lda, b + j * ldb, ldb, place_in_line(b + j * ldb, 0), total);
    for (int i = 0; i < M; ++i) store(j, i, total[i][0]);
  }
}

// The block of A stays in L1, and B is read in pieces long enough to stream.
template <class T, int M>
void dot(int64_t k_size, const T* a, int64_t lda, const T* b, int64_t ldb, T* c, int64_t c_row,
         int64_t c_column, int64_t n, const Epilogue<T>& epilogue) {
  constexpr int64_t most = M == 1 ? 1024 * Vec<T>::N : 4096 / sizeof(T);
  for (int64_t k = 0; k < k_size; k += most) {
    const int64_t size = k_size - k < most ? k_size - k : most;
    const bool last = k + size == k_size;
    const Epilogue<T> e = {k > 0 || epilogue.accumulate, last ? epilogue.row_bias : nullptr,
                           last ? epilogue.column_bias : nullptr};
    if constexpr (M <= 4) {
      dot_block<T, M>(size, a + k, lda, b + k, ldb, c, c_row, c_column, n, e);
    } else {
      for (int64_t j = 0; j < n; j += 4) {  // the second few rows find their B in L1
        const int columns = n - j < 4 ? static_cast<int>(n - j) : 4;
        const T* bj = b + j * ldb + k;
        T* cj = c + j * c_column;
        const T* bias = e.column_bias ? e.column_bias + j : nullptr;
        dot_block<T, 4>(size, a + k, lda, bj, ldb, cj, c_row, c_column, columns,
                        {e.accumulate, e.row_bias, bias});
        dot_block<T, M - 4>(size, a + 4 * lda + k, lda, bj, ldb, cj + 4 * c_row, c_row, c_column,
                            columns, {e.accumulate, e.row_bias ? e.row_bias + 4 : nullptr, bias});
      }
    }
  }
}

template <class T>
struct Dots {
  decltype(&dot<T, 1>) function[kFewRows];  // [rows - 1]
};

template <class T, int... M>
constexpr Dots<T> make_dots(Lanes<M...>) {
  return {{dot<T, M + 1>...}};
}

template <class T>
constexpr Dots<T> kDots = make_dots<T>(Iota<kFewRows>());

template <class T>
void any_dot(int64_t k_size, const T* a, int64_t lda, const T* b, int64_t ldb, T* c, int64_t c_row,
             int64_t c_column, int m, int64_t n, const Epilogue<T>& epilogue) {
  kDots<T>.function[m - 1](k_size, a, lda, b, ldb, c, c_row, c_column, n, epilogue);
}

}  // namespace
}  // namespace fd::FD_ISA
