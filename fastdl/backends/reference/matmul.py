"""Matrix products in plain NumPy."""

from __future__ import annotations

import numpy as np


def matmul(
    a: np.ndarray, b: np.ndarray, invariant: str | None = None, algorithm: str | None = None
) -> np.ndarray:
    """y[..., m, n] = Σ_k a[..., m, k] b[..., k, n], leading dimensions broadcast.

    Row by row where a row shall not depend on the others; by no other `algorithm`.
    """
    if invariant is None or a.ndim == 1:
        return np.asarray(np.matmul(a, b))
    if b.ndim == 1:
        return np.matmul(a[..., None, :], b[:, None])[..., 0, 0]
    return np.matmul(a[..., None, :], b[..., None, :, :])[..., 0, :]


def linear(
    x: np.ndarray, w: np.ndarray, bias: np.ndarray | None = None, invariant: str | None = None
) -> np.ndarray:
    """y[..., n] = Σ_k x[..., k] w[n, k] + bias[n]."""
    y = matmul(x, w.T, invariant)
    return y if bias is None else y + bias
