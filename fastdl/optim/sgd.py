"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..core.errors import ArgumentError
from ..ops.optim import sgd_step
from ..tensor import Tensor
from .optimizer import Optimizer


class SGD(Optimizer):
    """SGD with momentum, dampening, weight decay and Nesterov's step, by torch.optim.SGD's formula.

    Args:
        params: Tensors, or dicts of them with options of their own.
        lr: the step size.
        momentum: factor of the running gradient sum (Sutskever et al. 2013).
        dampening: 1 − factor with which a gradient enters that sum.
        weight_decay: L2 penalty added to the gradient.
        nesterov: look ahead along the running sum; needs momentum and no dampening.
        maximize: go up instead of down.

    Raises ArgumentError for negative options.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        for name, value in (("lr", lr), ("momentum", momentum), ("weight_decay", weight_decay)):
            if value < 0:
                raise ArgumentError(f"SGD: {name}: got {value}, want a number >= 0")
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ArgumentError("SGD: nesterov needs momentum > 0 and dampening = 0")
        options = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
        }
        super().__init__(params, options)

    def update(
        self, parameter: Tensor, gradient: np.ndarray, state: dict[str, Any], group: dict[str, Any]
    ) -> None:
        """p ← p − lr·(running sum of gradients), in one pass over memory."""
        p = parameter._written()
        buffer = state.get("momentum_buffer")
        options = {name: group[name] for name in self.defaults}
        if not group["momentum"]:
            sgd_step(p, gradient, **options, out=p)
            return
        out = buffer if buffer is not None else np.empty_like(p)
        sgd_step(p, gradient, buffer, **options, out=(p, out))
        state["momentum_buffer"] = out
