"""Shapes: views, and arrays put together."""

from __future__ import annotations

import math
from typing import Any

from ..core.errors import ArgumentError, DTypeError
from ..core.shapes import normalize_dim
from ..ops import shape as ops
from ._face import method, shape_of

__all__ = ["cat", "flatten", "permute", "reshape", "transpose"]


@method(sizes=True)
def reshape(input: Any, shape: Any) -> Any:
    """The elements in another shape (one size may be -1): a view where strides allow, else a copy.

    Raises ShapeError if the sizes do not fit. As torch.reshape.
    """
    return ops.reshape(input, shape=shape)


@method
def transpose(input: Any, dim0: int, dim1: int) -> Any:
    """A view with two dims exchanged; IndexRangeError for one out of range. As torch.transpose."""
    dims = list(range(len(shape_of("transpose", input))))
    if dims:
        first = normalize_dim("transpose", dim0, len(dims), "dim0")
        second = normalize_dim("transpose", dim1, len(dims), "dim1")
        dims[first], dims[second] = dims[second], dims[first]
    return ops.permute(input, dims=tuple(dims))


@method(sizes=True)
def permute(input: Any, dims: Any) -> Any:
    """A view with the dims in another order. Raises ShapeError, IndexRangeError or ArgumentError
    unless `dims` names each dim once. As torch.permute."""
    return ops.permute(input, dims=dims)


@method
def flatten(input: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """The dims from start_dim to end_dim as one; a 0-d array becomes 1-D.

    Raises IndexRangeError for a dim out of range, ArgumentError if start_dim lies after end_dim.
    As torch.flatten.
    """
    shape = shape_of("flatten", input)
    first = normalize_dim("flatten", start_dim, len(shape), "start_dim")
    last = normalize_dim("flatten", end_dim, len(shape), "end_dim")
    if first > last:
        raise ArgumentError(f"flatten: start_dim {start_dim} lies after end_dim {end_dim}")
    size = math.prod(shape[first : last + 1])
    return ops.reshape(input, shape=(*shape[:first], size, *shape[last + 1 :]))


def cat(tensors: Any, dim: int = 0, *, out: Any = None) -> Any:
    """Arrays joined along dim, promoted; ShapeError if other sizes differ. As torch.cat."""
    if not isinstance(tensors, (tuple, list)):
        raise DTypeError(f"cat: tensors: got {type(tensors).__name__}, want a list or a tuple")
    return ops.cat(*tensors, dim=dim, out=out)
