"""Convolution in plain NumPy: a loop over the taps of the kernel, a matrix product for each.

y[n, k, p, q] = bias[k] + Σ_{c, r, s} x̂[n, c, p·sh + r·dh, q·sw + s·dw] w[k, c, r, s]

where x̂ is x padded with zeros and c runs over the channels of k's group. The two gradients are the
other two bilinear maps of that sum.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]


def conv2d(
    x: np.ndarray,
    w: np.ndarray,
    bias: np.ndarray | None = None,
    *,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
) -> np.ndarray:
    """y [N, K, P, Q] of x [N, C, H, W], w [K, C/groups, R, S] and bias [K]."""
    n, c = x.shape[:2]
    k, _, *kernel_size = w.shape
    if c == 0:  # torch gives no output channels then
        k, w, bias = 0, w[:0], None
    padded = np.pad(x, ((0, 0), (0, 0), *padding))
    p, q = _output_size(padded, kernel_size, stride, dilation)
    grouped = w.reshape(groups, k // groups, c // groups, *kernel_size)
    y = np.zeros((n, groups, k // groups, p * q), x.dtype)
    for r, s, rows, columns in _taps(kernel_size, (p, q), stride, dilation):
        patch = padded[:, :, rows, columns].reshape(n, groups, c // groups, p * q)
        y += grouped[:, :, :, r, s] @ patch
    y = y.reshape(n, k, p, q)
    return y if bias is None else y + bias[:, None, None]


def conv2d_input_grad(
    g: np.ndarray,
    w: np.ndarray,
    *,
    input_size: Pair,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
    channels_last: bool,
) -> np.ndarray:
    """dx [N, C, H, W] of g [N, K, P, Q] and w [K, C/groups, R, S]."""
    n, k, p, q = g.shape
    _, c, *kernel_size = w.shape
    (top, bottom), (left, right) = padding
    height, width = input_size
    grouped = w.reshape(groups, k // groups, c, *kernel_size)
    upstream = g.reshape(n, groups, k // groups, p * q)
    dx = np.zeros((n, groups * c, top + height + bottom, left + width + right), g.dtype)
    for r, s, rows, columns in _taps(kernel_size, (p, q), stride, dilation):
        patch = grouped[:, :, :, r, s].swapaxes(-1, -2) @ upstream
        dx[:, :, rows, columns] += patch.reshape(n, groups * c, p, q)
    return dx[:, :, top : top + height, left : left + width]


def conv_transpose2d(
    x: np.ndarray,
    w: np.ndarray,
    bias: np.ndarray | None = None,
    *,
    stride: Pair,
    padding: Pair,
    output_padding: Pair,
    groups: int,
    dilation: Pair,
) -> np.ndarray:
    """y [N, K, P, Q] of x [N, C, H, W], w [C, K/groups, R, S] and bias [K]."""
    axes = zip(x.shape[2:], w.shape[2:], stride, padding, output_padding, dilation, strict=True)
    size = [(n - 1) * s - 2 * p + d * (k - 1) + more + 1 for n, k, s, p, more, d in axes]
    y = conv2d_input_grad(
        x,
        w,
        input_size=(size[0], size[1]),
        stride=stride,
        padding=((padding[0], padding[0]), (padding[1], padding[1])),
        dilation=dilation,
        groups=groups,
        channels_last=False,
    )
    return y if bias is None else y + bias[:, None, None]


def conv2d_weight_grad(
    x: np.ndarray,
    g: np.ndarray,
    *,
    kernel_size: Pair,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
    channels_last: bool,
) -> np.ndarray:
    """dw [K, C/groups, R, S] of x [N, C, H, W] and g [N, K, P, Q]."""
    n, c = x.shape[:2]
    _, k, p, q = g.shape
    padded = np.pad(x, ((0, 0), (0, 0), *padding))
    upstream = g.reshape(n, groups, k // groups, p * q)
    dw = np.empty((groups, k // groups, c // groups, *kernel_size), x.dtype)
    for r, s, rows, columns in _taps(kernel_size, (p, q), stride, dilation):
        patch = padded[:, :, rows, columns].reshape(n, groups, c // groups, p * q)
        dw[:, :, :, r, s] = (upstream @ patch.swapaxes(-1, -2)).sum(axis=0, dtype=x.dtype)
    return dw.reshape(k, c // groups, *kernel_size)


def _output_size(
    padded: np.ndarray, kernel_size: list[int], stride: Pair, dilation: Pair
) -> list[int]:
    sizes = zip(padded.shape[2:], kernel_size, stride, dilation, strict=True)
    return [(n - (k - 1) * d - 1) // s + 1 for n, k, s, d in sizes]


def _taps(
    kernel_size: Pair | list[int], output_size: Pair, stride: Pair, dilation: Pair
) -> Iterator[tuple[int, int, slice, slice]]:
    """(r, s, rows, columns): the padded input's elements that tap (r, s) meets, one per output."""

    def steps(tap: int, axis: int) -> slice:
        first = tap * dilation[axis]
        return slice(first, first + (output_size[axis] - 1) * stride[axis] + 1, stride[axis])

    for r in range(kernel_size[0]):
        for s in range(kernel_size[1]):
            yield r, s, steps(r, 0), steps(s, 1)
