"""Elementwise functions."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import in_place
from ..core.dtypes import is_float, result_type
from ..core.errors import ArgumentError, DTypeError
from ..core.shapes import as_float
from ..ops import elementwise as ops
from ._face import cast_to, method
from .elementwise_math import divide_rounding

__all__ = [
    "add",
    "div",
    "eq",
    "erf",
    "exp",
    "ge",
    "gt",
    "le",
    "log",
    "lt",
    "mul",
    "ne",
    "neg",
    "relu",
    "sigmoid",
    "sub",
    "tanh",
    "where",
]


@method
def add(input: Any, other: Any, *, alpha: Any = 1, out: Any = None) -> Any:
    """input + alpha · other, broadcast and promoted. As torch.add."""
    return ops.add(input, _scaled("add", input, other, alpha), out=out)


@method
def sub(input: Any, other: Any, *, alpha: Any = 1, out: Any = None) -> Any:
    """input − alpha · other, broadcast and promoted; DTypeError for bools. As torch.sub."""
    return ops.sub(input, _scaled("sub", input, other, alpha), out=out)


@method(name="add_")
def _add_in_place(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """input += alpha · other."""
    return in_place.run(input, "add", (_scaled("add", input, other, alpha),))


@method(name="sub_")
def _sub_in_place(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """input -= alpha · other."""
    return in_place.run(input, "sub", (_scaled("sub", input, other, alpha),))


def _scaled(op: str, input: Any, other: Any, alpha: Any) -> Any:
    """alpha · other for `op`, in the dtype that input and other promote to."""
    if alpha == 1:
        return other
    as_float(op, "alpha", alpha)  # a number, or an error
    if isinstance(alpha, (float, np.floating)) and not any(
        is_float(x.dtype) if hasattr(x, "dtype") else isinstance(x, float) for x in (input, other)
    ):
        raise DTypeError(f"{op}: alpha: got {alpha!r} for integers, want an int")
    if isinstance(other, (int, float)):
        return other * alpha
    if not (hasattr(other, "dtype") and hasattr(input, "dtype")):
        return ops.mul(other, alpha)
    dtype = result_type(input, other)
    product = ops.mul(other if other.dtype == dtype else cast_to(other, dtype), alpha)
    return product if product.dtype == dtype else cast_to(product, dtype)  # of bools, as in torch


@method(in_place="op")
def mul(input: Any, other: Any, *, out: Any = None) -> Any:
    """input · other, broadcast and promoted. As torch.mul."""
    return ops.mul(input, other, out=out)


@method(in_place=True)
def div(input: Any, other: Any, *, rounding_mode: str | None = None, out: Any = None) -> Any:
    """input / other, broadcast and promoted; the quotient of integers is float32.

    `rounding_mode` 'trunc' rounds it towards zero, 'floor' down, and integers stay integers, with
    ArgumentError for a 0 among the divisors. As torch.div.
    """
    if rounding_mode is not None:
        return divide_rounding(input, other, rounding_mode, out)
    return ops.div(input, other, out=out)


@method(in_place=True)
def neg(input: Any, *, out: Any = None) -> Any:
    """−input; DTypeError for bools. As torch.neg."""
    return ops.neg(input, out=out)


@method
def eq(input: Any, other: Any, *, out: Any = None) -> Any:
    """Is input = other? bool, broadcast. As torch.eq."""
    return ops.eq(input, other, out=out)


@method
def ne(input: Any, other: Any, *, out: Any = None) -> Any:
    """Is input ≠ other? bool, broadcast. As torch.ne."""
    return ops.ne(input, other, out=out)


@method
def lt(input: Any, other: Any, *, out: Any = None) -> Any:
    """Is input < other? bool, broadcast. As torch.lt."""
    return ops.lt(input, other, out=out)


@method
def le(input: Any, other: Any, *, out: Any = None) -> Any:
    """Is input ≤ other? bool, broadcast. As torch.le."""
    return ops.le(input, other, out=out)


@method
def gt(input: Any, other: Any, *, out: Any = None) -> Any:
    """Is input > other? bool, broadcast. As torch.gt."""
    return ops.gt(input, other, out=out)


@method
def ge(input: Any, other: Any, *, out: Any = None) -> Any:
    """Is input ≥ other? bool, broadcast. As torch.ge."""
    return ops.ge(input, other, out=out)


def where(condition: Any, input: Any = None, other: Any = None, *, out: Any = None) -> Any:
    """`input` where the bool `condition` holds, else `other`; broadcast. As torch.where.

    Of the condition alone: where it holds, a vector of places for each dim.
    """
    if input is None and other is None:
        from .shape_index import nonzero

        return nonzero(condition, as_tuple=True)
    return ops.where(condition, input, other, out=out)


@method(name="where")
def _where_method(input: Any, condition: Any, other: Any) -> Any:
    """The tensor where the bool `condition` holds, else `other`. As torch.Tensor.where."""
    return ops.where(condition, input, other)


@method(in_place="op")
def relu(input: Any, inplace: bool = False, *, out: Any = None) -> Any:
    """max(input, 0), NaN kept. `inplace` overwrites the input. As torch.nn.functional.relu."""
    if not inplace:
        return ops.relu(input, out=out)
    if out is not None:
        raise ArgumentError("relu: got inplace=True and out=, want one of them")
    return input.relu_() if hasattr(input, "relu_") else ops.relu(input, out=input)


@method(in_place="op")
def exp(input: Any, *, out: Any = None) -> Any:
    """e^input, within 2 ULP; float32 of integers. As torch.exp."""
    return ops.exp(input, out=out)


@method(in_place=True)
def log(input: Any, *, out: Any = None) -> Any:
    """Natural logarithm, within 2 ULP; NaN below 0; float32 of integers. As torch.log."""
    return ops.log(input, out=out)


@method(in_place="op")
def tanh(input: Any, *, out: Any = None) -> Any:
    """Hyperbolic tangent, within 2 ULP; float32 of integers. As torch.tanh."""
    return ops.tanh(input, out=out)


@method(in_place="op")
def sigmoid(input: Any, *, out: Any = None) -> Any:
    """1 / (1 + e^−input), within 2 ULP; float32 of integers. As torch.sigmoid."""
    return ops.sigmoid(input, out=out)


@method(in_place=True)
def erf(input: Any, *, out: Any = None) -> Any:
    """2/√π ∫₀^input e^(−t²) dt, within 2 ULP; float32 of integers. As torch.erf."""
    return ops.erf(input, out=out)
