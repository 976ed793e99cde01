"""Parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ...core.errors import DTypeError, ShapeError
from ...ops.shape import cat, reshape
from ...tensor import Tensor

__all__ = ["parameters_to_vector", "vector_to_parameters"]


def parameters_to_vector(parameters: Iterable[Tensor]) -> Any:
    """All parameters one after the other, in C order; gradients flow through.

    As torch.nn.utils.parameters_to_vector.
    """
    return cat(*(reshape(p, shape=(-1,)) for p in parameters), dim=0)


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Writes the parts of a vector to the parameters, in order.

    Raises ShapeError for a vector that is too short (torch: RuntimeError). As
    torch.nn.utils.vector_to_parameters, but the values are copied.
    """
    if not isinstance(vec, Tensor):
        raise DTypeError(f"vector_to_parameters: vec: got {type(vec).__name__}, want a Tensor")
    targets = list(parameters)
    needed = sum(p.numel() for p in targets)
    if vec.ndim != 1 or vec.numel() < needed:
        raise ShapeError(
            f"vector_to_parameters: vec has shape {vec.shape}, want a vector of {needed}"
        )
    start = 0
    for p in targets:
        stop = start + p.numel()
        np.copyto(p._written(), vec._array[start:stop].reshape(p.shape), casting="unsafe")
        start = stop
