"""Adaptive max pooling, and values moved to and from places, in plain NumPy."""

from __future__ import annotations

import numpy as np

from ...core.resampling import adaptive_windows
from ...core.windows import Pair


def adaptive_max_pool2d(x: np.ndarray, *, output_size: Pair) -> tuple[np.ndarray, np.ndarray]:
    """Maximum and place of the rows ⌊iH/P⌋ ≤ h < ⌈(i+1)H/P⌉ and the columns likewise.

    Of equal maxima the first in row order is found, of NaN the last, as in torch.
    """
    height, width = x.shape[2:]
    (top, bottom), (left, right) = (
        adaptive_windows(n, m) for n, m in zip((height, width), output_size, strict=True)
    )
    y = np.zeros((*x.shape[:2], *output_size), x.dtype)
    index = np.full(y.shape, -1, np.int64)
    for r in range(int((bottom - top).max())):
        for s in range(int((right - left).max())):
            inside = np.logical_and.outer(top + r < bottom, left + s < right)
            rows, columns = np.minimum(top + r, height - 1), np.minimum(left + s, width - 1)
            values = x[:, :, rows[:, None], columns]
            better = ((index < 0) | (values > y) | np.isnan(values)) & inside
            y = np.where(better, values, y)
            index = np.where(better, rows[:, None] * width + columns, index)
    return y, index


def _flat(a: np.ndarray) -> np.ndarray:
    """[planes, elements of a plane]."""
    return a.reshape(a.shape[0] * a.shape[1], a.shape[2] * a.shape[3])


def adaptive_max_pool2d_backward(
    g: np.ndarray, index: np.ndarray, *, input_size: Pair, channels_last: bool
) -> np.ndarray:
    """dx: every output's gradient is added at its place."""
    dx = np.zeros((g.shape[0] * g.shape[1], input_size[0] * input_size[1]), g.dtype)
    np.add.at(dx, (np.arange(len(dx))[:, None], _flat(index)), _flat(g))
    return dx.reshape(*g.shape[:2], *input_size)


def max_unpool2d(x: np.ndarray, index: np.ndarray, *, output_size: Pair) -> np.ndarray:
    """Zeros, but x at its places; the last value where two have the same place."""
    values, places = _flat(x), _flat(index)
    y = np.zeros((len(values), output_size[0] * output_size[1]), x.dtype)
    for i in range(values.shape[1]):  # in order, which an assignment of all does not promise
        y[np.arange(len(y)), places[:, i]] = values[:, i]
    return y.reshape(*x.shape[:2], *output_size)


def max_unpool2d_backward(g: np.ndarray, index: np.ndarray, *, channels_last: bool) -> np.ndarray:
    """dx: the upstream gradient at every place."""
    return np.take_along_axis(_flat(g), _flat(index), 1).reshape(index.shape)
