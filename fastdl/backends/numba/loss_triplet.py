"""The triplet margin loss of rows, as plain loops in float64."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.memory import empty
from ...spec import kernel
from ._jit import jit, split
from ._layout import dense
from .norm_length import _length, _slope

_NANOSECONDS = 3.0  # an element of a row


@jit
def _distances(a: Any, b: Any, c: Any, p: float, eps: float, d: Any, sizes: Any) -> None:
    """The differences and lengths of anchor, positive and negative, of which sizes has how many."""
    for k in range(a.size):
        x, y, z = np.float64(a[k]), np.float64(b[k]), np.float64(c[k])
        d[0, k], d[1, k], d[2, k] = x - y + eps, x - z + eps, y - z + eps
    for i in range(3):
        sizes[i] = _length(d[i], p)


@jit
def _smaller(u: float, v: float) -> float:
    return u if u < v or np.isnan(u) else v


@jit
def _losses(
    first: int, last: int, a: Any, b: Any, c: Any, y: Any, margin: float, p: float, eps: float,
    swap: bool,
) -> None:  # fmt: skip
    d, sizes = np.empty((3, a.shape[1])), np.empty(3)
    for i in range(first, last):
        _distances(a[i], b[i], c[i], p, eps, d, sizes)
        value = sizes[0] + margin - (_smaller(sizes[1], sizes[2]) if swap else sizes[1])
        y[i] = 0.0 if value < 0 else value


@jit
def _gradients(
    first: int, last: int, g: Any, a: Any, b: Any, c: Any, da: Any, db: Any, dc: Any,
    margin: float, p: float, eps: float, swap: bool,
) -> None:  # fmt: skip
    d, sizes, w = np.empty((3, a.shape[1])), np.empty(3), np.empty(3)
    ties = np.empty(3, np.int64)
    for i in range(first, last):
        _distances(a[i], b[i], c[i], p, eps, d, sizes)
        value = sizes[0] + margin - (_smaller(sizes[1], sizes[2]) if swap else sizes[1])
        w[0] = 0.0 if value < 0 else g[i]
        w[1], w[2] = w[0], 0.0
        if swap:
            w[1] = w[0] if sizes[1] < sizes[2] else 0.0 if sizes[2] < sizes[1] else w[0] / 2
            w[2] = w[0] if sizes[2] < sizes[1] else 0.0 if sizes[1] < sizes[2] else w[0] / 2
        for j in range(3):
            ties[j] = 0
            for k in range(a.shape[1]):
                ties[j] += abs(d[j, k]) == sizes[j]
            if sizes[j] == 0:
                w[j], sizes[j] = 0.0, 1.0
        for k in range(a.shape[1]):
            u, v = _slope(d[0, k], sizes[0], p, ties[0]), _slope(d[1, k], sizes[1], p, ties[1])
            u, v, x = u * w[0], v * w[1], 0.0
            if swap:
                x = _slope(d[2, k], sizes[2], p, ties[2]) * w[2]
            da[i, k], db[i, k], dc[i, k] = u - v, -u - x, v + x


def _rows(x: np.ndarray) -> np.ndarray:
    return dense(x, False).reshape(int(np.prod(x.shape[:-1])), x.shape[-1])


@kernel("triplet_margin_loss", backend="numba")
def triplet_margin_loss(
    a: np.ndarray, b: np.ndarray, c: np.ndarray, *, margin: float, p: float, eps: float,
    swap: bool, reduction: str,
) -> np.ndarray:  # fmt: skip
    """The losses of the rows, or their sum or mean in float64."""
    y = empty(a.shape[:-1], a.dtype)
    split(_losses, y.size, 3 * a.size * _NANOSECONDS, *map(_rows, (a, b, c)), y.reshape(-1),
          margin, p, float(a.dtype.type(eps)), swap)  # fmt: skip
    if reduction == "none":
        return y
    total = np.sum(y, dtype=np.float64)
    with np.errstate(all="ignore"):
        return np.asarray(total / y.size if reduction == "mean" else total).astype(a.dtype)


@kernel("triplet_margin_loss_backward", backend="numba")
def triplet_margin_loss_backward(
    g: np.ndarray, a: np.ndarray, b: np.ndarray, c: np.ndarray, *, margin: float, p: float,
    eps: float, swap: bool, reduction: str,
) -> tuple[np.ndarray, ...]:  # fmt: skip
    """The gradients of anchor, positive and negative."""
    found = tuple(empty(a.shape, a.dtype) for _ in range(3))
    rows = int(np.prod(a.shape[:-1]))
    if a.size:
        scale = np.float64(g) / rows if reduction == "mean" else np.float64(g)
        upstream = np.broadcast_to(scale, a.shape[:-1]).reshape(-1)
        split(_gradients, rows, 6 * a.size * _NANOSECONDS, np.ascontiguousarray(upstream),
              *map(_rows, (a, b, c)), *(x.reshape(rows, -1) for x in found), margin, p,
              float(a.dtype.type(eps)), swap)  # fmt: skip
    return found
