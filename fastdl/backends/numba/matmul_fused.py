"""Products with what becomes of their sums: the plain product, then a pass for each part."""

from __future__ import annotations

import numpy as np

from ...spec import KERNELS, kernel
from .matmul import linear, matmul


@kernel("linear_activation", backend="numba")
def linear_activation(
    x: np.ndarray,
    w: np.ndarray,
    bias: np.ndarray | None,
    residual: np.ndarray | None,
    *,
    activation: str | None,
    alpha: float,
) -> np.ndarray:
    """activation(alpha · x @ w^T + bias + residual)."""
    y = linear(x, w, bias if alpha == 1 else None)
    with np.errstate(all="ignore"):
        if alpha != 1:
            y *= y.dtype.type(alpha)
            if bias is not None:
                y += bias
        if residual is not None:
            y += residual
    return y if activation is None else KERNELS[activation]["numba"][0].fn(y, out=y)


@kernel("addmm", backend="numba")
@kernel("baddbmm", backend="numba")
def addmm(
    input: np.ndarray, a: np.ndarray, b: np.ndarray, *, beta: float, alpha: float
) -> np.ndarray:
    """beta · input + alpha · a @ b."""
    y = matmul(a, b)
    with np.errstate(all="ignore"):
        if alpha != 1:
            y *= y.dtype.type(alpha)
        if beta:
            y += input if beta == 1 else input * y.dtype.type(beta)
    return y
