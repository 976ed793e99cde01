"""Products of matrices."""

from __future__ import annotations

from typing import Any

from ..autograd import is_grad_enabled
from ..ops import matmul as ops
from ..ops.matmul_fused import linear_activation
from ..spec import OPS
from ..tensor import Tensor
from ._face import method
from .matmul_packed import PackedWeight

__all__ = ["linear", "matmul"]


@method
def matmul(input: Any, other: Any, *, out: Any = None) -> Any:
    """Matrix product y[..., M, N] = Σ_k input[..., M, k] other[..., k, N].

    Leading dimensions broadcast. A vector counts as one row (`input`) or one column (`other`),
    which is dropped from the result; two vectors give a 0-d array. `other` may be a PackedWeight.

    Raises ShapeError for 0-d arguments, inner sizes that differ or leading ones that do not
    broadcast, DTypeError for different dtypes. As torch.matmul.
    """
    if type(other) is PackedWeight:
        return other.run("matmul", "matmul", (input,), out=out)
    return ops.matmul(input, other, out=out)


def linear(
    input: Any,
    weight: Any,
    bias: Any = None,
    *,
    activation: str | None = None,
    residual: Any = None,
    alpha: float = 1.0,
    out: Any = None,
) -> Any:
    """y[..., N] = activation(alpha · Σ_k input[..., k] weight[N, k] + bias[N] + residual[..., N]).

    Args:
        input: [..., K].
        weight: [N, K], or a PackedWeight of it; [K] without anything else gives y[...].
        bias: [N].
        activation: None, "relu", "sigmoid", "tanh", "silu", "gelu" or "gelu_tanh", applied to the
            sums while they are in cache.
        residual: of the result's shape, added before the activation.
        alpha: scales the product.

    Raises ShapeError if sizes do not fit, DTypeError for different dtypes, ArgumentError for an
    unknown activation. As torch.nn.functional.linear, which ends with bias.
    """
    if activation is None and residual is None and alpha == 1:
        if type(weight) is PackedWeight:
            return weight.run("linear", "linear", (input,), (bias,), out=out)
        if bias is None and getattr(weight, "ndim", 2) == 1:
            return ops.matmul(input, weight, out=out)
        return ops.linear(input, weight, bias, out=out)
    others, options = (bias, residual), {"activation": activation, "alpha": alpha}
    # Backward of these reads the sums before them: stored on the way, not computed a second time.
    if activation in ("silu", "gelu", "gelu_tanh") and out is None and is_grad_enabled():
        arrays = (input, weight, *others)
        if any(isinstance(a, Tensor) and a.requires_grad for a in arrays):
            return OPS[activation](linear(input, weight, bias, residual=residual, alpha=alpha))
    if type(weight) is PackedWeight:
        return weight.run("linear", "linear_activation", (input,), others, out=out, **options)
    return linear_activation(input, weight, *others, out=out, **options)
