"""Shape ops that move data, as strided copies (csrc/elementwise.cpp, `copy`).

Indices made of integers, slices, None and Ellipsis select a view and so need only a copy; arrays as
indices are left to NumPy.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import _native
from ...core.memory import copy_to, empty
from ...core.shapes import is_channels_last
from ...spec import kernel
from .elementwise import ALL

kernel("cat", backend="native", dtypes=ALL, out=True, direct=True)(_native.cat)


def _needs_gather(index: Any) -> str | None:
    items = index if isinstance(index, tuple) else (index,)
    for i in items:
        if isinstance(i, (np.ndarray, list, bool, np.bool_)):
            return "an array or a bool in the index"
    return None


def _setitem_declines(x: np.ndarray, value: np.ndarray, *, index: Any) -> str | None:
    return _needs_gather(index)


def _getitem_backward_declines(g: np.ndarray, *, input_shape: Any, index: Any) -> str | None:
    return _needs_gather(index)


def _window(array: np.ndarray, index: Any) -> np.ndarray:
    """array[index] as an array even where it selects a single element."""
    items = index if isinstance(index, tuple) else (index,)
    return array[items if Ellipsis in items else (*items, Ellipsis)]


@kernel("setitem", backend="native", dtypes=ALL, declines=_setitem_declines)
def setitem(x: np.ndarray, value: np.ndarray, *, index: Any) -> np.ndarray:
    """A copy of x with value broadcast into x[index]."""
    result = empty(x.shape, x.dtype, is_channels_last(x))
    copy_to(x, result)
    window = _window(result, index)
    copy_to(np.broadcast_to(value, window.shape), window)
    return result


@kernel("getitem_backward", backend="native", dtypes=ALL, declines=_getitem_backward_declines)
def getitem_backward(g: np.ndarray, *, input_shape: Any, index: Any) -> np.ndarray:
    """Zeros with g in the place of x[index]."""
    result = empty(input_shape, g.dtype)
    result.fill(0)
    copy_to(g, _window(result, index))
    return result
