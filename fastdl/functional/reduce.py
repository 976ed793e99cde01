"""Reductions."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..core.errors import UnsupportedError
from ..ops import reduce as ops
from ._face import cast_to, method

__all__ = ["MaxResult", "amax", "argmax", "max", "mean", "sum"]


class MaxResult(NamedTuple):
    """What `max` over one dim returns."""

    values: Any
    indices: Any


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
def max(input: Any, dim: Any = None, keepdim: bool = False, *, out: Any = None) -> Any:
    """Without dim the maximum of all elements; with it (values, indices) along that dim.

    NaN wins. The index (int64) is that of the first maximum, and the gradient goes there; without
    dim, equal maxima share it. torch's `max(input, other)` of two tensors is not here. Raises
    IndexRangeError for a dim out of range or of size 0. As torch.max.
    """
    if dim is None:
        return ops.amax(input, dim=None, keepdim=keepdim, out=out)
    if getattr(dim, "shape", ()):
        raise UnsupportedError("max: got two arrays, want an int for dim; see where and gt")
    return MaxResult(*ops.max(input, dim=dim, keepdim=keepdim, out=out))


@method
def argmax(input: Any, dim: Any = None, keepdim: bool = False, *, out: Any = None) -> Any:
    """int64 index of the first maximum along dim, or in the flattened input; NaN wins.

    Raises IndexRangeError for a dim out of range or of size 0. As torch.argmax.
    """
    return ops.argmax(input, dim=dim, keepdim=keepdim, out=out)
