"""Statistics and norms over dims, and running sums."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Dims = tuple[int, ...]


def prod(x: Any, *, dim: Dims, keepdim: bool) -> Any:
    """∏ over dims; integers and bools are multiplied in int64."""
    dtype = x.dtype if x.dtype.kind == "f" else np.int64
    return np.prod(x, axis=dim, keepdims=keepdim, dtype=dtype)


def count(x: Any, dim: Dims) -> int:
    """The number of elements that a reduction makes one of."""
    return math.prod(x.shape[d] for d in dim)


def var(x: Any, *, dim: Dims, correction: float, keepdim: bool) -> Any:
    """Σ (x − mean)² / (n − correction), the divisor at least 0."""
    n = count(x, dim)
    mean = np.divide(np.sum(x, axis=dim, keepdims=True), x.dtype.type(n))
    total = np.sum((x - mean) ** 2, axis=dim, keepdims=keepdim)
    return np.divide(total, x.dtype.type(max(n - correction, 0)))


def std(x: Any, *, dim: Dims, correction: float, keepdim: bool) -> Any:
    """√ var."""
    return np.sqrt(var(x, dim=dim, correction=correction, keepdim=keepdim))


def norm(x: Any, *, p: float, dim: Dims, keepdim: bool) -> Any:
    """(Σ |x|^p)^(1/p); the largest or smallest |x| for ±inf, the number of non-zeros for 0."""
    size = np.abs(x)
    if math.isinf(p):
        if not dim:
            return size
        if p > 0:
            return np.max(size, axis=dim, keepdims=keepdim, initial=0)
        return np.min(size, axis=dim, keepdims=keepdim)
    if p == 0:
        return np.sum(x != 0, axis=dim, keepdims=keepdim, dtype=x.dtype)
    one = x.dtype.type(1)
    return np.power(np.sum(np.power(size, one * p), axis=dim, keepdims=keepdim), one / p)


def logsumexp(x: Any, *, dim: Dims, keepdim: bool) -> Any:
    """Ln Σ e^x, from the largest element, so that nothing overflows."""
    top = np.max(x, axis=dim, keepdims=True, initial=-np.inf) if dim else x
    top = np.where(np.isfinite(top), top, 0)
    total = np.sum(np.exp(x - top), axis=dim, keepdims=keepdim)
    return np.log(total) + (top if keepdim or not dim else np.squeeze(top, dim))


def _scan(function: Any, x: Any, dim: int, reverse: bool) -> Any:
    if not x.ndim:
        return np.array(x)
    if reverse:
        return np.flip(function(np.flip(x, dim), axis=dim, dtype=x.dtype), dim)
    return function(x, axis=dim, dtype=x.dtype)


def cumsum(x: Any, *, dim: int, reverse: bool) -> Any:
    """y[k] = Σ x[: k + 1] along a dim, or from its end."""
    return _scan(np.cumsum, x, dim, reverse)


def cumprod(x: Any, *, dim: int, reverse: bool) -> Any:
    """y[k] = ∏ x[: k + 1] along a dim, or from its end."""
    return _scan(np.cumprod, x, dim, reverse)
