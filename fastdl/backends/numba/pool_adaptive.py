"""Adaptive max pooling and unpooling, a plane after the other."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.memory import empty
from ...core.shapes import is_channels_last
from ...spec import kernel
from ._jit import jit, split

DTYPES = ("float32", "float64", "int64")


@jit
def _max(first, last, x, y, index):
    height, width = x.shape[1:]
    down, across = y.shape[1:]
    for plane in range(first, last):
        for i in range(down):
            top, bottom = i * height // down, -(-(i + 1) * height // down)
            for j in range(across):
                left, right = j * width // across, -(-(j + 1) * width // across)
                best, place = x[plane, top, left], top * width + left
                for h in range(top, bottom):
                    for w in range(left, right):
                        value = x[plane, h, w]
                        if value > best or np.isnan(value):
                            best, place = value, h * width + w
                y[plane, i, j] = best
                index[plane, i, j] = place


@jit
def _put(first, last, values, index, planes):
    for p in range(first, last):
        planes[p, :] = 0
        for i in range(values.shape[1]):
            planes[p, index[p, i]] = values[p, i]


@jit
def _add(first, last, values, index, planes):
    for p in range(first, last):
        planes[p, :] = 0
        for i in range(values.shape[1]):
            planes[p, index[p, i]] += values[p, i]


@jit
def _take(first, last, values, index, planes):
    for p in range(first, last):
        for i in range(values.shape[1]):
            values[p, i] = planes[p, index[p, i]]


def _flat(a: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(a).reshape(a.shape[0] * a.shape[1], a.shape[2] * a.shape[3])


def _formatted(a: np.ndarray, last: bool) -> np.ndarray:
    if not last:
        return a
    y = empty(a.shape, a.dtype, True)
    y[...] = a
    return y


@kernel("adaptive_max_pool2d", backend="numba")
def adaptive_max_pool2d(x: np.ndarray, *, output_size: Any) -> Any:
    """x[N,C,H,W] -> y and the places of the maxima."""
    y = empty((*x.shape[:2], *output_size), x.dtype)
    index = empty(y.shape, np.dtype(np.int64))
    planes = x.shape[0] * x.shape[1]
    if not y.size:
        return y, index
    stacked = np.ascontiguousarray(x).reshape(planes, *x.shape[2:])
    split(_max, planes, 1.5 * x.size, stacked, y.reshape(planes, *output_size),
          index.reshape(planes, *output_size))  # fmt: skip
    last = is_channels_last(x)
    return _formatted(y, last), _formatted(index, last)


def _moved(loop: Any, values: np.ndarray, index: np.ndarray, size: Any, last: bool) -> np.ndarray:
    y = empty((*values.shape[:2], *size), values.dtype)
    split(loop, y.shape[0] * y.shape[1], 1.0 * (y.size + values.size),
          _flat(values), _flat(index), _flat(y))  # fmt: skip
    return _formatted(y, last)


@kernel("adaptive_max_pool2d_backward", backend="numba", dtypes=DTYPES)
def adaptive_max_pool2d_backward(
    g: np.ndarray, index: np.ndarray, *, input_size: Any, channels_last: bool
) -> np.ndarray:
    """g[N,C,P,Q] added to its places in dx[N,C,H,W]."""
    return _moved(_add, g, index, input_size, channels_last)


@kernel("max_unpool2d", backend="numba", dtypes=DTYPES)
def max_unpool2d(x: np.ndarray, index: np.ndarray, *, output_size: Any) -> np.ndarray:
    """x[N,C,P,Q] written to its places in y[N,C,H,W]."""
    return _moved(_put, x, index, output_size, is_channels_last(x))


@kernel("max_unpool2d_backward", backend="numba", dtypes=DTYPES)
def max_unpool2d_backward(g: np.ndarray, index: np.ndarray, *, channels_last: bool) -> np.ndarray:
    """dx[N,C,P,Q] read from its places in g[N,C,H,W]."""
    dx = empty(index.shape, g.dtype)
    split(_take, dx.shape[0] * dx.shape[1], 1.0 * dx.size, _flat(dx), _flat(index), _flat(g))
    return _formatted(dx, channels_last)
