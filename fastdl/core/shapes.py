"""Shapes, dims and memory formats: the checks every op shares, with torch's rules."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from .errors import ArgumentError, DTypeError, IndexRangeError, ShapeError

Shape = tuple[int, ...]


def is_channels_last(x: np.ndarray) -> bool:
    """Is a 4-D array laid out as NHWC in memory? torch's stride rule.

    In the order C, W, H, N every stride must reach past the dims before it. Dims of size 1 are
    skipped, since NumPy gives them any stride. Where both formats fit (one channel, or one pixel)
    the answer is no.
    """
    if x.ndim != 4:
        return False
    n, c, h, w = x.shape
    if c == 1 or (h == 1 and w == 1) or x.size == 0:
        return False
    sn, sc, sh, sw = x.strides
    span = x.itemsize
    for size, stride in ((c, sc), (w, sw), (h, sh), (n, sn)):
        if size > 1:
            if stride < span:
                return False
            span = stride * size
    return True


def broadcast(op: str, *shapes: Shape) -> Shape:
    """The common shape of broadcast operands; ShapeError if they do not fit."""
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        raise ShapeError(
            f"{op}: shapes {' and '.join(map(str, shapes))} do not broadcast; want sizes that are"
            " equal or 1, aligned at the last dim"
        ) from None


def as_int(op: str, argument: str, value: Any) -> int:
    """An option that must be an int (a NumPy integer will do, a bool will not)."""
    if isinstance(value, (bool, np.bool_)):
        raise DTypeError(f"{op}: {argument}: got {value!r}, want an int")
    try:
        return operator.index(value)
    except TypeError:
        raise DTypeError(f"{op}: {argument}: got {type(value).__name__}, want an int") from None


def as_ints(op: str, argument: str, value: Any) -> Shape:
    """An option that must be an int or a sequence of ints, as a tuple."""
    if type(value) is tuple and all([type(v) is int for v in value]):  # most calls, and quick
        return value
    if isinstance(value, Iterable):
        return tuple(as_int(op, argument, v) for v in value)
    return (as_int(op, argument, value),)


def as_bool(op: str, argument: str, value: Any) -> bool:
    """An option that must be a bool."""
    if not isinstance(value, (bool, np.bool_)):
        raise DTypeError(f"{op}: {argument}: got {type(value).__name__}, want a bool")
    return bool(value)


def as_float(op: str, argument: str, value: Any) -> float:
    """An option that must be a real number."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(
        value, (int, float, np.integer, np.floating)
    ):
        raise DTypeError(f"{op}: {argument}: got {type(value).__name__}, want a number")
    return float(value)


def normalize_dim(op: str, dim: Any, ndim: int, argument: str = "dim") -> int:
    """A dim as a non-negative int. A 0-d array has dims 0 and -1, as in torch."""
    dim = as_int(op, argument, dim)
    span = max(ndim, 1)
    if not -span <= dim < span:
        raise IndexRangeError(
            f"{op}: {argument}: got {dim} for an array of {ndim} dims, want {-span} to {span - 1}"
        )
    return dim % span


def normalize_dims(op: str, dim: Any, ndim: int) -> Shape:
    """The dims of a reduction as a sorted tuple; None and () mean all of them."""
    if dim is None or (isinstance(dim, Sequence) and not dim):
        return tuple(range(ndim))
    dims = tuple(sorted(normalize_dim(op, d, ndim) for d in as_ints(op, "dim", dim)))
    if len(set(dims)) < len(dims):
        raise ArgumentError(f"{op}: dim: got {dim}, want every dim once")
    return dims if ndim else ()


def reduced(shape: Shape, dims: Sequence[int], keepdim: bool) -> Shape:
    """The shape left by a reduction over dims."""
    if keepdim:
        return tuple(1 if i in dims else n for i, n in enumerate(shape))
    return tuple(n for i, n in enumerate(shape) if i not in dims)
