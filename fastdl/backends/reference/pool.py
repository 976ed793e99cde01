"""Pooling in plain NumPy: a loop over the taps of the window.

Output (p, q) sees x[p·sh − ph + r·dh, q·sw − pw + s·dw] for 0 ≤ r < kh, 0 ≤ s < kw, of which only
the taps that lie inside x count for a maximum, and as zeros for a mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from ...core.windows import first_taps, plane, pool_size

Pair = tuple[int, int]


def max_pool2d(x: np.ndarray, **options: Any) -> np.ndarray:
    """The maximum of every window; see `max_pool2d_with_indices`."""
    return max_pool2d_with_indices(x, **options)[0]


def max_pool2d_with_indices(x: np.ndarray, **options: Any) -> tuple[np.ndarray, np.ndarray]:
    """Maximum and its place h·W + w: the first of equal ones in row order, the last NaN if any.

    A window that covers no element, by stepping over the input, has torch's answer: the least
    value there is, and the place where it first comes to lie at or behind both axes' beginning.
    """
    y, index = _maxima(x, **options)
    if (index < 0).any():
        taps = [
            first_taps(m, stride=options["stride"][i], padding=options["padding"][i],
                       dilation=options["dilation"][i])
            for i, m in enumerate(plane(y))
        ]  # fmt: skip
        lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
        y = np.where(index < 0, x.dtype.type(lowest), y)
        index = np.where(index < 0, np.add.outer(taps[0] * x.shape[3], taps[1]), index)
    return y, index


def _maxima(x: np.ndarray, **options: Any) -> tuple[np.ndarray, np.ndarray]:
    """Maxima and places; 0 and −1 where a window covers nothing."""
    output = pool_size("max_pool2d", plane(x), **options)
    y = np.zeros((*x.shape[:2], *output), x.dtype)
    index = np.full(y.shape, -1, np.int64)
    for inside, values, place in _seen(x, output, **options):
        better = (index < 0) | (values > y)
        if x.dtype.kind == "f":
            better |= np.isnan(values)
        better &= inside
        y, index = np.where(better, values, y), np.where(better, place, index)
    return y, index


def _seen(
    x: np.ndarray,
    output: Pair,
    *,
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    **options: Any,
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """For every tap: which outputs see an element there, what it is, and its place in the plane."""
    height, width = plane(x)
    for r in range(kernel_size[0]):
        rows = np.arange(output[0]) * stride[0] - padding[0] + r * dilation[0]
        for s in range(kernel_size[1]):
            columns = np.arange(output[1]) * stride[1] - padding[1] + s * dilation[1]
            inside = np.logical_and.outer(
                (rows >= 0) & (rows < height), (columns >= 0) & (columns < width)
            )
            h, w = np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)
            yield inside, x[:, :, h[:, None], w], h[:, None] * width + w


def max_pool2d_backward(g: np.ndarray, x: np.ndarray, **options: Any) -> np.ndarray:
    """dx: every output's gradient goes to the place of its maximum, or nowhere without one."""
    _, index = _maxima(x, **options)
    planes = x.shape[0] * x.shape[1]
    dx = np.zeros((planes, x.shape[2] * x.shape[3]), g.dtype)
    outputs = g.shape[2] * g.shape[3]
    index, g = index.reshape(planes, outputs), g.reshape(planes, outputs)
    plane_of = np.broadcast_to(np.arange(planes)[:, None], index.shape)
    found = index >= 0
    np.add.at(dx, (plane_of[found], index[found]), g[found])
    return dx.reshape(x.shape)


def avg_pool2d(
    x: np.ndarray, *, count_include_pad: bool, divisor_override: int | None, **window: Any
) -> np.ndarray:
    """The sum of every window over its divisor; see `_divisors`."""
    axes = _axes(plane(x), **window)
    padded = np.pad(x, ((0, 0), (0, 0), *((a.before, a.after) for a in axes)))
    y = np.zeros((*x.shape[:2], *(len(a.start) for a in axes)), x.dtype)
    for rows, columns in _taps(axes):
        y += padded[:, :, rows, columns]
    return y / _divisors(axes, count_include_pad, divisor_override).astype(x.dtype)


def avg_pool2d_backward(
    g: np.ndarray,
    *,
    input_size: Pair,
    count_include_pad: bool,
    divisor_override: int | None,
    channels_last: bool,
    **window: Any,
) -> np.ndarray:
    """dx [N, C, H, W]: every output's gradient, over its divisor, goes to all of its window."""
    axes = _axes(input_size, **window)
    share = g / _divisors(axes, count_include_pad, divisor_override).astype(g.dtype)
    dx = np.zeros((*g.shape[:2], *(a.before + a.size + a.after for a in axes)), g.dtype)
    for rows, columns in _taps(axes):
        dx[:, :, rows, columns] += share
    inside = (slice(a.before, a.before + a.size) for a in axes)
    return dx[:, :, *inside]


class _Axis(NamedTuple):
    """The windows along one axis of an average pooling."""

    size: int  # of the input
    kernel: int
    stride: int
    start: np.ndarray  # of every window, in the input's coordinates
    before: int  # padding, and how far the windows reach beyond the input's end
    after: int


def _axes(
    size: Pair, *, kernel_size: Pair, stride: Pair, padding: Pair, ceil_mode: bool
) -> list[_Axis]:
    window = {"kernel_size": kernel_size, "stride": stride, "padding": padding}
    output = pool_size("avg_pool2d", size, **window, dilation=(1, 1), ceil_mode=ceil_mode)
    axes = []
    for n, m, k, s, p in zip(size, output, kernel_size, stride, padding, strict=True):
        start = np.arange(m) * s - p
        axes.append(_Axis(n, k, s, start, p, max(p, int(start[-1]) + k - n)))
    return axes


def _taps(axes: list[_Axis]) -> Iterator[list[slice]]:
    """For every tap the rows and columns of the padded input it meets, one per output."""
    for taps in np.ndindex(axes[0].kernel, axes[1].kernel):
        yield [
            slice(t, t + (len(a.start) - 1) * a.stride + 1, a.stride)
            for t, a in zip(taps, axes, strict=True)
        ]


def _divisors(
    axes: list[_Axis], count_include_pad: bool, divisor_override: int | None
) -> np.ndarray:
    """[P, Q]: elements of each window inside the input, or inside the input and its padding.

    What ceil_mode lets a window reach beyond the padding never counts.
    """
    if divisor_override is not None:
        return np.array(divisor_override)
    around = [a.before if count_include_pad else 0 for a in axes]
    counts = [
        np.minimum(a.start + a.kernel, a.size + p) - np.maximum(a.start, -p)
        for a, p in zip(axes, around, strict=True)
    ]
    return np.multiply.outer(*counts)
