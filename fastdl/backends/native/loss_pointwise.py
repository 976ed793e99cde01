"""Losses of two arrays, element by element: csrc/ and kernels/cpu/loss_pointwise.

One native entry serves all of them; a loop attaches it to each op under its name.
"""

from __future__ import annotations

from typing import Any

from ... import _native
from ...backends.reference.loss_pointwise import LOSSES
from ...spec import kernel
from .reduce import sum_depth
from .softmax import class_depth

CHUNK = 1 << 14  # elements of a partial sum
_DEFAULTS = {"beta": 1.0, "delta": 1.0, "margin": 1.0}
_OPTIONS = {"smooth_l1_loss": "beta", "huber_loss": "delta", "hinge_embedding_loss": "margin"}


def _depth(terms: int) -> int:
    """Of a partial sum, and of the sum of those."""
    return class_depth(min(terms, CHUNK)) + sum_depth(-(-terms // CHUNK))


def _parameter(name: str, options: dict[str, Any]) -> tuple[str, float] | None:
    """The native name of a loss and its parameter; None if the options are not plainly right."""
    if name == "kl_div":
        log_target = options.pop("log_target", False)
        if options or type(log_target) is not bool:
            return None
        return ("kl_div, log_target" if log_target else name), 0.0
    option = _OPTIONS.get(name)
    value = options.pop(option, _DEFAULTS.get(option, 0.0)) if option else 0.0
    if options or type(value) not in (int, float):
        return None
    if option in ("beta", "delta") and not value > 0:
        return None
    return name, float(value)


def _attach(name: str) -> None:
    arrays = 3 if name != "binary_cross_entropy_with_logits" else 4

    def arguments(given: tuple[Any, ...], options: dict[str, Any]) -> Any:
        found = _parameter(name, options)
        if found is None or not 2 <= len(given) <= arrays:
            return None
        x, target, weight, positive = (*given, None, None)[:4]
        kind, parameter = found
        if positive is not None:
            kind += ", pos_weight"
        return kind, (x, target, weight, positive), parameter

    @kernel(name, backend="native", depth=_depth, out=True, direct=True, name=name)
    def loss(*given: Any, reduction: Any = "mean", out: Any = None, **options: Any) -> Any:
        call = arguments(given, options)
        if call is None:
            return NotImplemented
        kind, operands, parameter = call
        return _native.pointwise_loss(kind, *operands, reduction, parameter, out)

    @kernel(f"{name}_backward", backend="native", depth=_depth, out=True, direct=True,
            name=f"{name}_backward")  # fmt: skip
    def backward(
        g: Any, *given: Any, reduction: Any = "mean", out: Any = None, **options: Any
    ) -> Any:
        call = arguments(given, options)
        if call is None:
            return NotImplemented
        kind, operands, parameter = call
        return _native.pointwise_loss_backward(kind, g, *operands, reduction, parameter, out)


for _name in LOSSES:
    if "," not in _name:
        _attach(_name)
