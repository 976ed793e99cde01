"""Reductions."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..core.errors import ArgumentError
from ..ops import reduce as ops
from ._face import cast_to, method
from .elementwise_math import maximum, minimum

__all__ = ["MaxResult", "MinResult", "amax", "amin", "aminmax", "argmax", "argmin", "max", "mean",
           "min", "sum"]  # fmt: skip


class MaxResult(NamedTuple):
    """What `max` over one dim returns."""

    values: Any
    indices: Any


class MinResult(NamedTuple):
    """What `min` over one dim returns."""

    values: Any
    indices: Any


class MinMaxResult(NamedTuple):
    """What `aminmax` returns."""

    min: Any
    max: Any


@method
def sum(
    input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, out: Any = None
) -> Any:
    """Sum over dim (an int or several; None is all). Integers and bools sum to int64.

    `dtype` casts the input first. Raises IndexRangeError for a dim out of range. As torch.sum.
    """
    return ops.sum(cast_to(input, dtype), dim=dim, keepdim=keepdim, out=out)


@method
def mean(
    input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, out: Any = None
) -> Any:
    """Mean over dim (an int or several; None is all); DTypeError for integers, NaN of nothing.

    `dtype` casts the input first. Raises IndexRangeError for a dim out of range. As torch.mean.
    """
    return ops.mean(cast_to(input, dtype), dim=dim, keepdim=keepdim, out=out)


@method
def amax(input: Any, dim: Any = (), keepdim: bool = False, *, out: Any = None) -> Any:
    """Maximum over dim (an int or several; () is all); NaN wins. Equal maxima share the gradient.

    Raises IndexRangeError for a dim out of range or of size 0. As torch.amax.
    """
    return ops.amax(input, dim=dim, keepdim=keepdim, out=out)


@method
def amin(input: Any, dim: Any = (), keepdim: bool = False, *, out: Any = None) -> Any:
    """Minimum over dim (an int or several; () is all); NaN wins. Equal minima share the gradient.

    Raises IndexRangeError for a dim out of range or of size 0. As torch.amin.
    """
    return ops.amin(input, dim=dim, keepdim=keepdim, out=out)


@method
def aminmax(input: Any, *, dim: Any = None, keepdim: bool = False) -> MinMaxResult:
    """The minimum and the maximum over one dim, or of all elements. As torch.aminmax."""
    least = ops.amin(input, dim=dim, keepdim=keepdim)
    return MinMaxResult(least, ops.amax(input, dim=dim, keepdim=keepdim))


@method
def max(input: Any, dim: Any = None, keepdim: bool = False, *, out: Any = None) -> Any:
    """Without dim the maximum of all elements; with it (values, indices) along that dim.

    NaN wins. The index (int64) is that of the first maximum, and the gradient goes there; without
    dim, equal maxima share it. `max(input, other)` of two tensors is `maximum`. Raises
    IndexRangeError for a dim out of range or of size 0. As torch.max.
    """
    if dim is None:
        return ops.amax(input, dim=None, keepdim=keepdim, out=out)
    if hasattr(dim, "shape"):
        return _of_two("max", maximum, input, dim, keepdim, out)
    return MaxResult(*ops.max(input, dim=dim, keepdim=keepdim, out=out))


@method
def min(input: Any, dim: Any = None, keepdim: bool = False, *, out: Any = None) -> Any:
    """Without dim the minimum of all elements; with it (values, indices) along that dim.

    NaN wins; indices, gradients, two tensors and errors are as for `max`. As torch.min.
    """
    if dim is None:
        return ops.amin(input, dim=None, keepdim=keepdim, out=out)
    if hasattr(dim, "shape"):
        return _of_two("min", minimum, input, dim, keepdim, out)
    return MinResult(*ops.min(input, dim=dim, keepdim=keepdim, out=out))


def _of_two(name: str, function: Any, a: Any, b: Any, keepdim: bool, out: Any) -> Any:
    if keepdim:
        raise ArgumentError(f"{name}: keepdim: got True with two tensors, want one and an int dim")
    return function(a, b, out=out)


@method
def argmax(input: Any, dim: Any = None, keepdim: bool = False, *, out: Any = None) -> Any:
    """int64 index of the first maximum along dim, or in the flattened input; NaN wins.

    Raises IndexRangeError for a dim out of range or of size 0. As torch.argmax.
    """
    return ops.argmax(input, dim=dim, keepdim=keepdim, out=out)


@method
def argmin(input: Any, dim: Any = None, keepdim: bool = False, *, out: Any = None) -> Any:
    """int64 index of the first minimum along dim, or in the flattened input; NaN wins.

    Raises IndexRangeError for a dim out of range or of size 0. As torch.argmin.
    """
    return ops.argmin(input, dim=dim, keepdim=keepdim, out=out)
