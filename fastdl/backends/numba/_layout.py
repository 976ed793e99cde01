"""Arrays of any strides as the C-contiguous ones that the jitted loops take (copied if need be)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ...core.memory import empty
from ...core.shapes import is_channels_last

Grouped = tuple[int, int, int]  # the sizes of x as [outer, n, inner], n the dim worked along


def empty_like(x: np.ndarray) -> np.ndarray:
    """An uninitialised array of x's shape, dtype and memory format."""
    return empty(x.shape, x.dtype, is_channels_last(x))


def dense(x: np.ndarray, channels_last: bool) -> np.ndarray:
    """X with its dims in the order of a memory format, C-contiguous: a view if x is in it."""
    return np.asarray(x.transpose(0, 2, 3, 1) if channels_last else x, order="C")


def grouped(shape: Sequence[int], dim: int, channels_last: bool = False) -> Grouped:
    """The [outer, n, inner] of `dense(x, channels_last)`, for dim of x."""
    if channels_last:
        shape, dim = [shape[d] for d in (0, 2, 3, 1)], (0, 3, 1, 2)[dim]
    n = shape[dim] if shape else 1
    return math.prod(shape[:dim]), n, math.prod(shape[dim + 1 :])
