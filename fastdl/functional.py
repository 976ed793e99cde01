"""The functions of torch and torch.nn.functional, under their names, arguments, order and defaults.

Every function takes NumPy arrays and returns NumPy arrays, or takes Tensors and returns Tensors that
record their gradients. Unless a docstring says otherwise:

* dtypes are float32, float64, float16 and bfloat16; operands of products must agree, elementwise
  ones are promoted as torch does. Integers are computed where torch computes them.
* 4-D arrays may be NCHW or channels-last in memory: the strides of the input decide, and the result
  keeps the format.
* `out=` (keyword only; torch has it for fewer functions) is an array of the result's shape and dtype
  to write to. It may not overlap an input, except that elementwise functions may write onto one.
* Errors are `fastdl.errors`: ShapeError, DTypeError, ArgumentError, IndexRangeError, OverlapError.

What each op computes is said once, in `fastdl/backends/reference`; what it accepts, in `fastdl/ops`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from .core.dtypes import as_dtype, is_float
from .core.errors import ArgumentError, DTypeError, UnsupportedError
from .core.shapes import normalize_dim
from .spec import OPS

__all__ = [
    "add", "amax", "argmax", "avg_pool2d", "cat", "conv2d", "cross_entropy", "div", "eq", "erf",
    "exp", "flatten", "ge", "gt", "le", "linear", "log", "log_softmax", "lt", "matmul", "max",
    "max_pool2d", "max_pool2d_with_indices", "mean", "mul", "ne", "neg", "permute", "relu",
    "reshape", "sigmoid", "sub", "sum", "tanh", "transpose", "where",
]  # fmt: skip
