"""Cross-entropy and nll_loss: classes along dim 1 (0 of a 1-D x), n over the other positions.

loss_n = −Σ_c q_nc · log_softmax(x)_nc        q: the weighted, smoothed target distribution
target class t:        q_c = w_c · ((1 − s)·[c = t] + s/C),  0 where t = ignore_index
target distribution p: q_c = w_c · ((1 − s)·p_c     + s/C)
mean: Σ loss_n / D     D = Σ w_t over positions not ignored; with p, the number of positions

nll_loss is cross-entropy of x that are log-probabilities already: loss_n = −w_t x_nt.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .softmax import log_softmax


def _distribution(
    x: Any, target: Any, weight: Any, ignore_index: int, smoothing: float
) -> tuple[Any, Any, Any]:
    """q, in x's shape; where it takes part (elsewhere it is 0); the divisor D of the mean."""
    dim = min(1, x.ndim - 1)
    classes = x.shape[dim]
    along = (classes,) + (1,) * (x.ndim - 1 - dim)
    w = np.ones(along, x.dtype) if weight is None else weight.reshape(along)
    share = x.dtype.type(smoothing) / classes
    if target.dtype.kind == "f":
        q = w * ((1 - smoothing) * target + share)
        return q, np.True_, np.array(x.size // max(classes, 1), x.dtype)
    t = np.expand_dims(target, dim)
    kept = t != ignore_index
    chosen = (np.arange(classes).reshape(along) == t) & kept
    zero = np.zeros_like(w)
    q = np.where(chosen, w * (1 - smoothing), zero)
    if smoothing:
        q = q + np.where(kept, w * share, zero)
    return q, kept if smoothing else chosen, np.sum(np.where(chosen, w, zero))


def cross_entropy(
    x: Any, target: Any, weight: Any, *, ignore_index: int, reduction: str, label_smoothing: float
) -> Any:
    """The loss of each position, their sum, or their weighted mean."""
    dim = min(1, x.ndim - 1)
    q, counts, divisor = _distribution(x, target, weight, ignore_index, label_smoothing)
    product = q * log_softmax(x, dim=dim)
    # A class that does not count costs nothing, even at log p = −inf.
    loss = -np.sum(np.where(counts, product, np.zeros_like(product)), axis=dim)
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
    q, _, divisor = _distribution(x, target, weight, ignore_index, label_smoothing)
    scale = np.expand_dims(g, dim) if reduction == "none" else g
    if reduction == "mean":
        scale = scale / divisor
    d = np.exp(log_softmax(x, dim=dim)) * np.sum(q, axis=dim, keepdims=True) - q
    if target.dtype.kind == "f":
        return d * scale
    # Nothing comes back to an ignored position, whatever g is.
    return np.where(np.expand_dims(target != ignore_index, dim), d * scale, d)


def nll_loss(x: Any, target: Any, weight: Any, *, ignore_index: int, reduction: str) -> Any:
    """−w_t x_t of each position, their sum, or their weighted mean."""
    dim = min(1, x.ndim - 1)
    kept = target != ignore_index
    t = np.where(kept, target, 0)
    zero = np.zeros(t.shape, x.dtype)
    if x.shape[dim] == 0:  # every target is ignored
        w, picked = zero, zero
    else:
        w = zero + (1 if weight is None else weight[t])
        picked = np.take_along_axis(x, np.expand_dims(t, dim), dim).reshape(t.shape)
    loss = np.where(kept, -w * picked, zero)
    if reduction == "none":
        return loss
    return np.sum(loss) / (np.sum(np.where(kept, w, zero)) if reduction == "mean" else 1)


def nll_loss_backward(
    g: Any, x: Any, target: Any, weight: Any, *, ignore_index: int, reduction: str
) -> Any:
    """dx_nt = −w_t g_n, over D for the mean; 0 elsewhere."""
    dim = min(1, x.ndim - 1)
    q, chosen, divisor = _distribution(x, target, weight, ignore_index, 0.0)
    scale = np.expand_dims(g, dim) if reduction == "none" else g
    if reduction == "mean":
        scale = scale / divisor
    return np.where(chosen, -q * scale, np.zeros_like(x))
