"""Elementwise kernels: csrc/elementwise.cpp, kernels/cpu/elementwise.inc.

All of them check their own arguments, broadcast and take any strides, so dispatch calls them first.
"""

from __future__ import annotations

from typing import Any

from ... import _native
from ...core.memory import empty
from ...spec import kernel

FLOATS = ("float32", "float64")
NUMBERS = ("uint8", "int32", "int64", *FLOATS)
ALL = ("bool", *NUMBERS)

for _name in ("add", "mul", "eq", "ne", "lt", "le", "gt", "ge"):
    kernel(_name, backend="native", dtypes=ALL, out=True, direct=True)(getattr(_native, _name))
for _name in ("sub", "neg"):
    kernel(_name, backend="native", dtypes=NUMBERS, out=True, direct=True)(getattr(_native, _name))
for _name in ("div", "exp", "log", "tanh", "sigmoid", "erf", "relu_backward", "tanh_backward",
              "sigmoid_backward"):  # fmt: skip
    kernel(_name, backend="native", dtypes=FLOATS, out=True, direct=True)(getattr(_native, _name))
kernel("relu", backend="native", dtypes=NUMBERS, out=True, direct=True)(_native.relu)
kernel("where", backend="native", dtypes=ALL, out=True, direct=True)(_native.where)


@kernel("cast", backend="native", dtypes=ALL, out=True, direct=True)
def cast(x: Any, *, dtype: Any = None, out: Any = None) -> Any:
    """C's conversions; the dtype is given by name."""
    return _native.cast(x, dtype, out) if type(dtype) is str else NotImplemented


@kernel("copy", backend="native", dtypes=ALL, out=True)
def copy(x: Any, *, channels_last: bool, out: Any = None) -> Any:
    """Any strides to C order or channels-last."""
    target = empty(x.shape, x.dtype, channels_last) if out is None else out
    return _native.copy(x, target)
