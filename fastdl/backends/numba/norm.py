"""Normalisations: rows of [samples, groups, channels · inner] and channels of [N, C, inner].

Sums are in float64. The mean of what rounding left of a mean is taken off again, so that rows of
large mean and small deviation lose nothing.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...spec import kernel
from ._jit import jit, split
from ._layout import dense, empty_like, is_channels_last

_NANOSECONDS = 1.5  # a number


@jit
def _moments(row: Any, center: bool) -> Any:
    """Mean in two parts, and mean square of what is left."""
    n = row.size
    mean = 0.0
    if center:
        for j in range(n):
            mean += row[j]
        mean /= n
    rest, squares = 0.0, 0.0
    for j in range(n):
        d = row[j] - mean
        rest += d
        squares += d * d
    if not center:
        return 0.0, 0.0, squares / n
    rest /= n
    return mean, rest, max(squares / n - rest * rest, 0.0)


@jit
def _rows(
    first: int, last: int, x: Any, y: Any, weight: Any, bias: Any, groups: int, channels: int,
    eps: float, center: bool,
) -> None:  # fmt: skip
    inner = x.shape[1] // channels
    for r in range(first, last):
        mean, rest, variance = _moments(x[r], center)
        scale = 1 / math.sqrt(variance + eps)
        base = r % groups * channels
        for c in range(channels):
            w, b = weight[base + c] * scale, bias[base + c]
            row, out = x[r, c * inner : (c + 1) * inner], y[r, c * inner : (c + 1) * inner]
            for j in range(inner):
                out[j] = (row[j] - mean - rest) * w + b


@jit
def _rows_backward(
    first: int, last: int, g: Any, x: Any, dx: Any, weight: Any, moments: Any, groups: int,
    channels: int, eps: float, center: bool,
) -> None:  # fmt: skip
    n = x.shape[1]
    inner = n // channels
    for r in range(first, last):
        mean, rest, variance = _moments(x[r], center)
        scale = 1 / math.sqrt(variance + eps)
        moments[r, 0], moments[r, 1], moments[r, 2] = mean, rest, scale
        base = r % groups * channels
        along, shift = 0.0, 0.0
        for c in range(channels):
            total, product = 0.0, 0.0
            for j in range(c * inner, (c + 1) * inner):
                total += g[r, j]
                product += np.float64(g[r, j]) * ((x[r, j] - mean - rest) * scale)
            shift += total * weight[base + c]
            along += product * weight[base + c]
        shift = shift / n if center else 0.0
        along /= n
        for j in range(n):
            u = np.float64(g[r, j]) * weight[base + j // inner]
            dx[r, j] = scale * (u - shift - (x[r, j] - mean - rest) * scale * along)


@jit
def _parameters(
    first: int, last: int, g: Any, x: Any, dweight: Any, dbias: Any, moments: Any, groups: int,
    channels: int,
) -> None:  # fmt: skip
    """The gradients of the parameters of channels [first, last), over rows in order."""
    inner = x.shape[1] // channels
    for c in range(first, last):
        w, b = 0.0, 0.0
        begin = c % channels * inner
        for r in range(c // channels, x.shape[0], groups):
            mean, rest, scale = moments[r, 0], moments[r, 1], moments[r, 2]
            for j in range(begin, begin + inner):
                w += np.float64(g[r, j]) * ((x[r, j] - mean - rest) * scale)
                b += g[r, j]
        dweight[c], dbias[c] = w, b


def _parameter(v: Any, n: int, default: float, dtype: Any) -> np.ndarray:
    return np.full(n, default, dtype) if v is None else dense(v, False).reshape(-1)


def _finished(y: np.ndarray, like: np.ndarray) -> np.ndarray:
    """A C-contiguous result in the memory format of x."""
    if not is_channels_last(like):
        return y
    out = empty_like(like)
    out[...] = y
    return out


def _forward(
    x: Any, weight: Any, bias: Any, groups: int, channels: int, inner: int, eps: float, center: bool
) -> np.ndarray:
    y = np.empty(x.shape, x.dtype)
    n, row = groups * channels, channels * inner
    w, b = _parameter(weight, n, 1, x.dtype), _parameter(bias, n, 0, x.dtype)
    if x.size:
        arrays = dense(x, False).reshape(-1, row), y.reshape(-1, row)
        split(_rows, x.size // row, x.size * _NANOSECONDS, *arrays, w, b, groups, channels, eps,
              center)  # fmt: skip
    return _finished(y, x)


def _backward(
    g: Any, x: Any, weight: Any, groups: int, channels: int, inner: int, eps: float, center: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    dx = np.empty(x.shape, x.dtype)
    n, row = groups * channels, channels * inner
    dw, db = np.zeros(n, x.dtype), np.zeros(n, x.dtype)
    if x.size:
        flat_g, flat_x = (dense(a, False).reshape(-1, row) for a in (g, x))
        moments = np.empty((len(flat_x), 3))
        w, cost = _parameter(weight, n, 1, x.dtype), x.size * _NANOSECONDS
        split(_rows_backward, len(flat_x), 2 * cost, flat_g, flat_x, dx.reshape(-1, row), w,
              moments, groups, channels, eps, center)  # fmt: skip
        split(_parameters, n, cost, flat_g, flat_x, dw, db, moments, groups, channels)
    return _finished(dx, x), dw, db


@kernel("layer_norm", backend="numba")
def layer_norm(
    x: Any, weight: Any, bias: Any, *, normalized_shape: tuple[int, ...], eps: float
) -> np.ndarray:
    """Over the last dims."""
    return _forward(x, weight, bias, 1, math.prod(normalized_shape), 1, eps, True)


@kernel("layer_norm_backward", backend="numba")
def layer_norm_backward(
    g: Any, x: Any, weight: Any, *, normalized_shape: tuple[int, ...], eps: float
) -> tuple[np.ndarray, ...]:
    """The gradients of x, weight and bias."""
    dx, *rest = _backward(g, x, weight, 1, math.prod(normalized_shape), 1, eps, True)
    return dx, *(d.reshape(normalized_shape) for d in rest)


@kernel("rms_norm", backend="numba")
def rms_norm(x: Any, weight: Any, *, normalized_shape: tuple[int, ...], eps: float) -> np.ndarray:
    """Over the last dims."""
    return _forward(x, weight, None, 1, math.prod(normalized_shape), 1, eps, False)


@kernel("rms_norm_backward", backend="numba")
def rms_norm_backward(
    g: Any, x: Any, weight: Any, *, normalized_shape: tuple[int, ...], eps: float
) -> tuple[np.ndarray, ...]:
    """The gradients of x and weight."""
    dx, dw, _ = _backward(g, x, weight, 1, math.prod(normalized_shape), 1, eps, False)
    return dx, dw.reshape(normalized_shape)


@kernel("group_norm", backend="numba")
def group_norm(x: Any, weight: Any, bias: Any, *, num_groups: int, eps: float) -> np.ndarray:
    """Over groups of channels."""
    sizes = num_groups, x.shape[1] // num_groups, math.prod(x.shape[2:])
    return _forward(x, weight, bias, *sizes, eps, True)


@kernel("group_norm_backward", backend="numba")
def group_norm_backward(
    g: Any, x: Any, weight: Any, *, num_groups: int, eps: float
) -> tuple[np.ndarray, ...]:
    """The gradients of x, weight and bias."""
    sizes = num_groups, x.shape[1] // num_groups, math.prod(x.shape[2:])
    return _backward(g, x, weight, *sizes, eps, True)


@kernel("instance_norm", backend="numba")
def instance_norm(x: Any, weight: Any, bias: Any, *, eps: float) -> np.ndarray:
    """Every channel a group."""
    return _forward(x, weight, bias, x.shape[1], 1, math.prod(x.shape[2:]), eps, True)


@kernel("instance_norm_backward", backend="numba")
def instance_norm_backward(g: Any, x: Any, weight: Any, *, eps: float) -> tuple[np.ndarray, ...]:
    """The gradients of x, weight and bias."""
    return _backward(g, x, weight, x.shape[1], 1, math.prod(x.shape[2:]), eps, True)


# --- over a batch ------------------------------------------------------------------------------


@jit
def _channel_moments(first: int, last: int, x: Any, mean: Any, variance: Any) -> None:
    places = x.shape[0] * x.shape[2]
    for c in range(first, last):
        total = 0.0
        for i in range(x.shape[0]):
            for j in range(x.shape[2]):
                total += x[i, c, j]
        middle = total / places
        rest, squares = 0.0, 0.0
        for i in range(x.shape[0]):
            for j in range(x.shape[2]):
                d = x[i, c, j] - middle
                rest += d
                squares += d * d
        rest /= places
        mean[c], variance[c] = middle + rest, max(squares / places - rest * rest, 0.0)


@jit
def _channel_apply(first: int, last: int, x: Any, y: Any, mean: Any, scale: Any, bias: Any) -> None:
    for c in range(first, last):
        for i in range(x.shape[0]):
            for j in range(x.shape[2]):
                y[i, c, j] = (x[i, c, j] - mean[c]) * scale[c] + bias[c]


@jit
def _channel_backward(
    first: int, last: int, g: Any, x: Any, dx: Any, mean: Any, rstd: Any, weight: Any, dweight: Any,
    dbias: Any, training: bool,
) -> None:  # fmt: skip
    places = x.shape[0] * x.shape[2]
    for c in range(first, last):
        total, along = 0.0, 0.0
        root = np.float64(rstd[c])
        for i in range(x.shape[0]):
            for j in range(x.shape[2]):
                total += g[i, c, j]
                along += np.float64(g[i, c, j]) * (np.float64(x[i, c, j]) - mean[c])
        dbias[c], dweight[c] = total, along * root
        shift = total / places if training else 0.0
        along = along * root * root / places if training else 0.0
        scale = root * weight[c]
        for i in range(x.shape[0]):
            for j in range(x.shape[2]):
                d = np.float64(x[i, c, j]) - mean[c]
                left = g[i, c, j] - shift - d * along if training else np.float64(g[i, c, j])
                dx[i, c, j] = scale * left


def _planes(x: np.ndarray) -> np.ndarray:
    return dense(x, False).reshape(*x.shape[:2], math.prod(x.shape[2:]))


def _apply(x: Any, mean: Any, variance: Any, weight: Any, bias: Any, eps: float) -> Any:
    """Y and (variance + eps)^(−1/2), of moments in float64 or those given."""
    channels = x.shape[1]
    y = np.empty(x.shape, x.dtype)
    with np.errstate(all="ignore"):
        rstd = 1 / np.sqrt(variance.astype(np.float64) + eps)
    scale = rstd * _parameter(weight, channels, 1, x.dtype)
    split(_channel_apply, channels, x.size * _NANOSECONDS, _planes(x), _planes(y),
          mean.astype(np.float64), scale, _parameter(bias, channels, 0, x.dtype))  # fmt: skip
    return _finished(y, x), rstd


@kernel("batch_norm", backend="numba")
def batch_norm(x: Any, weight: Any, bias: Any, *, eps: float) -> tuple[np.ndarray, ...]:
    """(y, mean, variance, rstd)."""
    mean, variance = np.full(x.shape[1], np.nan), np.full(x.shape[1], np.nan)
    if x.size:
        split(_channel_moments, x.shape[1], x.size * _NANOSECONDS, _planes(x), mean, variance)
    y, rstd = _apply(x, mean, variance, weight, bias, eps)
    return y, *(m.astype(x.dtype) for m in (mean, variance, rstd))


@kernel("batch_norm_eval", backend="numba")
def batch_norm_eval(
    x: Any, mean: Any, variance: Any, weight: Any, bias: Any, *, eps: float
) -> np.ndarray:
    """With moments that are given."""
    return _apply(x, mean, variance, weight, bias, eps)[0]


@kernel("batch_norm_backward", backend="numba")
def batch_norm_backward(
    g: Any, x: Any, mean: Any, rstd: Any, weight: Any, *, training: bool
) -> tuple[np.ndarray, ...]:
    """The gradients of x, weight and bias."""
    channels = x.shape[1]
    dx, dw, db = (
        np.empty(x.shape, x.dtype),
        np.empty(channels, x.dtype),
        np.empty(channels, x.dtype),
    )
    split(_channel_backward, channels, 2 * x.size * _NANOSECONDS, _planes(g), _planes(x),
          _planes(dx), np.ascontiguousarray(mean), np.ascontiguousarray(rstd),
          _parameter(weight, channels, 1, x.dtype), dw, db, training)  # fmt: skip
    return _finished(dx, x), dw, db
