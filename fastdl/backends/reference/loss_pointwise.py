"""Losses of an input x and a target t, element by element: two formulas each, and one loop of all.

y = Σ_i w_i · value(x_i, t_i), over the number of elements for the mean; dx_i = g · w_i · slope_i.

A formula is written once, on an arithmetic `m`: NumPy's here; numbers that carry their error, for
the bound; ops, for the gradients that are differentiated again (`ops/loss_pointwise.py`). Those two
know +, −, · and / beside the functions of `NumPy` below.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

LEAST_VARIANCE = float(np.float32(1e-12))  # torch's, which is a float32 in float64 too


class NumPy:
    """The functions that formulas use, on arrays of any float dtype."""

    exp, log, log1p, abs, sign = np.exp, np.log, np.log1p, np.abs, np.sign
    where, eq, ge = np.where, np.equal, np.greater_equal

    @staticmethod
    def either(d: Any, limit: float, below: Any, above: Any) -> Any:
        """`below` where d < limit; the two meet there."""
        return np.where(d < limit, below, above)

    @staticmethod
    def at_least(x: Any, least: float) -> Any:
        """max(x, least), NaN kept."""
        return np.maximum(x, x.dtype.type(least))

    @staticmethod
    def sigmoid(x: Any) -> Any:
        """1 / (1 + e^−x), from the side where e does not overflow."""
        z = np.exp(-np.abs(x))
        return np.where(x >= 0, np.ones_like(z), z) / (1 + z)

    @staticmethod
    def clamped_log(log_x: Any) -> Any:
        """A logarithm, −100 where it is less."""
        return np.maximum(log_x, log_x.dtype.type(-100))


class Loss(NamedTuple):
    """`value(m, x, t, p, q)` and its derivatives: by x, and by t where the target may want one.

    p is the loss's parameter, q the weight of positive targets; most ignore both.
    """

    value: Callable[..., Any]
    slope: Callable[..., Any]
    target_slope: Callable[..., Any] | None = None


def softplus(m: Any, x: Any) -> Any:
    """log(1 + e^x)."""
    return m.at_least(x, 0) + m.log1p(m.exp(-m.abs(x)))


def _smooth_l1(m: Any, x: Any, t: Any, p: float, q: Any) -> Any:
    d = x - t
    return m.either(m.abs(d), p, d * d * 0.5 / p, m.abs(d) - 0.5 * p)


def _huber(m: Any, x: Any, t: Any, p: float, q: Any) -> Any:
    d = x - t
    return m.either(m.abs(d), p, d * d * 0.5, (m.abs(d) - 0.5 * p) * p)


def _hinge_embedding(m: Any, x: Any, t: Any, p: float, q: Any) -> Any:
    zero, far = 0.0 * t, m.at_least(p - x, 0)
    return m.where(m.eq(t, -1), zero, x) + m.where(m.eq(t, 1), zero, far)


def _hinge_embedding_slope(m: Any, x: Any, t: Any, p: float, q: Any) -> Any:
    zero, one = 0.0 * t, 0.0 * t + 1
    far = m.where(m.ge(p - x, 0), one, zero)
    return m.where(m.eq(t, -1), zero, one) - m.where(m.eq(t, 1), zero, far)


def _bce(m: Any, x: Any, t: Any, p: Any, q: Any) -> Any:
    return (t - 1) * m.clamped_log(m.log1p(-x)) - t * m.clamped_log(m.log(x))


def _bce_logits(m: Any, x: Any, t: Any, p: Any, q: Any) -> Any:
    if q is None:
        return (1 - t) * x + softplus(m, -x)
    return (1 - t) * x + ((q - 1) * t + 1) * softplus(m, -x)


def _bce_logits_slope(m: Any, x: Any, t: Any, p: Any, q: Any) -> Any:
    return m.sigmoid(x) - t if q is None else (q * t + 1 - t) * m.sigmoid(x) - q * t


def _bce_logits_target_slope(m: Any, x: Any, t: Any, p: Any, q: Any) -> Any:
    return -x if q is None else (q - 1) * softplus(m, -x) - x


def _kl_div(m: Any, x: Any, t: Any, p: Any, q: Any) -> Any:
    return m.where(m.eq(t, 0), 0.0 * t, t * m.log(t)) - t * x


LOSSES = {
    "mse_loss": Loss(
        lambda m, x, t, p, q: (x - t) * (x - t),
        lambda m, x, t, p, q: 2 * (x - t),
        lambda m, x, t, p, q: 2 * (t - x),
    ),
    "l1_loss": Loss(
        lambda m, x, t, p, q: m.abs(x - t),
        lambda m, x, t, p, q: m.sign(x - t),
        lambda m, x, t, p, q: m.sign(t - x),
    ),
    "smooth_l1_loss": Loss(
        _smooth_l1,
        lambda m, x, t, p, q: m.either(m.abs(x - t), p, (x - t) / p, m.sign(x - t)),
        lambda m, x, t, p, q: m.either(m.abs(x - t), p, (t - x) / p, m.sign(t - x)),
    ),
    "huber_loss": Loss(
        _huber,
        lambda m, x, t, p, q: m.either(m.abs(x - t), p, x - t, m.sign(x - t) * p),
        lambda m, x, t, p, q: m.either(m.abs(x - t), p, t - x, m.sign(t - x) * p),
    ),
    "soft_margin_loss": Loss(
        lambda m, x, t, p, q: softplus(m, -(t * x)),
        lambda m, x, t, p, q: -(t * m.sigmoid(-(t * x))),
    ),
    "hinge_embedding_loss": Loss(_hinge_embedding, _hinge_embedding_slope),
    "binary_cross_entropy": Loss(
        _bce,
        lambda m, x, t, p, q: (x - t) / m.at_least(x * (1 - x), LEAST_VARIANCE),
        lambda m, x, t, p, q: m.clamped_log(m.log1p(-x)) - m.clamped_log(m.log(x)),
    ),
    "binary_cross_entropy_with_logits": Loss(
        _bce_logits, _bce_logits_slope, _bce_logits_target_slope
    ),
    "kl_div": Loss(
        _kl_div,
        lambda m, x, t, p, q: -t,
        lambda m, x, t, p, q: m.log(t) + 1 - x,
    ),
    "kl_div, log_target": Loss(
        lambda m, x, t, p, q: m.exp(t) * (t - x),
        lambda m, x, t, p, q: -m.exp(t),
        lambda m, x, t, p, q: m.exp(t) * (t - x + 1),
    ),
}


def loss(
    name: str, x: Any, target: Any, weight: Any, positive: Any, reduction: str, parameter: Any
) -> Any:
    """The weighted loss of each element, their sum, or that over their number."""
    y = LOSSES[name].value(NumPy, x, target, parameter, positive)
    y = y if weight is None else y * weight
    if reduction == "none":
        return y
    return np.sum(y) if reduction == "sum" else np.sum(y) / x.dtype.type(x.size)


def gradient(
    name: str, g: Any, x: Any, target: Any, weight: Any, positive: Any, reduction: str,
    parameter: Any,
) -> Any:  # fmt: skip
    """The gradient of x: the upstream one times the weight and the slope."""
    dx = LOSSES[name].slope(NumPy, x, target, parameter, positive)
    dx = dx if weight is None else dx * weight
    return dx * (g / x.dtype.type(x.size) if reduction == "mean" else g)
