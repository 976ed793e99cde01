"""log-softmax and its gradient."""

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
