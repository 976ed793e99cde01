"""Products of matrices."""

from __future__ import annotations

from typing import Any, Literal

from ..autograd import is_grad_enabled
from ..core.errors import ArgumentError
from ..ops import matmul as ops
from ..ops.matmul_fused import linear_activation
from ..spec import OPS
from ..tensor import Tensor
from ._face import method
from .matmul_packed import PackedWeight

__all__ = ["linear", "matmul"]


@method
def matmul(
    input: Any,
    other: Any,
    *,
    out: Any = None,
    invariant: Literal["batch"] | None = None,
    algorithm: Literal["strassen"] | None = None,
) -> Any:
    """Matrix product y[..., M, N] = Σ_k input[..., M, k] other[..., k, N].

    Leading dimensions broadcast. A vector counts as one row (`input`) or one column (`other`),
    which is dropped from the result; two vectors give a 0-d array. `other` may be a PackedWeight.

    Args:
        input: [..., M, K] or [K].
        other: [..., K, N] or [K].
        out: where to write the result.
        invariant: with "batch", a row of the result has the same bits whatever else is computed
            with it: any M, any place, any leading dimensions, any strides. (On one machine: another
            instruction set has other bits. Rows with NaN agree but for the NaN's payload.)
            M of 1 to 32 rows times 4096 x 4096 or 768 x 768 took 0 to 4% longer (float32, AVX-512,
            one thread); if `other` is a transposed view, as long as in `linear`.
        algorithm: "strassen" takes 7 products of halves instead of 8, from size 2 up. It pays from
            about 1024 in all three sizes: 1.05 to 1.1 times as fast there, 1.13 times at 4096. The
            error is bounded for quarters of the matrices instead of for each element
            (`fastdl/ops/matmul_strassen.py`): small elements beside large ones lose digits. A
            result with NaN or infinities is made anew, plainly. Workspace: a quarter of `input` and
            one of `other`. Not with invariant="batch". float32 and float64 on the native backend.

    Raises ShapeError for 0-d arguments, inner sizes that differ or leading ones that do not
    broadcast, DTypeError for different dtypes, ArgumentError for an unknown option. As
    torch.matmul, which has no `invariant` and no `algorithm`.
    """
    if type(other) is PackedWeight:
        if invariant is not None or algorithm is not None:
            raise ArgumentError("matmul: a packed weight takes no invariant or algorithm")
        return other.run("matmul", "matmul", (input,), out=out)
    if invariant is None and algorithm is None:
        return ops.matmul(input, other, out=out)
    return ops.matmul(input, other, out=out, invariant=invariant, algorithm=algorithm)


def linear(
    input: Any,
    weight: Any,
    bias: Any = None,
    *,
    activation: str | None = None,
    residual: Any = None,
    alpha: float = 1.0,
    out: Any = None,
    invariant: Literal["batch"] | None = None,
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
        out: where to write the result.
        invariant: with "batch" y[i, ...] has the same bits whatever else is in the batch, as in
            `matmul`, of a plain product with a plain weight. For M = 1, 2, 4, 8 rows that took 1.8,
            1.0, 0.9 and 0.9 times as long with a weight of 4096 x 4096, 1.9, 2.0, 2.2 and 1.4 times
            with one of 768 x 768, and no longer from M = 16 on (float32, AVX-512, one thread).

    Raises ShapeError if sizes do not fit, DTypeError for different dtypes, ArgumentError for an
    unknown option or one that cannot be kept. As torch.nn.functional.linear, which ends with bias.
    """
    if invariant is not None:
        if activation is not None or residual is not None or alpha != 1:
            raise ArgumentError("linear: invariant has no activation, residual or alpha beside it")
        if type(weight) is PackedWeight:
            raise ArgumentError("linear: a packed weight takes no invariant")
        if bias is None and getattr(weight, "ndim", 2) == 1:
            return ops.matmul(input, weight, out=out, invariant=invariant)
        return ops.linear(input, weight, bias, out=out, invariant=invariant)
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
