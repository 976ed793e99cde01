"""Gather and scatter along one dim: the places off it are worked out by NumPy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...core.memory import empty
from ...spec import kernel
from ._jit import jit
from .elementwise import ALL, FLOATS, bits

NUMBERS = ("uint8", "int32", "int64", *FLOATS)


@jit
def _gather(y: Any, x: Any, index: Any, outer: Any, inner: Any, step: int) -> None:
    for a in range(y.shape[0]):
        for k in range(y.shape[1]):
            for b in range(y.shape[2]):
                y[a, k, b] = x[outer[a] + index[a, k, b] * step + inner[b]]


@jit
def _set(y: Any, index: Any, source: Any, outer: Any, inner: Any, step: int) -> None:
    for a in range(index.shape[0]):
        for k in range(index.shape[1]):
            for b in range(index.shape[2]):
                y[outer[a] + index[a, k, b] * step + inner[b]] = source[a, k, b]


@jit
def _add(y: Any, index: Any, source: Any, outer: Any, inner: Any, step: int) -> None:
    for a in range(index.shape[0]):
        for k in range(index.shape[1]):
            for b in range(index.shape[2]):
                y[outer[a] + index[a, k, b] * step + inner[b]] += source[a, k, b]


def _offsets(shape: tuple[int, ...], strides: tuple[int, ...]) -> np.ndarray:
    """Where in memory the elements of a part of an array are, in C order."""
    found = np.zeros(1, np.int64)
    for n, stride in zip(shape, strides, strict=True):
        found = (found[:, None] + np.arange(n) * stride).reshape(-1)
    return found


def _places(x: np.ndarray, shape: tuple[int, ...], dim: int) -> tuple[Any, ...]:
    """Offsets before and after dim in a C-contiguous x, for an index of this shape; dim's step."""
    strides = tuple(math.prod(x.shape[d + 1 :]) for d in range(x.ndim))
    outer, inner = (
        _offsets(shape[:dim], strides[:dim]),
        _offsets(shape[dim + 1 :], strides[dim + 1 :]),
    )
    return outer, inner, strides[dim] if x.ndim else 1


def _three(a: np.ndarray, dim: int) -> np.ndarray:
    """[before dim, dim, after dim], C-contiguous."""
    if not a.ndim:
        return a.reshape(1, 1, 1)
    shape = math.prod(a.shape[:dim]), a.shape[dim], math.prod(a.shape[dim + 1 :])
    return np.ascontiguousarray(a).reshape(shape)


def _expanded(x: np.ndarray, index: np.ndarray, dim: int) -> np.ndarray:
    """An index of one dim as one of x's dims."""
    if not x.ndim:
        return index.reshape(())
    ones = [1] * x.ndim
    ones[dim] = index.size
    shape = (*x.shape[:dim], index.size, *x.shape[dim + 1 :])
    return np.broadcast_to(index.reshape(ones), shape)


@kernel("gather", backend="numba", dtypes=ALL)
def gather(x: np.ndarray, index: np.ndarray, *, dim: int) -> np.ndarray:
    """One element for each of the index."""
    y = empty(index.shape, x.dtype)
    flat = np.ascontiguousarray(x).reshape(-1)
    places = _places(x, index.shape, dim)
    _gather(bits(_three(y, dim)), bits(flat), _three(index, dim), *places)
    return y


@kernel("index_select", backend="numba", dtypes=ALL)
def index_select(x: np.ndarray, index: np.ndarray, *, dim: int) -> np.ndarray:
    """Whole slices, by an index of one dim."""
    return gather(x, _expanded(x, index, dim), dim=dim)


def _scattered(loop: Any, x: np.ndarray, index: np.ndarray, src: np.ndarray, dim: int) -> Any:
    y = empty(x.shape, x.dtype)
    y[...] = x
    if src.ndim:
        src = src[tuple(map(slice, index.shape))]
    source = _three(np.broadcast_to(src, index.shape), dim)
    flat = y.reshape(-1)
    if loop is _set:
        flat, source = bits(flat), bits(source)
    loop(flat, _three(index, dim), source, *_places(x, index.shape, dim))
    return y


@kernel("scatter", backend="numba", dtypes=ALL)
def scatter(x: np.ndarray, index: np.ndarray, src: np.ndarray, *, dim: int) -> np.ndarray:
    """A copy, and one element of it written for each of the index."""
    return _scattered(_set, x, index, src, dim)


@kernel("scatter_add", backend="numba", dtypes=NUMBERS)
def scatter_add(x: np.ndarray, index: np.ndarray, src: np.ndarray, *, dim: int) -> np.ndarray:
    """A copy, and one element of it added to for each of the index, in its order."""
    return _scattered(_add, x, index, src, dim)


@kernel("index_add", backend="numba", dtypes=NUMBERS)
def index_add(x: np.ndarray, index: np.ndarray, src: np.ndarray, *, dim: int) -> np.ndarray:
    """A copy, and whole slices of it added to."""
    return _scattered(
        _add, x, _expanded(x, index, dim), src.reshape(src.shape if x.ndim else ()), dim
    )
