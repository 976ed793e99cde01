"""Distances of rows, as plain loops: `backends/reference/loss_distance.py`."""

from __future__ import annotations

import numpy as np

from ...core.memory import empty
from ...spec import kernel
from ._jit import jit, split
from ._layout import dense


@jit
def _distances(first, last, a, b, eps, y):
    for i in range(first, last):
        total = 0.0
        for j in range(a.shape[1]):
            d = np.float64(a[i, j]) - b[i, j] + eps
            total += d * d
        y[i] = np.sqrt(total)


@jit
def _gradients(first, last, g, a, b, y, eps, dx):
    for i in range(first, last):
        scale = 0.0 if y[i] == 0 else np.float64(g[i]) / y[i]
        for j in range(a.shape[1]):
            d = np.float64(a[i, j]) - b[i, j] + eps
            dx[i, j] = 0.0 if y[i] == 0 else d * scale


def _rows(x: np.ndarray) -> np.ndarray:
    return dense(x, False).reshape(int(np.prod(x.shape[:-1])), x.shape[-1])


@kernel("pairwise_distance", backend="numba")
def pairwise_distance(a: np.ndarray, b: np.ndarray, *, eps: float) -> np.ndarray:
    """y[...] of a[..., D] and b[..., D]."""
    y = empty(a.shape[:-1], a.dtype)
    flat = y.reshape(-1)
    split(_distances, flat.size, a.size, _rows(a), _rows(b), a.dtype.type(eps), flat)
    return y


@kernel("pairwise_distance_backward", backend="numba")
def pairwise_distance_backward(
    g: np.ndarray, a: np.ndarray, b: np.ndarray, y: np.ndarray, *, eps: float
) -> np.ndarray:
    """The gradient of a."""
    dx = empty(a.shape, a.dtype)
    flat = [dense(v, False).reshape(-1) for v in (g, y)]
    split(_gradients, flat[0].size, a.size, flat[0], _rows(a), _rows(b), flat[1],
          a.dtype.type(eps), dx.reshape(flat[0].size, a.shape[-1]))  # fmt: skip
    return dx
