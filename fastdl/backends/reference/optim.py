"""One step of an optimiser, on one parameter."""

from __future__ import annotations

from typing import Any


def sgd_step(
    p: Any,
    g: Any,
    buf: Any,
    *,
    lr: float,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
    maximize: bool,
) -> Any:
    """Stochastic gradient descent with momentum (Sutskever et al. 2013), in torch's form.

    d = ±g + weight_decay·p;  b = momentum·b + (1 − dampening)·d, or d at the first step;
    p ← p − lr·(b, or d + momentum·b for Nesterov). Returns p and b, or p alone without momentum.
    """
    d = -g if maximize else g
    if weight_decay != 0:
        d = d + weight_decay * p
    if momentum == 0:
        return p - lr * d
    buf = d if buf is None else momentum * buf + (1 - dampening) * d
    return p - lr * (d + momentum * buf if nesterov else buf), buf
