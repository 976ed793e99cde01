"""Scaled dot-product attention, a row of scores at a time, in float64."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...spec import kernel
from ..reference.attention import factors, hidden
from ._jit import jit, split
from ._layout import dense
from ._math import exp, log

_DTYPES = ("float32", "float64", "bool")
_NANOSECONDS = 1.0  # a product


@jit
def _scores(q: Any, k: Any, bias: Any, scale: float, s: Any) -> None:
    for j in range(k.shape[0]):
        total = 0.0
        for e in range(k.shape[1]):
            total += np.float64(q[e]) * k[j, e]
        # What is hidden is so whatever its score, NaN too.
        s[j] = bias[j] if bias[j] == -np.inf else total * scale + bias[j]


@jit
def _forward(
    first: int, last: int, q: Any, k: Any, v: Any, bias: Any, keep: Any, scale: float, y: Any,
    lse: Any,
) -> None:  # fmt: skip
    keys, width = k.shape[1], v.shape[2]
    s, sums = np.empty(keys), np.empty(width)
    for h in range(first, last):
        for i in range(q.shape[1]):
            _scores(q[h, i], k[h], bias[h, i], scale, s)
            top = -np.inf
            for j in range(keys):
                top = s[j] if s[j] > top else top
            shift = 0.0 if top == -np.inf else top
            total = 0.0
            sums[:] = 0
            for j in range(keys):
                if bias[h, i, j] == -np.inf:
                    continue
                p = exp(s[j] - shift)
                total += p
                p *= keep[h, i, j]
                row = v[h, j]
                for d in range(width):
                    sums[d] += p * row[d]
            for d in range(width):  # 0 times an infinite value is NaN where all scores are −inf
                y[h, i, d] = sums[d] / (1.0 if total == 0 else total)
            lse[h, i] = top + log(total)


@jit
def _backward(
    first: int, last: int, g: Any, q: Any, k: Any, v: Any, y: Any, lse: Any, bias: Any, keep: Any,
    scale: float, dq: Any, dk: Any, dv: Any,
) -> None:  # fmt: skip
    keys, width, depth = k.shape[1], v.shape[2], q.shape[2]
    s = np.empty(keys)
    for h in range(first, last):
        for i in range(q.shape[1]):
            _scores(q[h, i], k[h], bias[h, i], scale, s)
            shift = 0.0 if lse[h, i] == -np.inf else np.float64(lse[h, i])
            dots = 0.0
            for d in range(width):
                dots += np.float64(g[h, i, d]) * y[h, i, d]
            for j in range(keys):
                if bias[h, i, j] == -np.inf:
                    continue
                left = s[j] - shift
                p = exp(0.0 if left > 0 else left)
                inner = 0.0
                for d in range(width):
                    inner += np.float64(g[h, i, d]) * v[h, j, d]
                factor = keep[h, i, j]
                ds = p * (inner * factor - dots) * scale
                p *= factor
                for d in range(width):
                    dv[h, j, d] += p * g[h, i, d]
                for e in range(depth):
                    dq[h, i, e] += ds * k[h, j, e]
                    dk[h, j, e] += ds * q[h, i, e]


def _heads(*arrays: np.ndarray) -> list[np.ndarray]:
    return [dense(a, False).reshape(-1 if a.size else math.prod(a.shape[:-2]), *a.shape[-2:])
            for a in arrays]  # fmt: skip


def _prepared(
    q: Any, k: Any, mask: Any, is_causal: bool, p: float, seed: int, offset: int
) -> tuple[Any, Any]:
    """What is added to the scores, and what the probabilities are multiplied by."""
    shape = (*q.shape[:-1], k.shape[-2])
    added = 0.0 if mask is None or mask.dtype == bool else mask
    bias = np.where(hidden(shape, mask, is_causal), -np.inf, added).astype(np.float64)
    return bias, factors(shape, p, seed, offset, np.dtype(np.float64))


def _cost(q: Any, k: Any) -> float:
    return q.size * k.shape[-2] * _NANOSECONDS


@kernel("scaled_dot_product_attention", backend="numba", dtypes=_DTYPES)
def scaled_dot_product_attention(
    q: Any, k: Any, v: Any, mask: Any, *, is_causal: bool, scale: float, p: float, seed: int,
    offset: int,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """(y, lse)."""
    y, lse = np.zeros((*q.shape[:-1], v.shape[-1]), q.dtype), np.empty(q.shape[:-1], q.dtype)
    if lse.size:
        arrays = _heads(q, k, v, *_prepared(q, k, mask, is_causal, p, seed, offset))
        flat = lse.reshape(-1, q.shape[-2])
        split(_forward, len(flat), 2 * _cost(q, k), *arrays, scale, *_heads(y), flat)
    return y, lse


@kernel("scaled_dot_product_attention_backward", backend="numba", dtypes=_DTYPES)
def scaled_dot_product_attention_backward(
    g: Any, q: Any, k: Any, v: Any, y: Any, lse: Any, mask: Any, *, is_causal: bool, scale: float,
    p: float, seed: int, offset: int,
) -> tuple[np.ndarray, ...]:  # fmt: skip
    """The gradients of q, k and v."""
    grads = [np.zeros(a.shape) for a in (q, k, v)]
    if lse.size:
        arrays = _heads(g, q, k, v, y)
        rest = _heads(*_prepared(q, k, mask, is_causal, p, seed, offset))
        flat = dense(lse, False).reshape(-1, q.shape[-2])
        split(_backward, len(flat), 5 * _cost(q, k), *arrays, flat, *rest, scale, *_heads(*grads))
    with np.errstate(all="ignore"):
        return tuple(d.astype(q.dtype) for d in grads)
