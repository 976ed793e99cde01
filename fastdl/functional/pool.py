"""Pooling."""

from __future__ import annotations

from typing import Any

from ..ops import pool as ops
from ._face import batched, unbatched

__all__ = ["avg_pool2d", "max_pool2d", "max_pool2d_with_indices"]


def max_pool2d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    out: Any = None,
) -> Any:
    """The maximum y[N, C, P, Q] of every window of input[N, C, H, W].

    Output (p, q) is the maximum of input[p·sh − ph + r·dh, q·sw − pw + s·dw] over 0 ≤ r < kh and
    0 ≤ s < kw, of which only the elements inside the input count; NaN if one of them is NaN.

    Args:
        input: [N, C, H, W], or [C, H, W] for a result without N.
        kernel_size, stride, padding, dilation: an int or a pair (rows, columns). The stride is
            the kernel size unless given; the padding is at most half of the kernel size.
        ceil_mode: also take windows that reach beyond the end, if they start inside.
        return_indices: return (y, indices), indices int64: h·W + w of each maximum, the first of
            equal ones.

    Raises ShapeError for a wrong rank, a channel or image size of 0, or a kernel larger than the
    padded input; ArgumentError for a kernel, stride or dilation below 1, or such padding.
    As torch.nn.functional.max_pool2d.
    """
    pool = ops.max_pool2d_with_indices if return_indices else ops.max_pool2d
    if getattr(input, "ndim", 4) == 3:
        into = batched(out) if out is not None else None
        y = pool(
            batched(input), out=into,
            kernel_size=kernel_size, stride=stride, padding=padding, dilation=dilation,
            ceil_mode=ceil_mode,
        )  # fmt: skip
        return unbatched(y) if out is None else out
    return pool(
        input, out=out,
        kernel_size=kernel_size, stride=stride, padding=padding, dilation=dilation,
        ceil_mode=ceil_mode,
    )  # fmt: skip


def max_pool2d_with_indices(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = True,
    *,
    out: Any = None,
) -> Any:
    """(y, indices) of `max_pool2d`. As torch.nn.functional.max_pool2d_with_indices."""
    return max_pool2d(input, kernel_size, stride, padding, dilation, ceil_mode, True, out=out)


def avg_pool2d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    out: Any = None,
) -> Any:
    """The mean y[N, C, P, Q] of every window of input[N, C, H, W].

    Args:
        input: [N, C, H, W], or [C, H, W] for a result without N.
        kernel_size, stride, padding: an int or a pair (rows, columns). The stride is the kernel
            size unless given; the padding is at most half of the kernel size.
        ceil_mode: also take windows that reach beyond the end, if they start inside.
        count_include_pad: divide by the elements of the window that lie inside the input or its
            padding, instead of by those inside the input.
        divisor_override: divide by this instead; any int but 0.

    Raises ShapeError for a wrong rank, a channel or image size of 0, or a kernel larger than the
    padded input; ArgumentError for a kernel or stride below 1, or such padding; DTypeError for
    integers. As torch.nn.functional.avg_pool2d.
    """
    if getattr(input, "ndim", 4) == 3:
        into = None if out is None else batched(out)
        y = avg_pool2d(
            batched(input), kernel_size, stride, padding, ceil_mode, count_include_pad,
            divisor_override, out=into,
        )  # fmt: skip
        return unbatched(y) if out is None else out
    return ops.avg_pool2d(
        input, out=out,
        kernel_size=kernel_size, stride=stride, padding=padding, ceil_mode=ceil_mode,
        count_include_pad=count_include_pad, divisor_override=divisor_override,
    )  # fmt: skip
