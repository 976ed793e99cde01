"""Optimisers that keep running means: one pass over a parameter, computed in float64."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.memory import empty
from ...spec import kernel
from ..reference.optim_adaptive import adagrad_rate, adam_rates
from ._jit import jit, split
from ._layout import dense, empty_like, is_channels_last

_NANOSECONDS = 2  # an element


@jit
def _direction(p: Any, g: Any, weight_decay: Any, maximize: Any) -> Any:
    """d = ±g + weight_decay·p; without decay, p is not looked at."""
    d = np.float64(-g if maximize else g)
    return d + weight_decay * p if weight_decay != 0 else d


@jit
def _lerp(start: Any, end: Any, weight: Any) -> Any:
    difference = end - np.float64(start)
    return start + weight * difference if weight < 0.5 else end - (1 - weight) * difference


@jit
def _adam(
    first: int, last: int, p: Any, g: Any, m: Any, v: Any, w: Any,
    new_p: Any, new_m: Any, new_v: Any, new_w: Any,
    amsgrad: bool, keep: float, rate: float, root: float, beta1: float, beta2: float, eps: float,
    weight_decay: float, maximize: bool,
) -> None:  # fmt: skip
    for i in range(first, last):
        d = _direction(p[i], g[i], weight_decay, maximize)
        new_m[i] = mean = _lerp(m[i], d, 1 - beta1)
        new_v[i] = top = beta2 * v[i] + (1 - beta2) * (d * d)
        if amsgrad:
            old = np.float64(w[i])
            top = old if old > top or np.isnan(old) else top
            new_w[i] = top
        new_p[i] = p[i] * keep - rate * (mean / (np.sqrt(top) * root + eps))


@jit
def _rmsprop(
    first: int, last: int, p: Any, g: Any, v: Any, a: Any, b: Any,
    new_p: Any, new_v: Any, new_a: Any, new_b: Any, centered: bool, with_momentum: bool,
    lr: float, alpha: float, eps: float, weight_decay: float, momentum: float, maximize: bool,
) -> None:  # fmt: skip
    for i in range(first, last):
        d = _direction(p[i], g[i], weight_decay, maximize)
        new_v[i] = top = alpha * v[i] + (1 - alpha) * (d * d)
        if centered:
            new_a[i] = mean = _lerp(a[i], d, 1 - alpha)
            top -= mean * mean
            top = 0.0 if top < 0 else top
        q = d / (np.sqrt(top) + eps)
        if with_momentum:
            new_b[i] = q = momentum * b[i] + q
        new_p[i] = p[i] - lr * q


@jit
def _adagrad(
    first: int, last: int, p: Any, g: Any, s: Any, new_p: Any, new_s: Any,
    rate: float, weight_decay: float, eps: float, maximize: bool,
) -> None:  # fmt: skip
    for i in range(first, last):
        d = _direction(p[i], g[i], weight_decay, maximize)
        new_s[i] = total = s[i] + d * d
        new_p[i] = p[i] - rate * (d / (np.sqrt(total) + eps))


@jit
def _lion(
    first: int, last: int, p: Any, g: Any, m: Any, new_p: Any, new_m: Any,
    keep: float, lr: float, beta1: float, beta2: float, maximize: bool,
) -> None:  # fmt: skip
    for i in range(first, last):
        d = np.float64(-g[i] if maximize else g[i])
        c = _lerp(m[i], d, 1 - beta1)
        new_p[i] = p[i] * keep - lr * (np.nan if np.isnan(c) else np.float64(c > 0) - (c < 0))
        new_m[i] = _lerp(m[i], d, 1 - beta2)


@jit
def _ema(first: int, last: int, average: Any, p: Any, new: Any, decay: float) -> None:
    for i in range(first, last):
        new[i] = _lerp(average[i], np.float64(p[i]), 1 - decay)


def _run(loop: Any, p: np.ndarray, g: np.ndarray, states: Any, *numbers: Any) -> Any:
    """The new p and states; an absent state is p to the loop, which leaves it alone."""
    last = is_channels_last(p)

    def flat(x: np.ndarray) -> np.ndarray:
        return dense(x, last).reshape(-1)

    new = [empty_like(p) if s is not None else None for s in (p, *states)]
    reads = [flat(p if s is None else s) for s in states]
    writes = [flat(np.empty(0, p.dtype) if n is None else n) for n in new]
    split(loop, p.size, p.size * _NANOSECONDS, flat(p), flat(g), *reads, *writes, *numbers)
    kept = tuple(n for n in new if n is not None)
    return kept if len(kept) > 1 else kept[0]


def _kept(lr: float, weight_decay: float) -> float:
    return 1 - lr * weight_decay


@kernel("adam_step", backend="numba")
def adam_step(
    p: np.ndarray, g: np.ndarray, exp_avg: np.ndarray, exp_avg_sq: np.ndarray,
    max_exp_avg_sq: np.ndarray | None, *,
    step: float, lr: float, beta1: float, beta2: float, eps: float, weight_decay: float,
    maximize: bool, decoupled_weight_decay: bool,
) -> Any:  # fmt: skip
    """The new p and two means, and the largest of the second if that is kept."""
    rate, root = adam_rates(step, lr, beta1, beta2)
    keep = _kept(lr, weight_decay) if decoupled_weight_decay else 1.0
    into = 0.0 if decoupled_weight_decay else weight_decay
    return _run(
        _adam, p, g, (exp_avg, exp_avg_sq, max_exp_avg_sq), max_exp_avg_sq is not None,
        keep, rate, root, beta1, beta2, eps, into, maximize,
    )  # fmt: skip


@kernel("rmsprop_step", backend="numba")
def rmsprop_step(
    p: np.ndarray, g: np.ndarray, square_avg: np.ndarray, grad_avg: np.ndarray | None,
    momentum_buffer: np.ndarray | None, *,
    lr: float, alpha: float, eps: float, weight_decay: float, momentum: float, maximize: bool,
) -> Any:  # fmt: skip
    """The new p and mean of squares, with those of the other two states that are kept."""
    return _run(
        _rmsprop, p, g, (square_avg, grad_avg, momentum_buffer), grad_avg is not None,
        momentum_buffer is not None, lr, alpha, eps, weight_decay, momentum, maximize,
    )  # fmt: skip


@kernel("adagrad_step", backend="numba")
def adagrad_step(
    p: np.ndarray, g: np.ndarray, sum: np.ndarray, *,
    step: float, lr: float, lr_decay: float, weight_decay: float, eps: float, maximize: bool,
) -> Any:  # fmt: skip
    """The new p and sum of squares."""
    rate = adagrad_rate(step, lr, lr_decay)
    return _run(_adagrad, p, g, (sum,), rate, weight_decay, eps, maximize)


@kernel("lion_step", backend="numba")
def lion_step(
    p: np.ndarray, g: np.ndarray, exp_avg: np.ndarray, *,
    lr: float, beta1: float, beta2: float, weight_decay: float, maximize: bool,
) -> Any:  # fmt: skip
    """The new p and mean."""
    keep = _kept(lr, weight_decay)
    return _run(_lion, p, g, (exp_avg,), keep, lr, beta1, beta2, maximize)


@kernel("ema_step", backend="numba")
def ema_step(average: np.ndarray, p: np.ndarray, *, decay: float) -> Any:
    """The new average."""
    return _run(_ema, average, p, (), decay)


@jit
def _norm(x: Any, power: float) -> Any:
    """Σ |x|^power, or the largest |x|, in float64."""
    total = 0.0
    for i in range(x.size):
        size = abs(np.float64(x[i]))
        if power == np.inf:
            total = size if size > total or np.isnan(size) else total
        elif power == 2:
            total += size * size
        elif power == 1:
            total += size
        else:
            total += size**power
    return total


@kernel("total_norm", backend="numba")
def total_norm(*tensors: np.ndarray, norm_type: float) -> Any:
    """Summed in float64, array after array."""
    parts = [_norm(dense(t, is_channels_last(t)).reshape(-1), norm_type) for t in tensors]
    y = empty((), tensors[0].dtype)
    if norm_type == float("inf"):
        y[...] = np.max(parts)
    else:
        total = np.sum(parts)
        y[...] = total if norm_type == 1 else total ** (1 / norm_type)
    return y
