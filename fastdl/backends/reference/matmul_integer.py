"""Products of 8-bit integers in plain NumPy."""

from __future__ import annotations

import numpy as np


def matmul_integer(
    a: np.ndarray,
    b: np.ndarray,
    a_zero_point: np.ndarray | None = None,
    b_zero_point: np.ndarray | None = None,
) -> np.ndarray:
    """y[..., m, n] = Σ_k (a[..., m, k] − za[m]) (b[..., k, n] − zb[n]) as int32, mod 2^32.

    The sums are made in float64, where these integers are exact up to k = 2^37.
    """
    left, right = a.astype(np.float64), b.astype(np.float64)
    if a_zero_point is not None:
        left -= a_zero_point if a_zero_point.size == 1 else a_zero_point[:, None]
    if b_zero_point is not None:
        right -= b_zero_point
    return np.asarray(np.matmul(left, right)).astype(np.int64).astype(np.int32)


def matmul_integer_to_float(
    a: np.ndarray,
    b: np.ndarray,
    a_scale: np.ndarray,
    b_scale: np.ndarray,
    a_zero_point: np.ndarray | None = None,
    b_zero_point: np.ndarray | None = None,
    bias: np.ndarray | None = None,
) -> np.ndarray:
    """y[..., m, n] = matmul_integer(a, b)[..., m, n] · a_scale · b_scale[n] + bias[n]."""
    sums = matmul_integer(a, b, a_zero_point, b_zero_point)
    scale = a_scale * b_scale
    if sums.ndim == 0 or b.ndim == 1:  # a column that is not there
        scale = scale.reshape(())
    y = sums * scale
    return np.asarray(y if bias is None else y + (bias if b.ndim > 1 else bias.reshape(())))
