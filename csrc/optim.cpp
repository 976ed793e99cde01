// sgd_step: (p', buf') from (p, g, buf), in place where p_out is p and buf_out is buf.
#include "../kernels/cpu/optim.h"

#include <algorithm>

#include "isa.h"
#include "loops.h"

namespace fd {
namespace {

constexpr int64_t kChunk = 1 << 15;  // parameters of a chunk of parallel work
constexpr double kBytesPerNanosecond = 60;

bool same_place(const Array& a, const Array& b) {
  if (a.data != b.data || !same_shape(a, b)) return false;
  for (int d = 0; d < a.ndim; ++d)
    if (a.shape[d] != 1 && a.stride[d] != b.stride[d]) return false;
  return true;
}

// An array that is written: new, or the caller's, which may be exactly one of the inputs.
struct Written {
  Output output;
  Array array;  // dense in the order of p
  Array target;
  std::optional<Scratch> scratch;
  bool in_place = false;
  py::object object;

  bool make(py::handle out, const Array& p, const int* order,
            std::initializer_list<const Array*> inputs) {
    if (!out.is_none() && view(out, target) && target.writeable && target.dtype == p.dtype &&
        separate_elements(target)) {
      bool clear = true;
      for (const Array* x : inputs) {
        const bool same = same_place(target, *x);
        in_place = in_place || same;
        clear = clear && (same || !may_overlap(*x, target));
      }
      if (in_place) {
        object = py::reinterpret_borrow<py::object>(out);
        array = target;
        make_dense(array, order, scratch);  // of other strides: computed beside it
        return clear;
      }
    }
    if (!output.make(out, p.dtype, p.ndim, p.shape, order, inputs)) return false;
    array = output.dense();
    target = output.array();
    return true;
  }
  py::object done() {
    if (!in_place) return output.done();
    if (scratch) copy(array, target);
    return std::move(object);
  }
};

bool fits(const Array& a, const Array& p) { return a.dtype == p.dtype && same_shape(a, p); }

py::object sgd_step(py::handle p_object, py::handle g_object, py::handle buf_object,
                    py::handle lr_object, py::handle momentum_object, py::handle dampening_object,
                    py::handle weight_decay_object, py::handle nesterov_object,
                    py::handle maximize_object, py::handle p_out_object,
                    py::handle buf_out_object) {
  Array p, g, buf;
  double lr, momentum, dampening, weight_decay;
  bool nesterov, maximize;
  if (!parse_number(lr_object, lr) || !parse_number(momentum_object, momentum) ||
      !parse_number(dampening_object, dampening) ||
      !parse_number(weight_decay_object, weight_decay) || !parse_bool(nesterov_object, nesterov) ||
      !parse_bool(maximize_object, maximize))
    return declined();
  if (!(lr >= 0) || !(momentum >= 0) || !(weight_decay >= 0)) return declined();
  if (nesterov && (momentum == 0 || dampening != 0)) return declined();
  const bool has_buf = !buf_object.is_none(), keeps_buf = momentum != 0;
  if (!view(p_object, p) || !view(g_object, g)) return declined();
  if (p.dtype != DType::f32 && p.dtype != DType::f64) return declined();
  if (!fits(g, p)) return declined();
  if (has_buf && (!keeps_buf || !view(buf_object, buf) || !fits(buf, p))) return declined();
  if (!keeps_buf && !buf_out_object.is_none()) return declined();

  int order[kMaxDims];
  memory_order(p, order);
  Written p_out, buf_out;
  const Array* third = has_buf ? &buf : &p;
  if (!p_out.make(p_out_object, p, order, {&p, &g, third})) return declined();
  if (keeps_buf && !buf_out.make(buf_out_object, p, order, {&p, &g, third})) return declined();
  if (keeps_buf && may_overlap(p_out.target, buf_out.target)) return declined();

  std::optional<Scratch> packed[3];
  make_dense(p, order, packed[0]);
  make_dense(g, order, packed[1]);
  if (has_buf) make_dense(buf, order, packed[2]);
  const int64_t n = p.size(), item = itemsize(p.dtype);
  const auto kernel = FD_TABLE(optim).sgd[p.dtype == DType::f64];
  const double bytes = static_cast<double>(n * item) * (keeps_buf ? 5 : 3);
  run_chunks((n + kChunk - 1) / kChunk, bytes / kBytesPerNanosecond, [&](int64_t c) {
    const int64_t at = c * kChunk * item;
    kernel({p.ptr<char>() + at, g.ptr<char>() + at, has_buf ? buf.ptr<char>() + at : nullptr,
            p_out.array.ptr<char>() + at, keeps_buf ? buf_out.array.ptr<char>() + at : nullptr,
            std::min(kChunk, n - c * kChunk), lr, momentum, dampening, weight_decay, nesterov,
            maximize});
  });
  py::object p_result = p_out.done();
  return py::make_tuple(p_result, keeps_buf ? buf_out.done() : py::none());
}

}  // namespace

void bind_optim(py::module_& m) {
  const auto none = py::none();
  m.def("sgd_step", sgd_step, py::arg("p"), py::arg("g"), py::arg("buf") = none, py::arg("lr"),
        py::arg("momentum") = 0.0, py::arg("dampening") = 0.0, py::arg("weight_decay") = 0.0,
        py::arg("nesterov") = false, py::arg("maximize") = false, py::arg("p_out") = none,
        py::arg("buf_out") = none);
}
}  // namespace fd
