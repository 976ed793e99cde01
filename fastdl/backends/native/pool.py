"""Pooling: csrc/pool.cpp, kernels/cpu/pool.inc and pool_last.inc.

All of them check their own arguments and take any strides, so dispatch calls them first.
"""

from __future__ import annotations

from typing import Any

from ... import _native
from ...spec import kernel


def _depth(terms: int) -> int:
    """Along the rows, then across them: never more additions than terms, the division included."""
    return terms


@kernel("max_pool2d", backend="native", out=True, direct=True)
def max_pool2d(
    *arrays: Any,
    kernel_size: Any = None, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: Any = False, out: Any = None, **unknown: Any,
) -> Any:  # fmt: skip
    """x[N,C,H,W] -> y[N,C,P,Q]."""
    if len(arrays) != 1 or unknown:
        return NotImplemented
    return _native.max_pool2d(arrays[0], kernel_size, stride, padding, dilation, ceil_mode, out)


@kernel("max_pool2d_with_indices", backend="native", direct=True)
def max_pool2d_with_indices(
    *arrays: Any,
    kernel_size: Any = None, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: Any = False, out: Any = None, **unknown: Any,
) -> Any:  # fmt: skip
    """x[N,C,H,W] -> y and the places of the maxima, int64, h * W + w."""
    if len(arrays) != 1 or unknown or out is not None:
        return NotImplemented
    return _native.max_pool2d_with_indices(
        arrays[0], kernel_size, stride, padding, dilation, ceil_mode
    )


@kernel("max_pool2d_backward", backend="native", depth=_depth, out=True, direct=True)
def max_pool2d_backward(
    *arrays: Any,
    kernel_size: Any = None, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: Any = False, out: Any = None, **unknown: Any,
) -> Any:  # fmt: skip
    """g[N,C,P,Q], x[N,C,H,W] -> dx[N,C,H,W], from the maxima found again in x."""
    if len(arrays) != 2 or unknown:
        return NotImplemented
    return _native.max_pool2d_backward(
        *arrays, kernel_size, stride, padding, dilation, ceil_mode, out
    )


@kernel("avg_pool2d", backend="native", depth=_depth, out=True, direct=True)
def avg_pool2d(
    *arrays: Any,
    kernel_size: Any = None, stride: Any = None, padding: Any = 0, ceil_mode: Any = False,
    count_include_pad: Any = True, divisor_override: Any = None, out: Any = None, **unknown: Any,
) -> Any:  # fmt: skip
    """x[N,C,H,W] -> y[N,C,P,Q]."""
    if len(arrays) != 1 or unknown:
        return NotImplemented
    return _native.avg_pool2d(
        arrays[0], kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, out
    )


@kernel("avg_pool2d_backward", backend="native", depth=_depth, out=True, direct=True)
def avg_pool2d_backward(
    *arrays: Any,
    input_size: Any = None, kernel_size: Any = None, stride: Any = None, padding: Any = 0,
    ceil_mode: Any = False, count_include_pad: Any = True, divisor_override: Any = None,
    channels_last: Any = False, out: Any = None, **unknown: Any,
) -> Any:  # fmt: skip
    """g[N,C,P,Q] -> dx[N,C,H,W]."""
    if len(arrays) != 1 or unknown:
        return NotImplemented
    return _native.avg_pool2d_backward(
        arrays[0], input_size, kernel_size, stride, padding, ceil_mode, count_include_pad,
        divisor_override, channels_last, out,
    )  # fmt: skip
