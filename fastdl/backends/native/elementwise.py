"""Elementwise kernels: csrc/elementwise.cpp, kernels/cpu/elementwise.inc.

All of them check their own arguments, broadcast and take any strides, so dispatch calls them first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ... import _native
from ...core.dtypes import bfloat16, float32
from ...core.memory import empty
from ...spec import kernel

uint16 = np.dtype(np.uint16)
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


def _of_floats(function: Callable[..., Any]) -> Callable[..., Any]:
    def run(*arrays: Any, **options: Any) -> Any:
        if any(type(a) is np.ndarray and a.dtype.kind == "f" for a in arrays):
            return function(*arrays, **options)
        return NotImplemented

    return run


def _of_alpha(function: Callable[..., Any]) -> Callable[..., Any]:
    def run(*arrays: Any, **options: Any) -> Any:
        return function(*arrays, **options) if options.get("alpha") else NotImplemented

    return run


# Of integers, division refuses a 0 and pow a negative power, so those are planned first.
_CHECKED = ("pow", "floor_divide", "remainder", "trunc_divide")
for _name, _dtypes in _native.elementwise_ops:
    _function = getattr(_native, _name)
    if _name.startswith("celu"):  # no alpha of 0
        _function = _of_alpha(_function)
    _checked = _name in _CHECKED
    kernel(_name, backend="native", dtypes=_dtypes, out=True, direct=not _checked, name=_name)(
        _function
    )
    if _checked and "float32" in _dtypes:
        kernel(_name, backend="native", dtypes=FLOATS, out=True, direct=True, name=_name)(
            _of_floats(_function)
        )
kernel("relu", backend="native", dtypes=NUMBERS, out=True, direct=True)(_native.relu)
kernel("where", backend="native", dtypes=ALL, out=True, direct=True)(_native.where)


def _bfloat16_declines(x: np.ndarray, *, dtype: str) -> str | None:
    if _native.isa() != "avx512_bf16":
        return "needs the instruction set avx512_bf16"
    if {x.dtype.name, dtype} != {"float32", "bfloat16"} or not x.flags.c_contiguous:
        return "only between contiguous float32 and bfloat16"
    return None


@kernel("cast", backend="native", dtypes=("float32", "bfloat16"), declines=_bfloat16_declines)
def cast_bfloat16(x: np.ndarray, *, dtype: str) -> Any:
    """float32 to bfloat16, rounded to nearest even, and back."""
    if dtype == "bfloat16":
        out = empty(x.shape, uint16)
        _native.float32_to_bfloat16(x, out)
        return out.view(bfloat16())
    return _native.bfloat16_to_float32(x.view(uint16), empty(x.shape, float32))


def _cast_declines(x: np.ndarray, *, dtype: str) -> str | None:
    return None if dtype in ALL else f"does not make {dtype}"


# Attached after cast_bfloat16, so asked before it.
@kernel("cast", backend="native", dtypes=ALL, out=True, direct=True, declines=_cast_declines)
def cast(x: Any, *, dtype: Any = None, out: Any = None) -> Any:
    """C's conversions; the dtype is given by name."""
    return _native.cast(x, dtype, out) if type(dtype) is str else NotImplemented


@kernel("copy", backend="native", dtypes=ALL, out=True)
def copy(x: Any, *, channels_last: bool, out: Any = None) -> Any:
    """Any strides to C order or channels-last."""
    target = empty(x.shape, x.dtype, channels_last) if out is None else out
    return _native.copy(x, target)
