"""Optimiser steps, and all gradients together: csrc/optim.cpp, kernels/cpu/optim.inc.

The native functions take any number of parameters at once, as rows (p, g, three states, step) and,
for each, a row (p, three states) of where to write; the ops are the case of one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import _native
from ...spec import kernel

STATES = 3


def padded(arrays: Any, count: int) -> tuple[Any, ...]:
    """The arrays with None for those missing at the end."""
    return (*arrays, *(None,) * (count - len(arrays)))


def _one(
    step_of: Any, p: Any, g: Any, states: Any, kept: tuple[bool, ...], out: Any,
    options: tuple[Any, ...], step: Any = None,
) -> Any:  # fmt: skip
    """One parameter: the new p and the states kept, or p alone where there are none."""
    outs = [None] * (1 + STATES)
    if out is not None:
        given = list(out) if isinstance(out, tuple) else [out]
        if len(given) != 1 + sum(kept):
            return NotImplemented
        outs[0] = given.pop(0)
        for k, keeps in enumerate(kept):
            outs[1 + k] = given.pop(0) if keeps else None
    found = step_of([(p, g, *padded(states, STATES), step)], [tuple(outs)], *options)
    if found is NotImplemented:
        return NotImplemented
    results = tuple(r for r in found[0] if r is not None)
    return results if len(results) > 1 else results[0]


@kernel("sgd_step", backend="native", out=True, direct=True)
def sgd_step(
    p: Any, g: Any = None, buf: Any = None, *more: Any,
    lr: Any = 1e-3, momentum: Any = 0.0, dampening: Any = 0.0, weight_decay: Any = 0.0,
    nesterov: Any = False, maximize: Any = False, out: Any = None, **unknown: Any,
) -> Any:  # fmt: skip
    """The new p and buffer, or p alone without momentum; `out` may be exactly the inputs."""
    if more or unknown:
        return NotImplemented
    options = (lr, momentum, dampening, weight_decay, nesterov, maximize)
    return _one(_native.sgd_step, p, g, (buf,), (momentum != 0,), out, options)


@kernel("adam_step", backend="native", out=True, direct=True)
def adam_step(
    p: Any, g: Any = None, exp_avg: Any = None, exp_avg_sq: Any = None, max_exp_avg_sq: Any = None,
    *more: Any, step: Any = 1, lr: Any = 1e-3, beta1: Any = 0.9, beta2: Any = 0.999,
    eps: Any = 1e-8, weight_decay: Any = 0.0, maximize: Any = False,
    decoupled_weight_decay: Any = False, out: Any = None, **unknown: Any,
) -> Any:  # fmt: skip
    """The new p and two means, and the largest of the second if that is kept."""
    if more or unknown or type(step) not in (int, float):
        return NotImplemented
    amsgrad = max_exp_avg_sq is not None
    options = (lr, beta1, beta2, eps, weight_decay, amsgrad, maximize, decoupled_weight_decay)
    states, kept = (exp_avg, exp_avg_sq, max_exp_avg_sq), (True, True, amsgrad)
    return _one(_native.adam_step, p, g, states, kept, out, options, step)


@kernel("rmsprop_step", backend="native", out=True, direct=True)
def rmsprop_step(
    p: Any, g: Any = None, square_avg: Any = None, grad_avg: Any = None,
    momentum_buffer: Any = None, *more: Any, lr: Any = 1e-2, alpha: Any = 0.99, eps: Any = 1e-8,
    weight_decay: Any = 0.0, momentum: Any = 0.0, maximize: Any = False, out: Any = None,
    **unknown: Any,
) -> Any:  # fmt: skip
    """The new p and mean of squares, with those of the other two states that are kept."""
    if more or unknown:
        return NotImplemented
    centered = grad_avg is not None
    options = (lr, alpha, eps, weight_decay, momentum, centered, maximize)
    states, kept = (square_avg, grad_avg, momentum_buffer), (True, centered, momentum != 0)
    return _one(_native.rmsprop_step, p, g, states, kept, out, options)


@kernel("adagrad_step", backend="native", out=True, direct=True)
def adagrad_step(
    p: Any, g: Any = None, sum: Any = None, *more: Any, step: Any = 1, lr: Any = 1e-2,
    lr_decay: Any = 0.0, weight_decay: Any = 0.0, eps: Any = 1e-10, maximize: Any = False,
    out: Any = None, **unknown: Any,
) -> Any:  # fmt: skip
    """The new p and sum of squares."""
    if more or unknown or type(step) not in (int, float):
        return NotImplemented
    options = (lr, lr_decay, weight_decay, eps, maximize)
    return _one(_native.adagrad_step, p, g, (sum,), (True,), out, options, step)


@kernel("lion_step", backend="native", out=True, direct=True)
def lion_step(
    p: Any, g: Any = None, exp_avg: Any = None, *more: Any, lr: Any = 1e-4, beta1: Any = 0.9,
    beta2: Any = 0.99, weight_decay: Any = 0.0, maximize: Any = False, out: Any = None,
    **unknown: Any,
) -> Any:  # fmt: skip
    """The new p and mean."""
    if more or unknown:
        return NotImplemented
    options = (lr, beta1, beta2, weight_decay, maximize)
    return _one(_native.lion_step, p, g, (exp_avg,), (True,), out, options)


@kernel("ema_step", backend="native", out=True, direct=True)
def ema_step(
    average: Any, p: Any = None, *more: Any, decay: Any = 0.999, out: Any = None, **unknown: Any
) -> Any:
    """The new average."""
    if more or unknown:
        return NotImplemented
    return _one(_native.ema_step, average, p, (), (), out, (decay,))


def _norm_declines(*tensors: np.ndarray, norm_type: float) -> str | None:
    return None if norm_type in (1, 2, float("inf")) else "norm_type is not 1, 2 or inf"


def norm_depth(terms: int) -> int:
    """Sixteen lanes of doubles over 2^15 elements at a time, then stretch after stretch.

    Arrays of a few elements are stretches of their own, of which there is at least one element.
    """
    return min(max(terms - 1, 0), 2**11 + 4 + terms)


@kernel("total_norm", backend="native", depth=norm_depth, declines=_norm_declines)
def total_norm(*tensors: np.ndarray, norm_type: float) -> Any:
    """Summed in float64."""
    found = _native.total_norm(list(tensors), norm_type)
    return found if found is NotImplemented else np.array(found, tensors[0].dtype)
