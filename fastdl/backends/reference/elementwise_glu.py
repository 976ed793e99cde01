"""The gated linear unit (Dauphin et al., 2017): a · sigmoid(b) of the halves a, b of a dim."""

from __future__ import annotations

from typing import Any

import numpy as np

from .elementwise import sigmoid


def halves(x: Any, dim: int) -> tuple[Any, Any]:
    """The first and the second half of a dim (of an even size)."""
    whole, half = (slice(None),) * dim, x.shape[dim] // 2
    return x[(*whole, slice(half))], x[(*whole, slice(half, None))]


def glu(x: Any, *, dim: int) -> Any:
    """A · sigmoid(b)."""
    a, b = halves(x, dim)
    return a * sigmoid(b)


def gate_slopes(b: Any) -> tuple[Any, Any]:
    """sigmoid(b) and its derivative e r², with e = e^(−|b|), r = 1 / (1 + e)."""
    e = np.exp(-abs(b))
    r = 1 / (1 + e)
    return np.where(b < 0, e, 1) * r, e * r * r


def glu_backward(g: Any, x: Any, *, dim: int) -> Any:
    """(da, db) = (g · sigmoid(b), g · a · sigmoid'(b)) along dim."""
    a, b = halves(x, dim)
    gate, slope = gate_slopes(b)
    return np.concatenate((g * gate, g * a * slope), axis=dim)
