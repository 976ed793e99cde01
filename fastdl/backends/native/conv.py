"""Convolution: implicit matrix multiplication, or loops of its own where it is depthwise."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import _native
from ...spec import kernel


def _depth(terms: int) -> int:
    """Chains of at most 256 terms, and of more than 128 while there are several."""
    return min(terms, 256) + -(-terms // 128)


def _weight_grad_depth(terms: int) -> int:
    """Chains of at most 512 terms; at least 64 terms or images go into a sum that is added."""
    return min(terms, 512) + -(-terms // 64) + 1


@kernel("conv2d", backend="native", depth=_depth, out=True, direct=True)
def conv2d(
    x: Any, w: Any = None, bias: Any = None, *more: Any,
    stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: Any = 1, out: Any = None,
    **unknown: Any,
) -> Any:  # fmt: skip
    """conv2d of raw arguments; what is not taken is left to the checks of the spec."""
    if more or unknown:
        return NotImplemented
    return _native.conv2d(x, w, bias, stride, padding, dilation, groups, out)


def _input_grad_declines(g: np.ndarray, w: np.ndarray, **options: Any) -> str | None:
    """The kernel pads g with zeros, and 0 · inf is no term of this gradient."""
    return None if np.isfinite(_native.sum(w, None, False)) else "w is not finite (or sums to inf)"


@kernel(
    "conv2d_input_grad", backend="native", depth=_depth, out=True, declines=_input_grad_declines
)
def conv2d_input_grad(
    g: Any, w: Any, *,
    input_size: Any, stride: Any, padding: Any, dilation: Any, groups: Any, channels_last: bool,
    out: Any = None,
) -> Any:  # fmt: skip
    """The forward kernel on w turned round; a stride splits dx by residue."""
    return _native.conv2d_input_grad(
        g, w, input_size, stride, padding, dilation, groups, channels_last, out
    )


@kernel(
    "conv_transpose2d", backend="native", depth=_depth, out=True, direct=True,
    declines=lambda x, w, bias, **options: _input_grad_declines(x, w),
)  # fmt: skip
def conv_transpose2d(
    x: Any, w: Any = None, bias: Any = None, *more: Any,
    stride: Any = 1, padding: Any = 0, output_padding: Any = 0, groups: Any = 1, dilation: Any = 1,
    out: Any = None, **unknown: Any,
) -> Any:  # fmt: skip
    """conv_transpose2d of raw arguments, with the bias added to the sums."""
    if more or unknown or type(w) is not np.ndarray or w.dtype.kind != "f":
        return NotImplemented
    if w.dtype.itemsize < 4 or _input_grad_declines(x, w):
        return NotImplemented
    return _native.conv_transpose2d(
        x, w, bias, stride, padding, output_padding, dilation, groups, out
    )


@kernel("conv2d_weight_grad", backend="native", depth=_weight_grad_depth, out=True)
def conv2d_weight_grad(
    x: Any, g: Any, *,
    kernel_size: Any, stride: Any, padding: Any, dilation: Any, groups: Any, channels_last: bool,
    out: Any = None,
) -> Any:  # fmt: skip
    """A product of x and g over all output pixels, in fixed blocks."""
    return _native.conv2d_weight_grad(
        x, g, kernel_size, stride, padding, dilation, groups, channels_last, out
    )
