// How a matrix product is cut into tiles and chunks.
//
// A product takes one of six ways, by its shape and strides (and, in place or blocked, which give
// the same bits, by the number of threads):
//   few rows   min(m, n) <= 5, 8 where the large operand is transposed, 16 where it is far: the
//              limit is to read it, where it is
//   direct     up to 64^3: tiles straight on both operands
//   in place   A stays in L2, B is read once where it is
//   far        up to 64 rows, B comes from memory: in parts, copied beside the tiles before
//   blocked    B packed in panels, by the chunk that uses them where there are enough for all
//              threads, ahead of all chunks otherwise
//   + in the last three, sums in blocks of kc terms; A packed where its strides are bad for the
//   tile
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
#include <utility>

#include "../kernels/cpu/matmul_chain.h"
#include "matmul_strassen.h"
#include "matmul_tiles.h"
#include "memory.h"
#include "parts.h"
#include "threads.h"

namespace fd {
namespace {

constexpr int64_t kFewRowsFrom = 4096;  // below, tiles beat the kernels for few rows
constexpr int64_t kColumns = 32;        // of B that dot_in_order reads at once

template <class T>
const ChainKernels<T>& chain_kernels() {
  if constexpr (sizeof(T) == 4)
    return FD_TABLE(matmul_chain).f32;
  else
    return FD_TABLE(matmul_chain).f64;
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

// Rows of a up to which reading b is the limit, so that the kernels for few rows are the best way:
// those that a tile has time for while its panel comes from L3, or from memory, and more where the
// panel's rows share one set of L1.
template <class T>
int64_t rows_for_sweeps(const Matrix<const T>& b) {
  if (!unit_columns(b)) return kFewRows;
  if (b.rows * b.columns * int64_t{sizeof(T)} > kNearBytes) return kSweepRows;
  return aliases_in_l1<T>(b.row_stride) ? 11 : 5;
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
  if (products >= kFewRowsFrom &&
      (few_rows ? m <= rows_for_sweeps(b) : n <= rows_for_sweeps(a.transposed()))) {
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
  multiply_tiles(a, b, c, epilogue, finish);
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
  } else {
    multiply_tiles(a, b, c, epilogue, finish, panels);
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
