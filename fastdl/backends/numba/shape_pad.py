"""Padding by place: along each padded axis in turn, a row after the other."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...core.memory import empty
from ...core.resampling import padded_source
from ...core.shapes import is_channels_last
from ...spec import kernel
from ..reference.shape_pad import filled, tables
from ._jit import jit, split
from .elementwise import ALL, bits
from .interpolate import mixed


@jit
def _take(start, stop, x, inputs, inner, source, fill, y):
    """y[outer, o] = x[outer, source[o]], rows of `inner`; fill[0] where the source is −1."""
    outputs = len(source)
    for item in range(start, stop):
        outer, o = item // outputs, item % outputs
        to, at = item * inner, (outer * inputs + source[o]) * inner
        if source[o] < 0:
            for j in range(inner):
                y[to + j] = fill[0]
        else:
            for j in range(inner):
                y[to + j] = x[at + j]


@kernel("pad", backend="numba", dtypes=ALL)
def pad(x: np.ndarray, *, padding: Any, mode: str, value: float) -> np.ndarray:
    """One axis at a time, constants too."""
    y = np.ascontiguousarray(x).reshape(x.shape)
    fill = filled((1,), value, x.dtype)
    for axis, (before, after) in enumerate(padding):
        n = x.shape[axis]
        if before == after == 0:
            continue
        if mode == "constant":
            source = np.arange(-before, n + after)
            source[source >= n] = -1
            source = np.maximum(source, -1)
        else:
            source = padded_source(n, before, after, mode)
        old, y = y, empty((*y.shape[:axis], len(source), *y.shape[axis + 1 :]), x.dtype)
        if y.size:
            rows, inner = math.prod(y.shape[: axis + 1]), math.prod(y.shape[axis + 1 :])
            split(_take, rows, 0.5 * y.size, bits(old).reshape(-1), n, inner, source, bits(fill),
                  bits(y).reshape(-1))  # fmt: skip
    if y.base is x or y is x or is_channels_last(x):
        result = empty(y.shape, x.dtype, is_channels_last(x))
        result[...] = y
        return result
    return y


@kernel("pad_backward", backend="numba")
def pad_backward(g: np.ndarray, *, padding: Any, mode: str, channels_last: bool) -> np.ndarray:
    """The transposed tables."""
    shape = tuple(n - before - after for n, (before, after) in zip(g.shape, padding, strict=True))
    mixtures = tables(shape, padding, mode, True)
    return mixed(g, mixtures, shape[2:], channels_last)
