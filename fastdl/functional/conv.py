"""Convolution."""

from __future__ import annotations

from typing import Any

from ..ops import conv as ops
from ._face import batched, unbatched

__all__ = ["conv2d"]


def conv2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    *,
    out: Any = None,
) -> Any:
    """2-D convolution (cross-correlation) y[N, K, P, Q] of input[N, C, H, W].

    y[n, k, p, q] = bias[k] + Σ_{c, r, s} input[n, c, p·sh + r·dh, q·sw + s·dw] weight[k, c, r, s],
    with the input padded by zeros and c over the C / groups channels of k's group.

    Args:
        input: [N, C, H, W], or [C, H, W] for a result without N.
        weight: [K, C / groups, R, S].
        bias: [K] or None.
        stride, dilation: an int or a pair (rows, columns).
        padding: an int, a pair, 'valid' (none), 'same' (P = H and Q = W, for stride 1; an odd total
            pads one more at the end), or ((top, bottom), (left, right)).
        groups: divides C and K.

    Raises ShapeError for ranks or sizes that do not fit, or a kernel larger than the padded input;
    ArgumentError for a stride, dilation or groups below 1, negative padding, or 'same' with a
    stride; DTypeError for different dtypes. As torch.nn.functional.conv2d.
    """
    if getattr(input, "ndim", 4) == 3:
        input, into = batched(input), None if out is None else batched(out)
        y = conv2d(input, weight, bias, stride, padding, dilation, groups, out=into)
        return unbatched(y) if out is None else out
    return ops.conv2d(
        input, weight, bias, out=out,
        stride=stride, padding=padding, dilation=dilation, groups=groups,
    )  # fmt: skip
