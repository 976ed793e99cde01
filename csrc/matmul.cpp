// matmul and linear: checks, broadcasting, and how a product is cut into tiles and chunks.
//
// A product takes one of four ways, by its shape and strides alone:
//   few rows   min(m, n) <= 8: bound by reading the large operand, which is left where it is
//   direct     up to 64^3: tiles straight on both operands
//   blocked    sums in blocks of kc terms; B packed in panels, by the chunk that uses them when one
//              block of rows covers m, ahead of all chunks otherwise
//   + A packed from 256^3 on, or where its strides are bad for the tile
// Blocks of a sum are as long as each other, at most 512 terms, and added in order, so the tree of
// a sum of k terms is at most min(k, 512 + k / 512) deep, for both dtypes and every instruction
// set; `linear` adds the bias, 1 more.
#include "matmul.h"

#include <algorithm>
#include <optional>

#include "array.h"
#include "matmul_bf16.h"
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

template <class T>
void multiply_through_buffer(const Matrix<const T>& a, const Matrix<const T>& b, const Matrix<T>& c,
                             const Epilogue<T>& epilogue) {
  Scratch scratch(sizeof(T) * c.rows * c.columns);
  const Matrix<T> buffer{scratch.as<T>(), c.rows, c.columns, c.columns, 1};
  if (epilogue.accumulate) copy(c, buffer);
  multiply<T>(a, b, buffer, epilogue);
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
                       const Epilogue<T>& epilogue) {
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

template <class T>
void multiply_blocked(const Matrix<const T>& a, const Matrix<const T>& b, const Matrix<T>& c,
                      const Epilogue<T>& epilogue) {
  const MatmulKernels<T>& kernels = matmul_kernels<T>();
  const int64_t m = c.rows, n = c.columns, k = a.columns, mr = kernels.mr, nr = kernels.nr;

  const int64_t k_blocks = ceil_div(k, kernels.kc), k_most = ceil_div(k, k_blocks);
  const int64_t panels = ceil_div(n, nr);
  // Rows in as few blocks as L2 allows, but enough of them for all cores when columns are few.
  const int64_t row_blocks =
      std::max(ceil_div(m, kernels.mc),
               std::min({ceil_div(kChunks, panels), ceil_div(m, mr), ceil_div(m * n * k, kChunk)}));
  const bool b_in_place = unit_columns(b) && m <= mr;
  const bool b_ahead = !b_in_place && row_blocks > 1;
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
          const bool own = !b_in_place && !b_ahead;
          Scratch packed(own ? sizeof(T) * (last - first) * nr * k_size : 0);
          if (own) pack_panels(k0, k1, first, last, packed.as<T>());
          for (int64_t t = 0; t < tiles; ++t) {
            const int64_t i = i0 + cut(i1 - i0, tiles, t);
            const int rows = static_cast<int>(i0 + cut(i1 - i0, tiles, t + 1) - i);
            const Rows<T> from = a_ahead
                                     ? Rows<T>{packed_a.as<T>() + (i - i_base) * k_size, 1, rows}
                                     : Rows<T>{a.at(i, k0), a.row_stride, a.column_stride};
            for (int64_t p = first; p < last; ++p) {
              const int64_t j = p * nr;
              const T* panel = b_in_place ? b.at(k0, j)
                               : b_ahead  ? packed_b.as<T>() + (p - p0) * nr * k_size
                                          : packed.as<T>() + (p - first) * nr * k_size;
              kernels.tile(k_size, from, panel, b_in_place ? b.row_stride : nr, !b_in_place,
                           c.at(i, j), c.row_stride, rows, static_cast<int>(std::min(nr, n - j)),
                           at(block, i, j));
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
              const Epilogue<T>& epilogue) {
  const int64_t m = c.rows, n = c.columns, k = a.columns, products = m * n * k;
  if (m == 0 || n == 0) return;
  const auto transposed = [&](auto&& way) {
    return way(b.transposed(), a.transposed(), c.transposed(),
               Epilogue<T>{epilogue.accumulate, epilogue.column_bias, epilogue.row_bias});
  };
  if (std::min(m, n) <= kFewRows && products >= kFewRowsFrom) {
    const bool done =
        m <= n ? multiply_few_rows(a, b, c, epilogue) : transposed(multiply_few_rows<T>);
    if (done) return;
  }
  if (!unit_columns(c)) {
    if (c.row_stride == 1 || m == 1)
      transposed(multiply<T>);
    else
      multiply_through_buffer(a, b, c, epilogue);
    return;
  }
  if (k == 0 || (unit_columns(b) && products <= kDirect && k <= matmul_kernels<T>().kc))
    multiply_direct(a, b, c, epilogue);
  else
    multiply_blocked(a, b, c, epilogue);
}
template void multiply<float>(const Matrix<const float>&, const Matrix<const float>&,
                              const Matrix<float>&, const Epilogue<float>&);
template void multiply<double>(const Matrix<const double>&, const Matrix<const double>&,
                               const Matrix<double>&, const Epilogue<double>&);

namespace {

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
                    const Matrix<T>& c, const Epilogue<T>& epilogue) {
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
    multiply(x, y, z, epilogue);
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
  multiply_batch(call.batch, a, b, c, epilogue);
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
  call.fold_batch_into_rows();

  const bool f32 = call.a.dtype == DType::f32;
  const double nanoseconds = static_cast<double>(call.batch.size()) *
                             (f32 ? multiply_nanoseconds<float>(call.m, call.n, call.k)
                                  : multiply_nanoseconds<double>(call.m, call.n, call.k));
  std::optional<py::gil_scoped_release> nogil;
  if (nanoseconds >= kSerialNanoseconds) nogil.emplace();
  f32 ? run<float>(call, bias) : run<double>(call, bias);
  return result;
}

bool is_float(const Array& x) { return x.dtype == DType::f32 || x.dtype == DType::f64; }

// numpy.matmul: a[..., m, k] @ b[..., k, n]; a vector is a row on the left, a column on the right.
py::object matmul(py::handle a, py::handle b, py::handle out) {
  Call call;
  if (!view(a, call.a) || !view(b, call.b)) return matmul_bf16(a, b, out);
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
py::object linear(py::handle x, py::handle weight, py::handle bias, py::handle out) {
  Call call;
  Array bias_view;
  if (!view(x, call.a) || !view(weight, call.b)) return linear_bf16(x, weight, bias, out);
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
  m.def("matmul", &matmul, py::arg("a"), py::arg("b"), py::arg("out") = py::none());
  m.def("linear", &linear, py::arg("x"), py::arg("w"), py::arg("bias") = py::none(),
        py::arg("out") = py::none());
}

}  // namespace fd
