"""The triplet margin loss of rows (Balntas et al., 2016), and its gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from .norm_length import length, slope


def differences(a: Any, b: Any, c: Any, eps: Any) -> tuple[Any, Any, Any]:
    """Anchor to positive, anchor to negative, positive to negative."""
    return a - b + eps, a - c + eps, b - c + eps


def farther(far: Any, swapped: Any, swap: bool) -> Any:
    """The distance of the negative: from the anchor, or (swap) from the nearer of the two."""
    return np.minimum(far, swapped) if swap else far


def triplet_margin_loss(
    a: Any, b: Any, c: Any, *, margin: float, p: float, eps: float, swap: bool, reduction: str
) -> Any:
    """max(near + margin − far, 0) of every row, their sum or their mean."""
    number = a.dtype.type
    near, far, swapped = (
        length(d, p, d.ndim - 1)[..., 0] for d in differences(a, b, c, number(eps))
    )
    y = np.maximum(near + number(margin) - farther(far, swapped, swap), number(0))
    if reduction == "none":
        return y
    with np.errstate(all="ignore"):  # of no rows the mean is NaN
        return np.sum(y) / number(y.size) if reduction == "mean" else np.sum(y)


def weights(sizes: Any, upstream: Any, margin: Any, swap: bool) -> Any:
    """What the slopes of the three distances are multiplied by; equal far ones get half each."""
    near, far, swapped = sizes
    cut = near + margin - farther(far, swapped, swap) < 0
    g = np.where(cut, 0, upstream)
    if not swap:
        return g, g, 0 * g
    return g, *(np.where(u < v, g, np.where(v < u, 0, g / 2))
                for u, v in ((far, swapped), (swapped, far)))  # fmt: skip


def triplet_margin_loss_backward(
    g: Any, a: Any, b: Any, c: Any, *, margin: float, p: float, eps: float, swap: bool,
    reduction: str,
) -> tuple[Any, Any, Any]:  # fmt: skip
    """With the slopes u, v, w of the distances: da = u − v, db = −u − w, dc = v + w."""
    number = a.dtype.type
    count = a.size // max(a.shape[-1], 1) if reduction == "mean" else 1
    upstream = g[..., None] if reduction == "none" else g / number(count)
    d = differences(a, b, c, number(eps))
    sizes = [length(x, p, x.ndim - 1) for x in d]
    found = weights(sizes, upstream, number(margin), swap)
    u, v, w = (np.where(size == 0, 0, slope(x, np.where(size == 0, 1, size), p) * t)
               for x, size, t in zip(d, sizes, found, strict=True))  # fmt: skip
    return (u - v, -u - w, v + w) if swap else (u - v, -u, v)
