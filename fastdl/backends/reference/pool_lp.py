"""Power-average pooling over the last two or three dims: (Σ x^p)^(1/p) of every window.

A window that reaches beyond the end (ceil_mode) counts as many times as it would were its mean
found all over the kernel, as in torch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

Sizes = tuple[int, ...]


def _beyond(size: Sizes, output: Sizes, kernel_size: Sizes, stride: Sizes) -> Sizes:
    """How far the windows reach beyond the end."""
    axes = zip(size, output, kernel_size, stride, strict=True)
    return tuple(max((m - 1) * s + k - n, 0) for n, m, k, s in axes)


def _taps(output: Sizes, kernel_size: Sizes, stride: Sizes) -> Iterator[tuple[Any, ...]]:
    """For every tap the elements it meets, one for each output."""
    for taps in np.ndindex(*kernel_size):
        axes = zip(taps, output, stride, strict=True)
        yield (..., *(slice(t, t + (m - 1) * s + 1, s) for t, m, s in axes))


def windows(x: Any, output: Sizes, kernel_size: Sizes, stride: Sizes) -> Any:
    """[taps, N, C, *output]: the elements of every window, 0 beyond the end."""
    beyond = _beyond(x.shape[2:], output, kernel_size, stride)
    padded = np.pad(x, ((0, 0), (0, 0), *((0, n) for n in beyond)))
    return np.stack([padded[tap] for tap in _taps(output, kernel_size, stride)])


def spread(q: Any, size: Sizes, kernel_size: Sizes, stride: Sizes) -> Any:
    """[N, C, *size]: the sum of q over the windows that hold an element."""
    output = q.shape[2:]
    beyond = _beyond(size, output, kernel_size, stride)
    dx: Any = np.zeros((*q.shape[:2], *(n + b for n, b in zip(size, beyond, strict=True))), q.dtype)
    for tap in _taps(output, kernel_size, stride):
        dx[tap] += q
    return dx[(..., *(slice(n) for n in size))]


def counts(size: Sizes, output: Sizes, kernel_size: Sizes, stride: Sizes) -> Any:
    """[*output]: how many elements of each window are inside."""
    axes = zip(size, output, kernel_size, stride, strict=True)
    found = np.ones((), int)
    for n, m, k, s in axes:
        found = np.multiply.outer(found, np.minimum(np.arange(m) * s + k, n) - np.arange(m) * s)
    return found


def output_size(size: Sizes, kernel_size: Sizes, stride: Sizes, ceil_mode: bool) -> Sizes:
    """Of windows that fit, or (ceil_mode) that begin inside."""
    found = []
    for n, k, s in zip(size, kernel_size, stride, strict=True):
        m = (n - k + (s - 1 if ceil_mode else 0)) // s + 1
        found.append(m - 1 if (m - 1) * s >= n else m)
    return tuple(found)


def lp_pool2d(
    x: Any, *, norm_type: float, kernel_size: Sizes, stride: Sizes, ceil_mode: bool
) -> Any:
    """(Σ x^p · taps / count)^(1/p)."""
    size, one = x.shape[2:], x.dtype.type(1)
    output = output_size(size, kernel_size, stride, ceil_mode)
    sums = np.sum(windows(np.power(x, one * norm_type), output, kernel_size, stride), axis=0)
    taps = math.prod(kernel_size)
    sums = sums / counts(size, output, kernel_size, stride).astype(x.dtype) * taps
    return np.power(sums, one / norm_type)


def lp_pool2d_backward(
    g: Any, x: Any, y: Any, *, norm_type: float, kernel_size: Sizes, stride: Sizes,
    ceil_mode: bool,
) -> Any:  # fmt: skip
    """dx = x^(p − 1) · Σ g · y^(1 − p) · taps / count over the windows of x, 0 for those of y 0."""
    p = x.dtype.type(norm_type)
    q = np.where(y == 0, 0, g * np.power(y, 1 - p))
    count = counts(x.shape[2:], y.shape[2:], kernel_size, stride).astype(x.dtype)
    share = q * math.prod(kernel_size) / count
    return spread(share, x.shape[2:], kernel_size, stride) * np.power(x, p - 1)


lp_pool3d, lp_pool3d_backward = lp_pool2d, lp_pool2d_backward
