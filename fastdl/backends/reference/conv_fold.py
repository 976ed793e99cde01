"""Windows of images as columns, and columns added back to images, in plain NumPy."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...core.windows import Pair, fold_size


def _taps(
    kernel_size: Pair, dilation: Pair, stride: Pair, size: Pair
) -> Iterator[tuple[int, int, slice, slice]]:
    """(r, s, rows, columns): the padded image's elements that tap (r, s) meets, one a window."""

    def steps(tap: int, axis: int) -> slice:
        first = tap * dilation[axis]
        return slice(first, first + (size[axis] - 1) * stride[axis] + 1, stride[axis])

    for r in range(kernel_size[0]):
        for s in range(kernel_size[1]):
            yield r, s, steps(r, 0), steps(s, 1)


def unfold(
    x: np.ndarray, *, kernel_size: Pair, dilation: Pair, padding: Pair, stride: Pair
) -> np.ndarray:
    """y [N, C·R·S, L]: column l holds the window l of x [N, C, H, W], zeros around it."""
    n, c, *image = x.shape
    size = fold_size("unfold", (image[0], image[1]), kernel_size, dilation, padding, stride)
    padded = np.pad(x, ((0, 0), (0, 0), *((p, p) for p in padding)))
    y = np.zeros((n, c, *kernel_size, *size), x.dtype)
    for r, s, rows, columns in _taps(kernel_size, dilation, stride, size):
        y[:, :, r, s] = padded[:, :, rows, columns]
    return y.reshape(n, c * kernel_size[0] * kernel_size[1], size[0] * size[1])


def fold(
    x: np.ndarray, *,
    output_size: Pair, kernel_size: Pair, dilation: Pair, padding: Pair, stride: Pair,
    channels_last: bool,
) -> np.ndarray:  # fmt: skip
    """y [N, C, H, W]: each number of the columns x [N, C·R·S, L] added where its window has it."""
    size = fold_size("fold", output_size, kernel_size, dilation, padding, stride)
    taps = kernel_size[0] * kernel_size[1]
    n, c = x.shape[0], x.shape[1] // taps
    parts = x.reshape(n, c, *kernel_size, *size)
    (top, left), (height, width) = padding, output_size
    y = np.zeros((n, c, height + 2 * top, width + 2 * left), x.dtype)
    for r, s, rows, columns in _taps(kernel_size, dilation, stride, size):
        y[:, :, rows, columns] += parts[:, :, r, s]
    return y[:, :, top : top + height, left : left + width]
