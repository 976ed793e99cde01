// The extension module: one bind function per file of csrc.
#include <pybind11/pybind11.h>

namespace fd {
namespace py = pybind11;
void bind_pool(py::module_& m);
void bind_pool_adaptive(py::module_& m);
void bind_interpolate(py::module_& m);
void bind_reduce(py::module_& m);
void bind_reduce_scan(py::module_& m);
void bind_loss(py::module_& m);
void bind_loss_ctc(py::module_& m);
void bind_loss_distance(py::module_& m);
void bind_loss_pointwise(py::module_& m);
void bind_loss_triplet(py::module_& m);
void bind_optim(py::module_& m);
void bind_softmax(py::module_& m);
void bind_random(py::module_& m);
void bind_attention(py::module_& m);
void bind_norm(py::module_& m);
void bind_norm_response(py::module_& m);
void bind_norm_length(py::module_& m);
void bind_embed(py::module_& m);
void bind_faults(py::module_& m);
void bind_runtime(py::module_& m);  // threads, memory, ISA
void bind_roofline(py::module_& m);
void bind_bfloat16(py::module_& m);
void bind_elementwise(py::module_& m);
void bind_elementwise_glu(py::module_& m);
void bind_elementwise_ops(py::module_& m);
void bind_conv(py::module_& m);
void bind_matmul(py::module_& m);
void bind_matmul_bf16(py::module_& m);
void bind_matmul_int8(py::module_& m);
void bind_shape(py::module_& m);
void bind_shape_index(py::module_& m);
void bind_shape_sort(py::module_& m);
void bind_rnn(py::module_& m);
}  // namespace fd

PYBIND11_MODULE(_native, m) {
  m.doc() =
      "fastdl's native kernels. Every function takes arrays as they are and returns "
      "NotImplemented for what it does not take.";
  fd::bind_reduce(m);
  fd::bind_reduce_scan(m);
  fd::bind_loss(m);
  fd::bind_loss_ctc(m);
  fd::bind_loss_distance(m);
  fd::bind_loss_pointwise(m);
  fd::bind_loss_triplet(m);
  fd::bind_optim(m);
  fd::bind_softmax(m);
  fd::bind_random(m);
  fd::bind_attention(m);
  fd::bind_norm(m);
  fd::bind_norm_response(m);
  fd::bind_norm_length(m);
  fd::bind_embed(m);
  fd::bind_faults(m);
  fd::bind_runtime(m);
  fd::bind_roofline(m);
  fd::bind_bfloat16(m);
  fd::bind_elementwise(m);
  fd::bind_elementwise_glu(m);
  fd::bind_elementwise_ops(m);
  fd::bind_conv(m);
  fd::bind_matmul(m);
  fd::bind_matmul_bf16(m);
  fd::bind_matmul_int8(m);
  fd::bind_pool(m);
  fd::bind_pool_adaptive(m);
  fd::bind_interpolate(m);
  fd::bind_shape(m);
  fd::bind_shape_index(m);
  fd::bind_shape_sort(m);
  fd::bind_rnn(m);
}
