"""Activations: the formulas of backends/reference/elementwise_activation.py, in float64."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..reference.elementwise_activation import (
    NORMAL,
    ROOT_HALF,
    SELU_ALPHA,
    SELU_SCALE,
    TANH_CUBE,
    TANH_SCALE,
)
from ._jit import inline
from ._math import erf, exp, log, sigmoid, tanh
from .elementwise import FLOATS, attach


@inline
def _log1p(w: Any) -> Any:
    """ln(1 + w), 0 ≤ w ≤ 1: what rounding takes from 1 + w, divided by it, goes back in."""
    u = 1 + w
    return log(u) - ((u - 1) - w) / u


@inline
def _softplus(t: Any) -> Any:
    return (t if t > 0 or np.isnan(t) else 0.0) + _log1p(exp(-abs(t)))


@inline
def _tanh_softplus(x: Any) -> Any:
    w = exp(40.0 if x > 40.0 else x)
    n = w * (w + 2)
    return n / (n + 2)


@inline
def _ramp(x: Any) -> Any:
    t = x + 3
    return 0.0 if t < 0 else 6.0 if t > 6 else t


@inline
def _silu_slope(x: Any) -> Any:
    s = sigmoid(x)
    return s * (1 + x * (1 - s))


@inline
def _mish_slope(x: Any) -> Any:
    t = _tanh_softplus(x)
    return t + x * (sigmoid(x) * (1 - t * t))


@inline
def _gelu_slope(x: Any) -> Any:
    return 0.5 * (1 + erf(x * ROOT_HALF)) + x * (exp(-0.5 * x * x) * NORMAL)


@inline
def _gelu_tanh_slope(x: Any) -> Any:
    t = tanh(TANH_SCALE * (x + TANH_CUBE * x * x * x))
    slope = TANH_SCALE * (1 + 3 * TANH_CUBE * x * x)
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * slope


@inline
def _f64(x: Any) -> Any:
    return np.float64(x)


attach("leaky_relu", FLOATS, lambda x, slope, _: x if x > 0 else x * slope)
attach("leaky_relu_backward", FLOATS, lambda g, x, slope, _: g if x > 0 else g * slope)
attach("prelu", FLOATS, lambda x, w, _: x if x > 0 else x * w)
attach(
    "elu", FLOATS, lambda x, a, s, i, _: math.expm1(_f64(x) * i) * (a * s) if x < 0 else x * s, 8
)
attach(
    "elu_backward",
    FLOATS,
    lambda g, x, a, s, i, _: g * (exp(_f64(x) * i) * (a * s * i)) if x <= 0 else g * s,
    1,
)
SELU_BELOW = SELU_ALPHA * SELU_SCALE
attach(
    "selu",
    FLOATS,
    lambda x, _: math.expm1(_f64(x)) * SELU_BELOW if x < 0 else x * SELU_SCALE,
    8,
)
attach(
    "selu_backward",
    FLOATS,
    lambda g, x, _: g * (exp(_f64(x)) * SELU_BELOW) if x <= 0 else g * SELU_SCALE,
    1,
)
attach("celu", FLOATS, lambda x, a, _: math.expm1(_f64(x) / a) * a if x < 0 else x, 8)
attach("celu_backward", FLOATS, lambda g, x, a, _: g * exp(_f64(x) / a) if x <= 0 else g, 1)
attach("gelu", FLOATS, lambda x, _: 0.5 * x * (1 + erf(_f64(x) * ROOT_HALF)), 1.5)
attach("gelu_backward", FLOATS, lambda g, x, _: g * _gelu_slope(_f64(x)), 2.5)
attach(
    "gelu_tanh",
    FLOATS,
    lambda x, _: 0.5 * x * (1 + tanh(TANH_SCALE * (x + TANH_CUBE * _f64(x) * x * x))),
    1,
)
attach("gelu_tanh_backward", FLOATS, lambda g, x, _: g * _gelu_tanh_slope(_f64(x)), 1.5)
attach("silu", FLOATS, lambda x, _: x * sigmoid(_f64(x)), 1)
attach("silu_backward", FLOATS, lambda g, x, _: g * _silu_slope(_f64(x)), 1)
attach("mish", FLOATS, lambda x, _: x * _tanh_softplus(_f64(x)), 1)
attach("mish_backward", FLOATS, lambda g, x, _: g * _mish_slope(_f64(x)), 2)
attach(
    "softplus",
    FLOATS,
    lambda x, beta, top, _: x if x * beta > top else _softplus(x * beta) / beta,
    2,
)
attach(
    "softplus_backward",
    FLOATS,
    lambda g, x, beta, top, _: g if x * beta > top else g * sigmoid(x * beta),
    1,
)
attach("logsigmoid", FLOATS, lambda x, _: -_softplus(-_f64(x)), 2)
attach("logsigmoid_backward", FLOATS, lambda g, x, _: g * sigmoid(-_f64(x)), 1)
attach("softsign", FLOATS, lambda x, _: x / (1 + abs(_f64(x))))
attach("softsign_backward", FLOATS, lambda g, x, _: g / ((1 + abs(_f64(x))) * (1 + abs(_f64(x)))))
attach("hardtanh", FLOATS, lambda x, low, high, _: low if x < low else high if x > high else x)
attach("hardtanh_backward", FLOATS, lambda g, x, low, high, _: 0 if x <= low or x >= high else g)
attach("relu6", FLOATS, lambda x, _: 0 if x < 0 else 6 if x > 6 else x)
attach("relu6_backward", FLOATS, lambda g, x, _: 0 if x <= 0 or x >= 6 else g)
attach("hardsigmoid", FLOATS, lambda x, _: _ramp(_f64(x)) / 6)
attach("hardsigmoid_backward", FLOATS, lambda g, x, _: g / 6 if -3 < x < 3 else 0)
attach("hardswish", FLOATS, lambda x, _: x * _ramp(_f64(x)) / 6)
attach(
    "hardswish_backward",
    FLOATS,
    lambda g, x, _: 0 if x <= -3 else g * (_f64(x) / 3 + 0.5) if x < 3 else g,
)
attach("threshold", FLOATS, lambda x, edge, value, _: value if x <= edge else x)
attach("threshold_backward", FLOATS, lambda g, x, edge, value, _: 0 if x <= edge else g)
