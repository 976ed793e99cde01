"""Elementwise kernels: functions of numbers, which NumPy's iterator applies to arrays.

A copy or a selection moves bits, so its loops are those of the unsigned integers of the same size.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Any

import numpy as np

from ...core.dtypes import is_float
from ...core.memory import empty
from ...core.shapes import is_channels_last
from ...spec import kernel
from ._jit import Elementwise
from ._math import erf, exp, log, sigmoid, tanh

FLOATS = ("float32", "float64")
NUMBERS = ("uint8", "int32", "int64", *FLOATS)
ALL = ("bool", *NUMBERS)

_X86 = platform.machine() in ("x86_64", "AMD64")
_BITS = {1: "int8", 4: "uint32", 8: "uint64"}  # not uint8, which would run in int64's loop


def bits(x: np.ndarray) -> np.ndarray:
    """The same array, its elements seen as integers of their size."""
    return x.view(_BITS[x.itemsize])


def attach(
    name: str, dtypes: tuple[str, ...], function: Callable[..., Any], nanoseconds: float = 0.3
) -> None:
    """Makes a kernel of a function of numbers: operands, options and the result's old value."""
    apply = Elementwise(function, nanoseconds=nanoseconds)
    gradient = name.endswith("_backward")  # of y, the second operand, whose format it takes

    @kernel(name, backend="numba", dtypes=dtypes, out=True, name=name)
    def run(*arrays: np.ndarray, out: np.ndarray | None = None, **options: float) -> np.ndarray:
        if out is None:
            out = _result(arrays[1:] if gradient else arrays, arrays[0].dtype)
        return apply(out, *arrays, *map(np.asarray, options.values()))


def attach_decision(name: str, dtypes: tuple[str, ...], function: Callable[..., Any]) -> None:
    """The same of a function whose result is a bool."""
    apply = Elementwise(function)

    @kernel(name, backend="numba", dtypes=dtypes, out=True, name=name)
    def run(*arrays: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        result = _result(arrays, np.bool_) if out is None else out
        apply(bits(result), *arrays)
        return result


def _result(arrays: tuple[np.ndarray, ...], dtype: Any) -> np.ndarray:
    """An array for the result, in the memory format of the first full-size operand."""
    shape = np.broadcast_shapes(*(a.shape for a in arrays))
    first = next((a for a in arrays if a.shape == shape), None)
    return empty(shape, np.dtype(dtype), first is not None and is_channels_last(first))


attach("add", ALL, lambda a, b, _: a + b)
attach("sub", NUMBERS, lambda a, b, _: a - b)
attach("mul", ALL, lambda a, b, _: a * b)
attach("div", FLOATS, lambda a, b, _: a / b)
attach("neg", NUMBERS, lambda x, _: -x)
attach("relu", NUMBERS, lambda x, _: 0 if x < 0 else x)
attach("relu_backward", FLOATS, lambda g, y, _: 0 if y <= 0 else g)
attach("tanh_backward", FLOATS, lambda g, y, _: g * (1 - y * y))
attach("sigmoid_backward", FLOATS, lambda g, y, _: g * (y * (1 - y)))
attach("exp", FLOATS, lambda x, _: exp(np.float64(x)), 0.8)
attach("log", FLOATS, lambda x, _: log(np.float64(x)), 0.8)
attach("tanh", FLOATS, lambda x, _: tanh(np.float64(x)), 1.0)
attach("sigmoid", FLOATS, lambda x, _: sigmoid(np.float64(x)), 1.0)
attach("erf", FLOATS, lambda x, _: erf(np.float64(x)), 1.5)

attach_decision("eq", ALL, lambda a, b, _: a == b)
attach_decision("ne", ALL, lambda a, b, _: a != b)
attach_decision("lt", ALL, lambda a, b, _: a < b)
attach_decision("le", ALL, lambda a, b, _: a <= b)
attach_decision("gt", ALL, lambda a, b, _: a > b)
attach_decision("ge", ALL, lambda a, b, _: a >= b)

_where = Elementwise(lambda cond, a, b, _: a if cond else b)
_cast = Elementwise(lambda x, _: x, exact=True)
_copy = Elementwise(lambda x, _: x)


@kernel("where", backend="numba", dtypes=ALL, out=True)
def where(
    cond: np.ndarray, a: np.ndarray, b: np.ndarray, *, out: np.ndarray | None = None
) -> np.ndarray:
    """A where cond holds, else b."""
    result = _result((cond, a, b), a.dtype) if out is None else out
    _where(bits(result), bits(cond), bits(a), bits(b))
    return result


def _no_such_loop(x: np.ndarray, *, dtype: str) -> str | None:
    if dtype not in ALL:
        return f"no loop to {dtype}"
    if not _X86 and is_float(x.dtype) and np.dtype(dtype).kind in "iu":
        return "out of range it would be as this machine has it"
    return None


@kernel("cast", backend="numba", dtypes=ALL, out=True, declines=_no_such_loop)
def cast(x: np.ndarray, *, dtype: str, out: np.ndarray | None = None) -> np.ndarray:
    """Every element converted."""
    return _cast(_result((x,), dtype) if out is None else out, x)


def copy_into(target: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Copies x, broadcast, into target, of the same dtype; returns target."""
    _copy(bits(target), bits(x))
    return target


@kernel("copy", backend="numba", dtypes=ALL, out=True)
def copy(x: np.ndarray, *, channels_last: bool, out: np.ndarray | None = None) -> np.ndarray:
    """Any strides to C order or channels-last."""
    return copy_into(empty(x.shape, x.dtype, channels_last) if out is None else out, x)
