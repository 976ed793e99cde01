"""Sorting along one dim, by integers in the same order as the elements."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.dtypes import int64
from ...core.memory import empty
from ...spec import kernel
from ._jit import jit
from .elementwise import ALL


@jit
def _argsort(keys: Any, index: Any) -> None:
    """index[i] = where the elements of row i in order come from, equal ones in theirs."""
    for i in range(keys.shape[0]):
        index[i] = np.argsort(keys[i], kind="mergesort")[: index.shape[1]]


def _keys(x: np.ndarray, descending: bool) -> np.ndarray:
    """int64 numbers in the order of x: zeros equal, NaN equal and the largest."""
    if x.dtype.kind == "f":
        size: Any = np.int32 if x.itemsize == 4 else np.int64
        most = np.iinfo(size).max
        words: Any = np.where(x == 0, x.dtype.type(0), x).view(size)
        keys = np.where(words < 0, words ^ most, words)
        keys = np.where(np.isnan(x), most, keys).astype(np.int64)
    else:
        keys = x.astype(np.int64)
    return ~keys if descending else keys


def _sorted(x: np.ndarray, dim: int, descending: bool, k: int) -> Any:
    keys = np.moveaxis(_keys(x, descending), dim, -1)
    rows = np.ascontiguousarray(keys).reshape(-1, keys.shape[-1]) if keys.size else keys[..., :0]
    places = np.empty((*keys.shape[:-1], k), np.int64)
    if places.size:
        _argsort(rows, places.reshape(-1, k))
    shape = (*x.shape[:dim], k, *x.shape[dim + 1 :])
    index, values = empty(shape, int64), empty(shape, x.dtype)
    index[...] = np.moveaxis(places, -1, dim)
    values[...] = np.take_along_axis(x, index, dim)
    return values, index


@kernel("sort", backend="numba", dtypes=ALL)
def sort(x: np.ndarray, *, dim: int, descending: bool) -> Any:
    """The elements in order, and where each was."""
    if not x.ndim:
        return x.copy(), np.zeros((), np.int64)
    return _sorted(x, dim, descending, x.shape[dim])


@kernel("topk", backend="numba", dtypes=ALL)
def topk(x: np.ndarray, *, k: int, dim: int, largest: bool) -> Any:
    """The k first elements in order, and where each was."""
    if not x.ndim:
        return x.copy(), np.zeros((), np.int64)
    return _sorted(x, dim, largest, k)
