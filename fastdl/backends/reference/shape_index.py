"""Reading and writing along one dim where an index says."""

from __future__ import annotations

from typing import Any

import numpy as np


def places(index: np.ndarray, dim: int) -> tuple[Any, ...]:
    """What selects x[i0, .., index[i0, .., ik, ..], .., ik] for every element of the index."""
    if not index.ndim:
        return ()
    grid: list[Any] = list(np.ogrid[tuple(map(slice, index.shape))])
    grid[dim] = index
    return tuple(grid)


def gather(x: Any, index: np.ndarray, *, dim: int) -> Any:
    """y[.., j, ..] = x[.., index[.., j, ..], ..] along dim, of the index's shape."""
    return np.array(x[places(index, dim)])


def _window(source: Any, index: np.ndarray) -> Any:
    """As much of the source as there is index."""
    return source[tuple(map(slice, index.shape))] if np.ndim(source) else source


def scatter(x: Any, index: np.ndarray, src: Any, *, dim: int) -> Any:
    """A copy of x with y[.., index[.., j, ..], ..] = src[.., j, ..]; the last of several stays."""
    y = np.array(x)
    y[places(index, dim)] = _window(src, index)
    return y


def scatter_add(x: Any, index: np.ndarray, src: Any, *, dim: int) -> Any:
    """A copy of x with y[.., index[.., j, ..], ..] += src[.., j, ..]."""
    y = np.array(x)
    np.add.at(y, places(index, dim), _window(src, index))
    return y


def index_select(x: Any, index: np.ndarray, *, dim: int) -> Any:
    """The slices of x along dim that the index names."""
    return np.take(x, index, axis=dim) if x.ndim else np.array(x)


def index_add(x: Any, index: np.ndarray, src: Any, *, dim: int) -> Any:
    """A copy of x with the slices of src added to those that the index names."""
    y = np.array(x)
    if x.ndim:
        np.add.at(np.moveaxis(y, dim, 0), index, np.moveaxis(src, dim, 0))
    else:
        np.add.at(y.reshape(1), index, src.reshape(1))
    return y
