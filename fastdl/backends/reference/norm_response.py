"""Local response normalisation: x / (k + alpha · mean of x² over the channels around)^beta."""

from __future__ import annotations

from typing import Any

import numpy as np


def windows(v: Any, before: int, after: int) -> Any:
    """[window, N, C, ...]: v of the channels from c − before to c + after, 0 beyond the ends."""
    padding = [(0, 0)] * v.ndim
    padding[1] = (before, after)
    padded = np.pad(v, padding)
    return np.stack([padded[:, i : i + v.shape[1]] for i in range(before + after + 1)])


def base(x: Any, size: int, alpha: float, k: float) -> Any:
    """k + alpha / size · Σ x²."""
    squares = np.sum(windows(x * x, size // 2, (size - 1) // 2), axis=0)
    return squares * (x.dtype.type(alpha) / size) + x.dtype.type(k)


def local_response_norm(x: Any, *, size: int, alpha: float, beta: float, k: float) -> Any:
    """X / t^beta, t the base."""
    return x / np.power(base(x, size, alpha, k), x.dtype.type(beta))


def local_response_norm_backward(
    g: Any, x: Any, *, size: int, alpha: float, beta: float, k: float
) -> Any:
    """dx = g / t^beta − x · 2 alpha beta / size · Σ g·x / t^beta / t over the windows of x."""
    t = base(x, size, alpha, k)
    d = np.power(t, x.dtype.type(beta))
    sums = np.sum(windows(g * x / d / t, (size - 1) // 2, size // 2), axis=0)
    return g / d - x * (x.dtype.type(alpha) / size * (2 * x.dtype.type(beta)) * sums)
