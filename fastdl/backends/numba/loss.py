"""Cross-entropy, nll_loss and their gradients on x[outer, classes, inner].

Log-softmax first (`softmax.py`); then every position gathers its loss, in float64, from the few
classes that its target gives a share q: q_c = w_c·((1 − s)·[c = t] + s/C), or with p_c for [c = t].
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.memory import empty
from ...spec import kernel
from ._jit import jit, split
from ._layout import dense, empty_like, grouped, is_channels_last
from ._math import exp
from .elementwise import FLOATS
from .reduce import row_sum
from .softmax import log_softmax_into

_NANOSECONDS = 2.0  # an element


@jit
def _class_losses(
    first: int, last: int, logs: Any, target: Any, w: Any, ignored: int, s: float, losses: Any,
    weights: Any,
) -> None:  # fmt: skip
    """The loss of each position of logs[outer, classes, inner], and the weight of its class."""
    classes = logs.shape[1]
    for i in range(first, last):
        for k in range(logs.shape[2]):
            t = target[i, k]
            loss = weight = 0.0
            if t != ignored:
                weight = np.float64(w[t])
                begin, end = (0, classes) if s != 0 else (t, t + 1)
                for c in range(begin, end):
                    q = ((1 - s if c == t else 0.0) + s / classes) * w[c]
                    if q != 0:  # a class of no share costs nothing, even at log p = −inf
                        loss -= q * logs[i, c, k]
            losses[i, k], weights[i, k] = loss, weight


@jit
def _soft_losses(
    first: int, last: int, logs: Any, target: Any, w: Any, s: float, losses: Any
) -> None:
    """The same for a target of probabilities, in the shape of logs."""
    for i in range(first, last):
        losses[i, :] = 0
        for c in range(logs.shape[1]):
            for k in range(logs.shape[2]):
                q = ((1 - s) * target[i, c, k] + s / logs.shape[1]) * w[c]
                losses[i, k] -= q * logs[i, c, k]


@jit
def _exponentials(x: Any) -> None:
    """e^x in place of a C-contiguous x."""
    flat = x.reshape(x.size)
    for j in range(flat.size):
        flat[j] = exp(np.float64(flat[j]))


@jit
def _class_gradient(
    first: int, last: int, target: Any, w: Any, ignored: int, s: float, scale: Any, dx: Any
) -> None:
    """dx = (p·Σq − q)·scale; dx holds ln p to begin with."""
    classes = dx.shape[1]
    share = s / classes
    smooth = 0.0
    if s != 0:  # other classes' weights, of which one may be infinite, count only then
        for c in range(classes):
            smooth += share * w[c]
    for i in range(first, last):
        _exponentials(dx[i])
        for k in range(dx.shape[2]):
            t = target[i, k]
            kept = t != ignored
            total = (1 - s) * w[t] + smooth if kept else 0.0
            for c in range(classes):
                q = 0.0
                if kept and (c == t or s != 0):
                    q = ((1 - s if c == t else 0.0) + share) * w[c]
                d = dx[i, c, k] * total - q
                dx[i, c, k] = d * scale[i, k] if kept else d  # whatever g is


@jit
def _nll_gradient(
    first: int, last: int, target: Any, w: Any, ignored: int, scale: Any, dx: Any
) -> None:
    for i in range(first, last):
        dx[i] = 0
        for k in range(dx.shape[2]):
            if target[i, k] != ignored:
                dx[i, target[i, k], k] = -w[target[i, k]] * scale[i, k]


@jit
def _soft_gradient(
    first: int, last: int, target: Any, w: Any, s: float, scale: Any, dx: Any
) -> None:
    classes = dx.shape[1]
    share = s / classes
    for i in range(first, last):
        _exponentials(dx[i])
        for k in range(dx.shape[2]):
            total = 0.0
            for c in range(classes):
                total += ((1 - s) * target[i, c, k] + share) * w[c]
            for c in range(classes):
                q = ((1 - s) * target[i, c, k] + share) * w[c]
                dx[i, c, k] = (dx[i, c, k] * total - q) * scale[i, k]


class _Call:
    """The arrays of a call as [outer, classes, inner] and [outer, inner]."""

    def __init__(self, x: np.ndarray, target: np.ndarray, weight: np.ndarray | None) -> None:
        last, dim = is_channels_last(x), min(1, x.ndim - 1)
        self.shape = grouped(x.shape, dim, last)
        self.outer, self.classes, self.inner = self.shape
        self.soft = target.dtype.kind == "f"
        self.last = last
        self.target = self.thick(target) if self.soft else self.thin(target)
        self.weight = np.ones(self.classes, x.dtype) if weight is None else dense(weight, False)
        self.x = self.thick(x)
        self.positions = (*x.shape[:dim], *x.shape[dim + 1 :])
        self.cost = x.size * _NANOSECONDS

    def thick(self, a: np.ndarray) -> np.ndarray:
        """An array of x's shape."""
        return dense(a, self.last).reshape(self.shape)

    def thin(self, a: np.ndarray) -> np.ndarray:
        """An array of one element a position."""
        return dense(a, False).reshape(self.outer, self.inner)

    def loss(
        self, logs: np.ndarray, ignored: int, reduction: str, smoothing: float, dtype: np.dtype
    ) -> np.ndarray:
        """From log-probabilities in `thick` form: each loss, their sum or their mean."""
        losses = np.empty((self.outer, self.inner))
        divisor: Any = losses.size
        if self.soft:
            split(_soft_losses, self.outer, self.cost, logs, self.target, self.weight,
                  smoothing, losses)  # fmt: skip
        else:
            weights = np.empty_like(losses)
            split(_class_losses, self.outer, self.cost, logs, self.target, self.weight,
                  ignored, smoothing, losses, weights)  # fmt: skip
            divisor = _sum(weights)
        y = empty(self.positions if reduction == "none" else (), dtype)
        with np.errstate(all="ignore"):
            if reduction == "none":
                y[...] = losses.reshape(y.shape)
            else:
                y[...] = _sum(losses) / (divisor if reduction == "mean" else 1)
        return y

    def scale(self, g: np.ndarray, ignored: int, reduction: str) -> np.ndarray:
        """The upstream gradient of each position, over the divisor of a mean."""
        divisor: Any = 1
        if reduction == "mean":
            divisor = self.outer * self.inner
            if not self.soft:
                weights = np.append(self.weight, 0)[
                    np.where(self.target == ignored, -1, self.target)
                ]
                divisor = _sum(weights.astype(np.float64))
        with np.errstate(all="ignore"):
            scale = g.astype(np.float64) / divisor
        return self.thin(np.broadcast_to(scale, self.positions))


def _sum(a: np.ndarray) -> np.float64:
    return np.float64(row_sum(a.reshape(-1), np.empty(64)))


@kernel("cross_entropy", backend="numba", dtypes=("int64", *FLOATS))
def cross_entropy(
    x: np.ndarray, target: np.ndarray, weight: np.ndarray | None, *,
    ignore_index: int, reduction: str, label_smoothing: float,
) -> np.ndarray:  # fmt: skip
    """The loss of each position, their sum, or their weighted mean."""
    call = _Call(x, target, weight)
    logs = np.empty_like(call.x)
    log_softmax_into(logs, call.x)
    return call.loss(logs, ignore_index, reduction, label_smoothing, x.dtype)


@kernel("nll_loss", backend="numba", dtypes=("int64", *FLOATS))
def nll_loss(
    x: np.ndarray, target: np.ndarray, weight: np.ndarray | None, *,
    ignore_index: int, reduction: str,
) -> np.ndarray:  # fmt: skip
    """The same of log-probabilities."""
    call = _Call(x, target, weight)
    return call.loss(call.x, ignore_index, reduction, 0.0, x.dtype)


@kernel("nll_loss_backward", backend="numba", dtypes=("int64", *FLOATS))
def nll_loss_backward(
    g: np.ndarray, x: np.ndarray, target: np.ndarray, weight: np.ndarray | None, *,
    ignore_index: int, reduction: str,
) -> np.ndarray:  # fmt: skip
    """−w_t g at each target, 0 elsewhere."""
    call = _Call(x, target, weight)
    dx = empty_like(x)
    split(_nll_gradient, call.outer, call.cost, call.target, call.weight, ignore_index,
          call.scale(g, ignore_index, reduction), call.thick(dx))  # fmt: skip
    return dx


@kernel("cross_entropy_backward", backend="numba", dtypes=("int64", *FLOATS))
def cross_entropy_backward(
    g: np.ndarray, x: np.ndarray, target: np.ndarray, weight: np.ndarray | None, *,
    ignore_index: int, reduction: str, label_smoothing: float,
) -> np.ndarray:  # fmt: skip
    """(softmax(x)·Σq − q)·g, over D for the mean."""
    call = _Call(x, target, weight)
    scale = call.scale(g, ignore_index, reduction)
    dx = empty_like(x)
    view = call.thick(dx)
    log_softmax_into(view, call.x)
    if call.soft:
        split(_soft_gradient, call.outer, call.cost, call.target, call.weight,
              label_smoothing, scale, view)  # fmt: skip
    else:
        split(_class_gradient, call.outer, call.cost, call.target, call.weight, ignore_index,
              label_smoothing, scale, view)  # fmt: skip
    return dx
