"""`Optimizer`: parameter groups with options, their state, and one native call for a group."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from ..autograd import enable_grad, no_grad
from ..core.config import forced_backend
from ..core.dtypes import is_float
from ..core.errors import ArgumentError, DTypeError, ShapeError, UnsupportedError
from ..creation import plain_array
from ..spec import OpSpec
from ..tensor import Tensor

STATES = 3  # the native rows have places for so many


class Optimizer:
    """Base class: `param_groups` (dicts of params and options), `state` by parameter.

    Args:
        params: Tensors, or dicts with "params" and options of their own.
        defaults: the options of groups that do not set them.

    A subclass implements `update(parameters, group)`.
    """

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor):
            raise DTypeError("Optimizer: params: got a Tensor, want an iterable of them")
        self.defaults = defaults
        self.state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        given = list(params)
        if not given:
            raise ArgumentError("Optimizer: params: got an empty list")
        for group in given if isinstance(given[0], dict) else [{"params": given}]:
            self.add_param_group(group)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds a dict with "params" and the options that differ from the defaults."""
        if not isinstance(param_group, dict):
            raise DTypeError(f"Optimizer: param_group: got {type(param_group).__name__}, want dict")
        params = param_group["params"]
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
        self.param_groups.append({**self.defaults, **param_group, "params": params})

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forgets the gradients (or sets them to zero)."""
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none or p.grad is None:
                    p.grad = None
                else:
                    p.grad = Tensor._wrap(np.zeros_like(p.grad._array))

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Updates every parameter that has a gradient; returns the closure's value, if any."""
        value = None
        if closure is not None:
            with enable_grad():
                value = closure()
        with no_grad():
            for group in self.param_groups:
                parameters = [p for p in group["params"] if p.grad is not None]
                if parameters:
                    self.update(parameters, group)
        return value

    def update(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        """Updates parameters of one group, all of which have gradients, in place."""
        raise NotImplementedError(f"{type(self).__name__} has no update method")

    def state_dict(self) -> dict[str, Any]:
        """State and options, with parameters by number, as torch's."""
        numbers: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            for p in group["params"]:
                numbers[id(p)] = len(numbers)
            options = {name: value for name, value in group.items() if name != "params"}
            groups.append({**options, "params": [numbers[id(p)] for p in group["params"]]})
        state = {numbers[id(p)]: dict(values) for p, values in self.state.items()}
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over what `state_dict` returned, copied; torch's own (as arrays or Tensors) too.

        Raises ArgumentError if the groups do not match, ShapeError if a state does not.
        """
        groups = state_dict["param_groups"]
        sizes = [len(g["params"]) for g in groups]
        if sizes != [len(g["params"]) for g in self.param_groups]:
            raise ArgumentError(
                f"Optimizer.load_state_dict: groups of {sizes} parameters do not match"
            )
        own = (p for g in self.param_groups for p in g["params"])
        params = dict(zip((i for g in groups for i in g["params"]), own, strict=True))
        state = {
            params[int(i)]: {k: _state_like(params[int(i)], k, v) for k, v in values.items()}
            for i, values in state_dict["state"].items()
        }
        for mine, group in zip(self.param_groups, groups, strict=True):
            mine.update({k: v for k, v in group.items() if k != "params"})
        self.state = defaultdict(dict, state)

    def __repr__(self) -> str:
        lines = []
        for i, group in enumerate(self.param_groups):
            options = sorted(name for name in group if name != "params")
            lines += ["", f"Parameter Group {i}", *(f"    {n}: {group[n]}" for n in options)]
        return f"{type(self).__name__} (" + "\n".join(lines) + "\n)"


def _state_like(parameter: Tensor, name: str, value: Any) -> Any:
    """A loaded state: arrays as the parameter is laid out and typed, but for the count of steps."""
    if name == "step":
        return Tensor._wrap(np.array(float(value), np.float32))
    if not hasattr(value, "shape"):
        return value
    array = plain_array(f"Optimizer.load_state_dict: {name}", value)
    if array.shape != parameter.shape:
        raise ShapeError(
            f"Optimizer.load_state_dict: {name} has shape {array.shape}, want {parameter.shape}"
        )
    dtype = parameter.dtype if is_float(array.dtype) else array.dtype
    like = np.empty_like(parameter._array, dtype=dtype)
    like[...] = array
    return Tensor._wrap(like)


def zeros_like(parameter: Tensor) -> Tensor:
    """A state that begins at zero, laid out as the parameter is."""
    return Tensor._wrap(np.zeros_like(parameter._array))


def no_steps() -> Tensor:
    """A count of steps; float32 as in torch, exact up to 2^24."""
    return Tensor._wrap(np.zeros((), np.float32))


def check_numbers(name: str, **numbers: Any) -> None:
    """ArgumentError unless all of them are no less than 0."""
    for option, value in numbers.items():
        if not value >= 0:
            raise ArgumentError(f"{name}: {option}: got {value}, want a number >= 0")


def check_betas(name: str, betas: Any) -> None:
    """ArgumentError unless betas is a pair of numbers from 0 to less than 1."""
    if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
        raise ArgumentError(f"{name}: betas: got {betas}, want two numbers from 0 to less than 1")


def check_torch_only(name: str, **options: Any) -> None:
    """torch's choices among its own implementations: taken, kept in the state_dict, not looked at,
    but for those that would change the result."""
    for option in ("differentiable", "capturable"):
        if options.get(option):
            raise UnsupportedError(f"{name}: {option}: got True, want False")


def step_all(
    spec: OpSpec,
    native: Callable[..., Any],
    rows: list[tuple[Any, ...]],
    outs: list[tuple[Any, ...]],
    options: dict[str, Any],
    **flags: bool,
) -> None:
    """One step of every row: (p, g, three states, step), written to (p, three states).

    The native function takes all rows in one call; where it declines, or another backend is
    forced, the op runs row by row. `flags` are the native function's alone.
    """
    if (
        forced_backend.get() in (None, "native")
        and native(rows, outs, **options, **flags) is not NotImplemented
    ):
        return
    count = len(spec.signature.arrays)
    for row, out in zip(rows, outs, strict=True):
        given = dict(options)
        if row[-1] is not None:
            row[-1][...] += 1
            if "step" in spec.option_names:
                given["step"] = float(row[-1])
        kept = tuple(o for o in out if o is not None)
        spec(*row[:count], out=kept if len(kept) > 1 else kept[0], **given)


def row_of(
    parameter: Tensor, states: Sequence[Tensor | None], step: Tensor | None
) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """A row of `step_all` and where it is written: onto its own arrays."""
    assert parameter.grad is not None
    p = parameter._written()
    arrays = [None if s is None else s._array for s in states]
    arrays += [None] * (STATES - len(arrays))
    count = None if step is None else step._array
    return (p, parameter.grad._array, *arrays, count), (p, *arrays)
