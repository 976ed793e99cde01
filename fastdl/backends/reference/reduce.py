"""Reductions; NumPy and torch agree on NaN (it wins every maximum) and on ties (the first wins)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Dims = tuple[int, ...]


def sum(x: Any, *, dim: Dims, keepdim: bool) -> Any:
    """Σ over dims; integers and bools are summed in int64."""
    return np.sum(x, axis=dim, keepdims=keepdim, dtype=x.dtype if x.dtype.kind == "f" else np.int64)


def mean(x: Any, *, dim: Dims, keepdim: bool) -> Any:
    """Σ / n over dims; NaN for n = 0."""
    n = math.prod(x.shape[d] for d in dim)
    return np.divide(np.sum(x, axis=dim, keepdims=keepdim), x.dtype.type(n))


def amax(x: Any, *, dim: Dims, keepdim: bool) -> Any:
    """The largest element over dims."""
    return np.max(x, axis=dim, keepdims=keepdim) if dim else np.array(x)


def max(x: Any, *, dim: int, keepdim: bool) -> tuple[Any, Any]:
    """The largest element along a dim, and where it first is."""
    if x.ndim == 0:
        return np.array(x), np.zeros((), np.int64)
    index = np.argmax(x, axis=dim, keepdims=True)
    y = np.take_along_axis(x, index, dim)
    return (y, index) if keepdim else (y.squeeze(dim), index.squeeze(dim))


def argmax(x: Any, *, dim: int | None, keepdim: bool) -> Any:
    """Where the largest element along a dim (None: of the flattened array) first is."""
    return np.argmax(x, axis=dim, keepdims=keepdim)


def amin(x: Any, *, dim: Dims, keepdim: bool) -> Any:
    """The smallest element over dims."""
    return np.min(x, axis=dim, keepdims=keepdim) if dim else np.array(x)


def min(x: Any, *, dim: int, keepdim: bool) -> tuple[Any, Any]:
    """The smallest element along a dim, and where it first is."""
    if x.ndim == 0:
        return np.array(x), np.zeros((), np.int64)
    index = np.argmin(x, axis=dim, keepdims=True)
    y = np.take_along_axis(x, index, dim)
    return (y, index) if keepdim else (y.squeeze(dim), index.squeeze(dim))


def argmin(x: Any, *, dim: int | None, keepdim: bool) -> Any:
    """Where the smallest element along a dim (None: of the flattened array) first is."""
    return np.argmin(x, axis=dim, keepdims=keepdim)
