// How a matrix product is cut into tiles and chunks.
//
// A product takes one of four ways, by its shape and strides alone:
//   few rows   min(m, n) <= 8: bound by reading the large operand, which is left where it is
//   direct     up to 64^3: tiles straight on both operands
//   blocked    sums in blocks of kc terms; B packed in panels, by the chunk that uses them when one
//              block of rows covers m, ahead of all chunks otherwise
//   + A packed from 256^3 on, or where its strides are bad for the tile
// Blocks of a sum are as long as each other, at most 512 terms, and added in order, so the tree of
// a sum of k terms is at most min(k, 512 + k / 512) deep, for both dtypes and every instruction
// set; a bias or an addend is 1 more.
#include "matmul.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "memory.h"
#include "threads.h"

namespace fd {
namespace {

constexpr int64_t kDirect = 64 * 64 * 64;    // products a * b, below which nothing is packed
constexpr int64_t kPackA = 256 * 256 * 256;  // from which packing A pays
constexpr int64_t kFewRowsFrom = 4096;       // below, tiles beat the kernels for few rows
constexpr int64_t kChunk = 1 << 20;          // products a * b worth a chunk of its own
constexpr int64_t kGroup = 4 * kChunk;       // products in a chunk of the blocked way, about
constexpr int64_t kGroupBytes = 512 << 10;   // of packed B in it
constexpr int64_t kChunks = 16;              // wanted, to balance the load of a few cores
constexpr int64_t kPackColumns = 64;         // of A that are packed for all tiles at once
constexpr int64_t kPanelRows = 8;            // row blocks of packed A kept at once

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
// Where part i of n things cut into `parts` nearly equal parts begins.
int64_t cut(int64_t n, int64_t parts, int64_t i) { return n * i / parts; }

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
void through_buffer(const Matrix<T>& c, const Epilogue<T>& epilogue, Way way) {
  Scratch scratch(sizeof(T) * c.rows * c.columns);
  const Matrix<T> buffer{scratch.as<T>(), c.rows, c.columns, c.columns, 1};
  if (epilogue.accumulate) copy(c, buffer);
  way(buffer);
  copy(buffer, c);
}

// Chunks of a B of `size` numbers that may be cut in `most` ways. No sum is cut, so they may follow
// the threads: every cut ends a stream.
int64_t few_rows_chunks(int64_t most, int64_t size, int64_t of_a_thread) {
  const int64_t threads = num_threads(), wanted = threads > 1 ? threads * of_a_thread : 1;
  return std::min({most, ceil_div(size, kChunk / 16), std::max(wanted, size / (16 * kChunk))});
}

// c of at most kFewRows rows. False when B is contiguous neither way, or c in the wrong one.
template <class T>
bool multiply_few_rows(const Matrix<const T>& a, const Matrix<const T>& b, const Matrix<T>& c,
                       const Epilogue<T>& epilogue, const Finish<T>* finish) {
  const MatmulKernels<T>& kernels = matmul_kernels<T>();
  const int64_t m = c.rows, n = c.columns, k = a.columns;
  const double nanoseconds = multiply_nanoseconds<T>(m, n, k);
  if (b.row_stride == 1 && k > 1) {
    Scratch scratch(a.column_stride == 1 ? 0 : sizeof(T) * m * k);
    Matrix<const T> rows = a;
    if (a.column_stride != 1) {
      copy(a, Matrix<T>{scratch.as<T>(), m, k, k, 1});
      rows = {scratch.as<T>(), m, k, k, 1};
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

// `ready`: the panels of b, if they were packed before; then only its sizes count.
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
  const int64_t panels = ceil_div(n, nr);
  // Rows in as few blocks as L2 allows, but enough of them for all cores when columns are few.
  const int64_t row_blocks =
      std::max(ceil_div(m, kernels.mc),
               std::min({ceil_div(kChunks, panels), ceil_div(m, mr), ceil_div(m * n * k, kChunk)}));
  const bool b_in_place = !ready && unit_columns(b) && m <= mr;
  const bool b_ahead = !ready && !b_in_place && row_blocks > 1;
  const bool a_aliases = a.row_stride * int64_t{sizeof(T)} % 4096 == 0 && m > 8;  // one set of L1
  const bool a_scattered = a.column_stride != 1 && a.row_stride != 1;
  const bool a_ahead = m * n * k >= kPackA ? panels > 4 : (a_aliases || a_scattered) && panels > 2;

  // Columns and rows whose packed operands are kept at once.
  const int64_t n_blocks = ceil_div(n, kernels.nc);
  const int64_t m_blocks = a_ahead ? ceil_div(row_blocks, kPanelRows) : 1;
  const int64_t panels_most = ceil_div(panels, n_blocks), rows_in_block = ceil_div(m, row_blocks);
  const int64_t blocks_most = ceil_div(row_blocks, m_blocks);
  Scratch packed_b(b_ahead ? sizeof(T) * panels_most * nr * k_most : 0);
  Scratch packed_a(a_ahead ? sizeof(T) * (blocks_most * rows_in_block) * k_most : 0);

  const auto pack_panels = [&](int64_t k0, int64_t k1, int64_t first, int64_t last, T* to) {
    const int64_t j = first * nr;
    kernels.pack(k1 - k0, static_cast<int>(std::min(last * nr, n) - j), b.at(k0, j),
                 b.column_stride, b.row_stride, to, static_cast<int>(nr));
  };
  // Some panels are a chunk's: wide enough to read the rows of B by the line, within half of L2,
  // and not so many that cores go idle.
  const int64_t group_most =
      std::max<int64_t>(1, std::min({ceil_div(kGroup, rows_in_block * nr * k_most),
                                     kGroupBytes / (nr * k_most * int64_t{sizeof(T)}),
                                     ceil_div(panels * row_blocks, kChunks / 2)}));

  for (int64_t kb = 0; kb < k_blocks; ++kb) {
    const int64_t k0 = cut(k, k_blocks, kb), k1 = cut(k, k_blocks, kb + 1), k_size = k1 - k0;
    const Epilogue<T> block = block_epilogue(epilogue, kb == 0, kb == k_blocks - 1);
    for (int64_t nb = 0; nb < n_blocks; ++nb) {
      const int64_t p0 = cut(panels, n_blocks, nb), p1 = cut(panels, n_blocks, nb + 1);
      for (int64_t mb = 0; mb < m_blocks; ++mb) {
        const int64_t r0 = cut(row_blocks, m_blocks, mb), r1 = cut(row_blocks, m_blocks, mb + 1);
        const int64_t i_base = cut(m, row_blocks, r0);

        const int64_t pack_b_chunks = b_ahead && mb == 0 ? ceil_div(p1 - p0, 4) : 0;
        const int64_t pack_a_chunks = a_ahead ? r1 - r0 : 0;
        const double packed =
            static_cast<double>(k_size) * static_cast<double>(pack_b_chunks * 4 * nr) +
            static_cast<double>(k_size) * static_cast<double>(pack_a_chunks * rows_in_block);
        parallel_for(pack_a_chunks + pack_b_chunks, packed / 4, [&](int64_t chunk) {
          if (chunk >= pack_a_chunks) {
            const int64_t p = p0 + 4 * (chunk - pack_a_chunks);
            pack_panels(k0, k1, p, std::min(p + 4, p1), packed_b.as<T>() + (p - p0) * nr * k_size);
            return;
          }
          const int64_t i0 = cut(m, row_blocks, r0 + chunk);
          const int64_t i1 = cut(m, row_blocks, r0 + chunk + 1), tiles = ceil_div(i1 - i0, mr);
          // Columns of A contiguous: all tiles take some columns, then the next ones, so that a
          // line serves two tiles while it is cached (columns 4096 bytes apart share a set).
          const int64_t stretch = a.row_stride == 1 ? kPackColumns : k_size;
          for (int64_t k = 0; k < k_size; k += stretch) {
            for (int64_t t = 0; t < tiles; ++t) {
              const int64_t i = i0 + cut(i1 - i0, tiles, t);
              const int rows = static_cast<int>(i0 + cut(i1 - i0, tiles, t + 1) - i);
              kernels.pack(std::min(stretch, k_size - k), rows, a.at(i, k0 + k), a.row_stride,
                           a.column_stride, packed_a.as<T>() + (i - i_base) * k_size + k * rows,
                           rows);
            }
          }
        });

        // A chunk is a block of rows and some panels.
        const int64_t groups = ceil_div(p1 - p0, group_most);
        parallel_for((r1 - r0) * groups, multiply_nanoseconds<T>(m, n, k_size), [&](int64_t chunk) {
          const int64_t r = r0 + chunk / groups, group = chunk % groups;
          const int64_t i0 = cut(m, row_blocks, r), i1 = cut(m, row_blocks, r + 1);
          const int64_t tiles = ceil_div(i1 - i0, mr);
          const int64_t first = p0 + cut(p1 - p0, groups, group);
          const int64_t last = p0 + cut(p1 - p0, groups, group + 1);
          const bool own = !ready && !b_in_place && !b_ahead;
          Scratch packed(own ? sizeof(T) * (last - first) * nr * k_size : 0);
          if (own) pack_panels(k0, k1, first, last, packed.as<T>());
          for (int64_t t = 0; t < tiles; ++t) {
            const int64_t i = i0 + cut(i1 - i0, tiles, t);
            const int rows = static_cast<int>(i0 + cut(i1 - i0, tiles, t + 1) - i);
            const Rows<T> from = a_ahead
                                     ? Rows<T>{packed_a.as<T>() + (i - i_base) * k_size, 1, rows}
                                     : Rows<T>{a.at(i, k0), a.row_stride, a.column_stride};
            const bool ends = finish && kb == k_blocks - 1;
            const int64_t left = first * nr, width = std::min(last * nr, n) - left;
            for (int64_t p = first; p < last; ++p) {
              const int64_t j = p * nr;
              if (block.addend && k_size >= 64)
                prefetch_addend(block, i, j, rows, std::min(nr, n - j));
              const T* panel = ready        ? ready + (k0 * panels + p * k_size) * nr
                               : b_in_place ? b.at(k0, j)
                               : b_ahead    ? packed_b.as<T>() + (p - p0) * nr * k_size
                                            : packed.as<T>() + (p - first) * nr * k_size;
              kernels.tile(k_size, from, panel, b_in_place ? b.row_stride : nr, !b_in_place,
                           c.at(i, j), c.row_stride, rows, static_cast<int>(std::min(nr, n - j)),
                           at(block, i, j));
            }
            if (ends) finish_part(*finish, c, i, left, rows, width);
          }
        });
      }
    }
  }
}

}  // namespace

template <class T>
void multiply(const Matrix<const T>& a, const Matrix<const T>& b, const Matrix<T>& c,
              const Epilogue<T>& epilogue, const Finish<T>* finish) {
  const int64_t m = c.rows, n = c.columns, k = a.columns, products = m * n * k;
  if (m == 0 || n == 0) return;
  const auto turned = [&](auto&& way) {
    Finish<T> other;
    if (finish) other = transposed(*finish);
    return way(b.transposed(), a.transposed(), c.transposed(),
               Epilogue<T>{epilogue.accumulate, epilogue.column_bias, epilogue.row_bias},
               finish ? &other : nullptr);
  };
  if (std::min(m, n) <= kFewRows && products >= kFewRowsFrom) {
    const bool done =
        m <= n ? multiply_few_rows(a, b, c, epilogue, finish) : turned(multiply_few_rows<T>);
    if (done) return;
  }
  if (!unit_columns(c)) {
    if (c.row_stride == 1 || m == 1)
      turned(multiply<T>);
    else
      through_buffer(c, epilogue,
                     [&](const Matrix<T>& buffer) { multiply(a, b, buffer, epilogue, finish); });
    return;
  }
  if (k == 0 || (unit_columns(b) && products <= kDirect && k <= matmul_kernels<T>().kc))
    multiply_direct(a, b, c, epilogue, finish);
  else
    multiply_blocked(a, b, c, epilogue, finish);
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
    through_buffer(c, epilogue, [&](const Matrix<T>& buffer) {
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
                            const Epilogue<T>&, const Finish<T>*);                            \
  template int64_t panels_size<T>(int64_t, int64_t);                                          \
  template void pack_panels<T>(const Matrix<const T>&, T*);                                   \
  template void multiply_panels<T>(const Matrix<const T>&, const T*, const Matrix<T>&,        \
                                   const Epilogue<T>&, const Finish<T>*);
FD_INSTANCES(float)
FD_INSTANCES(double)

}  // namespace fd
