"""Operations that write to a Tensor's own storage, and what they do to its history."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import autograd, dispatch
from .backends.reference.shape import assign
from .core.dtypes import NAMES, can_cast, is_float, name_of
from .core.errors import ArgumentError, AutogradError, DTypeError, ShapeError, UnsupportedError
from .ops.shape import canonical_index
from .spec import OPS

if TYPE_CHECKING:
    from .tensor import Tensor


def run(
    target: Tensor,
    name: str,
    others: tuple[Any, ...],
    options: dict[str, Any] | None = None,
    write: Callable[[np.ndarray, Any], None] | None = None,
) -> Tensor:
    """Runs op `name` on (target, *others) into the target's storage and rebases its history.

    Nothing is copied, so backward raises where the op's vjp reads what was overwritten.
    """
    spec, options = OPS[name], options or {}
    tracked = _is_tracked(target, name, others)
    values = tuple(o._array if hasattr(o, "_array") else o for o in others)
    plan = dispatch.make_plan(spec, (target._array, *values), options)
    _check_result(name, plan.outputs[0].shape, plan.outputs[0].dtype, target)
    node = None
    if tracked:
        before = _same_place(target, target._array)
        before._counter = target._counter
        node = autograd.Node(spec, (before, *others), plan.options)
        node.save_inputs((before, *others))
    if write is not None:
        write(target._array, values[0])
    else:
        dispatch.write_in_place(spec, plan, target._array)
    target._counter.value += 1
    if node is not None:
        node.save_outputs((target,))
        target._attach((node, 0))
    return target


def replace(
    target: Tensor, name: str, compute: Callable[..., Any], others: Sequence[Any], takes_out: bool
) -> Tensor:
    """Writes compute(target) to the target's storage; the target takes over its history.

    Any function will do. Where it is recorded it computes from a copy, so that its vjp finds what
    was overwritten; where not, and it takes `out=`, nothing is copied.
    """
    if _is_tracked(target, name, others):
        result = compute(_same_place(target, target._array.copy(order="K")))
        _check_result(name, result.shape, result.dtype, target)
        target._written()[...] = result._array
        target._attach(result._edge())
        return target
    with autograd.no_grad():
        if takes_out:
            compute(target.detach(), out=target._array)
        else:
            result = compute(target.detach())
            _check_result(name, result.shape, result.dtype, target)
            target._array[...] = result._array
    target._counter.value += 1
    return target


def set_item(target: Tensor, index: Any, value: Any) -> None:
    """target[index] = value, broadcast and cast."""
    index = canonical_index("setitem", plain_index(index), target.shape)
    if not hasattr(value, "_array"):
        value = _assignable(value, target.dtype)
    elif value.dtype != target.dtype:
        value = value.to(target.dtype)

    def write(array: np.ndarray, new: Any) -> None:
        assign(array, new, index=index)

    run(target, "setitem", (value,), {"index": index}, write)


def plain_index(index: Any) -> Any:
    """An index whose Tensors have become arrays.

    Arrays are copied: backward reads them, and nobody may have changed them by then.
    """
    if hasattr(index, "_array"):
        return index._array.copy()
    if isinstance(index, np.ndarray):
        return index.copy()
    if isinstance(index, tuple):
        return tuple(plain_index(i) for i in index)
    return index


def _is_tracked(target: Tensor, name: str, others: Sequence[Any]) -> bool:
    """Is the call recorded? Raises where a tensor cannot be written in place."""
    recording = autograd.is_grad_enabled()
    target._check_fresh(f"{name} in place")
    if recording and target._requires_grad and target._grad_fn is None:
        raise AutogradError(
            f"{name} in place: the tensor is a leaf that requires grad; use no_grad() or an"
            " operation that makes a new tensor"
        )
    tracked = recording and (
        target._requires_grad or any(getattr(o, "_requires_grad", False) for o in others)
    )
    if tracked and target._base is not None:
        raise UnsupportedError(
            f"{name} in place on a view of a tensor that requires grad; change that tensor"
        )
    if tracked and not is_float(target.dtype):
        raise AutogradError(f"{name} in place: an integer tensor cannot require grad")
    if not target._array.flags.writeable:
        raise ArgumentError(f"{name} in place: the tensor's storage is read-only")
    return tracked


def _check_result(name: str, shape: tuple[int, ...], dtype: np.dtype, target: Tensor) -> None:
    if shape != target.shape:
        raise ShapeError(
            f"{name} in place: the result has shape {shape}, the tensor {target.shape}"
        )
    if not can_cast(dtype, target.dtype):
        raise DTypeError(
            f"{name} in place: the result has dtype {dtype}, the tensor {target.dtype}"
        )


def _same_place(target: Tensor, array: np.ndarray) -> Tensor:
    """A Tensor of another storage that hangs on the tape where the target does now."""
    twin = target._wrap(array)
    twin._grad_fn, twin._requires_grad = target._grad_fn, target._requires_grad
    return twin


def _assignable(value: Any, dtype: np.dtype) -> np.ndarray:
    """A number, an array or nested lists of numbers as an array of a Tensor's dtype."""
    try:
        if isinstance(value, (bool, int, float)):
            return np.asarray(value, dtype)
        array = np.asarray(value)
    except (OverflowError, ValueError) as error:  # out of range, or lists of different lengths
        raise ArgumentError(f"setitem: value: got {value!r} for {dtype}: {error}") from None
    if name_of(array.dtype) not in NAMES:
        raise DTypeError(
            f"setitem: value: got {type(value).__name__} of dtype {array.dtype}, want numbers of"
            f" one of {', '.join(NAMES)}"
        )
    return array.astype(dtype)
