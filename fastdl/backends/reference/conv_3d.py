"""3-D convolution in plain NumPy, tap by tap: the formula of conv.py with a depth.

y[n, k, o, p, q] = bias[k]
    + Σ_{c, t, r, s} x̂[n, c, o·sd + t·dd, p·sh + r·dh, q·sw + s·dw] w[k, c, t, r, s]
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

_ALL = (slice(None),) * 3  # groups, and the two kinds of channels


def _taps(
    kernel_size: Sequence[int], output_size: Sequence[int], stride: Any, dilation: Any
) -> Iterator[tuple[tuple[Any, ...], tuple[slice, ...]]]:
    """Each tap, and the padded input's elements that it meets, one an output."""
    for tap in np.ndindex(*kernel_size):
        firsts = [t * d for t, d in zip(tap, dilation, strict=True)]
        axes = zip(firsts, output_size, stride, strict=True)
        yield tap, tuple(slice(f, f + (n - 1) * s + 1, s) for f, n, s in axes)


def conv3d(
    x: np.ndarray, w: np.ndarray, bias: np.ndarray | None = None, *,
    stride: Any, padding: Any, dilation: Any, groups: int,
) -> np.ndarray:  # fmt: skip
    """y [N, K, O, P, Q] of x [N, C, D, H, W], w [K, C/groups, T, R, S] and bias [K]."""
    (n, c), (k, _, *kernel) = x.shape[:2], w.shape
    padded = np.pad(x, ((0, 0), (0, 0), *padding))
    axes = zip(padded.shape[2:], kernel, stride, dilation, strict=True)
    size = [(m - (r - 1) * d - 1) // s + 1 for m, r, s, d in axes]
    grouped = w.reshape(groups, k // groups, c // groups, *kernel)
    y = np.zeros((n, groups, k // groups, int(np.prod(size))), x.dtype)
    for tap, places in _taps(kernel, size, stride, dilation):
        patch = padded[(slice(None), slice(None), *places)].reshape(
            n, groups, c // groups, y.shape[-1]
        )
        y += grouped[_ALL + tap] @ patch
    y = y.reshape(n, k, *size)
    return y if bias is None else y + bias[:, None, None, None]


def conv3d_input_grad(
    g: np.ndarray, w: np.ndarray, *,
    input_size: Any, stride: Any, padding: Any, dilation: Any, groups: int,
) -> np.ndarray:  # fmt: skip
    """dx [N, C, D, H, W] of g [N, K, O, P, Q] and w [K, C/groups, T, R, S]."""
    (n, k, *size), (_, c, *kernel) = g.shape, w.shape
    grouped = w.reshape(groups, k // groups, c, *kernel)
    upstream = g.reshape(n, groups, k // groups, int(np.prod(size)))
    padded = [m + before + after for m, (before, after) in zip(input_size, padding, strict=True)]
    dx = np.zeros((n, groups * c, *padded), g.dtype)
    for tap, places in _taps(kernel, size, stride, dilation):
        patch = grouped[_ALL + tap].swapaxes(-1, -2) @ upstream
        dx[(slice(None), slice(None), *places)] += patch.reshape(n, groups * c, *size)
    inside = (slice(p[0], p[0] + m) for m, p in zip(input_size, padding, strict=True))
    return dx[(slice(None), slice(None), *inside)]


def conv3d_weight_grad(
    x: np.ndarray, g: np.ndarray, *,
    kernel_size: Any, stride: Any, padding: Any, dilation: Any, groups: int,
) -> np.ndarray:  # fmt: skip
    """dw [K, C/groups, T, R, S] of x [N, C, D, H, W] and g [N, K, O, P, Q]."""
    (n, c), (_, k, *size) = x.shape[:2], g.shape
    padded = np.pad(x, ((0, 0), (0, 0), *padding))
    pixels = int(np.prod(size))
    upstream = g.reshape(n, groups, k // groups, pixels)
    dw = np.empty((groups, k // groups, c // groups, *kernel_size), x.dtype)
    for tap, places in _taps(kernel_size, size, stride, dilation):
        patch = padded[(slice(None), slice(None), *places)].reshape(n, groups, c // groups, pixels)
        dw[_ALL + tap] = (upstream @ patch.swapaxes(-1, -2)).sum(axis=0, dtype=x.dtype)
    return dw.reshape(k, c // groups, *kernel_size)
