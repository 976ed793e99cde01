"""Elements in another order or several times, triangles and diagonals: copies of views."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.memory import empty
from ...spec import kernel
from ..reference.shape_view import repeat_views, roll_windows
from ._jit import jit
from ._layout import empty_like
from .elementwise import ALL, bits, copy_into


@kernel("flip", backend="numba", dtypes=ALL)
def flip(x: np.ndarray, *, dims: tuple[int, ...]) -> np.ndarray:
    """A copy of a view with negative strides."""
    return copy_into(empty_like(x), np.flip(x, dims))


@kernel("roll", backend="numba", dtypes=ALL)
def roll(x: np.ndarray, *, shifts: Any, dims: tuple[int, ...]) -> np.ndarray:
    """Two windows along every dim that moves."""
    y = empty_like(x)
    for source, target in roll_windows(x.shape, shifts, dims):
        copy_into(y[(*target, ...)], x[(*source, ...)])
    return y


@kernel("repeat", backend="numba", dtypes=ALL)
def repeat(x: np.ndarray, *, repeats: tuple[int, ...]) -> np.ndarray:
    """One copy of a view with strides of 0."""
    sizes = (1,) * (len(repeats) - x.ndim) + x.shape
    y = empty(tuple(r * n for r, n in zip(repeats, sizes, strict=True)), x.dtype)
    source, target = repeat_views(x, y, repeats)
    copy_into(target, source)
    return y


@jit
def _triangle(y: Any, x: Any, diagonal: int, lower: bool) -> None:
    for m in range(x.shape[0]):
        for i in range(x.shape[1]):
            for j in range(x.shape[2]):
                y[m, i, j] = 0
                if j - i <= diagonal if lower else j - i >= diagonal:
                    y[m, i, j] = x[m, i, j]


def _triangles(x: np.ndarray, diagonal: int, lower: bool) -> np.ndarray:
    y = empty(x.shape, x.dtype)
    rows, columns = x.shape[-2:]
    far = max(min(diagonal, columns), -rows)
    if x.size:
        matrices = (-1, rows, columns)
        source = np.ascontiguousarray(x).reshape(matrices)
        _triangle(bits(y.reshape(matrices)), bits(source), far, lower)
    return y


@kernel("tril", backend="numba", dtypes=ALL)
def tril(x: np.ndarray, *, diagonal: int) -> np.ndarray:
    """Zero above a diagonal."""
    return _triangles(x, diagonal, True)


@kernel("triu", backend="numba", dtypes=ALL)
def triu(x: np.ndarray, *, diagonal: int) -> np.ndarray:
    """Zero below a diagonal."""
    return _triangles(x, diagonal, False)


@kernel("diagonal_backward", backend="numba", dtypes=ALL)
def diagonal_backward(g: np.ndarray, *, input_shape: Any, **where: Any) -> np.ndarray:
    """Zeros, and a copy to a view of the diagonals."""
    y = empty(input_shape, g.dtype)
    y.fill(0)
    view = np.diagonal(y, where["offset"], where["dim1"], where["dim2"])
    view.flags.writeable = True
    copy_into(view, g)
    return y
