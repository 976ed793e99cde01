"""Shape ops that move data: copies into windows, and scatters where an index holds arrays.

NumPy's own indexing of an array of places tells where the elements of x[index] lie in memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.memory import empty
from ...core.shapes import is_channels_last
from ...spec import kernel
from ..reference.shape import getitem as numpy_getitem
from ._jit import jit
from ._layout import dense
from .elementwise import ALL, FLOATS, bits, copy_into


@kernel("cat", backend="numba", dtypes=ALL, out=True)
def cat(*tensors: np.ndarray, dim: int, out: np.ndarray | None = None) -> np.ndarray:
    """Each array copied into its slice of the result; empty 1-D ones fit anywhere."""
    parts = [t for t in tensors if t.shape != (0,)] or [tensors[0]]
    if out is None:
        shape = list(parts[0].shape)
        shape[dim] = sum(t.shape[dim] for t in parts)
        out = empty(shape, parts[0].dtype, all(map(is_channels_last, parts)))
    start = 0
    for t in parts:
        stop = start + t.shape[dim]
        copy_into(out[(slice(None),) * dim + (slice(start, stop),)], t)
        start = stop
    return out


@jit
def _put(y: Any, places: Any, values: Any) -> None:
    """y[places[i]] = values[i], the last one staying."""
    for i in range(places.size):
        y[places[i]] = values[i]


@jit
def _add(y: Any, places: Any, values: Any) -> None:
    """y[places[i]] += values[i], in order."""
    for i in range(places.size):
        y[places[i]] += values[i]


def _is_window(index: tuple[Any, ...]) -> bool:
    """Does the index select a view?"""
    return not any(isinstance(i, (np.ndarray, bool, np.bool_)) for i in index)


def _places(y: np.ndarray, index: tuple[Any, ...]) -> np.ndarray:
    """Where in the memory of y, which is dense in its format, the elements of y[index] are."""
    last = is_channels_last(y)
    numbers = np.arange(y.size).reshape(dense(y, last).shape)
    return np.asarray(
        numpy_getitem(numbers.transpose(0, 3, 1, 2) if last else numbers, index=index)
    )


def _flat(y: np.ndarray) -> np.ndarray:
    """The memory of y, which is dense in its format."""
    return dense(y, is_channels_last(y)).reshape(-1)


@kernel("setitem", backend="numba", dtypes=ALL)
def setitem(x: np.ndarray, value: np.ndarray, *, index: tuple[Any, ...]) -> np.ndarray:
    """A copy of x with value broadcast into x[index]."""
    y = copy_into(empty(x.shape, x.dtype, is_channels_last(x)), x)
    if _is_window(index):
        window = y[(*index, ...)]
        copy_into(window, value.reshape(value.shape[max(value.ndim - window.ndim, 0) :]))
        return y
    places = _places(y, index)
    value = value.reshape(value.shape[max(value.ndim - places.ndim, 0) :])
    values = np.broadcast_to(value, places.shape)
    _put(bits(_flat(y)), places.reshape(-1), bits(values).reshape(-1))
    return y


@kernel("getitem_backward", backend="numba", dtypes=("int32", "int64", *FLOATS))
def getitem_backward(g: np.ndarray, *, input_shape: Any, index: tuple[Any, ...]) -> np.ndarray:
    """Zeros with g added at index, duplicates accumulated."""
    y = empty(input_shape, g.dtype)
    y.fill(0)
    if _is_window(index):
        copy_into(y[(*index, ...)], g)
    else:
        _add(_flat(y), _places(y, index).reshape(-1), g.reshape(-1))
    return y
