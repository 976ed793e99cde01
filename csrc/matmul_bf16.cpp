// matmul and linear of bfloat16, with sums in float32 that are rounded once.
//
// Both operands are packed in blocks (matmul_words.h). A sum is added up in order of k, so its tree
// is as deep as it has terms.
#include "matmul_bf16.h"

#include <optional>
#include <vector>

#include "../kernels/cpu/matmul_bf16.h"
#include "matmul_shapes.h"
#include "matmul_words.h"

namespace fd {
namespace {

bool view_bf16(py::handle object, Array& a) {
  return view_narrow(object, a) && a.dtype == DType::bf16;
}

struct Work {
  static constexpr int64_t kPerWord = 2;
  const MatmulBf16Kernels& kernels;
  Matrix<const uint16_t> a, b;
  Matrix<uint16_t> c;
  const float* bias;
  std::vector<int> least_a, least_b;  // the least exponents of tiles and panels
  std::optional<Scratch> sums;

  void start(int64_t tiles, int64_t panels, int64_t blocks) {
    least_a.resize(static_cast<size_t>(tiles));
    least_b.resize(static_cast<size_t>(panels));
    if (blocks > 1) sums.emplace(sizeof(float) * c.rows * c.columns);
  }
  void pack_a(const words::Block& block, const words::Tile& tile, uint32_t* to, bool) {
    least_a[tile.index] = kernels.pack(block.k1 - block.k0, tile.rows, a.at(tile.i, block.k0),
                                       a.row_stride, a.column_stride, to, tile.rows);
  }
  void pack_b(const words::Block& block, int64_t first, int64_t last, uint32_t* to) {
    const int64_t j = first * kernels.nr, end = std::min(last * kernels.nr, c.columns);
    const int least =
        kernels.pack(block.k1 - block.k0, static_cast<int>(end - j), b.at(block.k0, j),
                     b.column_stride, b.row_stride, to, kernels.nr);
    std::fill(least_b.begin() + first, least_b.begin() + last, least);
  }
  void multiply(const words::Block& block, const words::Tile& tile, int64_t first, int64_t last,
                const uint32_t* a_panel, const uint32_t* b_panels) {
    const int64_t j = first * kernels.nr;
    const int of_a = least_a[tile.index];
    const int of_b = *std::min_element(least_b.begin() + first, least_b.begin() + last);
    const bool wide = !of_a || !of_b || of_a + of_b < kNoUnderflow;
    float* partial = sums ? sums->as<float>() + tile.i * c.columns + j : nullptr;
    kernels.tiles(block.words, a_panel, b_panels, wide, tile.rows,
                  std::min(last * kernels.nr, c.columns) - j,
                  {partial, c.columns, block.first, block.last, c.at(tile.i, j), c.row_stride,
                   bias ? bias + j : nullptr});
  }
};

float widened(uint16_t x) {
  const uint32_t bits = uint32_t{x} << 16;
  float value;
  __builtin_memcpy(&value, &bits, sizeof value);
  return value;
}

// c of at most kFewBf16Rows rows. False where B is contiguous neither way, or c in the wrong one.
bool multiply_few_rows(const Matrix<const uint16_t>& a, const Matrix<const uint16_t>& b,
                       const Matrix<uint16_t>& c, const float* bias) {
  const MatmulBf16Kernels& kernels = FD_WIDE_TABLE(matmul_bf16);
  const int64_t n = c.columns, k = a.columns;
  const int m = static_cast<int>(c.rows);
  const double nanoseconds = static_cast<double>(k) * static_cast<double>(n) * (0.04 + m / 100.0);
  // No sum is cut, so the chunks may follow the threads: every cut ends a stream.
  const auto chunks_of = [&](int64_t most) {
    const int64_t wanted = num_threads(), size = std::max<int64_t>(1, n * k);
    return std::min({most, ceil_div(size, 1 << 16), std::max(wanted, size >> 24)});
  };
  if (b.row_stride == 1 && k > 1) {
    const int64_t half = ceil_div(ceil_div(k, 2), 16) * 16;
    Scratch scratch(sizeof(float) * 2 * half * m);
    float* wide = scratch.as<float>();
    std::fill(wide, wide + 2 * half * m, 0.0f);
    for (int i = 0; i < m; ++i) {
      for (int64_t p = 0; p < k; ++p) wide[(2 * i + p % 2) * half + p / 2] = widened(*a.at(i, p));
    }
    const int64_t fours = ceil_div(n, 4), chunks = chunks_of(fours);
    parallel_for(chunks, nanoseconds, [&](int64_t chunk) {
      const int64_t begin = 4 * cut(fours, chunks, chunk);
      const int64_t end = std::min(n, 4 * cut(fours, chunks, chunk + 1));
      kernels.dot(k, wide, 2 * half, b.at(0, begin), b.column_stride, c.at(0, begin), c.row_stride,
                  c.column_stride, m, end - begin, bias ? bias + begin : nullptr);
    });
    return true;
  }
  if ((b.column_stride != 1 && n > 1) || (c.column_stride != 1 && n > 1)) return false;
  const int64_t stretches = ceil_div(n, 1024), chunks = chunks_of(stretches);
  parallel_for(chunks, nanoseconds, [&](int64_t chunk) {
    const int64_t begin = 1024 * cut(stretches, chunks, chunk);
    const int64_t end = std::min(n, 1024 * cut(stretches, chunks, chunk + 1));
    kernels.sweep(k, a.data, a.row_stride, a.column_stride, b.at(0, begin), b.row_stride,
                  c.at(0, begin), c.row_stride, m, end - begin, bias ? bias + begin : nullptr);
  });
  return true;
}

void multiply(const Matrix<const uint16_t>& a, const Matrix<const uint16_t>& b,
              const Matrix<uint16_t>& c, const float* bias) {
  if (c.rows == 0 || c.columns == 0) return;
  if (c.rows <= kFewBf16Rows && multiply_few_rows(a, b, c, bias)) return;
  if (c.columns <= kFewBf16Rows && !bias &&
      multiply_few_rows(b.transposed(), a.transposed(), c.transposed(), nullptr))
    return;
  if (c.column_stride != 1 && c.columns > 1) {
    if (!bias && (c.row_stride == 1 || c.rows == 1))
      return multiply(b.transposed(), a.transposed(), c.transposed(), nullptr);
    Scratch scratch(sizeof(uint16_t) * c.rows * c.columns);
    const Matrix<uint16_t> dense{scratch.as<uint16_t>(), c.rows, c.columns, c.columns, 1};
    multiply(a, b, dense, bias);
    for (int64_t i = 0; i < c.rows; ++i) {
      for (int64_t j = 0; j < c.columns; ++j) *c.at(i, j) = *dense.at(i, j);
    }
    return;
  }
  Work work{FD_WIDE_TABLE(matmul_bf16), a, b, c, bias, {}, {}, {}};
  words::multiply(work, c.rows, c.columns, a.columns);
}

// Makes or checks the output and runs; a, b and bias are bfloat16.
py::object finish(ProductShapes& shapes, const Array& a, const Array& b, const Array* bias,
                  py::handle out) {
  Array c;
  py::object result = shapes.make_output(out, DType::bf16, {&a, &b, bias}, c);
  if (!result) return declined();
  shapes.fold_batch_into_rows();
  const double each = words::nanoseconds(shapes.m, shapes.n, ceil_div(shapes.k, 2));
  std::optional<py::gil_scoped_release> nogil;
  if (each * static_cast<double>(shapes.batches()) >= kSerialNanoseconds) nogil.emplace();
  std::vector<float> wide(bias ? static_cast<size_t>(shapes.n) : 0);
  for (int64_t j = 0; j < static_cast<int64_t>(wide.size()); ++j) {
    wide[static_cast<size_t>(j)] = widened(bias->ptr<uint16_t>()[j * bias->stride[0]]);
  }
  shapes.for_each(each, [&](const int64_t* offset) {
    multiply(shapes.matrix(kA, a.ptr<const uint16_t>() + offset[kA]),
             shapes.matrix(kB, b.ptr<const uint16_t>() + offset[kB]),
             shapes.matrix(kC, c.ptr<uint16_t>() + offset[kC]), bias ? wide.data() : nullptr);
  });
  return result;
}

}  // namespace

py::object matmul_bf16(py::handle a, py::handle b, py::handle out) {
  Array x, y;
  ProductShapes shapes;
  if (!view_bf16(a, x) || !view_bf16(b, y) || !shapes.read(x, y)) return declined();
  return finish(shapes, x, y, nullptr, out);
}

py::object linear_bf16(py::handle x, py::handle weight, py::handle bias, py::handle out) {
  Array a, w, extra;
  ProductShapes shapes;
  if (!view_bf16(x, a) || !view_bf16(weight, w) || w.ndim != 2) return declined();
  std::swap(w.shape[0], w.shape[1]);
  std::swap(w.stride[0], w.stride[1]);
  if (!shapes.read(a, w)) return declined();
  if (!bias.is_none() && (!view_bf16(bias, extra) || extra.ndim != 1 || extra.shape[0] != shapes.n))
    return declined();
  return finish(shapes, a, w, bias.is_none() ? nullptr : &extra, out);
}

void bind_matmul_bf16(py::module_& m) {
  m.def("matmul_bf16", &matmul_bf16, py::arg("a"), py::arg("b"), py::arg("out") = py::none());
  m.def("linear_bf16", &linear_bf16, py::arg("x"), py::arg("w"), py::arg("bias") = py::none(),
        py::arg("out") = py::none());
}

}  // namespace fd
