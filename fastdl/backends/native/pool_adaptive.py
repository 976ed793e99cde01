"""Adaptive max pooling and unpooling: csrc/pool_adaptive.cpp, kernels/cpu/pool_adaptive.inc."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import _native
from ...core.memory import copy_to, empty
from ...core.shapes import is_channels_last
from ...spec import kernel

DTYPES = ("float32", "float64", "int64")


def _dense(a: np.ndarray, last: bool = False) -> np.ndarray:
    """The array, or an aligned copy of it that is dense in a memory format."""
    if a.flags.aligned and (a.transpose(0, 2, 3, 1) if last else a).flags.c_contiguous:
        return a
    y = empty(a.shape, a.dtype, last)
    copy_to(a, y)
    return y


@kernel("adaptive_max_pool2d", backend="native")
def adaptive_max_pool2d(x: np.ndarray, *, output_size: Any) -> Any:
    """x[N,C,H,W] -> y and the places of the maxima."""
    last = is_channels_last(x)
    y = empty((*x.shape[:2], *output_size), x.dtype, last)
    index = empty(y.shape, np.dtype(np.int64), last)
    if y.size:
        _native.adaptive_max_pool2d(_dense(x, last), last, y, index)
    return y, index


def _flat(a: np.ndarray) -> np.ndarray:
    return _dense(a).reshape(a.shape[0] * a.shape[1], a.shape[2] * a.shape[3])


def _moved(move: Any, values: np.ndarray, index: np.ndarray, size: Any, last: bool) -> Any:
    """Zeros[N,C,*size], with values written or added to their places."""
    y = empty((*values.shape[:2], *size), values.dtype)
    move(_flat(values), _flat(index), _flat(y))
    return _dense(y, last) if last else y


@kernel("adaptive_max_pool2d_backward", backend="native", dtypes=DTYPES)
def adaptive_max_pool2d_backward(
    g: np.ndarray, index: np.ndarray, *, input_size: Any, channels_last: bool
) -> Any:
    """g[N,C,P,Q] added to its places in dx[N,C,H,W]."""
    return _moved(_native.plane_add, g, index, input_size, channels_last)


@kernel("max_unpool2d", backend="native", dtypes=DTYPES)
def max_unpool2d(x: np.ndarray, index: np.ndarray, *, output_size: Any) -> Any:
    """x[N,C,P,Q] written to its places in y[N,C,H,W]."""
    return _moved(_native.plane_put, x, index, output_size, is_channels_last(x))


@kernel("max_unpool2d_backward", backend="native", dtypes=DTYPES)
def max_unpool2d_backward(g: np.ndarray, index: np.ndarray, *, channels_last: bool) -> Any:
    """dx[N,C,P,Q] read from its places in g[N,C,H,W]."""
    dx = empty(index.shape, g.dtype)
    _native.plane_take(_flat(dx), _flat(index), _flat(g))
    return _dense(dx, True) if channels_last else dx
