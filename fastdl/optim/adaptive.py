"""Adam, AdamW, RMSprop, Adagrad and Lion: optimisers that keep running means of gradients."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from .. import _native
from ..ops.optim_adaptive import adagrad_step, adam_step, lion_step, rmsprop_step
from ..tensor import Tensor
from .optimizer import (
    Optimizer,
    check_betas,
    check_numbers,
    check_torch_only,
    no_steps,
    row_of,
    step_all,
    zeros_like,
)


def _numbers(group: dict[str, Any], *names: str) -> dict[str, Any]:
    """A group's numbers as Python floats, and which way to go."""
    return {**{n: float(group[n]) for n in names}, "maximize": bool(group["maximize"])}


def _betas(group: dict[str, Any]) -> dict[str, float]:
    first, second = group["betas"]
    return {"beta1": float(first), "beta2": float(second)}


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015), by torch.optim.Adam's formula: 28 bytes a float32 parameter.

    Args:
        params: Tensors, or dicts of them with options of their own.
        lr: the step size.
        betas: factors of the running means of the gradient and of its square.
        eps: added to the root of the second.
        weight_decay: L2 penalty added to the gradient.
        amsgrad: divide by the largest second mean so far (Reddi et al. 2018).
        maximize: go up instead of down.
        decoupled_weight_decay: shrink the weights beside the step instead, as AdamW.
        foreach, fused: torch's choices among its implementations; there is one here.

    Raises ArgumentError for options out of range.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        name = type(self).__name__
        check_numbers(name, lr=lr, eps=eps, weight_decay=weight_decay)
        check_betas(name, betas)
        check_torch_only(name, capturable=capturable, differentiable=differentiable)
        options = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, options)

    def update(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        """p ← p − lr·mean / (√mean of squares + eps), both means corrected for their start."""
        amsgrad = bool(group["amsgrad"])
        rows, outs = [], []
        for p in parameters:
            state = self.state[p]
            if not state:
                state["step"] = no_steps()
                state["exp_avg"], state["exp_avg_sq"] = zeros_like(p), zeros_like(p)
            if amsgrad and "max_exp_avg_sq" not in state:
                state["max_exp_avg_sq"] = zeros_like(p)
            largest = state["max_exp_avg_sq"] if amsgrad else None
            states = (state["exp_avg"], state["exp_avg_sq"], largest)
            row, out = row_of(p, states, state["step"])
            rows.append(row)
            outs.append(out)
        options = _numbers(group, "lr", "eps", "weight_decay") | _betas(group)
        options["decoupled_weight_decay"] = bool(group["decoupled_weight_decay"])
        step_all(adam_step, _native.adam_step, rows, outs, options, amsgrad=amsgrad)


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019), as torch.optim.AdamW.

    The arguments are Adam's, with weight_decay 0.01.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params, lr, betas, eps, weight_decay, amsgrad, foreach=foreach, maximize=maximize,
            capturable=capturable, differentiable=differentiable, fused=fused,
            decoupled_weight_decay=True,
        )  # fmt: skip


class RMSprop(Optimizer):
    """RMSprop (Hinton 2012), by torch.optim.RMSprop's formula.

    Args:
        params: Tensors, or dicts of them with options of their own.
        lr: the step size.
        alpha: factor of the running mean of squares.
        eps: added to its root.
        weight_decay: L2 penalty added to the gradient.
        momentum: factor of a running sum of steps.
        centered: divide by the deviation (Graves 2013), √(mean of squares − square of the mean).
        maximize: go up instead of down.
        foreach: torch's choice among its implementations; there is one here.

    Raises ArgumentError for negative options.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        numbers = {"lr": lr, "alpha": alpha, "eps": eps, "weight_decay": weight_decay}
        check_numbers("RMSprop", **numbers, momentum=momentum)
        check_torch_only("RMSprop", capturable=capturable, differentiable=differentiable)
        options = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, options)

    def update(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        """p ← p − lr·gradient / (√mean of squares + eps), with momentum the running sum of it."""
        centered, momentum = bool(group["centered"]), group["momentum"] != 0
        rows, outs = [], []
        for p in parameters:
            state = self.state[p]
            if not state:
                state["step"] = no_steps()
                state["square_avg"] = zeros_like(p)
                if momentum:
                    state["momentum_buffer"] = zeros_like(p)
                if centered:
                    state["grad_avg"] = zeros_like(p)
            states = (
                state["square_avg"],
                state["grad_avg"] if centered else None,
                state["momentum_buffer"] if momentum else None,
            )
            row, out = row_of(p, states, state["step"])
            rows.append(row)
            outs.append(out)
        options = _numbers(group, "lr", "alpha", "eps", "weight_decay", "momentum")
        step_all(rmsprop_step, _native.rmsprop_step, rows, outs, options, centered=centered)


class Adagrad(Optimizer):
    """Adagrad (Duchi et al. 2011), by torch.optim.Adagrad's formula.

    Args:
        params: Tensors, or dicts of them with options of their own.
        lr: the step size.
        lr_decay: step t is lr / (1 + (t − 1)·lr_decay).
        weight_decay: L2 penalty added to the gradient.
        initial_accumulator_value: where the sums of squares begin.
        eps: added to the root of the sum.
        maximize: go up instead of down.
        foreach, fused: torch's choices among its implementations; there is one here.

    Raises ArgumentError for negative options.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_numbers(
            "Adagrad", lr=lr, lr_decay=lr_decay, weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value, eps=eps,
        )  # fmt: skip
        check_torch_only("Adagrad", differentiable=differentiable)
        options = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, options)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds a group, and the sums of squares of its parameters: torch makes them here."""
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        for p in group["params"]:
            initial = np.full_like(p._array, group["initial_accumulator_value"])
            self.state[p] = {"step": no_steps(), "sum": Tensor._wrap(initial)}

    def update(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        """p ← p − lr·gradient / (√sum of squares + eps)."""
        rows, outs = [], []
        for p in parameters:
            state = self.state[p]
            row, out = row_of(p, (state["sum"],), state["step"])
            rows.append(row)
            outs.append(out)
        options = _numbers(group, "lr", "lr_decay", "weight_decay", "eps")
        step_all(adagrad_step, _native.adagrad_step, rows, outs, options)


class Lion(Optimizer):
    """Lion (Chen et al. 2023): the sign of a running mean of gradients; torch has none.

    Args:
        params: Tensors, or dicts of them with options of their own.
        lr: the step size of every weight, some tenth of Adam's.
        betas: factors of the mean that gives the sign, and of the mean that is kept.
        weight_decay: the weights shrink by lr·weight_decay beside the step.
        maximize: go up instead of down.

    Raises ArgumentError for options out of range.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        check_numbers("Lion", lr=lr, weight_decay=weight_decay)
        check_betas("Lion", betas)
        options = {"lr": lr, "betas": betas, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, options)

    def update(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        """p ← p·(1 − lr·decay) − lr·sign(mean)."""
        rows, outs = [], []
        for p in parameters:
            state = self.state[p]
            if not state:
                state["exp_avg"] = zeros_like(p)
            row, out = row_of(p, (state["exp_avg"],), None)
            rows.append(row)
            outs.append(out)
        options = _numbers(group, "lr", "weight_decay") | _betas(group)
        step_all(lion_step, _native.lion_step, rows, outs, options)
