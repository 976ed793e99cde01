"""Normalisations and their gradients: y = (x − mean) / √(variance + eps) · weight + bias.

Whatever is normalised is seen as [samples, groups, channels, inner], with the moments over channels
and inner and one weight for each group and channel; over a batch as [samples, channels, inner].
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def grouped(x: Any, groups: int, channels: int) -> Any:
    """X as [samples, groups, channels, inner]."""
    inner = math.prod(x.shape[2:]) if groups * channels and x.ndim > 2 else 1
    return x.reshape(-1 if x.size else 0, groups, channels, inner)


def _moments(x: Any, axes: tuple[int, ...], eps: float, center: bool) -> tuple[Any, ...]:
    """X − mean, mean, variance and (variance + eps)^(−1/2), with dims kept.

    What rounding left of the mean is taken off again: where it is large and the deviation small, it
    would be more than the error of a careful kernel in a dtype half as wide.
    """
    n = math.prod(x.shape[a] for a in axes)
    mean = rest = x.dtype.type(0)
    if center:
        mean = np.sum(x, axis=axes, keepdims=True) / n
        rest = np.sum(x - mean, axis=axes, keepdims=True) / n
    d = x - mean - rest
    variance = np.sum(d**2, axis=axes, keepdims=True) / n
    return d, mean + rest, variance, 1 / np.sqrt(variance + eps)


def _rows(x: Any, weight: Any, bias: Any, eps: float, center: bool) -> Any:
    d, _, _, scale = _moments(x, (2, 3), eps, center)
    y = d * scale
    y = y if weight is None else y * weight.reshape(1, *x.shape[1:3], 1)
    return y if bias is None else y + bias.reshape(1, *x.shape[1:3], 1)


def _rows_backward(g: Any, x: Any, weight: Any, eps: float, center: bool) -> tuple[Any, Any, Any]:
    n = x.shape[2] * x.shape[3]
    d, _, _, scale = _moments(x, (2, 3), eps, center)
    h = d * scale
    w = x.dtype.type(1) if weight is None else weight.reshape(1, *x.shape[1:3], 1)
    u = g * w

    def mean_of(v: Any) -> Any:  # channel by channel, as a weight is infinite for all of one
        return np.sum(np.sum(v, axis=3, keepdims=True) * w, axis=2, keepdims=True) / n

    along, shift = mean_of(g * h), mean_of(g) if center else 0
    return scale * (u - shift - h * along), np.sum(g * h, axis=(0, 3)), np.sum(g, axis=(0, 3))


def _rows_of(x: Any, normalized_shape: tuple[int, ...]) -> Any:
    n = math.prod(normalized_shape)
    return x.reshape(-1 if x.size else 0, 1, n, 1)


def layer_norm(
    x: Any, weight: Any, bias: Any, *, normalized_shape: tuple[int, ...], eps: float
) -> Any:
    """Over the last dims."""
    return _rows(_rows_of(x, normalized_shape), weight, bias, eps, True).reshape(x.shape)


def layer_norm_backward(
    g: Any, x: Any, weight: Any, *, normalized_shape: tuple[int, ...], eps: float
) -> tuple[Any, Any, Any]:
    """With h = (x − mean)·s and u = g·weight: dx = s·(u − mean(u) − h·mean(u·h))."""
    rows = _rows_of(g, normalized_shape), _rows_of(x, normalized_shape)
    dx, dw, db = _rows_backward(*rows, weight, eps, True)
    return dx.reshape(x.shape), dw.reshape(normalized_shape), db.reshape(normalized_shape)


def rms_norm(x: Any, weight: Any, *, normalized_shape: tuple[int, ...], eps: float) -> Any:
    """y = x / √(mean(x²) + eps) · weight over the last dims."""
    return _rows(_rows_of(x, normalized_shape), weight, None, eps, False).reshape(x.shape)


def rms_norm_backward(
    g: Any, x: Any, weight: Any, *, normalized_shape: tuple[int, ...], eps: float
) -> tuple[Any, Any]:
    """With h = x·s and u = g·weight: dx = s·(u − h·mean(u·h))."""
    rows = _rows_of(g, normalized_shape), _rows_of(x, normalized_shape)
    dx, dw, _ = _rows_backward(*rows, weight, eps, False)
    return dx.reshape(x.shape), dw.reshape(normalized_shape)


def group_norm(x: Any, weight: Any, bias: Any, *, num_groups: int, eps: float) -> Any:
    """Over the channels of a group and all places, for each sample."""
    parts = grouped(x, num_groups, x.shape[1] // num_groups)
    return _rows(parts, weight, bias, eps, True).reshape(x.shape)


def group_norm_backward(
    g: Any, x: Any, weight: Any, *, num_groups: int, eps: float
) -> tuple[Any, Any, Any]:
    """The formula of layer_norm_backward."""
    channels = x.shape[1] // num_groups
    parts = grouped(g, num_groups, channels), grouped(x, num_groups, channels)
    dx, dw, db = _rows_backward(*parts, weight, eps, True)
    return dx.reshape(x.shape), dw.reshape(-1), db.reshape(-1)


def instance_norm(x: Any, weight: Any, bias: Any, *, eps: float) -> Any:
    """Over all places, for each channel of each sample: groups of one channel."""
    return group_norm(x, weight, bias, num_groups=x.shape[1], eps=eps) if x.size else x.copy()


def instance_norm_backward(g: Any, x: Any, weight: Any, *, eps: float) -> tuple[Any, Any, Any]:
    """The formula of layer_norm_backward."""
    if not x.size:
        return x.copy(), np.zeros(x.shape[1], x.dtype), np.zeros(x.shape[1], x.dtype)
    return group_norm_backward(g, x, weight, num_groups=x.shape[1], eps=eps)


# --- over a batch ------------------------------------------------------------------------------


def _planes(x: Any) -> Any:
    """X as [samples, channels, inner]."""
    return x.reshape(*x.shape[:2], math.prod(x.shape[2:]))


def _per_channel(v: Any) -> Any:
    return v.reshape(1, -1, 1)


def batch_norm(x: Any, weight: Any, bias: Any, *, eps: float) -> tuple[Any, Any, Any, Any]:
    """(y, mean, variance, (variance + eps)^(−1/2)) of each channel over batch and places."""
    parts = _planes(x)
    d, *moments = _moments(parts, (0, 2), eps, True)
    mean, variance, scale = (m.reshape(-1) for m in moments)
    return _applied(d, scale, weight, bias).reshape(x.shape), mean, variance, scale


def batch_norm_eval(x: Any, mean: Any, variance: Any, weight: Any, bias: Any, *, eps: float) -> Any:
    """With moments that are given."""
    d = _planes(x) - _per_channel(mean)
    return _applied(d, 1 / np.sqrt(variance + eps), weight, bias).reshape(x.shape)


def _applied(d: Any, scale: Any, weight: Any, bias: Any) -> Any:
    y = d * _per_channel(scale if weight is None else scale * weight)
    return y if bias is None else y + _per_channel(bias)


def batch_norm_backward(
    g: Any, x: Any, mean: Any, rstd: Any, weight: Any, *, training: bool
) -> tuple[Any, Any, Any]:
    """dx = s·w·(g − mean(g) − d·s²·mean(g·d)), d = x − mean, s = rstd; without means in eval."""
    parts, upstream = _planes(x), _planes(g)
    n = parts.shape[0] * parts.shape[2]
    d = parts - _per_channel(mean)
    db, along = np.sum(upstream, axis=(0, 2)), np.sum(upstream * d, axis=(0, 2))
    dx = upstream
    if training:
        dx = dx - _per_channel(db / n) - d * _per_channel(along * rstd * rstd / n)
    dx = dx * _per_channel(rstd if weight is None else rstd * weight)
    return dx.reshape(x.shape), along * rstd, db
