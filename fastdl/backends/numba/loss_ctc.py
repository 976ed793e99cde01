"""CTC: the recursions of `backends/reference/loss_ctc.py` in float64, sequence by sequence."""

from __future__ import annotations

import numpy as np

from ...core.memory import empty
from ...spec import kernel
from ._jit import jit, split
from ._layout import dense, empty_like
from ._math import exp, log
from .elementwise import FLOATS

_NONE = -np.inf


@jit
def _log_sum(a, b, c):
    if np.isnan(a + b + c):  # max would lose it
        return np.nan
    most = max(a, b, c)
    if most == _NONE:
        return _NONE
    return most + log(exp(a - most) + exp(b - most) + exp(c - most))


@jit
def _place(target, blank, s):
    return target[s // 2] if s % 2 else blank


@jit
def _leaps(target, blank, s):
    """Is place s reached from two places before?"""
    return s > 1 and _place(target, blank, s) != _place(target, blank, s - 2)


@jit
def _alphas(x, target, blank, alpha):
    """α[T, places] of one sequence x[T, C]; its loss."""
    times, count = alpha.shape
    for t in range(times):
        for s in range(count):
            emitted = x[t, _place(target, blank, s)]
            if t == 0:
                alpha[t, s] = emitted if s < 2 else _NONE  # an infinity plus it would be NaN
                continue
            one = alpha[t - 1, s - 1] if s > 0 else _NONE
            two = alpha[t - 1, s - 2] if _leaps(target, blank, s) else _NONE
            alpha[t, s] = _log_sum(alpha[t - 1, s], one, two) + emitted
    before = alpha[times - 1, count - 2] if count > 1 else _NONE
    return -_log_sum(alpha[times - 1, count - 1], before, _NONE)


@jit
def _losses(first, last, x, targets, times, lengths, blank, losses):
    for n in range(first, last):
        if times[n] == 0:
            losses[n] = 0.0 if lengths[n] == 0 else np.inf
            continue
        target = targets[n, : lengths[n]]
        alpha = np.empty((times[n], 2 * lengths[n] + 1))
        losses[n] = _alphas(x[: times[n], n], target, blank, alpha)


@jit
def _gradients(first, last, x, targets, times, lengths, blank, scale, zero_infinity, dx):
    for n in range(first, last):
        dx[:, n] = 0
        if times[n] == 0:
            continue
        target, count = targets[n, : lengths[n]], 2 * lengths[n] + 1
        alpha = np.empty((times[n], count))
        loss = _alphas(x[: times[n], n], target, blank, alpha)
        if loss == np.inf:
            if not zero_infinity:
                dx[: times[n], n] = np.nan
            continue
        beta, after = np.empty(count), np.empty(count)
        row = np.empty(x.shape[2])
        for t in range(times[n] - 1, -1, -1):
            row[:] = 0
            if t < times[n] - 1:
                for s in range(count):
                    after[s] = beta[s] + x[t + 1, n, _place(target, blank, s)]
            for s in range(count):
                if t == times[n] - 1:
                    beta[s] = 0.0 if s >= count - 2 else _NONE
                else:
                    one = after[s + 1] if s + 1 < count else _NONE
                    leaps = s + 2 < count and _leaps(target, blank, s + 2)
                    beta[s] = _log_sum(after[s], one, after[s + 2] if leaps else _NONE)
                row[_place(target, blank, s)] += exp(alpha[t, s] + beta[s] + loss)
            for c in range(row.shape[0]):
                dx[t, n, c] = -row[c] * scale[n]


def _dense(x: np.ndarray) -> np.ndarray:
    return dense(x, False)


def _cost(x: np.ndarray, targets: np.ndarray) -> float:
    return 30.0 * x.shape[0] * x.shape[1] * (2 * targets.shape[1] + 1)


@kernel("ctc_loss", backend="numba", dtypes=("int64", *FLOATS))
def ctc_loss(
    x: np.ndarray, targets: np.ndarray, input_lengths: np.ndarray, target_lengths: np.ndarray, *,
    blank: int, reduction: str, zero_infinity: bool,
) -> np.ndarray:  # fmt: skip
    """The loss of each sequence, their sum, or their mean by target length."""
    batch = x.shape[1]
    losses = np.empty(batch)
    arrays = (_dense(a) for a in (x, targets, input_lengths, target_lengths))
    split(_losses, batch, _cost(x, targets), *arrays, blank, losses)
    if zero_infinity:
        losses[losses == np.inf] = 0
    y = empty((batch,) if reduction == "none" else (), x.dtype)
    if reduction == "mean":
        losses /= np.maximum(target_lengths, 1)
    with np.errstate(all="ignore"):
        y[...] = losses if reduction == "none" else losses.sum()
        if reduction == "mean":
            y[...] = np.float64(losses.sum()) / batch
    return y


@kernel("ctc_loss_backward", backend="numba", dtypes=("int64", *FLOATS))
def ctc_loss_backward(
    g: np.ndarray, x: np.ndarray, targets: np.ndarray, input_lengths: np.ndarray,
    target_lengths: np.ndarray, *, blank: int, reduction: str, zero_infinity: bool,
) -> np.ndarray:  # fmt: skip
    """The gradient of the log-probabilities."""
    batch = x.shape[1]
    with np.errstate(all="ignore"):
        scale = g.astype(np.float64)
        if reduction == "mean":
            scale = scale / batch / np.maximum(target_lengths, 1)
    scale = np.ascontiguousarray(np.broadcast_to(scale, (batch,)))
    dx = empty_like(x)
    arrays = (_dense(a) for a in (x, targets, input_lengths, target_lengths))
    cost = 3 * _cost(x, targets)
    split(_gradients, batch, cost, *arrays, blank, scale, zero_infinity, dx)
    return dx
