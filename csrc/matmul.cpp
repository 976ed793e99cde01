// matmul and linear: checks, broadcasting, and how a product is cut into tiles and chunks.
//
// A product takes one of four ways, by its shape and strides alone:
//   few rows   min(m, n) <= 8: bound by reading the large operand, which is left where it is
//   direct     up to 64^3: tiles straight on both operands
//   blocked    sums in blocks of kc terms; B packed in panels, by the chunk that uses them where
//              there are enough for all threads, ahead of all chunks otherwise
//   + A packed where its strides are bad for the tile
// Blocks of a sum are as long as each other, at most 1024 terms, and added in order, so the tree of
// a sum of k terms is at most min(k, 1024 + k / 1024) deep, for both dtypes and every instruction
// set; `linear` adds the bias, 1 more.
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

#include "../kernels/cpu/matmul_chain.h"
#include "array.h"
#include "matmul_bf16.h"
#include "matmul_strassen.h"
#include "memory.h"
#include "threads.h"

namespace fd {
namespace {

constexpr int64_t kDirect = 64 * 64 * 64;   // products a * b, below which nothing is packed
constexpr int64_t kFewRowsFrom = 4096;      // below, tiles beat the kernels for few rows
constexpr int64_t kChunk = 1 << 20;         // products a * b worth a chunk of its own
constexpr int64_t kGroupBytes = 384 << 10;  // of packed B in a chunk of the blocked way
constexpr int64_t kPackColumns = 64;        // of A that are packed for all tiles at once
constexpr int64_t kPackStrips = 16;         // tiles of A in a chunk of packing
constexpr int64_t kApart = 16;              // numbers between packed rows of A
constexpr int64_t kPackedRows = 2688;       // of A kept packed at once
constexpr int64_t kColumns = 32;            // of B that dot_in_order reads at once

template <class T>
const ChainKernels<T>& chain_kernels() {
  if constexpr (sizeof(T) == 4)
    return FD_TABLE(matmul_chain).f32;
  else
    return FD_TABLE(matmul_chain).f64;
}

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
// Where part i of n things cut into `parts` nearly equal parts begins.
int64_t cut(int64_t n, int64_t parts, int64_t i) { return n * i / parts; }

template <class T>
Epilogue<T> at(const Epilogue<T>& e, int64_t i, int64_t j) {
  return {e.accumulate, e.row_bias ? e.row_bias + i : nullptr,
          e.column_bias ? e.column_bias + j : nullptr};
}
// The epilogue of one block of the sum.
template <class T>
Epilogue<T> block_epilogue(const Epilogue<T>& e, bool first, bool last) {
  return {!first || e.accumulate, last ? e.row_bias : nullptr, last ? e.column_bias : nullptr};
}

template <class T>
bool unit_columns(const Matrix<T>& x) {
  return x.column_stride == 1 || x.columns <= 1;
}

template <class T, class U>
void copy(const Matrix<T>& from, const Matrix<U>& to) {
  for (int64_t i = 0; i < to.rows; ++i) {
    for (int64_t j = 0; j < to.columns; ++j) *to.at(i, j) = *from.at(i, j);
  }
}

template <class T, class Product>
void through_buffer(const Matrix<T>& c, bool accumulate, Product product) {
  Scratch scratch(sizeof(T) * c.rows * c.columns);
  const Matrix<T> buffer{scratch.as<T>(), c.rows, c.columns, c.columns, 1};
  if (accumulate) copy(c, buffer);
  product(buffer);
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
                  const Epilogue<T>& epilogue) {
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
    }
  });
}

// c of at most kFewRows rows, with sums `in_order` as the tiles' are or in any. False when B is
// contiguous neither way, or c in the wrong one.
template <class T>
bool multiply_few_rows(const Matrix<const T>& a, const Matrix<const T>& b, const Matrix<T>& c,
                       const Epilogue<T>& epilogue, bool in_order) {
  const MatmulKernels<T>& kernels = matmul_kernels<T>();
  const int64_t m = c.rows, n = c.columns, k = a.columns;
  const double nanoseconds = multiply_nanoseconds<T>(m, n, k);
  if (b.row_stride == 1 && k > 1 && (!in_order || unit_columns(c))) {
    Scratch scratch(a.column_stride == 1 ? 0 : sizeof(T) * m * k);
    Matrix<const T> rows = a;
    if (a.column_stride != 1) {
      copy(a, Matrix<T>{scratch.as<T>(), m, k, k, 1});
      rows = {scratch.as<T>(), m, k, k, 1};
    }
    if (in_order) {
      dot_in_order(rows, b, c, epilogue);
      return true;
    }
    const int64_t chunks = few_rows_chunks(ceil_div(n, 4), n * k, 1);
    parallel_for(chunks, nanoseconds, [&](int64_t chunk) {
      const int64_t begin = 4 * cut(ceil_div(n, 4), chunks, chunk);
      const int64_t end = std::min(n, 4 * cut(ceil_div(n, 4), chunks, chunk + 1));
      kernels.dot(k, rows.data, rows.row_stride, b.at(0, begin), b.column_stride, c.at(0, begin),
                  c.row_stride, c.column_stride, static_cast<int>(m), end - begin,
                  at(epilogue, 0, begin));
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
  });
  return true;
}

template <class T>
void multiply_direct(const Matrix<const T>& a, const Matrix<const T>& b, const Matrix<T>& c,
                     const Epilogue<T>& epilogue) {
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
}

// A chunk is some panels of B, which it packs for itself, times all rows of A, or, where there are
// fewer panels than threads, times a block of rows; then B is packed ahead of all chunks. Its
// panels stay in L2 while one tile of A after the other passes through L1.
template <class T>
void multiply_blocked(const Matrix<const T>& a, const Matrix<const T>& b, const Matrix<T>& c,
                      const Epilogue<T>& epilogue) {
  const MatmulKernels<T>& kernels = matmul_kernels<T>();
  const int64_t m = c.rows, n = c.columns, k = a.columns, mr = kernels.mr, nr = kernels.nr;

  const int64_t k_blocks = ceil_div(k, kernels.kc), k_most = ceil_div(k, k_blocks);
  const int64_t panels = ceil_div(n, nr), threads = num_threads();
  const int64_t chunks_most = threads == 1 ? 1 : std::max<int64_t>(1, m * n * k / kChunk);
  const int64_t row_blocks =
      std::min({ceil_div(threads, panels), ceil_div(m, mr), ceil_div(chunks_most, panels)});
  const bool b_in_place = unit_columns(b) && m <= mr;
  const bool b_ahead = !b_in_place && row_blocks > 1;
  const bool b_rows = unit_columns(b);  // the tile that meets a panel first can pack it
  const bool a_aliases = a.row_stride * int64_t{sizeof(T)} % 4096 == 0 && m > 8;  // one set of L1
  const bool a_scattered = a.column_stride != 1 && a.row_stride != 1;
  // Packed where its strides are bad for the tile: rows as rows, at a distance that does not alias.
  const bool a_ahead = (a_aliases || a_scattered) && panels > 2;
  const bool a_rows = a.column_stride == 1;
  const int64_t apart = k_most + kApart;

  // Rows of A that are kept packed at once, and columns of B where it is packed ahead.
  const int64_t m_blocks = a_ahead ? ceil_div(m, kPackedRows) : 1;
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
              const bool own = !b_in_place && !b_ahead;
              Scratch packed(own ? sizeof(T) * (last - first) * nr * k_size : 0);
              T* const panels =
                  b_ahead ? packed_b.as<T>() + (first - p0) * nr * k_size : packed.as<T>();
              const int64_t whole = own && b_rows ? std::min(last, n / nr) : first;
              if (own && whole < last)
                pack_panels(k0, k1, whole, last, panels + (whole - first) * nr * k_size);
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
                  T* const panel = panels + (p - first) * nr * k_size;
                  const int columns = static_cast<int>(std::min(nr, n - j));
                  const Epilogue<T> e = at(block, i, j);
                  if (t == begin && p < whole)
                    kernels.tile_packing(k_size, from, b.at(k0, j), b.row_stride, panel, c.at(i, j),
                                         c.row_stride, rows, e);
                  else if (b_in_place)
                    kernels.tile(k_size, from, b.at(k0, j), b.row_stride, false, c.at(i, j),
                                 c.row_stride, rows, columns, e);
                  else
                    kernels.tile(k_size, from, panel, nr, true, c.at(i, j), c.row_stride, rows,
                                 columns, e);
                }
              }
            });
      }
    }
  }
}

}  // namespace

template <class T>
double multiply_nanoseconds(int64_t m, int64_t n, int64_t k) {
  const double products = static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
  const double least = static_cast<double>(std::min(m, n));
  return products * sizeof(T) / 4 * (1 / 100.0 + 1 / (10 * (least + 1)));
}
template double multiply_nanoseconds<float>(int64_t, int64_t, int64_t);
template double multiply_nanoseconds<double>(int64_t, int64_t, int64_t);

template <class T>
void multiply(const Matrix<const T>& a, const Matrix<const T>& b, const Matrix<T>& c,
              const Epilogue<T>& epilogue, bool rows_alike) {
  const int64_t m = c.rows, n = c.columns, k = a.columns, products = m * n * k;
  if (m == 0 || n == 0) return;
  const auto transposed = [&](auto&& way) {
    return way(b.transposed(), a.transposed(), c.transposed(),
               Epilogue<T>{epilogue.accumulate, epilogue.column_bias, epilogue.row_bias}, false);
  };
  const bool few_rows = m <= n || rows_alike;
  if ((few_rows ? m : n) <= kFewRows && products >= kFewRowsFrom) {
    const bool done = few_rows ? multiply_few_rows(a, b, c, epilogue, rows_alike)
                               : transposed(multiply_few_rows<T>);
    if (done) return;
  }
  if (!unit_columns(c)) {
    if ((c.row_stride == 1 || m == 1) && !rows_alike) {
      transposed(multiply<T>);
    } else {
      through_buffer(c, epilogue.accumulate, [&](const Matrix<T>& buffer) {
        multiply<T>(a, b, buffer, epilogue, rows_alike);
      });
    }
    return;
  }
  if (k == 0 || (unit_columns(b) && products <= kDirect && k <= matmul_kernels<T>().kc))
    multiply_direct(a, b, c, epilogue);
  else
    multiply_blocked(a, b, c, epilogue);
}
template void multiply<float>(const Matrix<const float>&, const Matrix<const float>&,
                              const Matrix<float>&, const Epilogue<float>&, bool);
template void multiply<double>(const Matrix<const double>&, const Matrix<const double>&,
                               const Matrix<double>&, const Epilogue<double>&, bool);

namespace {

enum class Way { by_shape, rows_alike, strassen };  // what a caller asked for

// The dimensions before the matrix, of a, b and c together; strides 0 where one is broadcast.
struct Batch {
  int ndim = 0;
  int64_t shape[kMaxDims];
  int64_t stride[3][kMaxDims];

  int64_t size() const {
    int64_t n = 1;
    for (int i = 0; i < ndim; ++i) n *= shape[i];
    return n;
  }
  void offsets(int64_t index, int64_t (&offset)[3]) const {
    offset[0] = offset[1] = offset[2] = 0;
    for (int d = ndim - 1; d >= 0; --d) {
      const int64_t i = index % shape[d];
      index /= shape[d];
      for (int x = 0; x < 3; ++x) offset[x] += i * stride[x][d];
    }
  }
};

template <class T>
void multiply_batch(const Batch& batch, const Matrix<const T>& a, const Matrix<const T>& b,
                    const Matrix<T>& c, const Epilogue<T>& epilogue, Way way) {
  const int64_t count = batch.size();
  if (count == 0) return;
  const auto one = [&](int64_t index) {
    int64_t offset[3];
    batch.offsets(index, offset);
    Matrix<const T> x = a, y = b;
    Matrix<T> z = c;
    x.data += offset[0];
    y.data += offset[1];
    z.data += offset[2];
    if (way == Way::strassen && unit_columns(z))
      multiply_strassen(x, y, z);
    else if (way == Way::strassen)
      through_buffer(z, false, [&](const Matrix<T>& to) { multiply_strassen(x, y, to); });
    else
      multiply(x, y, z, epilogue, way == Way::rows_alike);
  };
  // Large matrices take the threads one after the other, small ones share them out.
  const double nanoseconds = multiply_nanoseconds<T>(c.rows, c.columns, a.columns) + 20;
  if (count == 1 || nanoseconds > 1e6) {
    for (int64_t i = 0; i < count; ++i) one(i);
    return;
  }
  const int64_t each = ceil_div(5000, static_cast<int64_t>(nanoseconds));
  const int64_t chunks = ceil_div(count, each);
  parallel_for(chunks, nanoseconds * static_cast<double>(count), [&](int64_t chunk) {
    for (int64_t i = cut(count, chunks, chunk), end = cut(count, chunks, chunk + 1); i < end; ++i)
      one(i);
  });
}

// A checked call: matrices at the ends of a, b and c, and the dimensions before them.
struct Call {
  Array a, b, c;
  Batch batch;
  Way way = Way::by_shape;
  int64_t m, n, k;
  int64_t a_row, a_column, b_row, b_column, c_row, c_column;

  // Takes the innermost batch dimensions into the rows where one stride covers both.
  void fold_batch_into_rows() {
    while (batch.ndim > 0) {
      const int d = batch.ndim - 1;
      if (batch.shape[d] != 1) {
        if (batch.stride[1][d] != 0) return;
        if (m != 1 && (batch.stride[0][d] != a_row * m || batch.stride[2][d] != c_row * m)) return;
        if (m == 1) a_row = batch.stride[0][d], c_row = batch.stride[2][d];
        m *= batch.shape[d];
      }
      --batch.ndim;
    }
  }
};

template <class T>
void run(const Call& call, const Array* bias) {
  const Matrix<const T> a{call.a.ptr<T>(), call.m, call.k, call.a_row, call.a_column};
  const Matrix<const T> b{call.b.ptr<T>(), call.k, call.n, call.b_row, call.b_column};
  const Matrix<T> c{call.c.ptr<T>(), call.m, call.n, call.c_row, call.c_column};
  Epilogue<T> epilogue;
  const int64_t bias_stride = bias ? bias->stride[0] : 1;
  Scratch scratch(bias && bias_stride != 1 ? sizeof(T) * call.n : 0);
  if (bias) epilogue.column_bias = bias->ptr<T>();
  if (bias && bias_stride != 1) {
    for (int64_t j = 0; j < call.n; ++j) scratch.as<T>()[j] = bias->ptr<T>()[j * bias_stride];
    epilogue.column_bias = scratch.as<T>();
  }
  multiply_batch(call.batch, a, b, c, epilogue, call.way);
}

// Makes or checks the output, of the batch's shape, then m and n unless left out, and runs.
py::object finish(Call& call, py::handle out, bool has_m, bool has_n, const Array* bias) {
  int64_t shape[kMaxDims];
  int ndim = call.batch.ndim;
  if (ndim + has_m + has_n > kMaxDims) return declined();
  std::copy(call.batch.shape, call.batch.shape + ndim, shape);
  if (has_m) shape[ndim++] = call.m;
  if (has_n) shape[ndim++] = call.n;
  py::object result;
  if (out.is_none()) {
    result = empty(call.a.dtype, ndim, shape, call.c);
  } else {
    if (!view(out, call.c) || call.c.dtype != call.a.dtype || !call.c.writeable) return declined();
    if (call.c.ndim != ndim || !std::equal(shape, shape + ndim, call.c.shape)) return declined();
    if (!separate_elements(call.c)) return declined();
    if (may_overlap(call.c, call.a) || may_overlap(call.c, call.b)) return declined();
    if (bias && may_overlap(call.c, *bias)) return declined();
    result = py::reinterpret_borrow<py::object>(out);
  }
  std::copy(call.c.stride, call.c.stride + call.batch.ndim, call.batch.stride[2]);
  call.c_row = has_m ? call.c.stride[call.batch.ndim] : 0;
  call.c_column = has_n ? call.c.stride[call.batch.ndim + has_m] : 1;
  if (call.way != Way::strassen) call.fold_batch_into_rows();  // which halves each matrix

  const bool f32 = call.a.dtype == DType::f32;
  const double nanoseconds = static_cast<double>(call.batch.size()) *
                             (f32 ? multiply_nanoseconds<float>(call.m, call.n, call.k)
                                  : multiply_nanoseconds<double>(call.m, call.n, call.k));
  std::optional<py::gil_scoped_release> nogil;
  if (nanoseconds >= kSerialNanoseconds) nogil.emplace();
  f32 ? run<float>(call, bias) : run<double>(call, bias);
  return result;
}

// The options `invariant` and `algorithm`; false for what the op's checks are to refuse.
bool read_way(py::handle invariant, py::handle algorithm, Way& way) {
  const auto is = [](py::handle option, const char* name) {
    return PyUnicode_Check(option.ptr()) &&
           PyUnicode_CompareWithASCIIString(option.ptr(), name) == 0;
  };
  if (invariant.is_none() && algorithm.is_none()) return true;
  if (algorithm.is_none() && is(invariant, "batch"))
    way = Way::rows_alike;
  else if (invariant.is_none() && is(algorithm, "strassen"))
    way = Way::strassen;
  else
    return false;
  return true;
}

bool is_float(const Array& x) { return x.dtype == DType::f32 || x.dtype == DType::f64; }

// numpy.matmul: a[..., m, k] @ b[..., k, n]; a vector is a row on the left, a column on the right.
py::object matmul(py::handle a, py::handle b, py::handle out, py::handle invariant,
                  py::handle algorithm) {
  Call call;
  if (!read_way(invariant, algorithm, call.way)) return declined();
  if (!view(a, call.a) || !view(b, call.b))
    return call.way == Way::by_shape ? matmul_bf16(a, b, out) : declined();
  const Array &x = call.a, &y = call.b;
  if (x.dtype != y.dtype || !is_float(x) || x.ndim == 0 || y.ndim == 0) return declined();
  const bool has_m = x.ndim > 1, has_n = y.ndim > 1;
  const int xd = x.ndim, yd = y.ndim;
  call.m = has_m ? x.shape[xd - 2] : 1;
  call.k = x.shape[xd - 1];
  call.n = has_n ? y.shape[yd - 1] : 1;
  if (y.shape[has_n ? yd - 2 : 0] != call.k) return declined();
  call.a_row = has_m ? x.stride[xd - 2] : 0;
  call.a_column = x.stride[xd - 1];
  call.b_row = y.stride[has_n ? yd - 2 : 0];
  call.b_column = has_n ? y.stride[yd - 1] : 0;

  const int x_batch = has_m ? xd - 2 : 0, y_batch = has_n ? yd - 2 : 0;
  Batch& batch = call.batch;
  batch.ndim = std::max(x_batch, y_batch);
  for (int d = 0; d < batch.ndim; ++d) {
    const int i = d - batch.ndim + x_batch, j = d - batch.ndim + y_batch;
    const int64_t p = i < 0 ? 1 : x.shape[i], q = j < 0 ? 1 : y.shape[j];
    if (p != q && p != 1 && q != 1) return declined();
    batch.shape[d] = p == 1 ? q : p;
    batch.stride[0][d] = p == 1 ? 0 : x.stride[i];
    batch.stride[1][d] = q == 1 ? 0 : y.stride[j];
  }
  return finish(call, out, has_m, has_n, nullptr);
}

// torch's linear: x[..., k] @ w[n, k]^T + bias[n].
py::object linear(py::handle x, py::handle weight, py::handle bias, py::handle out,
                  py::handle invariant) {
  Call call;
  if (!read_way(invariant, py::none(), call.way)) return declined();
  Array bias_view;
  if (!view(x, call.a) || !view(weight, call.b))
    return call.way == Way::by_shape ? linear_bf16(x, weight, bias, out) : declined();
  const Array &a = call.a, &w = call.b;
  if (a.dtype != w.dtype || !is_float(a) || a.ndim == 0 || w.ndim != 2) return declined();
  const bool has_m = a.ndim > 1;
  call.m = has_m ? a.shape[a.ndim - 2] : 1;
  call.k = a.shape[a.ndim - 1];
  call.n = w.shape[0];
  if (w.shape[1] != call.k) return declined();
  call.a_row = has_m ? a.stride[a.ndim - 2] : 0;
  call.a_column = a.stride[a.ndim - 1];
  call.b_row = w.stride[1];
  call.b_column = w.stride[0];
  if (!bias.is_none()) {
    if (!view(bias, bias_view) || bias_view.dtype != a.dtype) return declined();
    if (bias_view.ndim != 1 || bias_view.shape[0] != call.n) return declined();
  }
  Batch& batch = call.batch;
  batch.ndim = has_m ? a.ndim - 2 : 0;
  for (int d = 0; d < batch.ndim; ++d) {
    batch.shape[d] = a.shape[d];
    batch.stride[0][d] = a.stride[d];
    batch.stride[1][d] = 0;
  }
  return finish(call, out, has_m, true, bias.is_none() ? nullptr : &bias_view);
}

}  // namespace

void bind_matmul(py::module_& m) {
  m.def("matmul", &matmul, py::arg("a"), py::arg("b"), py::arg("out") = py::none(),
        py::arg("invariant") = py::none(), py::arg("algorithm") = py::none());
  m.def("linear", &linear, py::arg("x"), py::arg("w"), py::arg("bias") = py::none(),
        py::arg("out") = py::none(), py::arg("invariant") = py::none());
}

}  // namespace fd
