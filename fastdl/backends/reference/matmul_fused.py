"""Products with what becomes of their sums, in plain NumPy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .elementwise import relu, sigmoid, tanh
from .elementwise_activation import gelu, gelu_tanh, silu
from .matmul import linear

ACTIVATIONS: Mapping[str | None, Callable[[Any], Any]] = {
    None: lambda z: z,
    "relu": relu,
    "sigmoid": sigmoid,
    "tanh": tanh,
    "silu": silu,
    "gelu": gelu,
    "gelu_tanh": gelu_tanh,
}


def linear_activation(
    x: np.ndarray,
    w: np.ndarray,
    bias: np.ndarray | None = None,
    residual: np.ndarray | None = None,
    *,
    activation: str | None,
    alpha: float,
) -> np.ndarray:
    """y[..., n] = activation(alpha Σ_k x[..., k] w[n, k] + bias[n] + residual[..., n])."""
    z = linear(x, w) * alpha
    z = z if bias is None else z + bias
    z = z if residual is None else z + residual
    return np.asarray(ACTIVATIONS[activation](z))


def addmm(
    input: np.ndarray, a: np.ndarray, b: np.ndarray, *, beta: float, alpha: float
) -> np.ndarray:
    """y[n, m] = beta · input[n, m] + alpha Σ_k a[n, k] b[k, m]; of beta = 0 no input is read."""
    product = np.matmul(a, b) * alpha
    return np.asarray(product + input * beta if beta else product)


baddbmm = addmm
