"""Scaled dot-product attention: softmax(q kᵀ·scale + mask) v, and its gradient."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .random import words


def hidden(shape: tuple[int, ...], mask: Any, is_causal: bool) -> Any:
    """Which scores [..., L, S] are left out: by the mask (False, or −inf), or a later key.

    They count for nothing, whatever the key or the value holds: padding may be NaN.
    """
    out = np.zeros(shape, bool)
    if mask is not None:
        out = out | (~mask if mask.dtype == bool else mask == -np.inf)
    if is_causal:
        out = out | (np.arange(shape[-1]) > np.arange(shape[-2])[:, None])
    return out


def factors(shape: tuple[int, ...], p: float, seed: int, offset: int, dtype: Any) -> Any:
    """What dropout multiplies probabilities [..., L, S] by; a row begins a group of numbers."""
    if p == 0:
        return np.ones(shape, dtype)
    width = -(-shape[-1] // 64) * 64
    rows = math.prod(shape[:-1])
    numbers = words(rows * width, seed, offset).reshape(rows, width)[:, : shape[-1]]
    kept = (numbers >= int(p * 2.0**32)).reshape(shape).astype(dtype)
    return kept / (1 - dtype.type(p)) if p < 1 else kept * 0


def _product(a: Any, b: Any, gone: Any) -> Any:
    """A @ b, where pairs that are gone add nothing, not even 0 times NaN."""
    if not gone.any() or np.isfinite(b).all():
        return np.matmul(a, b)
    y = np.empty((*a.shape[:-1], b.shape[-1]), a.dtype)
    for i in np.ndindex(a.shape[:-2]):
        y[i] = np.sum(np.where(gone[i][..., None], 0, a[i][..., None] * b[i]), axis=-2)
    return y


def _scores(q: Any, k: Any, mask: Any, is_causal: bool, scale: float) -> tuple[Any, Any]:
    """The scores, −inf where they are left out, and where that is."""
    s = np.matmul(q, np.swapaxes(k, -1, -2)) * scale
    if mask is not None and mask.dtype != bool:
        s = s + mask
    gone = hidden(s.shape, mask, is_causal)
    return np.where(gone, -np.inf, s), gone


def scaled_dot_product_attention(
    q: Any, k: Any, v: Any, mask: Any, *, is_causal: bool, scale: float, p: float, seed: int,
    offset: int,
) -> tuple[Any, Any]:  # fmt: skip
    """(y, ln Σ e^score) of every query; zeros for one that sees no key."""
    s, gone = _scores(q, k, mask, is_causal, scale)
    top = np.max(s, axis=-1, keepdims=True, initial=-np.inf)
    e = np.exp(s - np.where(top == -np.inf, 0, top))
    total = np.sum(e, axis=-1, keepdims=True)
    weights = e * factors(e.shape, p, seed, offset, e.dtype)
    total = np.where(total == 0, 1, total)  # which nothing but −inf is added to, or multiplied by
    return _product(weights, v, gone) / total, (top + np.log(total))[..., 0]


def scaled_dot_product_attention_backward(
    g: Any, q: Any, k: Any, v: Any, y: Any, lse: Any, mask: Any, *, is_causal: bool, scale: float,
    p: float, seed: int, offset: int,
) -> tuple[Any, Any, Any]:  # fmt: skip
    """With P = e^min(score − lse, 0), D its dropout factors: dv = (P∘D)ᵀ g, ds = P∘(g vᵀ∘D − g·y).

    What lse says cannot be less than a score; the minimum holds off what rounding makes of it.
    """
    s, gone = _scores(q, k, mask, is_causal, scale)
    shift = np.where(lse == -np.inf, 0, lse)[..., None]
    weights = np.where(gone, 0, np.exp(np.minimum(s - shift, 0)))
    d = factors(weights.shape, p, seed, offset, weights.dtype)
    inner = np.matmul(g, np.swapaxes(v, -1, -2)) * d - np.sum(g * y, axis=-1, keepdims=True)
    ds = np.where(gone, 0, weights * inner * scale)
    turned = np.swapaxes(gone, -1, -2)
    dk = _product(np.swapaxes(ds, -1, -2), q, turned)
    return _product(ds, k, gone), dk, _product(np.swapaxes(weights * d, -1, -2), g, turned)
