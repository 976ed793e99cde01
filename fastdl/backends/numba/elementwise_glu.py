"""glu and its gradient: the formulas of backends/reference/elementwise_glu.py, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.memory import empty
from ...spec import kernel
from ._jit import jit, split
from ._layout import dense, empty_like, grouped, is_channels_last
from ._math import exp, sigmoid

_NANOSECONDS = 1.5  # an element of y


@jit
def _glu(first: int, last: int, x: Any, y: Any) -> None:
    """y[outer, n] of x[outer, 2, n]."""
    for i in range(first, last):
        a, b, out = x[i, 0], x[i, 1], y[i]
        for j in range(out.size):
            out[j] = a[j] * sigmoid(np.float64(b[j]))


@jit
def _gradients(first: int, last: int, g: Any, x: Any, dx: Any) -> None:
    for i in range(first, last):
        a, b, upstream, da, db = x[i, 0], x[i, 1], g[i], dx[i, 0], dx[i, 1]
        for j in range(upstream.size):
            e = exp(-abs(np.float64(b[j])))
            r = 1 / (1 + e)
            da[j] = upstream[j] * (e * r if b[j] < 0 else r)
            db[j] = upstream[j] * np.float64(a[j]) * (e * r * r)


def _split(x: np.ndarray, dim: int, channels_last: bool) -> np.ndarray:
    """X as [outer, 2, half of dim · inner]."""
    outer, n, inner = grouped(x.shape, dim, channels_last)
    return dense(x, channels_last).reshape(outer, 2, n // 2 * inner)


@kernel("glu", backend="numba")
def glu(x: np.ndarray, *, dim: int) -> np.ndarray:
    """Of any dim."""
    last = is_channels_last(x)
    y = empty((*x.shape[:dim], x.shape[dim] // 2, *x.shape[dim + 1 :]), x.dtype, last)
    if y.size:
        parts = _split(x, dim, last)
        split(_glu, len(parts), y.size * _NANOSECONDS, parts,
              dense(y, last).reshape(len(parts), parts.shape[2]))  # fmt: skip
    return y


@kernel("glu_backward", backend="numba")
def glu_backward(g: np.ndarray, x: np.ndarray, *, dim: int) -> np.ndarray:
    """The gradient of x."""
    last, dx = is_channels_last(x), empty_like(x)
    if x.size:
        parts = _split(x, dim, last)
        split(_gradients, len(parts), 2 * g.size * _NANOSECONDS,
              dense(g, last).reshape(len(parts), parts.shape[2]), parts,
              _split(dx, dim, last))  # fmt: skip
    return dx
