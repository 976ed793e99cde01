// What the files of the elementwise family share.
#pragma once
#include "../kernels/cpu/elementwise.h"
#include "array.h"

namespace fd {
// An op of a table on its operands (arrays or numbers); declines what it does not take.
py::object run_op(const ElementwiseOp& op, const py::handle* x, Given& given, py::handle out);
}  // namespace fd
