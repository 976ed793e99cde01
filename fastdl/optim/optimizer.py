"""`Optimizer`: parameter groups with options, and their state."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ..autograd import enable_grad
from ..core.errors import ArgumentError, DTypeError, ShapeError
from ..creation import plain_array
from ..tensor import Tensor


class Optimizer:
    """Base class: `param_groups` (dicts of params and options), `state` by parameter.

    Args:
        params: Tensors, or dicts with "params" and options of their own.
        defaults: the options of groups that do not set them.

    A subclass implements `update(parameter, gradient, state, group)`.
    """

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor):
            raise DTypeError("Optimizer: params: got a Tensor, want an iterable of them")
        self.defaults = defaults
        self.state: dict[Tensor, dict[str, Any]] = {}
        self.param_groups: list[dict[str, Any]] = []
        given = list(params)
        if not given:
            raise ArgumentError("Optimizer: params: got an empty list")
        for group in given if isinstance(given[0], dict) else [{"params": given}]:
            self.add_param_group(group)

    def add_param_group(self, group: dict[str, Any]) -> None:
        """Adds a dict with "params" and the options that differ from the defaults."""
        params = group["params"]
        params = [params] if isinstance(params, Tensor) else list(params)
        known = {id(p) for g in self.param_groups for p in g["params"]}
        for p in params:
            if not isinstance(p, Tensor):
                raise DTypeError(f"Optimizer: params: got {type(p).__name__}, want Tensors")
            if not p.is_leaf:
                raise ArgumentError("Optimizer: params: got a tensor that is not a leaf")
            if id(p) in known:
                raise ArgumentError("Optimizer: params: a parameter is given twice")
            known.add(id(p))
        self.param_groups.append({**self.defaults, **group, "params": params})

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forgets the gradients (or sets them to zero)."""
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none or p.grad is None:
                    p.grad = None
                else:
                    p.grad = Tensor(np.zeros(p.shape, p.dtype))

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Updates every parameter that has a gradient; returns the closure's value, if any."""
        value = None
        if closure is not None:
            with enable_grad():
                value = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self.update(p, p.grad._array, self.state.setdefault(p, {}), group)
        return value

    def update(
        self, parameter: Tensor, gradient: np.ndarray, state: dict[str, Any], group: dict[str, Any]
    ) -> None:
        """Updates one parameter in place."""
        raise NotImplementedError(f"{type(self).__name__} has no update method")

    def state_dict(self) -> dict[str, Any]:
        """State and options, with parameters by number, as torch's."""
        numbers: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            for p in group["params"]:
                numbers[id(p)] = len(numbers)
            ids = [numbers[id(p)] for p in group["params"]]
            groups.append({**group, "params": ids})
        state = {numbers[id(p)]: dict(values) for p, values in self.state.items()}
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over what `state_dict` returned, here or in torch; ArgumentError if the groups do
        not match, ShapeError if a parameter's state does not."""
        groups = state_dict["param_groups"]
        sizes = [len(g["params"]) for g in groups]
        if sizes != [len(g["params"]) for g in self.param_groups]:
            raise ArgumentError(
                f"Optimizer.load_state_dict: groups of {sizes} parameters do not match"
            )
        params = [p for g in self.param_groups for p in g["params"]]
        for i, values in state_dict["state"].items():
            for name, value in values.items():
                shape = tuple(getattr(value, "shape", ()))
                if shape and shape != params[i].shape:
                    raise ShapeError(
                        f"Optimizer.load_state_dict: {name} of parameter {i} has shape {shape},"
                        f" want {params[i].shape}"
                    )
        for own, group in zip(self.param_groups, groups, strict=True):
            own.update({k: v for k, v in group.items() if k != "params"})
        self.state = {
            params[i]: {
                # a copy of every array, of torch's tensors too
                k: plain_array(f"Optimizer.load_state_dict: {k}", v).copy()
                if hasattr(v, "shape")
                else v
                for k, v in values.items()
            }
            for i, values in state_dict["state"].items()
        }
