// matmul and linear of bfloat16, which the general ones hand on to.
#pragma once
#include <pybind11/pybind11.h>

namespace fd {
namespace py = pybind11;
py::object matmul_bf16(py::handle a, py::handle b, py::handle out);
py::object linear_bf16(py::handle x, py::handle weight, py::handle bias, py::handle out);
}  // namespace fd
