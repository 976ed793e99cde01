// Products of 8-bit integers: int32 sums mod 2^32, or those scaled to float32.
//
// Both operands are packed in blocks (matmul_words.h), signs flipped so that A is unsigned and B
// signed; what that and the zero points add is taken back from the finished sums.
#include "../kernels/cpu/matmul_int8.h"

#include <optional>
#include <vector>

#include "matmul_shapes.h"
#include "matmul_words.h"

namespace fd {
namespace {

using Bytes = Matrix<const uint8_t>;
constexpr uint32_t kSigns = 0x80808080;

// A zero point: one for all, or one for each row of A or column of B.
struct Zero {
  Array array;
  bool given = false;

  // `count`: of the rows or columns; 0 where there may be only one.
  bool read(py::handle object, DType dtype, int64_t count) {
    if (object.is_none()) return true;
    given = true;
    if (!view_narrow(object, array) || array.dtype != dtype || array.ndim > 1) return false;
    return array.ndim == 0 || array.shape[0] == 1 || array.shape[0] == count;
  }
  bool each() const { return given && array.ndim == 1 && array.shape[0] != 1; }
  int32_t at(int64_t i) const {
    if (!given) return 0;
    const uint8_t byte = array.ptr<uint8_t>()[each() ? i * array.stride[0] : 0];
    return array.dtype == DType::i8 ? static_cast<int8_t>(byte) : byte;
  }
  // `count` of them plus an offset; empty if all that is 0.
  std::vector<int32_t> plus(int32_t offset, int64_t count) const {
    std::vector<int32_t> all(static_cast<size_t>(count));
    bool any = false;
    for (int64_t i = 0; i < count; ++i) {
      all[static_cast<size_t>(i)] = at(i) + offset;
      any = any || at(i) + offset != 0;
    }
    return any ? all : std::vector<int32_t>();
  }
};

struct Scaling {
  std::vector<float> scale, bias;  // of columns; an empty scale: none
};

struct Work {
  static constexpr int64_t kPerWord = 4;
  const MatmulInt8Kernels& kernels;
  Bytes a, b;
  uint32_t flip_a, flip_b;
  const std::vector<int32_t>&row_zero, &column_zero;
  bool each_row;  // has each row a zero point of its own?
  const Scaling& scaling;
  Matrix<int32_t> sums;  // the result, or those of unfinished sums that will be scaled
  Matrix<float> c;
  std::vector<int32_t> row_sums, column_sums;
  std::optional<Scratch> scratch;

  void start(int64_t, int64_t, int64_t blocks) {
    const int64_t m = a.rows, n = b.columns;
    if (!column_zero.empty()) row_sums.assign(static_cast<size_t>(m), 0);
    if (!row_zero.empty()) column_sums.assign(static_cast<size_t>(n), 0);
    if (!sums.data && blocks > 1) {
      scratch.emplace(sizeof(int32_t) * m * n);
      sums = {scratch->as<int32_t>(), m, n, n, 1};
    }
  }
  void pack_a(const words::Block& block, const words::Tile& tile, uint32_t* to, bool again) {
    kernels.pack(block.k1 - block.k0, tile.rows, a.at(tile.i, block.k0), a.row_stride,
                 a.column_stride, flip_a, to, tile.rows);
    if (!row_sums.empty() && !again)
      kernels.add_up(block.words, to, tile.rows, tile.rows, false, &row_sums[tile.i]);
    // The last block completes row_sums; every tile then takes off k za of its own.
    if (!row_sums.empty() && !again && block.last && !row_zero.empty()) {
      for (int64_t i = tile.i; i < tile.i + tile.rows; ++i)
        row_sums[i] -= static_cast<uint32_t>(a.columns) * static_cast<uint32_t>(row_zero[i]);
    }
  }
  void pack_b(const words::Block& block, int64_t first, int64_t last, uint32_t* to) {
    const int64_t j = first * kernels.nr, end = std::min(last * kernels.nr, b.columns);
    kernels.pack(block.k1 - block.k0, static_cast<int>(end - j), b.at(block.k0, j), b.column_stride,
                 b.row_stride, flip_b, to, kernels.nr);
    if (column_sums.empty()) return;
    for (int64_t p = first; p < last; ++p, to += block.words * kernels.nr) {
      const int64_t at = p * kernels.nr, count = std::min<int64_t>(kernels.nr, b.columns - at);
      int32_t* sums = &column_sums[at];
      kernels.add_up(block.words, to, kernels.nr, static_cast<int>(count), true, sums);
      for (int64_t c = 0; block.last && !each_row && c < count; ++c) {
        sums[c] = static_cast<int32_t>(static_cast<uint32_t>(sums[c]) *
                                       static_cast<uint32_t>(row_zero[0]));
      }
    }
  }
  void multiply(const words::Block& block, const words::Tile& tile, int64_t first, int64_t last,
                const uint32_t* a_panel, const uint32_t* b_panels) {
    const int64_t i = tile.i, j = first * kernels.nr;
    const auto from = [](const auto& v, int64_t at) { return v.empty() ? nullptr : v.data() + at; };
    kernels.tiles(block.words, a_panel, b_panels, tile.rows,
                  std::min(last * kernels.nr, b.columns) - j,
                  {sums.data ? sums.at(i, j) : nullptr, sums.row_stride, block.first, block.last,
                   each_row ? from(row_zero, i) : nullptr, from(row_sums, i), from(column_zero, j),
                   from(column_sums, j), from(scaling.scale, j), from(scaling.bias, j),
                   c.data ? c.at(i, j) : nullptr, c.row_stride});
  }
};

// A checked shapes.
struct Product {
  Array a, b, c;
  ProductShapes shapes;
  Zero row_zero, column_zero;
  Scaling scaling;

  bool read(py::handle x, py::handle y, py::handle x_zero, py::handle y_zero) {
    if (!view_narrow(x, a) || !view_narrow(y, b)) return false;
    if (a.dtype == DType::bf16 || b.dtype == DType::bf16 || !shapes.read(a, b)) return false;
    return row_zero.read(x_zero, a.dtype, shapes.has_m ? shapes.m : 0) &&
           column_zero.read(y_zero, b.dtype, shapes.has_n ? shapes.n : 0);
  }

  template <class T>
  py::object finish(DType dtype, py::handle out) {
    py::object result = shapes.make_output(out, dtype, {&a, &b}, c);
    if (!result) return declined();
    if (!row_zero.each()) shapes.fold_batch_into_rows();
    const double each = words::nanoseconds(shapes.m, shapes.n, ceil_div(shapes.k, 4));
    std::optional<py::gil_scoped_release> nogil;
    if (each * static_cast<double>(shapes.batches()) >= kSerialNanoseconds) nogil.emplace();
    const auto of_rows = row_zero.plus(a.dtype == DType::i8 ? 128 : 0, shapes.m);
    const auto of_columns = column_zero.plus(b.dtype == DType::u8 ? -128 : 0, shapes.n);
    shapes.for_each(each, [&](const int64_t* offset) {
      const Bytes x = shapes.matrix(kA, a.ptr<const uint8_t>() + offset[kA]);
      const Bytes y = shapes.matrix(kB, b.ptr<const uint8_t>() + offset[kB]);
      const Matrix<T> z = shapes.matrix(kC, c.ptr<T>() + offset[kC]);
      if (z.rows == 0 || z.columns == 0) return;
      if (z.column_stride == 1 || z.columns == 1) return run(x, y, of_rows, of_columns, z);
      Scratch scratch(sizeof(T) * z.rows * z.columns);
      const Matrix<T> dense{scratch.as<T>(), z.rows, z.columns, z.columns, 1};
      run(x, y, of_rows, of_columns, dense);
      for (int64_t i = 0; i < z.rows; ++i) {
        for (int64_t j = 0; j < z.columns; ++j) *z.at(i, j) = *dense.at(i, j);
      }
    });
    return result;
  }

  template <class T>
  void run(const Bytes& x, const Bytes& y, const std::vector<int32_t>& of_rows,
           const std::vector<int32_t>& of_columns, const Matrix<T>& z) const {
    Work work{FD_WIDE_TABLE(matmul_int8),
              x,
              y,
              a.dtype == DType::i8 ? kSigns : 0,
              b.dtype == DType::u8 ? kSigns : 0,
              of_rows,
              of_columns,
              row_zero.each(),
              scaling,
              {},
              {},
              {},
              {},
              {}};
    if constexpr (sizeof(T) == 4 && T(0.5) == 0)
      work.sums = z;
    else
      work.c = z;
    words::multiply(work, z.rows, z.columns, x.columns);
  }
};

py::object matmul_integer(py::handle a, py::handle b, py::handle a_zero_point,
                          py::handle b_zero_point, py::handle out) {
  Product product;
  if (!product.read(a, b, a_zero_point, b_zero_point)) return declined();
  return product.finish<int32_t>(DType::i32, out);
}

// float32, one or `count` of them.
bool read_floats(py::handle object, int64_t count, Array& x) {
  if (!view(object, x) || x.dtype != DType::f32 || x.ndim > 1) return false;
  return x.ndim == 0 || x.shape[0] == 1 || x.shape[0] == count;
}
float at(const Array& x, int64_t i) {
  return x.ptr<float>()[x.ndim == 1 && x.shape[0] != 1 ? i * x.stride[0] : 0];
}

py::object matmul_integer_to_float(py::handle a, py::handle b, py::handle a_scale,
                                   py::handle b_scale, py::handle a_zero_point,
                                   py::handle b_zero_point, py::handle bias, py::handle out) {
  Product product;
  if (!product.read(a, b, a_zero_point, b_zero_point)) return declined();
  const int64_t n = product.shapes.n;
  Array of_a, of_b, extra;
  if (!read_floats(a_scale, 0, of_a) || !read_floats(b_scale, product.shapes.has_n ? n : 0, of_b))
    return declined();
  if (!bias.is_none() && (!read_floats(bias, n, extra) || extra.ndim != 1 || extra.shape[0] != n))
    return declined();
  Scaling& scaling = product.scaling;
  for (int64_t j = 0; j < n; ++j) scaling.scale.push_back(at(of_a, 0) * at(of_b, j));
  for (int64_t j = 0; j < n && !bias.is_none(); ++j) scaling.bias.push_back(at(extra, j));
  return product.finish<float>(DType::f32, out);
}

}  // namespace

void bind_matmul_int8(py::module_& m) {
  const py::none none;
  m.def("matmul_integer", &matmul_integer, py::arg("a"), py::arg("b"),
        py::arg("a_zero_point") = none, py::arg("b_zero_point") = none, py::arg("out") = none);
  m.def("matmul_integer_to_float", &matmul_integer_to_float, py::arg("a"), py::arg("b"),
        py::arg("a_scale"), py::arg("b_scale"), py::arg("a_zero_point") = none,
        py::arg("b_zero_point") = none, py::arg("bias") = none, py::arg("out") = none);
}

}  // namespace fd
