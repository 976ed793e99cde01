// Local response normalisation of x[N, C, ...] and its gradient: checks, and the cut into chunks.
#include "../kernels/cpu/norm_response.h"

#include "isa.h"
#include "layout.h"
#include "loops.h"

namespace fd {
namespace {

constexpr int64_t kChunk = 1 << 14;           // elements of a chunk of parallel work
constexpr double kNanosecondsPerElement = 1;  // where a register is 64 bytes
constexpr int kFirst[kMaxDims] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

// y, or dx if there is a g.
py::object respond(py::handle g_object, py::handle x_object, int64_t size, double alpha,
                   double beta, double k, py::handle out) {
  Array x, g;
  const bool backward = g_object.ptr() != nullptr;
  if (!view(x_object, x) || x.ndim < 3 || size < 1) return declined();
  if (x.dtype != DType::f32 && x.dtype != DType::f64) return declined();
  if (backward && (!view(g_object, g) || g.dtype != x.dtype || !same_shape(g, x)))
    return declined();
  // The kernel walks through planes; the result has x's format all the same.
  py::object target = py::reinterpret_borrow<py::object>(out);
  if (out.is_none() && is_channels_last(x)) {
    Array made;
    target = empty_ordered(x.dtype, x.ndim, x.shape, kChannelsLast, made);
  }
  Output y;
  if (!y.make(target, x.dtype, x.ndim, x.shape, kFirst, {&x, backward ? &g : &x}))
    return declined();
  if (x.size() == 0) return y.done();
  std::optional<Scratch> packed_x, packed_g;
  make_dense(x, kFirst, packed_x);
  if (backward) make_dense(g, kFirst, packed_g);
  const int64_t item = itemsize(x.dtype), channels = x.shape[1];
  const int64_t inner = x.size() / (x.shape[0] * channels);
  // Whole registers, whatever their size, but for the last piece.
  const int64_t piece = std::max<int64_t>(kChunk / channels / 16, 1) * 16;
  const int64_t pieces = (inner + piece - 1) / piece;
  const auto kernel = backward ? FD_TABLE(norm_response).backward[x.dtype == DType::f64]
                               : FD_TABLE(norm_response).forward[x.dtype == DType::f64];
  const double cost = static_cast<double>(x.size() * (1 + backward) * item) / 4;
  run_chunks(x.shape[0] * pieces, cost * kNanosecondsPerElement, [&](int64_t chunk) {
    const int64_t first = chunk % pieces * piece;
    const int64_t at = (chunk / pieces * channels * inner + first) * item;
    const Scratch scratch(backward ? static_cast<size_t>(2 * channels * 64) : 0);
    kernel({x.ptr<char>() + at, backward ? g.ptr<char>() + at : nullptr, y.dense().ptr<char>() + at,
            scratch.as<void>(), channels, std::min(piece, inner - first), inner, size / 2,
            (size - 1) / 2, alpha, beta, k});
  });
  return y.done();
}

py::object local_response_norm(py::handle x, int64_t size, double alpha, double beta, double k,
                               py::handle out) {
  return respond(py::handle(), x, size, alpha, beta, k, out);
}

}  // namespace

void bind_norm_response(py::module_& m) {
  m.def("local_response_norm", local_response_norm);
  m.def("local_response_norm_backward", respond);
}
}  // namespace fd
