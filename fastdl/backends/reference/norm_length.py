"""Vectors divided by their length, and the cosine between two, along one dim."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .reduce_statistics import norm


def length(x: Any, p: float, dim: int) -> Any:
    """The p-norm along a dim, which is kept."""
    return norm(x, p=p, dim=(dim,) if x.ndim else (), keepdim=True)


def follows(size: Any, eps: float) -> Any:
    """Where max(size, eps) follows the size, which has a slope."""
    return (size >= eps) & (size > 0)


def slope(x: Any, size: Any, p: float) -> Any:
    """What a change of x makes of its length: sign(x)·(|x| / L)^(p − 1), 0 for x = 0.

    Elements that are equally the largest (p = ∞) or smallest (−∞) share; the number of elements
    that are not zero (p = 0) has no slope.
    """
    if p == 0:
        return 0 * size
    if math.isinf(p):
        ties = np.abs(x) == size
        count = np.sum(ties, axis=_varying(x, size), keepdims=True)
        return np.where(ties, np.sign(x), 0) / np.where(count == 0, 1, count)
    steep = np.power(np.abs(x) / size, x.dtype.type(p - 1))
    return np.where(x == 0, 0, np.copysign(steep, x))


def _varying(x: Any, size: Any) -> tuple[int, ...]:
    return tuple(d for d in range(x.ndim) if x.shape[d] != size.shape[d])


def normalize(x: Any, *, p: float, dim: int, eps: float) -> Any:
    """X / max(‖x‖_p, eps)."""
    return x / np.maximum(length(x, p, dim), x.dtype.type(eps)) if x.size else x.copy()


def normalize_backward(g: Any, x: Any, *, p: float, dim: int, eps: float) -> Any:
    """With L = ‖x‖_p: dx = (g − L' · Σ g·x / L) / L where L ≥ eps, else g / eps."""
    if not x.size:
        return x.copy()
    size = length(x, p, dim)
    along = np.sum(g * x, axis=dim, keepdims=True) if x.ndim else g * x
    taken = np.where(follows(size, eps), along / size * slope(x, size, p), 0)
    return (g - taken) / np.maximum(size, x.dtype.type(eps))


def cosine_similarity(a: Any, b: Any, *, dim: int, eps: float) -> Any:
    """Σ a·b / (max(‖a‖, eps) · max(‖b‖, eps))."""
    least = a.dtype.type(eps)
    ma, mb = (np.maximum(length(x, 2, dim), least) for x in (a, b))
    y = _dot(a, b, dim) / ma / mb
    return np.squeeze(y, dim) if a.ndim else y


def _dot(a: Any, b: Any, dim: int) -> Any:
    return np.sum(a * b, axis=dim, keepdims=True) if a.ndim else a * b


def cosine_similarity_backward(g: Any, a: Any, b: Any, *, dim: int, eps: float) -> Any:
    """da = g · (b / Ma / Mb − a · y / Ma²), the last term where ‖a‖ ≥ eps; db likewise."""
    upstream = np.expand_dims(g, dim) if a.ndim else g
    la, lb = length(a, 2, dim), length(b, 2, dim)
    ma, mb = np.maximum(la, a.dtype.type(eps)), np.maximum(lb, a.dtype.type(eps))
    both, along = upstream / ma / mb, upstream * (_dot(a, b, dim) / ma / mb)
    da = b * both - a * np.where(follows(la, eps), along / ma / ma, 0)
    return da, a * both - b * np.where(follows(lb, eps), along / mb / mb, 0)
