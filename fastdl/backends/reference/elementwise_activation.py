"""Activation functions, and g times their derivatives at x with torch's choice at kinks.

Each is written as the kernels compute it, since the rounding errors of these very formulas are the
kernels' bound (`core.errorbound`).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .elementwise import erf, sigmoid

Array = Any

ROOT_HALF, NORMAL = math.sqrt(0.5), 1 / math.sqrt(2 * math.pi)
SELU_ALPHA, SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946
TANH_SCALE, TANH_CUBE = math.sqrt(2 / math.pi), 0.044715


def leaky_relu(x: Array, *, negative_slope: float) -> Array:
    """X above 0, else negative_slope · x."""
    return np.where(x > 0, x, x * negative_slope)


def leaky_relu_backward(g: Array, x: Array, *, negative_slope: float) -> Array:
    """G above 0, else negative_slope · g."""
    return np.where(x > 0, g, g * negative_slope)


def prelu(x: Array, w: Array) -> Array:
    """X above 0, else w · x."""
    return np.where(x > 0, x, x * w)


def elu(x: Array, *, alpha: float, scale: float, input_scale: float) -> Array:
    """scale · x from 0 on, else alpha · scale · (e^(input_scale · x) − 1)."""
    return np.where(x < 0, np.expm1(x * input_scale) * (alpha * scale), x * scale)


def elu_backward(g: Array, x: Array, *, alpha: float, scale: float, input_scale: float) -> Array:
    """G · scale above 0, else g · alpha · scale · input_scale · e^(input_scale · x)."""
    below = g * (np.exp(x * input_scale) * (alpha * scale * input_scale))
    return np.where(x <= 0, below, g * scale)


def selu(x: Array) -> Array:
    """Elu of SELU_ALPHA, times SELU_SCALE (Klambauer et al., 2017)."""
    return np.where(x < 0, np.expm1(x) * (SELU_ALPHA * SELU_SCALE), x * SELU_SCALE)


def selu_backward(g: Array, x: Array) -> Array:
    """G · SELU_SCALE above 0, else g · SELU_ALPHA · SELU_SCALE · e^x."""
    return np.where(x <= 0, g * (np.exp(x) * (SELU_ALPHA * SELU_SCALE)), g * SELU_SCALE)


def _inverse(alpha: float, x: Array) -> Array:
    """1 / alpha as x's dtype has it: alpha is rounded, and the quotient (where() converts it)."""
    return 1 / np.where(True, alpha, x)


def celu(x: Array, *, alpha: float) -> Array:
    """X from 0 on, else alpha · (e^(x / alpha) − 1) (Barron, 2017)."""
    return np.where(x < 0, np.expm1(x * _inverse(alpha, x)) * alpha, x)


def celu_backward(g: Array, x: Array, *, alpha: float) -> Array:
    """G above 0, else g · e^(x / alpha)."""
    return np.where(x <= 0, g * np.exp(x * _inverse(alpha, x)), g)


def gelu(x: Array) -> Array:
    """X · Φ(x), Φ(x) = (1 + erf(x/√2)) / 2 (Hendrycks and Gimpel, 2016)."""
    return 0.5 * x * (1 + erf(x * ROOT_HALF))


def gelu_backward(g: Array, x: Array) -> Array:
    """G · (Φ(x) + x · φ(x)), φ(x) = e^(−x²/2) / √(2π)."""
    below = 0.5 * (1 + erf(x * ROOT_HALF))
    return g * (below + x * (np.exp(-0.5 * x * x) * NORMAL))


def gelu_tanh(x: Array) -> Array:
    """X/2 · (1 + tanh(√(2/π) · (x + 0.044715 x³)))."""
    inner = TANH_SCALE * (x + TANH_CUBE * x * x * x)
    return 0.5 * x * (1 + np.tanh(inner))


def gelu_tanh_backward(g: Array, x: Array) -> Array:
    """G times the derivative of gelu_tanh."""
    x2 = x * x
    t = np.tanh(TANH_SCALE * (x + TANH_CUBE * x2 * x))
    slope = TANH_SCALE * (1 + 3 * TANH_CUBE * x2)
    return g * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * slope)


def silu(x: Array) -> Array:
    """X · sigmoid(x)."""
    return x * sigmoid(x)


def silu_backward(g: Array, x: Array) -> Array:
    """G · s · (1 + x · (1 − s)), s = sigmoid(x)."""
    s = sigmoid(x)
    return g * (s * (1 + x * (1 - s)))


def _tanh_softplus(x: Array) -> Array:
    """tanh(ln(1 + e^x)) = n / (n + 2) with n = w (w + 2), w = e^x; 1 from 40 on."""
    w = np.exp(np.minimum(x, 40))
    n = w * (w + 2)
    return n / (n + 2)


def mish(x: Array) -> Array:
    """X · tanh(softplus(x)) (Misra, 2019)."""
    return x * _tanh_softplus(x)


def mish_backward(g: Array, x: Array) -> Array:
    """G · (t + x · s · (1 − t²)), t = tanh(softplus(x)), s = sigmoid(x)."""
    t = _tanh_softplus(x)
    return g * (t + x * (sigmoid(x) * (1 - t * t)))


def _log_one_plus_exp(t: Array) -> Array:
    return np.maximum(t, 0) + np.log1p(np.exp(-abs(t)))


def softplus(x: Array, *, beta: float, threshold: float) -> Array:
    """ln(1 + e^(beta · x)) / beta, or x where beta · x > threshold."""
    t = x * beta
    return np.where(t > threshold, x, _log_one_plus_exp(t) / beta)


def softplus_backward(g: Array, x: Array, *, beta: float, threshold: float) -> Array:
    """G · sigmoid(beta · x), or g where beta · x > threshold."""
    t = x * beta
    return np.where(t > threshold, g, g * sigmoid(t))


def logsigmoid(x: Array) -> Array:
    """ln sigmoid(x)."""
    return np.minimum(x, 0) - np.log1p(np.exp(-abs(x)))


def logsigmoid_backward(g: Array, x: Array) -> Array:
    """G · sigmoid(−x)."""
    return g * sigmoid(-x)


def softsign(x: Array) -> Array:
    """X / (1 + |x|)."""
    return x / (1 + abs(x))


def softsign_backward(g: Array, x: Array) -> Array:
    """G / (1 + |x|)²."""
    t = 1 + abs(x)
    return g / (t * t)


def hardtanh(x: Array, *, min_val: float, max_val: float) -> Array:
    """min(max(x, min_val), max_val); NaN stays."""
    return np.minimum(np.maximum(x, min_val), max_val)


def hardtanh_backward(g: Array, x: Array, *, min_val: float, max_val: float) -> Array:
    """G strictly inside, else 0."""
    return np.where((x <= min_val) | (x >= max_val), 0, g)


def relu6(x: Array) -> Array:
    """min(max(x, 0), 6); NaN stays."""
    return np.minimum(np.maximum(x, 0), 6)


def relu6_backward(g: Array, x: Array) -> Array:
    """G strictly inside (0, 6), else 0."""
    return np.where((x <= 0) | (x >= 6), 0, g)


def _ramp(x: Array) -> Array:
    return np.minimum(np.maximum(x + 3, 0), 6)


def hardsigmoid(x: Array) -> Array:
    """min(max(x + 3, 0), 6) / 6."""
    return _ramp(x) / 6


def hardsigmoid_backward(g: Array, x: Array) -> Array:
    """G / 6 strictly inside (−3, 3), else 0."""
    return np.where((x > -3) & (x < 3), g / 6, 0)


def hardswish(x: Array) -> Array:
    """X · hardsigmoid(x) (Howard et al., 2019)."""
    return x * _ramp(x) / 6


def hardswish_backward(g: Array, x: Array) -> Array:
    """0 up to −3, g · (x/3 + 1/2) below 3, g from there."""
    return np.where(x <= -3, 0, np.where(x < 3, g * (x / 3 + 0.5), g))


def threshold(x: Array, *, threshold: float, value: float) -> Array:
    """X above the threshold, else value."""
    return np.where(x <= threshold, value, x)


def threshold_backward(g: Array, x: Array, *, threshold: float, value: float) -> Array:
    """G above the threshold, else 0."""
    return np.where(x <= threshold, 0, g)
