// Matrix products with at most kFewRows rows, included by matmul.inc: every number of B is used at
// most eight times, so the memory of B is the limit, and the kernels only have to keep several rows
// of it in flight and leave it where it is.
#pragma once
#include "matmul.h"
#include "vec.inc"

namespace fd::FD_ISA {
namespace {

// One row of A: lines of B are asked for ahead, and at the end of a run those of the next rows; the
// hardware's own prefetch is late. From L3 80 -> 100 GB/s at 2048^2, where a stream of one row at a
// time reaches 92 (but 115, not 109, at 1024^2; and 40, not 50, from memory at 4096^2).
constexpr int64_t kAhead = 1024;  // bytes
constexpr int64_t kFarAhead = 2048;
constexpr int64_t kNear = 12 << 20;  // bytes of B that may be in a cache

template <int rows, int bytes, class T>
FD_INLINE void prefetch(const T* b, int64_t k, int64_t k_size, int64_t ldb, int64_t ahead) {
  const T* next = b + k + ahead / int64_t(sizeof(T));
  if (next >= b + k_size) next += rows * ldb - k_size;  // of the next rows
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 4
    for (int line = 0; line < bytes; line += 64)
      __builtin_prefetch(reinterpret_cast<const char*>(next + r * ldb) + line);
  }
}

// sums[M][stride] (+)= G rows of B, each times its M numbers of A.
template <class T, int M, int G>
FD_INLINE void sweep_rows(bool first, const T* a, int64_t row_stride, int64_t k_stride, const T* b,
                          int64_t ldb, T* sums, int64_t stride, int64_t n) {
  using V = Vec<T>;
  V ak[M][G];
#pragma GCC unroll 8
  for (int i = 0; i < M; ++i) {
#pragma GCC unroll 8
    for (int g = 0; g < G; ++g) ak[i][g] = V::set(a[i * row_stride + g * k_stride]);
  }
  const auto column = [&](int64_t j, auto load_b) __attribute__((always_inline)) {
    V sum[M];
#pragma GCC unroll 8
    for (int i = 0; i < M; ++i) sum[i] = first ? V::zero() : V::load(sums + i * stride + j);
#pragma GCC unroll 8
    for (int g = 0; g < G; ++g) {
      const V bg = load_b(b + g * ldb + j);
#pragma GCC unroll 8
      for (int i = 0; i < M; ++i) sum[i] = fma(ak[i][g], bg, sum[i]);
    }
#pragma GCC unroll 8
    for (int i = 0; i < M; ++i) sum[i].store(sums + i * stride + j);
  };
  int64_t j = 0;
  if constexpr (M == 1) {
    for (; j + 4 * V::N <= n; j += 4 * V::N) {
      prefetch<G, 4 * FD_VEC_BYTES>(b, j, n, ldb, kAhead);
#pragma GCC unroll 4
      for (int u = 0; u < 4; ++u) column(j + u * V::N, [](const T* p) { return V::load(p); });
    }
  }
  for (; j + V::N <= n; j += V::N) column(j, [](const T* p) { return V::load(p); });
  const int rest = static_cast<int>(n - j);
  if (rest) column(j, [rest](const T* p) { return V::load(p, rest); });
}

// Columns of B contiguous: several rows of B at once sweep over sums that stay in L1.
template <class T, int M>
void sweep(int64_t k_size, const Rows<T>& rows, const T* b, int64_t ldb, T* c, int64_t ldc,
           int64_t n, const Epilogue<T>& epilogue) {
  using V = Vec<T>;
  constexpr int registers = FD_VEC_BYTES == 64 ? 16 : 8;                  // for the numbers of A
  constexpr int G = M == 1 ? 4 : M == 2 ? registers / 2 : registers / 4;  // more of them are reread
  constexpr int64_t width = (int64_t{16384} / M / sizeof(T)) / V::N * V::N;
  alignas(64) T sums[M * width];
  for (int64_t j0 = 0; j0 < n; j0 += width) {
    const int64_t columns = n - j0 < width ? n - j0 : width;
    const T* a = rows.a;
    const T* bk = b + j0;
    int64_t k = 0;
    for (; k + G <= k_size; k += G, a += G * rows.k_stride, bk += G * ldb)
      sweep_rows<T, M, G>(k == 0, a, rows.row_stride, rows.k_stride, bk, ldb, sums, width, columns);
    for (; k < k_size; ++k, a += rows.k_stride, bk += ldb)
      sweep_rows<T, M, 1>(k == 0, a, rows.row_stride, rows.k_stride, bk, ldb, sums, width, columns);

    for (int i = 0; i < M; ++i) {
      for (int64_t j = 0; j < columns; j += V::N) {
        const int lanes = columns - j < V::N ? static_cast<int>(columns - j) : V::N;
        T* to = c + i * ldc + j0 + j;
        V sum = k_size ? V::load(sums + i * width + j) : V::zero();
        if (epilogue.row_bias) sum += V::set(epilogue.row_bias[i]);
        if (epilogue.accumulate) sum = V::load(to, lanes) + sum;
        if (epilogue.column_bias) sum += V::load(epilogue.column_bias + j0 + j, lanes);
        sum.store(to, lanes);
      }
    }
  }
}

// One row of A times R rows of B, all of which begin at one place inside a line: whole lines are
// loaded, and what two of them hold of a row is shuffled together, so that no load crosses a line.
// The sums are those of `dot_rows`, as far as there are U whole vectors; returns how many terms.
// NumPy's arrays begin 16 bytes past a line: 5% faster than loads across lines from L2 and L3, but
// up to 10% slower from memory, where those reach for the next line earlier.
template <bool b>
struct Constant {
  static constexpr bool value = b;
};

template <class T, int R, int U>
FD_INLINE int64_t dot_lines(int64_t k_size, const T* a, const T* b, int64_t ldb,
                            Vec<T> (&sum)[R][U]) {
  using V = Vec<T>;
  using Index = typename V::Int::Raw;
  const auto pick = [](V x, V y, Index lanes) __attribute__((always_inline)) {
    return V{__builtin_shuffle(x.v, y.v, lanes)};
  };
  const int64_t begin = reinterpret_cast<uintptr_t>(b) % FD_VEC_BYTES / sizeof(T);
  const T* line = b - begin;
  Index count;
  for (int i = 0; i < V::N; ++i) count[i] = i;
  const Index lanes = count + V::Int::set(begin).v;
  V held[R];
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r) {
    const V first = V::load(b + r * ldb);
    held[r] = pick(first, first, count - V::Int::set(begin).v);
  }
  int64_t k = 0;
  const auto step = [&](auto last) __attribute__((always_inline)) {
    prefetch<R, U * FD_VEC_BYTES>(b, k, k_size, ldb, kAhead);
#pragma GCC unroll 4
    for (int u = 0; u < U; ++u) {
      const V ak = V::load(a + k + u * V::N);
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) {
        V br;
        if (decltype(last)::value && u == U - 1) {
          br = V::load(b + r * ldb + k + u * V::N);
        } else {
          const V after = V::load(line + r * ldb + k + (u + 1) * V::N);
          br = pick(held[r], after, lanes);
          held[r] = after;
        }
        sum[r][u] = fma(ak, br, sum[r][u]);
      }
    }
  };
  for (; k + (U + 1) * V::N <= k_size; k += U * V::N) step(Constant<false>());
  if (k + U * V::N <= k_size) {
    step(Constant<true>());
    k += U * V::N;
  }
  return k;
}

// Terms of a sum contiguous in A and in B: M x R dot products at once, in U chains each. `near`: B
// may be in a cache.
template <class T, int M, int R>
FD_INLINE void dot_rows(int64_t k_size, const T* a, int64_t lda, const T* b, int64_t ldb, bool near,
                        T (&total)[M][R]) {
  using V = Vec<T>;
  constexpr int U = M > 1 ? 1 : FD_VEC_BYTES == 64 ? 4 : 2;
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
  int64_t k = 0;
  if constexpr (M == 1 && R > 1 && FD_VEC_BYTES == 64) {
    const auto address = reinterpret_cast<uintptr_t>(b);
    const bool inside = address % sizeof(T) == 0 && address % FD_VEC_BYTES != 0;
    if (near && inside && ldb % V::N == 0 && k_size >= U * V::N)
      k = dot_lines<T, R, U>(k_size, a, b, ldb, sum[0]);
  }
  for (; k + U * V::N <= k_size; k += U * V::N) {
    if constexpr (M == 1)
      prefetch<R, U * FD_VEC_BYTES>(b, k, k_size, ldb, near ? kAhead : kFarAhead);
#pragma GCC unroll 4
    for (int u = 0; u < U; ++u) step(k + u * V::N, u, [](const T* p) { return V::load(p); });
  }
  for (; k + V::N <= k_size; k += V::N) step(k, 0, [](const T* p) { return V::load(p); });
  const int rest = static_cast<int>(k_size - k);
  if (rest) step(k, U - 1, [rest](const T* p) { return V::load(p, rest); });
#pragma GCC unroll 4
  for (int i = 0; i < M; ++i) {
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) {
      V(&chain)[U] = sum[i][r];  // no loop: gcc would keep the chains in memory for it
      if constexpr (U == 4) chain[0] += chain[2], chain[1] += chain[3];
      if constexpr (U > 1) chain[0] += chain[1];
      total[i][r] = reduce_add(chain[0]);
    }
  }
}

// One block of the sums, n columns of c.
template <class T, int M>
void dot_block(int64_t k_size, const T* a, int64_t lda, const T* b, int64_t ldb, T* c,
               int64_t c_row, int64_t c_column, int64_t n, const Epilogue<T>& epilogue) {
  constexpr int R = FD_VEC_BYTES == 64 || M <= 2 ? 4 : 2;
  const auto store = [&](int64_t j, int i, T sum) {
    T* to = c + i * c_row + j * c_column;
    if (epilogue.row_bias) sum += epilogue.row_bias[i];
    if (epilogue.accumulate) sum = *to + sum;
    if (epilogue.column_bias) sum += epilogue.column_bias[j];
    *to = sum;
  };
  const bool near = n * ldb * int64_t(sizeof(T)) <= kNear;
  int64_t j = 0;
  for (; j + R <= n; j += R) {
    T total[M][R];
    dot_rows<T, M, R>(k_size, a, lda, b + j * ldb, ldb, near, total);
    for (int i = 0; i < M; ++i) {
      for (int r = 0; r < R; ++r) store(j + r, i, total[i][r]);
    }
  }
  for (; j < n; ++j) {
    T total[M][1];
    dot_rows<T, M, 1>(k_size, a, lda, b + j * ldb, ldb, near, total);
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
struct FewRows {
  decltype(&sweep<T, 1>) sweep[kFewRows];  // [rows - 1]
  decltype(&dot<T, 1>) dot[kFewRows];
};

template <class T, int... M>
constexpr FewRows<T> make_few_rows(Lanes<M...>) {
  return {{sweep<T, M + 1>...}, {dot<T, M + 1>...}};
}

template <class T>
constexpr FewRows<T> kFew = make_few_rows<T>(Iota<kFewRows>());

template <class T>
void any_sweep(int64_t k_size, const Rows<T>& rows, const T* b, int64_t ldb, T* c, int64_t ldc,
               int m, int64_t n, const Epilogue<T>& epilogue) {
  kFew<T>.sweep[m - 1](k_size, rows, b, ldb, c, ldc, n, epilogue);
}

template <class T>
void any_dot(int64_t k_size, const T* a, int64_t lda, const T* b, int64_t ldb, T* c, int64_t c_row,
             int64_t c_column, int m, int64_t n, const Epilogue<T>& epilogue) {
  kFew<T>.dot[m - 1](k_size, a, lda, b, ldb, c, c_row, c_column, n, epilogue);
}

}  // namespace
}  // namespace fd::FD_ISA
