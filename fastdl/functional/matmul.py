"""Products of matrices."""

from __future__ import annotations

from typing import Any, Literal

from ..ops import matmul as ops
from ._face import method

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
    which is dropped from the result; two vectors give a 0-d array.

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
    if invariant is None and algorithm is None:
        return ops.matmul(input, other, out=out)
    return ops.matmul(input, other, out=out, invariant=invariant, algorithm=algorithm)


def linear(
    input: Any,
    weight: Any,
    bias: Any = None,
    *,
    out: Any = None,
    invariant: Literal["batch"] | None = None,
) -> Any:
    """y[..., N] = Σ_k input[..., k] weight[N, k] + bias[N].

    A weight [K] without a bias gives y[...]. With invariant="batch" y[i, ...] has the same bits
    whatever else is in the batch, as in `matmul`. For M = 1, 2, 4, 8 rows that took 1.8, 1.0, 0.9
    and 0.9 times as long with a weight of 4096 x 4096, 1.9, 2.0, 2.2 and 1.4 times with one of
    768 x 768, and no longer from M = 16 on (float32, AVX-512, one thread).

    Raises ShapeError if sizes do not fit, DTypeError for different dtypes, ArgumentError for an
    unknown `invariant`. As torch.nn.functional.linear.
    """
    if bias is None and getattr(weight, "ndim", 2) == 1:
        return matmul(input, weight, out=out, invariant=invariant)
    if invariant is None:
        return ops.linear(input, weight, bias, out=out)
    return ops.linear(input, weight, bias, out=out, invariant=invariant)
