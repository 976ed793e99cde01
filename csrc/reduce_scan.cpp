// Running sums and products over any dimension of arrays of any strides.
#include "../kernels/cpu/reduce_scan.h"

#include "isa.h"
#include "loops.h"

namespace fd {
namespace {

constexpr int64_t kChunk = 1 << 14;   // elements of a chunk of parallel work
constexpr double kNanoseconds = 0.3;  // an element

py::object scan(bool product, py::handle x_object, py::handle dim, py::handle backwards,
                py::handle out_object) {
  Array x;
  int axis;
  bool reverse;
  if (!parse_bool(backwards, reverse)) return declined();
  if (!view(x_object, x) || !parse_dim(dim, x.ndim, axis)) return declined();
  const int dtype = x.dtype == DType::i64 ? 0 : x.dtype == DType::f32 ? 1 : 2;
  if (dtype == 2 && x.dtype != DType::f64) return declined();
  int order[kMaxDims];
  memory_order(x, order);
  Output out;
  if (!out.make(out_object, x.dtype, x.ndim, x.shape, order, {&x})) return declined();
  if (x.size() == 0) return out.done();
  std::optional<Scratch> packed;
  make_inner_dense(x, order, packed);
  const auto kernel = FD_TABLE(reduce_scan).scan[product][dtype];
  const int64_t sign = reverse ? -1 : 1;
  const AxisLoops l(make_loops({&x, &out.dense()}, order, x.ndim ? 1u << axis : 0));
  const int64_t item = itemsize(x.dtype);
  l.parallel(kChunk, 256 / item, static_cast<double>(x.size()) * kNanoseconds,
             [&](int64_t row, int64_t count, int64_t column, int64_t columns) {
               const auto at = [&](const Array& a, int k) {
                 const int64_t first = reverse ? (l.n - 1) * l.stride[k] : 0;
                 return a.ptr<char>() + (l.outer.offset(row, k) + column + first) * item;
               };
               kernel({at(x, 0), at(out.dense(), 1), count, l.n, columns, l.step[0], l.step[1],
                       sign * l.stride[0], sign * l.stride[1]});
             });
  return out.done();
}

}  // namespace

void bind_reduce_scan(py::module_& m) {
  for (const bool product : {false, true})
    m.def(
        product ? "cumprod" : "cumsum",
        [=](py::handle x, py::handle dim, py::handle reverse, py::handle out) {
          return scan(product, x, dim, reverse, out);
        },
        py::arg("x"), py::arg("dim"), py::arg("reverse") = false, py::arg("out") = py::none());
}

}  // namespace fd
