"""softmax, log-softmax and their gradients."""

from __future__ import annotations

from typing import Any

import numpy as np


def log_softmax(x: Any, *, dim: int) -> Any:
    """y = (x − m) − ln Σ e^(x − m) along dim, m the maximum, which keeps e^ in range."""
    if x.size == 0:
        return np.array(x)
    shifted = x - np.max(x, axis=dim, keepdims=True)
    return shifted - np.log(np.sum(np.exp(shifted), axis=dim, keepdims=True))


def log_softmax_backward(g: Any, y: Any, *, dim: int) -> Any:
    """dx = g − e^y Σ g along dim, y = log_softmax(x)."""
    return g - np.exp(y) * np.sum(g, axis=dim, keepdims=True)


def softmax(x: Any, *, dim: int) -> Any:
    """y = e^(x − m) / Σ e^(x − m) along dim, m the maximum."""
    if x.size == 0:
        return np.array(x)
    e = np.exp(x - np.max(x, axis=dim, keepdims=True))
    return e / np.sum(e, axis=dim, keepdims=True)


def softmax_backward(g: Any, y: Any, *, dim: int) -> Any:
    """dx = y·(g − Σ g·y) along dim, y = softmax(x)."""
    return y * (g - np.sum(g * y, axis=dim, keepdims=True))
