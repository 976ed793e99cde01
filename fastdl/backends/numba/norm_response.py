"""Local response normalisation of x[N, C, inner], as plain loops in float64."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...spec import kernel
from ._jit import jit, split
from ._layout import dense
from .norm import _finished

_NANOSECONDS = 10.0  # an element: a power


@jit
def _bases(x: Any, before: int, after: int, scale: float, k: float, t: Any) -> None:
    for c in range(x.shape[0]):
        first, last = max(c - before, 0), min(c + after + 1, x.shape[0])
        for j in range(x.shape[1]):
            total = 0.0
            for i in range(first, last):
                total += np.float64(x[i, j]) * x[i, j]
            t[c, j] = total * scale + k


@jit
def _forward(
    first: int, last: int, x: Any, y: Any, size: int, scale: float, beta: float, k: float
) -> None:
    t = np.empty(x.shape[1:])
    for n in range(first, last):
        _bases(x[n], size // 2, (size - 1) // 2, scale, k, t)
        for c in range(x.shape[1]):
            for j in range(x.shape[2]):
                y[n, c, j] = x[n, c, j] / t[c, j] ** beta


@jit
def _backward(
    first: int, last: int, g: Any, x: Any, dx: Any, size: int, scale: float, beta: float, k: float
) -> None:
    t, d = np.empty(x.shape[1:]), np.empty(x.shape[1:])
    before, after = size // 2, (size - 1) // 2
    for n in range(first, last):
        _bases(x[n], before, after, scale, k, t)
        for c in range(x.shape[1]):
            for j in range(x.shape[2]):
                d[c, j] = t[c, j] ** beta
                t[c, j] = np.float64(g[n, c, j]) * x[n, c, j] / d[c, j] / t[c, j]  # now q
        for c in range(x.shape[1]):
            for j in range(x.shape[2]):
                total = 0.0
                for i in range(max(c - after, 0), min(c + before + 1, x.shape[1])):
                    total += t[i, j]
                dx[n, c, j] = g[n, c, j] / d[c, j] - x[n, c, j] * (scale * 2 * beta * total)


def _planes(x: np.ndarray) -> np.ndarray:
    return dense(x, False).reshape(*x.shape[:2], math.prod(x.shape[2:]))


@kernel("local_response_norm", backend="numba")
def local_response_norm(
    x: np.ndarray, *, size: int, alpha: float, beta: float, k: float
) -> np.ndarray:
    """Sample by sample."""
    y = np.empty(x.shape, x.dtype)
    if x.size:
        split(_forward, len(x), x.size * _NANOSECONDS, _planes(x), _planes(y), size, alpha / size,
              beta, k)  # fmt: skip
    return _finished(y, x)


@kernel("local_response_norm_backward", backend="numba")
def local_response_norm_backward(
    g: np.ndarray, x: np.ndarray, *, size: int, alpha: float, beta: float, k: float
) -> np.ndarray:
    """The gradient of x."""
    dx = np.empty(x.shape, x.dtype)
    if x.size:
        split(_backward, len(x), 2 * x.size * _NANOSECONDS, _planes(g), _planes(x), _planes(dx),
              size, alpha / size, beta, k)  # fmt: skip
    return _finished(dx, x)
