// How a matrix product is cut into tiles and chunks.
//
// A product takes one of four ways, by its shape and strides alone:
//   few rows   min(m, n) <= 8, or m <= 16 and B large: bound by reading the large operand, which is
//              left where it is
//   direct     up to 64^3: tiles straight on both operands
//   blocked    sums in blocks of kc terms; B packed in panels, by the chunk that uses them where
//              there are enough for all threads, ahead of all chunks otherwise
//   + A packed where its strides are bad for the tile
// Blocks of a sum are as long as each other, at most 1024 terms, and added in order, so the tree of
// a sum of k terms is at most min(k, 1024 + k / 1024) deep, for both dtypes and every instruction
// set; a bias or an addend is 1 more.
//
// With `rows_alike` (invariant="batch") the bits of a row of c depend on that row of a and on b,
// not on m, on the row's place, or on strides. Every way left computes each element of c by itself,
// by the same operations in the same order:
//   * a tile's sum is one chain of multiply-adds from zero in order of k, whatever its height, the
//     lane, and where its operands lie, packed (with zeros in other lanes) or in place;
//   * so is a sum of `sweep` and of dot_in_order; dot products in several chains are not taken, nor
//     is c's transpose, whose biases are added in another order;
//   * the blocks of a sum are cut by k alone and added in order; `direct` has one (k <= kc).
// Batches folded into rows change m only. (A NaN is one there as here; its payload is the
// machine's.)
#include "matmul.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "../kernels/cpu/matmul_chain.h"
#include "matmul_strassen.h"
#include "memory.h"
#include "parts.h"
#include "threads.h"

namespace fd {
namespace {

constexpr int64_t kDirect = 64 * 64 * 64;   // products a * b, below which nothing is packed
constexpr int64_t kSweepFrom = 2 << 20;     // bytes of B; below, tiles beat sweeps of 9 to 16 rows
constexpr int64_t kFewRowsFrom = 4096;      // below, tiles beat the kernels for few rows
constexpr int64_t kChunk = 1 << 20;         // products a * b worth a chunk of its own
constexpr int64_t kGroupBytes = 384 << 10;  // of packed B in a chunk of the blocked way
constexpr int64_t kPackColumns = 64;        // of A that are packed for all tiles at once
constexpr int64_t kPackStrips = 16;         // tiles of A in a chunk of packing
constexpr int64_t kApart = 16;              // numbers between packed rows of A
constexpr int64_t kRows = 1344;             // of C in a chunk; more are slow to be touched first
constexpr int64_t kColumns = 32;            // of B that dot_in_order reads at once

template <class T>
const ChainKernels<T>& chain_kernels() {
  if constexpr (sizeof(T) == 4)
    return FD_TABLE(matmul_chain).f32;
  else
    return FD_TABLE(matmul_chain).f64;
}

template <class T>
Epilogue<T> at(const Epilogue<T>& e, int64_t i, int64_t j) {
  return {e.accumulate, e.row_bias ? e.row_bias + i : nullptr,
          e.column_bias ? e.column_bias + j : nullptr,
          e.addend ? e.addend + i * e.addend_row + j : nullptr, e.addend_row};
}
// The epilogue of one block of the sum.
template <class T>
Epilogue<T> block_epilogue(const Epilogue<T>& e, bool first, bool last) {
  return {!first || e.accumulate, last ? e.row_bias : nullptr, last ? e.column_bias : nullptr,
          first ? e.addend : nullptr, e.addend_row};
}

template <class T>
Finish<T> transposed(const Finish<T>& finish) {
  Finish<T> turned = finish;
  for (auto& x : turned.addends) std::swap(x.row_stride, x.column_stride);
  return turned;
}
template <class T, class U>
void copy(const Matrix<T>& from, const Matrix<U>& to) {
  for (int64_t i = 0; i < to.rows; ++i) {
    for (int64_t j = 0; j < to.columns; ++j) *to.at(i, j) = *from.at(i, j);
  }
}

// Finishes the m x n elements of c from (i, j) on, which are in L1 still, or L2.
template <class T>
void finish_part(const Finish<T>& finish, const Matrix<T>& c, int64_t i, int64_t j, int64_t m,
                 int64_t n) {
  Finish<T> part = finish;
  for (auto& x : part.addends) {
    if (x.data) x.data += i * x.row_stride + j * x.column_stride;
  }
  matmul_kernels<T>().finish(m, n, c.at(i, j), c.row_stride, c.column_stride, part);
}

// The epilogue and what is left to finish, when the tile adds what it can in its registers.
template <class T>
Epilogue<T> tile_epilogue(Epilogue<T> epilogue, std::optional<Finish<T>>& finish) {
  auto& x = finish->addends[1];
  if (x.data && x.column_stride == 1 && x.scale == 1 && finish->alpha == 1 &&
      !epilogue.accumulate) {
    epilogue.addend = std::exchange(x.data, nullptr);
    epilogue.addend_row = x.row_stride;
    if (finish->activation == Activation::none && !finish->addends[0].data) finish.reset();
  }
  return epilogue;
}

// Rows that will be added to the sums made meanwhile: too short and far apart for the hardware.
template <class T>
void prefetch_addend(const Epilogue<T>& epilogue, int64_t i, int64_t j, int64_t m, int64_t n) {
  const T* row = epilogue.addend + i * epilogue.addend_row + j;
  for (; m > 0; --m, row += epilogue.addend_row) {
    for (int64_t line = 0; line < n; line += 64 / sizeof(T)) __builtin_prefetch(row + line);
  }
}

template <class T>
bool unit_columns(const Matrix<T>& x) {
  return x.column_stride == 1 || x.columns <= 1;
}

// way(buffer) in place of way(c), whose strides no kernel takes.
template <class T, class Way>
void through_buffer(const Matrix<T>& c, bool accumulate, Way way) {
  Scratch scratch(sizeof(T) * c.rows * c.columns);
  const Matrix<T> buffer{scratch.as<T>(), c.rows, c.columns, c.columns, 1};
  if (accumulate) copy(c, buffer);
  way(buffer);
  copy(buffer, c);
}

// Chunks of a B of `size` numbers that may be cut in `most` ways. No sum is cut, so they may follow
// the threads: every cut ends a stream.
int64_t few_rows_chunks(int64_t most, int64_t size, int64_t of_a_thread) {
  const int64_t threads = num_threads(), wanted = threads > 1 ? threads * of_a_thread : 1;
  return std::min({most, ceil_div(size, kChunk / 16), std::max(wanted, size / (16 * kChunk))});
}

// c of at most kFewRows rows, where b's columns are contiguous, by dot products as the tiles sum.
template <class T>
void dot_in_order(const Matrix<const T>& a, const Matrix<const T>& b, const Matrix<T>& c,
                  const Epilogue<T>& epilogue, const Finish<T>* finish) {
  const ChainKernels<T>& kernels = chain_kernels<T>();
  const int64_t m = c.rows, n = c.columns, k = a.columns;
  const int64_t blocks = ceil_div(k, matmul_kernels<T>().kc), groups = ceil_div(n, kColumns);
  const int64_t chunks = few_rows_chunks(groups, n * k, 1);
  parallel_for(chunks, multiply_nanoseconds<T>(m, n, k), [&](int64_t chunk) {
    for (int64_t g = cut(groups, chunks, chunk); g < cut(groups, chunks, chunk + 1); ++g) {
      const int64_t begin = g * kColumns, end = std::min(n, begin + kColumns);
      for (int64_t block = 0; block < blocks; ++block) {  // columns are read from end to end
        const int64_t k0 = cut(k, blocks, block), k1 = cut(k, blocks, block + 1);
        kernels.dot(k1 - k0, a.at(0, k0), a.row_stride, b.at(k0, begin), b.column_stride,
                    c.at(0, begin), c.row_stride, static_cast<int>(m), end - begin,
                    at(block_epilogue(epilogue, block == 0, block == blocks - 1), 0, begin));
      }
      if (finish) finish_part(*finish, c, 0, begin, m, end - begin);
    }
  });
}

// c of few rows, with sums `in_order` as the tiles' are or in any. False when B is contiguous
// neither way, or c in the wrong one.
template <class T>
bool multiply_few_rows(const Matrix<const T>& a, const Matrix<const T>& b, const Matrix<T>& c,
                       const Epilogue<T>& epilogue, const Finish<T>* finish, bool in_order) {
  const MatmulKernels<T>& kernels = matmul_kernels<T>();
  const int64_t m = c.rows, n = c.columns, k = a.columns;
  const double nanoseconds = multiply_nanoseconds<T>(m, n, k);
  if (m <= kFewRows && b.row_stride == 1 && k > 1 && (!in_order || unit_columns(c))) {
    Scratch scratch(a.column_stride == 1 ? 0 : sizeof(T) * m * k);
    Matrix<const T> rows = a;
    if (a.column_stride != 1) {
      copy(a, Matrix<T>{scratch.as<T>(), m, k, k, 1});
      rows = {scratch.as<T>(), m, k, k, 1};
    }
    if (in_order) {
      dot_in_order(rows, b, c, epilogue, finish);
      return true;
    }
    const int64_t chunks = few_rows_chunks(ceil_div(n, 4), n * k, 1);
    parallel_for(chunks, nanoseconds, [&](int64_t chunk) {
      const int64_t begin = 4 * cut(ceil_div(n, 4), chunks, chunk);
      const int64_t end = std::min(n, 4 * cut(ceil_div(n, 4), chunks, chunk + 1));
      kernels.dot(k, rows.data, rows.row_stride, b.at(0, begin), b.column_stride, c.at(0, begin),
                  c.row_stride, c.column_stride, static_cast<int>(m), end - begin,
                  at(epilogue, 0, begin));
      if (finish) finish_part(*finish, c, 0, begin, m, end - begin);
    });
    return true;
  }
  if (!unit_columns(b) || !unit_columns(c)) return false;
  const int64_t blocks = std::max<int64_t>(1, ceil_div(k, kernels.kc));
  const int64_t groups = ceil_div(n, 512);  // narrower ranges of rows do not stream
  const int64_t chunks = few_rows_chunks(groups, n * k, 1);
  parallel_for(chunks, nanoseconds, [&](int64_t chunk) {
    const int64_t begin = 512 * cut(groups, chunks, chunk);
    const int64_t end = std::min(n, 512 * cut(groups, chunks, chunk + 1));
    for (int64_t block = 0; block < blocks; ++block) {
      const int64_t k0 = cut(k, blocks, block), k1 = cut(k, blocks, block + 1);
      kernels.sweep(k1 - k0, {a.at(0, k0), a.row_stride, a.column_stride}, b.at(k0, begin),
                    b.row_stride, c.at(0, begin), c.row_stride, static_cast<int>(m), end - begin,
                    at(block_epilogue(epilogue, block == 0, block == blocks - 1), 0, begin));
    }
    if (finish) finish_part(*finish, c, 0, begin, m, end - begin);
  });
  return true;
}

template <class T>
void multiply_direct(const Matrix<const T>& a, const Matrix<const T>& b, const Matrix<T>& c,
                     const Epilogue<T>& given, const Finish<T>* end_of_sums) {
  std::optional<Finish<T>> finish;
  if (end_of_sums) finish = *end_of_sums;
  const Epilogue<T> epilogue = finish ? tile_epilogue(given, finish) : given;
  const MatmulKernels<T>& kernels = matmul_kernels<T>();
  const int64_t tiles = ceil_div(c.rows, kernels.mr);
  for (int64_t j = 0; j < c.columns; j += kernels.nr) {
    const int n = static_cast<int>(std::min<int64_t>(kernels.nr, c.columns - j));
    for (int64_t t = 0; t < tiles; ++t) {
      const int64_t i = cut(c.rows, tiles, t), end = cut(c.rows, tiles, t + 1);
      kernels.tile(a.columns, {a.at(i, 0), a.row_stride, a.column_stride}, b.at(0, j), b.row_stride,
                   false, c.at(i, j), c.row_stride, static_cast<int>(end - i), n,
                   at(epilogue, i, j));
    }
  }
  if (finish) finish_part(*finish, c, 0, 0, c.rows, c.columns);
}

// A chunk is some panels of B, which it packs for itself, times all rows of A, or, where there are
// fewer panels than threads, times a block of rows; then B is packed ahead of all chunks. Its
// panels stay in L2 while one tile of A after the other passes through L1. `ready`: the panels of
// b, if they were packed before; then only its sizes count.
template <class T>
void multiply_blocked(const Matrix<const T>& a, const Matrix<const T>& b, const Matrix<T>& c,
                      const Epilogue<T>& given, const Finish<T>* end_of_sums,
                      const T* ready = nullptr) {
  std::optional<Finish<T>> finish;
  if (end_of_sums) finish = *end_of_sums;
  const Epilogue<T> epilogue = finish ? tile_epilogue(given, finish) : given;
  const MatmulKernels<T>& kernels = matmul_kernels<T>();
  const int64_t m = c.rows, n = c.columns, k = a.columns, mr = kernels.mr, nr = kernels.nr;

  const int64_t k_blocks = ceil_div(k, kernels.kc), k_most = ceil_div(k, k_blocks);
  const int64_t panels = ceil_div(n, nr), threads = num_threads();
  const int64_t chunks_most = threads == 1 ? 1 : std::max<int64_t>(1, m * n * k / kChunk);
  const int64_t row_blocks =
      std::min({ceil_div(threads, panels), ceil_div(m, mr), ceil_div(chunks_most, panels)});
  const bool b_in_place = !ready && unit_columns(b) && m <= mr;
  const bool b_ahead = !ready && !b_in_place && row_blocks > 1;
  const bool b_rows = unit_columns(b);  // the tile that meets a panel first can pack it
  const bool a_aliases = a.row_stride * int64_t{sizeof(T)} % 4096 == 0 && m > 8;  // one set of L1
  const bool a_scattered = a.column_stride != 1 && a.row_stride != 1;
  // Packed where its strides are bad for the tile: rows as rows, at a distance that does not alias.
  const bool a_ahead = (a_aliases || a_scattered) && panels > 2;
  const bool a_rows = a.column_stride == 1;
  const int64_t apart = k_most + kApart;

  // Rows of C, and of A packed, at once; columns of B where it is packed ahead. (A chunk that
  // touched all pages of a large C first would keep an interrupt waiting.)
  const int64_t m_blocks = ceil_div(m, kRows);
  const int64_t n_blocks = b_ahead ? ceil_div(n, kernels.nc) : 1;
  Scratch packed_b(b_ahead ? sizeof(T) * ceil_div(panels, n_blocks) * nr * k_most : 0);
  Scratch packed_a(a_ahead ? sizeof(T) * ceil_div(m, m_blocks) * apart : 0);

  const auto pack_panels = [&](int64_t k0, int64_t k1, int64_t first, int64_t last, T* to) {
    const int64_t j = first * nr;
    kernels.pack(k1 - k0, static_cast<int>(std::min(last * nr, n) - j), b.at(k0, j),
                 b.column_stride, b.row_stride, to, static_cast<int>(nr));
  };
  const int64_t in_l2 = std::max<int64_t>(1, kGroupBytes / (nr * k_most * int64_t{sizeof(T)}));

  for (int64_t kb = 0; kb < k_blocks; ++kb) {
    const int64_t k0 = cut(k, k_blocks, kb), k1 = cut(k, k_blocks, kb + 1), k_size = k1 - k0;
    const Epilogue<T> block = block_epilogue(epilogue, kb == 0, kb == k_blocks - 1);
    for (int64_t mb = 0; mb < m_blocks; ++mb) {
      const int64_t m0 = cut(m, m_blocks, mb), m1 = cut(m, m_blocks, mb + 1);
      const int64_t strips = ceil_div(m1 - m0, mr);
      const auto strip = [&](int64_t t) { return m0 + cut(m1 - m0, strips, t); };
      const auto pack_strips = [&](int64_t begin, int64_t end) {
        if (a_rows) {
          for (int64_t i = strip(begin); i < strip(end); ++i)
            std::memcpy(packed_a.as<T>() + (i - m0) * apart, a.at(i, k0), sizeof(T) * k_size);
          return;
        }
        // Columns of A contiguous: all tiles take some columns, then the next ones, so that a
        // line serves two tiles while it is cached (columns 4096 bytes apart share a set).
        const int64_t stretch = a.row_stride == 1 ? kPackColumns : k_size;
        for (int64_t k = 0; k < k_size; k += stretch) {
          for (int64_t t = begin; t < end; ++t) {
            const int64_t i = strip(t), rows = strip(t + 1) - i;
            kernels.pack(std::min(stretch, k_size - k), static_cast<int>(rows), a.at(i, k0 + k),
                         a.row_stride, a.column_stride,
                         packed_a.as<T>() + (i - m0) * k_size + k * rows, static_cast<int>(rows));
          }
        }
      };
      if (a_ahead) {
        const int64_t chunks = ceil_div(strips, kPackStrips);
        const double packed = static_cast<double>(k_size) * static_cast<double>(m1 - m0);
        parallel_for(chunks, packed / 4, [&](int64_t chunk) {
          pack_strips(cut(strips, chunks, chunk), cut(strips, chunks, chunk + 1));
        });
      }
      for (int64_t nb = 0; nb < n_blocks; ++nb) {
        const int64_t p0 = cut(panels, n_blocks, nb), p1 = cut(panels, n_blocks, nb + 1);
        if (b_ahead && (mb == 0 || n_blocks > 1)) {
          parallel_for(p1 - p0, static_cast<double>(k_size * (p1 - p0) * nr) / 4, [&](int64_t p) {
            pack_panels(k0, k1, p0 + p, p0 + p + 1, packed_b.as<T>() + p * nr * k_size);
          });
        }
        // As many groups for each thread, where there are enough panels.
        const int64_t least = std::max(ceil_div(p1 - p0, in_l2),
                                       std::min(chunks_most, threads == 1 ? 1 : 4 * threads));
        const int64_t groups = std::min(p1 - p0, ceil_div(least, threads) * threads);
        parallel_for(
            row_blocks * groups, multiply_nanoseconds<T>(m1 - m0, n, k_size), [&](int64_t chunk) {
              const int64_t r = chunk / groups, group = chunk % groups;
              const int64_t first = p0 + cut(p1 - p0, groups, group);
              const int64_t last = p0 + cut(p1 - p0, groups, group + 1);
              const bool own = !ready && !b_in_place && !b_ahead;
              Scratch packed(own ? sizeof(T) * (last - first) * nr * k_size : 0);
              T* const kept_b =
                  b_ahead ? packed_b.as<T>() + (first - p0) * nr * k_size : packed.as<T>();
              const T* const from_b = ready ? ready + (k0 * panels + first * k_size) * nr : kept_b;
              const int64_t whole = own && b_rows ? std::min(last, n / nr) : first;
              if (own && whole < last)
                pack_panels(k0, k1, whole, last, kept_b + (whole - first) * nr * k_size);
              const int64_t begin = cut(strips, row_blocks, r);
              for (int64_t t = begin; t < cut(strips, row_blocks, r + 1); ++t) {
                const int64_t i = strip(t);
                const int rows = static_cast<int>(strip(t + 1) - i);
                const T* const kept = packed_a.as<T>() + (i - m0) * (a_rows ? apart : k_size);
                const Rows<T> from = !a_ahead ? Rows<T>{a.at(i, k0), a.row_stride, a.column_stride}
                                     : a_rows ? Rows<T>{kept, apart, 1}
                                              : Rows<T>{kept, 1, rows};
                for (int64_t p = first; p < last; ++p) {
                  const int64_t j = p * nr;
                  const int64_t panel = (p - first) * nr * k_size;
                  const int columns = static_cast<int>(std::min(nr, n - j));
                  const Epilogue<T> e = at(block, i, j);
                  if (block.addend && k_size >= 64) prefetch_addend(block, i, j, rows, columns);
                  if (t == begin && p < whole)
                    kernels.tile_packing(k_size, from, b.at(k0, j), b.row_stride, kept_b + panel,
                                         c.at(i, j), c.row_stride, rows, e);
                  else if (b_in_place)
                    kernels.tile(k_size, from, b.at(k0, j), b.row_stride, false, c.at(i, j),
                                 c.row_stride, rows, columns, e);
                  else
                    kernels.tile(k_size, from, from_b + panel, nr, true, c.at(i, j), c.row_stride,
                                 rows, columns, e);
                }
                if (finish && kb == k_blocks - 1) {
                  const int64_t left = first * nr;
                  finish_part(*finish, c, i, left, rows, std::min(last * nr, n) - left);
                }
              }
            });
      }
    }
  }
}

}  // namespace

template <class T>
void multiply(const Matrix<const T>& a, const Matrix<const T>& b, const Matrix<T>& c,
              const Epilogue<T>& epilogue, const Finish<T>* finish, bool rows_alike) {
  const int64_t m = c.rows, n = c.columns, k = a.columns, products = m * n * k;
  if (m == 0 || n == 0) return;
  const auto turned = [&](auto&& way) {
    Finish<T> other;
    if (finish) other = transposed(*finish);
    return way(b.transposed(), a.transposed(), c.transposed(),
               Epilogue<T>{epilogue.accumulate, epilogue.column_bias, epilogue.row_bias},
               finish ? &other : nullptr, false);
  };
  const bool few_rows = m <= n || rows_alike;
  const bool sweeps = m <= kSweepRows && n * k * int64_t{sizeof(T)} >= kSweepFrom && n > m;
  if (((few_rows ? m : n) <= kFewRows && products >= kFewRowsFrom) || sweeps) {
    const bool done = few_rows ? multiply_few_rows(a, b, c, epilogue, finish, rows_alike)
                               : turned(multiply_few_rows<T>);
    if (done) return;
  }
  if (!unit_columns(c)) {
    if ((c.row_stride == 1 || m == 1) && !rows_alike) {
      turned(multiply<T>);
    } else {
      through_buffer(c, epilogue.accumulate, [&](const Matrix<T>& buffer) {
        multiply<T>(a, b, buffer, epilogue, finish, rows_alike);
      });
    }
    return;
  }
  if (k == 0 || (unit_columns(b) && products <= kDirect && k <= matmul_kernels<T>().kc))
    multiply_direct(a, b, c, epilogue, finish);
  else
    multiply_blocked(a, b, c, epilogue, finish);
}

template <class T>
void multiply_by(Way way, const Matrix<const T>& a, const Matrix<const T>& b, const Matrix<T>& c,
                 const Epilogue<T>& epilogue, const Finish<T>* finish) {
  if (way != Way::strassen)
    multiply(a, b, c, epilogue, finish, way == Way::rows_alike);
  else if (unit_columns(c))
    multiply_strassen(a, b, c);
  else
    through_buffer(c, false, [&](const Matrix<T>& to) { multiply_strassen(a, b, to); });
}

template <class T>
int64_t panels_size(int64_t k, int64_t n) {
  const int64_t nr = matmul_kernels<T>().nr;
  return k * ceil_div(n, nr) * nr;
}

// Block of the sum by block, as multiply_blocked cuts it: its panels back to back.
template <class T>
void pack_panels(const Matrix<const T>& b, T* panels) {
  const MatmulKernels<T>& kernels = matmul_kernels<T>();
  const int64_t k = b.rows, n = b.columns, nr = kernels.nr;
  const int64_t blocks = ceil_div(k, kernels.kc), groups = ceil_div(ceil_div(n, nr), 4);
  parallel_for(blocks * groups, static_cast<double>(k * n) / 4, [&](int64_t chunk) {
    const int64_t block = chunk / groups, j = chunk % groups * 4 * nr;
    const int64_t k0 = cut(k, blocks, block), k1 = cut(k, blocks, block + 1);
    kernels.pack(k1 - k0, static_cast<int>(std::min(4 * nr, n - j)), b.at(k0, j), b.column_stride,
                 b.row_stride, panels + k0 * ceil_div(n, nr) * nr + j * (k1 - k0),
                 static_cast<int>(nr));
  });
}

template <class T>
void multiply_panels(const Matrix<const T>& a, const T* panels, const Matrix<T>& c,
                     const Epilogue<T>& epilogue, const Finish<T>* finish) {
  const Matrix<const T> b{panels, a.columns, c.columns, 0, 0};
  if (c.rows == 0 || c.columns == 0) return;
  if (!unit_columns(c)) {
    through_buffer(c, epilogue.accumulate, [&](const Matrix<T>& buffer) {
      multiply_panels(a, panels, buffer, epilogue, finish);
    });
  } else if (a.columns == 0) {
    multiply_direct(a, b, c, epilogue, finish);
  } else {
    multiply_blocked(a, b, c, epilogue, finish, panels);
  }
}

#define FD_INSTANCES(T)                                                                       \
  template void multiply<T>(const Matrix<const T>&, const Matrix<const T>&, const Matrix<T>&, \
                            const Epilogue<T>&, const Finish<T>*, bool);                      \
  template void multiply_by<T>(Way, const Matrix<const T>&, const Matrix<const T>&,           \
                               const Matrix<T>&, const Epilogue<T>&, const Finish<T>*);       \
  template int64_t panels_size<T>(int64_t, int64_t);                                          \
  template void pack_panels<T>(const Matrix<const T>&, T*);                                   \
  template void multiply_panels<T>(const Matrix<const T>&, const T*, const Matrix<T>&,        \
                                   const Epilogue<T>&, const Finish<T>*);
FD_INSTANCES(float)
FD_INSTANCES(double)

}  // namespace fd
