"""Cross-entropy. Classes lie along dim 1 (dim 0 of a 1-D x); n runs over the other positions.

loss_n = −Σ_c q_nc · log_softmax(x)_nc        q: the weighted, smoothed target distribution
target class t:        q_c = w_c · ((1 − s)·[c = t] + s/C),  0 where t = ignore_index
target distribution p: q_c = w_c · ((1 − s)·p_c     + s/C)
mean: Σ loss_n / D     D = Σ w_t over positions not ignored; with p, the number of positions
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .softmax import log_softmax


def _distribution(
    x: Any, target: Any, weight: Any, ignore_index: int, smoothing: float
) -> tuple[Any, Any]:
    """q, in x's shape, and the divisor D of the mean."""
    dim = min(1, x.ndim - 1)
    classes = x.shape[dim]
    along = (classes,) + (1,) * (x.ndim - 1 - dim)
    w = np.ones(along, x.dtype) if weight is None else weight.reshape(along)
    share = x.dtype.type(smoothing) / classes
    if target.dtype.kind == "f":
        return w * ((1 - smoothing) * target + share), np.array(x.size // max(classes, 1), x.dtype)
    t = np.expand_dims(target, dim)
    kept = t != ignore_index
    chosen = (np.arange(classes).reshape(along) == t) & kept
    q = np.where(chosen, w * (1 - smoothing), np.zeros_like(w)) + np.where(kept, w * share, 0)
    return q, np.sum(np.where(chosen, w, np.zeros_like(w)))


def cross_entropy(
    x: Any, target: Any, weight: Any, *, ignore_index: int, reduction: str, label_smoothing: float
) -> Any:
    """The loss of each position, their sum, or their weighted mean."""
    dim = min(1, x.ndim - 1)
    q, divisor = _distribution(x, target, weight, ignore_index, label_smoothing)
    product = q * log_softmax(x, dim=dim)
    if target.dtype.kind != "f":  # a class of no probability costs nothing, even at log p = −inf
        product = np.where(q == 0, np.zeros_like(product), product)
    loss = -np.sum(product, axis=dim)
    if reduction == "none":
        return loss
    return np.sum(loss) if reduction == "sum" else np.sum(loss) / divisor


def cross_entropy_backward(
    g: Any,
    x: Any,
    target: Any,
    weight: Any,
    *,
    ignore_index: int,
    reduction: str,
    label_smoothing: float,
) -> Any:
    """dx_nc = (softmax(x)_nc · Σ_k q_nk − q_nc) · g_n, over D for the mean."""
    dim = min(1, x.ndim - 1)
    q, divisor = _distribution(x, target, weight, ignore_index, label_smoothing)
    scale = np.expand_dims(g, dim) if reduction == "none" else g
    if reduction == "mean":
        scale = scale / divisor
    return (np.exp(log_softmax(x, dim=dim)) * np.sum(q, axis=dim, keepdims=True) - q) * scale
