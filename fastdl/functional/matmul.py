"""Products of matrices."""

from __future__ import annotations

from typing import Any

from ..ops import matmul as ops
from ._face import method

__all__ = ["linear", "matmul"]


@method
def matmul(input: Any, other: Any, *, out: Any = None) -> Any:
    """Matrix product y[..., M, N] = Σ_k input[..., M, k] other[..., k, N].

    Leading dimensions broadcast. A vector counts as one row (`input`) or one column (`other`),
    which is dropped from the result; two vectors give a 0-d array.

    Raises ShapeError for 0-d arguments, inner sizes that differ or leading ones that do not
    broadcast, DTypeError for different dtypes. As torch.matmul.
    """
    return ops.matmul(input, other, out=out)


def linear(input: Any, weight: Any, bias: Any = None, *, out: Any = None) -> Any:
    """y[..., N] = Σ_k input[..., k] weight[N, k] + bias[N].

    A weight [K] without a bias gives y[...]. Raises ShapeError if sizes do not fit, DTypeError for
    different dtypes. As torch.nn.functional.linear.
    """
    if bias is None and getattr(weight, "ndim", 2) == 1:
        return ops.matmul(input, weight, out=out)
    return ops.linear(input, weight, bias, out=out)
