"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from .. import _native
from ..core.errors import ArgumentError
from ..ops.optim import sgd_step
from ..tensor import Tensor
from .optimizer import Optimizer, check_numbers, check_torch_only, row_of, step_all


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
        foreach, fused: torch's choices among its implementations; there is one here.

    Raises ArgumentError for negative options.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_numbers("SGD", lr=lr, momentum=momentum, weight_decay=weight_decay)
        check_torch_only("SGD", differentiable=differentiable)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ArgumentError("SGD: nesterov: want momentum > 0 and dampening = 0 with it")
        options = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, options)

    def update(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        """p ← p − lr·(running sum of gradients), in one pass over memory."""
        rows, outs = [], []
        for p in parameters:
            if not group["momentum"]:
                row, out = row_of(p, (), None)
            else:
                state = self.state[p]
                buffer = state.get("momentum_buffer")
                if buffer is None:  # the first step makes the buffer
                    made = state["momentum_buffer"] = Tensor._wrap(np.empty_like(p._array))
                    row, out = row_of(p, (), None)
                    out = (out[0], made._array, *out[2:])
                else:
                    row, out = row_of(p, (buffer,), None)
            rows.append(row)
            outs.append(out)
        numbers = ("lr", "momentum", "dampening", "weight_decay")
        options: dict[str, Any] = {name: float(group[name]) for name in numbers}
        options |= {name: bool(group[name]) for name in ("nesterov", "maximize")}
        step_all(sgd_step, _native.sgd_step, rows, outs, options)
