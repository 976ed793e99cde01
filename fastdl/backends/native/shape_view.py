"""Copies of views (csrc/elementwise.cpp, `copy`), and triangles (csrc/shape.cpp)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import _native
from ...core.memory import copy_to, empty
from ...core.shapes import is_channels_last
from ...spec import kernel
from ..reference.shape_view import repeat_views, roll_windows
from .elementwise import ALL


def _like(x: np.ndarray, out: Any) -> np.ndarray:
    return empty(x.shape, x.dtype, is_channels_last(x)) if out is None else out


@kernel("flip", backend="native", dtypes=ALL, out=True)
def flip(x: np.ndarray, *, dims: tuple[int, ...], out: Any = None) -> np.ndarray:
    """A copy of a view with negative strides."""
    result = _like(x, out)
    copy_to(np.flip(x, dims), result)
    return result


@kernel("roll", backend="native", dtypes=ALL, out=True)
def roll(x: np.ndarray, *, shifts: Any, dims: tuple[int, ...], out: Any = None) -> np.ndarray:
    """Two windows along every dim that moves, so 2, 4, 8, ... copies."""
    result = _like(x, out)
    for source, target in roll_windows(x.shape, shifts, dims):
        copy_to(x[(*source, ...)], result[(*target, ...)])
    return result


@kernel("repeat", backend="native", dtypes=ALL)
def repeat(x: np.ndarray, *, repeats: tuple[int, ...]) -> np.ndarray:
    """One copy of a view with strides of 0."""
    sizes = (1,) * (len(repeats) - x.ndim) + x.shape
    result = empty(tuple(r * n for r, n in zip(repeats, sizes, strict=True)), x.dtype)
    copy_to(*repeat_views(x, result, repeats))
    return result


@kernel("tril", backend="native", dtypes=ALL, out=True)
def tril(x: np.ndarray, *, diagonal: int, out: Any = None) -> Any:
    """A copy, and zeros over what is above."""
    return _native.triangle(x, diagonal, True, out)


@kernel("triu", backend="native", dtypes=ALL, out=True)
def triu(x: np.ndarray, *, diagonal: int, out: Any = None) -> Any:
    """A copy, and zeros over what is below."""
    return _native.triangle(x, diagonal, False, out)


@kernel("diagonal_backward", backend="native", dtypes=ALL)
def diagonal_backward(g: np.ndarray, *, input_shape: Any, **where: Any) -> np.ndarray:
    """Zeros, and a copy to a view of the diagonals."""
    result = empty(input_shape, g.dtype)
    result.fill(0)
    view = np.diagonal(result, where["offset"], where["dim1"], where["dim2"])
    view.flags.writeable = True
    copy_to(g, view)
    return result
