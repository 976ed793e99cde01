// The extension module: one bind function per file of csrc.
#include <pybind11/pybind11.h>

namespace fd {
namespace py = pybind11;
void bind_runtime(py::module_& m);  // threads, memory, ISA
}  // namespace fd

PYBIND11_MODULE(_native, m) {
  m.doc() =
      "fastdl's native kernels. Every function takes arrays as they are and returns "
      "NotImplemented for what it does not take.";
  fd::bind_runtime(m);
}
