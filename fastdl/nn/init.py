"""Initial values of parameters, filled in place (torch.nn.init's names and formulas)."""

from __future__ import annotations

import math

import numpy as np

from ..core.errors import ShapeError
from ..core.random import generator
from ..tensor import Tensor


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0) -> Tensor:
    """Uniform in [a, b)."""
    tensor._written()[...] = generator().uniform(a, b, tensor.shape).astype(tensor.dtype)
    return tensor


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Normal with the given mean and standard deviation."""
    tensor._written()[...] = generator().normal(mean, std, tensor.shape).astype(tensor.dtype)
    return tensor


def constant_(tensor: Tensor, val: float) -> Tensor:
    """One value everywhere."""
    tensor._written()[...] = val
    return tensor


def zeros_(tensor: Tensor) -> Tensor:
    """Zero everywhere."""
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """One everywhere."""
    return constant_(tensor, 1.0)


def fan_in(tensor: Tensor) -> int:
    """How many inputs feed one output of a weight (out, in, *kernel)."""
    if tensor.ndim < 2:
        raise ShapeError(f"fan_in: got shape {tensor.shape}, want at least 2 dimensions")
    return int(np.prod(tensor.shape[1:]))


def kaiming_uniform_(tensor: Tensor, a: float = 0.0) -> Tensor:
    """Uniform in ±√(6 / ((1 + a²)·fan_in)) (He et al. 2015, leaky-relu gain of slope a)."""
    bound = math.sqrt(6.0 / ((1 + a * a) * max(fan_in(tensor), 1)))
    return uniform_(tensor, -bound, bound)


def default_(weight: Tensor, bias: Tensor | None) -> None:
    """torch's default of Linear and convolutions: both uniform in ±1/√fan_in."""
    kaiming_uniform_(weight, a=math.sqrt(5))
    if bias is not None:
        bound = 1 / math.sqrt(fan_in(weight)) if fan_in(weight) else 0.0
        uniform_(bias, -bound, bound)
