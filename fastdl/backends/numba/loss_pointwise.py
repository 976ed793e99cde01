"""Losses of two arrays, element by element: formulas in `backends/reference/loss_pointwise.py`.

Each is a scalar function of (x, t, w, q, p), in float64, which NumPy's loops apply; sums are taken
over the float64 losses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...core.memory import empty
from ...spec import kernel
from ..reference.loss_pointwise import LEAST_VARIANCE
from ._jit import Elementwise, jit
from ._layout import empty_like
from ._math import exp, log, sigmoid
from .elementwise import FLOATS
from .reduce import row_sum

# --- formulas: x input, t target, w weight, q weight of positives, p parameter -----------------


@jit
def _log_1_plus(z: Any) -> Any:
    """As kernels/cpu/loss_pointwise.inc has it."""
    u = 1 + z
    return z if u == 1 else log(u) * (z / (u - 1))


@jit
def _softplus(x: Any) -> Any:
    return (0.0 if x <= 0 else x) + _log_1_plus(exp(-abs(x)))


@jit
def _sign(x: Any) -> Any:
    return 1.0 if x > 0 else -1.0 if x < 0 else x


@jit
def _clamped(x: Any) -> Any:
    return -100.0 if x < -100 else x


def _mse(x, t, w, q, p, _):
    return (x - t) * (x - t) * w


def _mse_slope(x, t, w, q, p, _):
    return 2 * (x - t) * w


def _l1(x, t, w, q, p, _):
    return abs(x - t) * w


def _l1_slope(x, t, w, q, p, _):
    return _sign(x - t) * w


def _smooth_l1(x, t, w, q, p, _):
    d = x - t
    return (d * d * 0.5 / p if abs(d) < p else abs(d) - 0.5 * p) * w


def _smooth_l1_slope(x, t, w, q, p, _):
    d = x - t
    return (d / p if abs(d) < p else _sign(d)) * w


def _huber(x, t, w, q, p, _):
    d = x - t
    return (d * d * 0.5 if abs(d) < p else (abs(d) - 0.5 * p) * p) * w


def _huber_slope(x, t, w, q, p, _):
    d = x - t
    return (d if abs(d) < p else _sign(d) * p) * w


def _soft_margin(x, t, w, q, p, _):
    return _softplus(-(t * x)) * w


def _soft_margin_slope(x, t, w, q, p, _):
    return -(t * sigmoid(-(t * x))) * w


def _hinge_embedding(x, t, w, q, p, _):
    far = p - x
    far = 0.0 if t == 1 or far < 0 else far
    return ((0.0 if t == -1 else x) + far) * w


def _hinge_embedding_slope(x, t, w, q, p, _):
    return ((0.0 if t == -1 else 1.0) - (1.0 if t != 1 and p - x >= 0 else 0.0)) * w


def _bce(x, t, w, q, p, _):
    return ((t - 1) * _clamped(_log_1_plus(-x)) - t * _clamped(log(x))) * w


def _bce_slope(x, t, w, q, p, _):
    product = x * (1 - x)
    return (x - t) / (LEAST_VARIANCE if product < LEAST_VARIANCE else product) * w


def _bce_logits(x, t, w, q, p, _):
    return ((1 - t) * x + _softplus(-x)) * w


def _bce_logits_slope(x, t, w, q, p, _):
    return (sigmoid(x) - t) * w


def _bce_logits_positive(x, t, w, q, p, _):
    return ((1 - t) * x + ((q - 1) * t + 1) * _softplus(-x)) * w


def _bce_logits_positive_slope(x, t, w, q, p, _):
    return ((q * t + 1 - t) * sigmoid(x) - q * t) * w


def _kl_div(x, t, w, q, p, _):
    return ((0.0 if t == 0 else t * log(t)) - t * x) * w


def _kl_div_slope(x, t, w, q, p, _):
    return -t * w


def _kl_div_log(x, t, w, q, p, _):
    return exp(t) * (t - x) * w


def _kl_div_log_slope(x, t, w, q, p, _):
    return -exp(t) * w


_Formulas = tuple[Callable[..., Any], Callable[..., Any], str | None]
_FORMULAS: dict[str, _Formulas] = {  # value, slope, and the option that is p
    "mse_loss": (_mse, _mse_slope, None),
    "l1_loss": (_l1, _l1_slope, None),
    "smooth_l1_loss": (_smooth_l1, _smooth_l1_slope, "beta"),
    "huber_loss": (_huber, _huber_slope, "delta"),
    "soft_margin_loss": (_soft_margin, _soft_margin_slope, None),
    "hinge_embedding_loss": (_hinge_embedding, _hinge_embedding_slope, "margin"),
    "binary_cross_entropy": (_bce, _bce_slope, None),
    "binary_cross_entropy_with_logits": (_bce_logits, _bce_logits_slope, None),
    "kl_div": (_kl_div, _kl_div_slope, None),
}
_LOG_TARGET = Elementwise(_kl_div_log), Elementwise(_kl_div_log_slope)
_POSITIVE = Elementwise(_bce_logits_positive), Elementwise(_bce_logits_positive_slope)
_ONE = np.ones(())


def _attach(name: str) -> None:
    value, slope, option = _FORMULAS[name]
    plain = Elementwise(value, nanoseconds=3), Elementwise(slope, nanoseconds=3)

    def formulas(arrays: tuple[Any, ...], options: dict[str, Any]) -> tuple[Elementwise, ...]:
        if len(arrays) > 3 and arrays[3] is not None:
            return _POSITIVE
        return _LOG_TARGET if options.get("log_target") else plain

    def operands(arrays: tuple[Any, ...], options: dict[str, Any]) -> tuple[np.ndarray, ...]:
        x, t, w, q = (*arrays, None, None)[:4]
        wide = (np.float64(options[option]) if option else 0.0,)
        ones = (_ONE if a is None else a for a in (w, q))
        return tuple(np.asarray(a, np.float64) for a in (x, t, *ones, *wide))

    @kernel(name, backend="numba", dtypes=FLOATS, name=name)
    def loss(*arrays: Any, reduction: str, **options: Any) -> np.ndarray:
        run = formulas(arrays, options)[0]
        x = arrays[0]
        losses = run(np.empty(x.shape), *operands(arrays, options))
        if reduction == "none":
            y = empty_like(x)
            y[...] = losses
            return y
        y = empty((), x.dtype)
        total = row_sum(losses.reshape(-1), np.empty(64))
        with np.errstate(all="ignore"):
            y[...] = np.float64(total) / (x.size if reduction == "mean" else 1)
        return y

    @kernel(f"{name}_backward", backend="numba", dtypes=FLOATS, name=f"{name}_backward")
    def backward(g: Any, *arrays: Any, reduction: str, **options: Any) -> np.ndarray:
        run = formulas(arrays, options)[1]
        x = arrays[0]
        dx = empty_like(x)
        with np.errstate(all="ignore"):
            slopes = run(np.empty(x.shape), *operands(arrays, options))
            dx[...] = slopes * (g.astype(np.float64) / (x.size if reduction == "mean" else 1))
        return dx


for _name in _FORMULAS:
    _attach(_name)
