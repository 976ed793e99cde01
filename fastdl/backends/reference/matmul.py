"""Matrix products in plain NumPy."""

from __future__ import annotations

import numpy as np


def matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """y[..., m, n] = Σ_k a[..., m, k] b[..., k, n], leading dimensions broadcast."""
    return np.asarray(np.matmul(a, b))


def linear(x: np.ndarray, w: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
    """y[..., n] = Σ_k x[..., k] w[n, k] + bias[n]."""
    y = np.matmul(x, w.T)
    return y if bias is None else y + bias
