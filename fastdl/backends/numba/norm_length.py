"""Lengths along a dim of x[outer, n, inner], as plain loops: backends/reference/norm_length.py.

Sums are in float64.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...core.memory import empty
from ...spec import kernel
from ._jit import jit, split
from ._layout import dense, empty_like, grouped, is_channels_last
from .norm import _finished

_NANOSECONDS = 2.0  # an element


@jit
def _length(x: Any, p: float) -> float:
    """The p-norm of a vector."""
    total = np.inf if p == -np.inf else 0.0
    for k in range(x.size):
        t = abs(np.float64(x[k]))
        if p == 2:
            total += t * t
        elif p == 1:
            total += t
        elif p == 0:
            total += x[k] != 0
        elif p == np.inf:
            total = t if t > total or np.isnan(t) else total
        elif p == -np.inf:
            total = t if t < total or np.isnan(t) else total
        else:
            total += t**p
    if p == 2:
        return math.sqrt(total)
    return total if p in (0, 1) or np.isinf(p) else total ** (1 / p)


@jit
def _most(size: float, eps: float) -> float:
    return size if size >= eps or np.isnan(size) else eps


@jit
def _normalize(first: int, last: int, x: Any, y: Any, p: float, eps: float) -> None:
    for i in range(first, last):
        for j in range(x.shape[2]):
            most = _most(_length(x[i, :, j], p), eps)
            for k in range(x.shape[1]):
                y[i, k, j] = x[i, k, j] / most


@jit
def _slope(x: float, size: float, p: float, ties: int) -> float:
    if p == 0 or x == 0:
        return 0.0
    if np.isinf(p):
        return math.copysign(1.0, x) / ties if abs(x) == size else 0.0
    return math.copysign((abs(x) / size) ** (p - 1), x)


@jit
def _normalize_backward(
    first: int, last: int, g: Any, x: Any, dx: Any, p: float, eps: float
) -> None:
    for i in range(first, last):
        for j in range(x.shape[2]):
            size = _length(x[i, :, j], p)
            along, ties = 0.0, 0
            for k in range(x.shape[1]):
                along += np.float64(g[i, k, j]) * x[i, k, j]
                ties += abs(x[i, k, j]) == size
            most, moves = _most(size, eps), size >= eps and size > 0
            for k in range(x.shape[1]):
                value = np.float64(x[i, k, j])
                taken = along / size * _slope(value, size, p, ties) if moves else 0.0
                dx[i, k, j] = (g[i, k, j] - taken) / most


@jit
def _cosine(first: int, last: int, a: Any, b: Any, y: Any, eps: float) -> None:
    for i in range(first, last):
        for j in range(a.shape[2]):
            dot = 0.0
            for k in range(a.shape[1]):
                dot += np.float64(a[i, k, j]) * b[i, k, j]
            la, lb = _length(a[i, :, j], 2.0), _length(b[i, :, j], 2.0)
            y[i, j] = dot / _most(la, eps) / _most(lb, eps)


@jit
def _cosine_backward(
    first: int, last: int, g: Any, a: Any, b: Any, da: Any, db: Any, eps: float
) -> None:
    for i in range(first, last):
        for j in range(a.shape[2]):
            dot = 0.0
            for k in range(a.shape[1]):
                dot += np.float64(a[i, k, j]) * b[i, k, j]
            la, lb = _length(a[i, :, j], 2.0), _length(b[i, :, j], 2.0)
            ma, mb = _most(la, eps), _most(lb, eps)
            both, along = g[i, j] / ma / mb, g[i, j] * (dot / ma / mb)
            ca = along / ma / ma if la >= eps and la > 0 else 0.0
            cb = along / mb / mb if lb >= eps and lb > 0 else 0.0
            for k in range(a.shape[1]):
                u, v = a[i, k, j], b[i, k, j]
                da[i, k, j], db[i, k, j] = v * both - u * ca, u * both - v * cb


def _parts(x: np.ndarray, dim: int, channels_last: bool) -> np.ndarray:
    return dense(x, channels_last).reshape(grouped(x.shape, dim, channels_last))


@kernel("normalize", backend="numba")
def normalize(x: np.ndarray, *, p: float, dim: int, eps: float) -> np.ndarray:
    """X over its length along a dim."""
    y, last = empty_like(x), is_channels_last(x)
    if x.size:
        parts = _parts(x, dim, last)
        split(_normalize, len(parts), x.size * _NANOSECONDS, parts, _parts(y, dim, last), p,
              float(x.dtype.type(eps)))  # fmt: skip
    return y


@kernel("normalize_backward", backend="numba")
def normalize_backward(
    g: np.ndarray, x: np.ndarray, *, p: float, dim: int, eps: float
) -> np.ndarray:
    """The gradient of x."""
    dx, last = empty_like(x), is_channels_last(x)
    if x.size:
        parts = _parts(x, dim, last)
        split(_normalize_backward, len(parts), 2 * x.size * _NANOSECONDS, _parts(g, dim, last),
              parts, _parts(dx, dim, last), p, float(x.dtype.type(eps)))  # fmt: skip
    return dx


@kernel("cosine_similarity", backend="numba")
def cosine_similarity(a: np.ndarray, b: np.ndarray, *, dim: int, eps: float) -> np.ndarray:
    """Y without the dim."""
    y = empty((*a.shape[:dim], *a.shape[dim + 1 :]), a.dtype)
    if y.size:
        parts = _parts(a, dim, False)
        split(_cosine, len(parts), 2 * a.size * _NANOSECONDS, parts, _parts(b, dim, False),
              y.reshape(len(parts), parts.shape[2]), float(a.dtype.type(eps)))  # fmt: skip
    return y


@kernel("cosine_similarity_backward", backend="numba")
def cosine_similarity_backward(
    g: np.ndarray, a: np.ndarray, b: np.ndarray, *, dim: int, eps: float
) -> tuple[np.ndarray, np.ndarray]:
    """The gradients of a and b."""
    da, db = empty(a.shape, a.dtype), empty(b.shape, b.dtype)
    if a.size:
        parts = _parts(a, dim, False)
        shape = len(parts), parts.shape[2]
        split(_cosine_backward, len(parts), 3 * a.size * _NANOSECONDS,
              dense(g, False).reshape(shape), parts, _parts(b, dim, False), _parts(da, dim, False),
              _parts(db, dim, False), float(a.dtype.type(eps)))  # fmt: skip
    return _finished(da, a), _finished(db, b)
