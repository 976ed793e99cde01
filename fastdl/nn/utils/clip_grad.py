"""Gradients kept within bounds: all of them in one native call to measure, one to change."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from ... import _native
from ...core.config import forced_backend
from ...core.errors import DTypeError, NonFiniteError
from ...ops.optim_adaptive import total_norm
from ...tensor import Tensor

__all__ = ["clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "get_total_norm"]


def _listed(name: str, tensors: Any) -> list[Tensor]:
    found = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    for i, t in enumerate(found):
        if not isinstance(t, Tensor):
            raise DTypeError(f"{name}: parameters[{i}]: got {type(t).__name__}, want a Tensor")
    return found


def _gradients(name: str, parameters: Any) -> list[Tensor]:
    return [p.grad for p in _listed(name, parameters) if p.grad is not None]


def _change(gradients: list[Tensor], first: float, second: float, clamps: bool) -> None:
    """g ← g·first, or g between first and second, for all of them in place."""
    arrays = [g._written() for g in gradients]
    if (
        forced_backend.get() in (None, "native")
        and _native.change_all(arrays, first, second, clamps) is not NotImplemented
    ):
        return
    for array in arrays:  # float16 and bfloat16
        array[...] = np.clip(array, first, second) if clamps else array * array.dtype.type(first)


def _norm(arrays: list[np.ndarray], norm_type: float) -> np.ndarray:
    """The op, or (many small arrays) its kernel without a look at each of them in Python."""
    if forced_backend.get() in (None, "native") and len({a.dtype for a in arrays}) == 1:
        found = _native.total_norm(arrays, norm_type)
        if found is not NotImplemented:
            return np.array(found, arrays[0].dtype)
    return np.asarray(total_norm(*arrays, norm_type=norm_type))


def get_total_norm(
    tensors: Tensor | Iterable[Tensor],
    norm_type: float | str = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The norm of all elements of all tensors, as of one vector: (Σ |x|^norm_type)^(1/norm_type).

    Args:
        tensors: Tensors of float dtypes, or one.
        norm_type: a number above 0; "inf" for the largest |x|.
        error_if_nonfinite: NonFiniteError (a RuntimeError) for a norm that is NaN or infinite.
        foreach: torch's choice among its implementations; there is one here.

    float32 is summed in float64. As torch.nn.utils.get_total_norm.
    """
    found = _listed("get_total_norm", tensors)
    if not found:
        return Tensor(np.zeros((), np.float32))
    norm = _norm([t._array for t in found], float(norm_type))
    if error_if_nonfinite and not np.isfinite(norm):
        raise NonFiniteError(
            f"get_total_norm: the norm of order {float(norm_type)} is {norm}, want a finite one;"
            " error_if_nonfinite=False scales by it anyway"
        )
    return Tensor._wrap(norm)


def clip_grads_with_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    total_norm: Tensor,
    foreach: bool | None = None,
) -> None:
    """Gradients times min(1, max_norm / (total_norm + 10⁻⁶)), in place.

    As torch.nn.utils.clip_grads_with_norm_.
    """
    gradients = _gradients("clip_grads_with_norm_", parameters)
    # In the dtype of the norm, as torch.
    norm = np.asarray(total_norm._array if isinstance(total_norm, Tensor) else total_norm)
    with np.errstate(all="ignore"):
        factor = float(norm.dtype.type(max_norm) / (norm + norm.dtype.type(1e-6)))
    if gradients and not factor >= 1:  # NaN scales too
        _change(gradients, factor, math.nan, False)


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float | str = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scales all gradients down, in place, so that their common norm is at most max_norm.

    Args:
        parameters: Tensors, those without a gradient aside, or one.
        max_norm: the largest norm let pass.
        norm_type, error_if_nonfinite, foreach: as for `get_total_norm`.

    Returns the norm before. As torch.nn.utils.clip_grad_norm_.
    """
    found = _listed("clip_grad_norm_", parameters)
    norm = get_total_norm(
        [p.grad for p in found if p.grad is not None], norm_type, error_if_nonfinite
    )
    clip_grads_with_norm_(found, max_norm, norm)
    return norm


def clip_grad_value_(
    parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None
) -> None:
    """Gradients limited to [−clip_value, clip_value], in place; NaN stays NaN.

    As torch.nn.utils.clip_grad_value_.
    """
    gradients = _gradients("clip_grad_value_", parameters)
    if gradients:
        _change(gradients, -float(clip_value), float(clip_value), True)
