"""One step of an optimiser that keeps running means, on one parameter; torch's formulas.

`maximum` and `sign` are NumPy's unless a bound is computed, on numbers that carry their error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def lerp(start: Any, end: Any, weight: float) -> Any:
    """start + weight·(end − start), from the nearer of the two as torch computes it."""
    difference = end - start
    return start + weight * difference if weight < 0.5 else end - (1 - weight) * difference


def _direction(p: Any, g: Any, weight_decay: float, maximize: bool) -> Any:
    """d = ±g + weight_decay·p; without decay, p is not looked at."""
    d = -g if maximize else g
    return d + weight_decay * p if weight_decay != 0 else d


def adam_rates(step: float, lr: float, beta1: float, beta2: float) -> tuple[float, float]:
    """lr / (1 − β₁^step) and 1 / √(1 − β₂^step), which make up for means that begin at zero."""
    return lr / (1 - beta1**step), float(1 / np.sqrt(1 - beta2**step))


def adam_step(
    p: Any, g: Any, exp_avg: Any, exp_avg_sq: Any, max_exp_avg_sq: Any, *,
    step: float, lr: float, beta1: float, beta2: float, eps: float, weight_decay: float,
    maximize: bool, decoupled_weight_decay: bool, maximum: Callable[..., Any] = np.maximum,
) -> Any:  # fmt: skip
    """Adam (Kingma and Ba 2015), AMSGrad (Reddi et al. 2018) with a fifth array, AdamW (Loshchilov
    and Hutter 2019) where the decay is decoupled.

    m = lerp(m, d, 1 − β₁);  v = β₂·v + (1 − β₂)·d²;  w = max(w, v);
    p ← p·(1 − lr·decay) − lr/(1 − β₁^t)·m / (√(v or w)/√(1 − β₂^t) + eps).
    """
    d = _direction(p, g, 0.0 if decoupled_weight_decay else weight_decay, maximize)
    if decoupled_weight_decay and weight_decay != 0:
        p = p * (1 - lr * weight_decay)
    exp_avg = lerp(exp_avg, d, 1 - beta1)
    exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * (d * d)
    top = exp_avg_sq
    if max_exp_avg_sq is not None:
        top = maximum(max_exp_avg_sq, exp_avg_sq)
    rate, root = adam_rates(step, lr, beta1, beta2)
    p = p - rate * (exp_avg / (np.sqrt(top) * root + eps))
    if max_exp_avg_sq is None:
        return p, exp_avg, exp_avg_sq
    return p, exp_avg, exp_avg_sq, top


def rmsprop_step(
    p: Any, g: Any, square_avg: Any, grad_avg: Any, momentum_buffer: Any, *,
    lr: float, alpha: float, eps: float, weight_decay: float, momentum: float, maximize: bool,
    maximum: Callable[..., Any] = np.maximum,
) -> Any:  # fmt: skip
    """RMSprop (Hinton 2012), centred (Graves 2013) with a mean of the gradients.

    v = α·v + (1 − α)·d²;  a = lerp(a, d, 1 − α);  q = d / (√(v, or v − a²) + eps);
    p ← p − lr·(q, or b = momentum·b + q). The variance v − a² is no less than 0: rounding may take
    it there, and torch's root is NaN then.
    """
    d = _direction(p, g, weight_decay, maximize)
    top = square_avg = alpha * square_avg + (1 - alpha) * (d * d)
    states = [square_avg]
    if grad_avg is not None:
        grad_avg = lerp(grad_avg, d, 1 - alpha)
        top = maximum(square_avg - grad_avg * grad_avg, 0)
        states.append(grad_avg)
    q = d / (np.sqrt(top) + eps)
    if momentum_buffer is not None:
        q = momentum * momentum_buffer + q
        states.append(q)
    return p - lr * q, *states


def adagrad_rate(step: float, lr: float, lr_decay: float) -> float:
    """Lr / (1 + (step − 1)·lr_decay)."""
    return lr / (1 + (step - 1) * lr_decay)


def adagrad_step(
    p: Any, g: Any, sum: Any, *,
    step: float, lr: float, lr_decay: float, weight_decay: float, eps: float, maximize: bool,
) -> Any:  # fmt: skip
    """Adagrad (Duchi et al. 2011): s = s + d²;  p ← p − rate·d / (√s + eps), see adagrad_rate."""
    d = _direction(p, g, weight_decay, maximize)
    sum = sum + d * d
    return p - adagrad_rate(step, lr, lr_decay) * (d / (np.sqrt(sum) + eps)), sum


def lion_step(
    p: Any, g: Any, exp_avg: Any, *,
    lr: float, beta1: float, beta2: float, weight_decay: float, maximize: bool,
    sign: Callable[..., Any] = np.sign,
) -> Any:  # fmt: skip
    """Lion (Chen et al. 2023): p ← p·(1 − lr·decay) − lr·sign(lerp(m, d, 1 − β₁));
    m = lerp(m, d, 1 − β₂). A NaN has no sign and stays one."""
    d = -g if maximize else g
    if weight_decay != 0:
        p = p * (1 - lr * weight_decay)
    p = p - lr * sign(lerp(exp_avg, d, 1 - beta1))
    return p, lerp(exp_avg, d, 1 - beta2)


def ema_step(average: Any, p: Any, *, decay: float) -> Any:
    """An exponential moving average of a parameter: lerp(average, p, 1 − decay)."""
    return lerp(average, p, 1 - decay)


def total_norm(*tensors: Any, norm_type: float) -> Any:
    """(Σ |x|^p)^(1/p) over all elements of all arrays; the largest |x| for p = ∞."""
    sizes = np.concatenate([np.abs(t).reshape(-1) for t in tensors])
    if norm_type == float("inf"):
        return np.max(sizes, initial=0)
    if norm_type == 1:
        return np.sum(sizes)
    if norm_type == 2:
        return np.sqrt(np.sum(sizes * sizes))
    return np.sum(sizes**norm_type) ** sizes.dtype.type(1 / norm_type)
