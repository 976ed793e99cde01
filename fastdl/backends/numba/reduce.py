"""Reductions of x[outer, n, inner] over n: sums (in float64 or int64), maxima and their places.

The dims are put in the order of memory, and adjacent reduced ones are reduced together, the last
group first. With inner = 1 a row is folded into lanes, side by side, which LLVM vectorises as it
does columns; a sum over everything is one of partial sums of fixed length. What is added to what
depends on the shape and the strides only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np

from ...core.memory import empty
from ...core.shapes import reduced
from ...spec import kernel
from ._jit import Jitted, jit, split
from ._layout import grouped
from .elementwise import ALL, FLOATS, NUMBERS

_LANES = 64
_PART = 1 << 16  # terms of a partial sum
_BLOCK = 1024  # columns worked on together
_NANOSECONDS = 0.1  # an element


@jit
def row_sum(row: Any, lanes: Any) -> Any:
    """Σ row, in the dtype of the lanes."""
    lanes[:] = 0
    whole = row.size // lanes.size
    for j in range(whole):
        part = row[j * lanes.size : (j + 1) * lanes.size]
        for k in range(lanes.size):
            lanes[k] += part[k]
    total = lanes[0]
    for k in range(1, lanes.size):
        total += lanes[k]
    for j in range(whole * lanes.size, row.size):
        total += row[j]
    return total


@jit
def larger(a: Any, b: Any) -> Any:
    """The larger, NaN before any number, the first of equals."""
    return b if b > a or np.isnan(b) else a


@jit
def row_max(row: Any, lanes: Any) -> Any:
    """The largest of a row that is not empty."""
    lanes[:] = row[0]
    whole = row.size // lanes.size
    for j in range(whole):
        part = row[j * lanes.size : (j + 1) * lanes.size]
        for k in range(lanes.size):
            lanes[k] = larger(lanes[k], part[k])
    top = lanes[0]
    for k in range(1, lanes.size):
        top = larger(top, lanes[k])
    for j in range(whole * lanes.size, row.size):
        top = larger(top, row[j])
    return top


@jit
def _sum_rows(first: int, last: int, x: Any, n: int, y: Any) -> None:
    """y[i] = Σ x[i·n : (i+1)·n] of a flat x, which may end within the last row."""
    lanes = np.empty(_LANES, y.dtype)
    for i in range(first, last):
        y[i] = row_sum(x[i * n : min((i + 1) * n, x.size)], lanes)


@jit
def _max_rows(first: int, last: int, x: Any, n: int, y: Any) -> None:
    lanes = np.empty(_LANES, y.dtype)
    for i in range(first, last):
        y[i] = row_max(x[i * n : min((i + 1) * n, x.size)], lanes)


@jit
def _sum_columns(first: int, last: int, x: Any, y: Any) -> None:
    """y[i, k] = Σ_j x[i, j, k], a block of columns at a time."""
    blocks = (x.shape[2] + _BLOCK - 1) // _BLOCK
    for item in range(first, last):
        i, begin = item // blocks, item % blocks * _BLOCK
        total = y[i, begin : begin + _BLOCK]
        total[:] = 0
        for j in range(x.shape[1]):
            row = x[i, j, begin : begin + _BLOCK]
            for k in range(total.size):
                total[k] += row[k]


@jit
def _max_columns(first: int, last: int, x: Any, y: Any) -> None:
    blocks = (x.shape[2] + _BLOCK - 1) // _BLOCK
    for item in range(first, last):
        i, begin = item // blocks, item % blocks * _BLOCK
        top = y[i, begin : begin + _BLOCK]
        top[:] = x[i, 0, begin : begin + _BLOCK]
        for j in range(1, x.shape[1]):
            row = x[i, j, begin : begin + _BLOCK]
            for k in range(top.size):
                top[k] = larger(top[k], row[k])


@jit
def _same(a: Any, b: Any) -> Any:
    return a == b or (np.isnan(a) and np.isnan(b))


@jit
def _find(first: int, last: int, x: Any, y: Any, index: Any) -> None:
    """index[i, k] = the first j with x[i, j, k] = y[i, k], or where both are NaN; y = x there."""
    n, inner = x.shape[1], x.shape[2]
    for i in range(first, last):
        if inner == 1:
            top = y[i, 0]
            j = 0
            while not _same(x[i, j, 0], top):
                j += 1
            index[i, 0], y[i, 0] = j, x[i, j, 0]
        else:
            top, place = y[i], index[i]
            for j in range(n - 1, -1, -1):
                row = x[i, j]
                for k in range(inner):
                    if _same(row[k], top[k]):
                        place[k], top[k] = j, row[k]


def _fold(rows: Jitted, columns: Jitted, x: np.ndarray, dtype: Any) -> np.ndarray:
    """C-contiguous x[outer, n, inner] reduced to y[outer, inner] of a dtype."""
    outer, n, inner = x.shape
    y = np.empty((outer, inner), dtype)
    cost = x.size * _NANOSECONDS
    if not y.size:
        return y
    if inner > 1:
        split(columns, outer * -(-inner // _BLOCK), cost, x, y)
    elif outer == 1 and n > 2 * _PART:
        parts = np.empty(-(-n // _PART), dtype)
        split(rows, parts.size, cost, x.reshape(-1), _PART, parts)
        rows(0, 1, parts, parts.size, y.reshape(-1))
    else:
        split(rows, outer, cost, x.reshape(-1), n, y.reshape(-1))
    return y


def reduce(
    rows: Jitted, columns: Jitted, x: np.ndarray, dims: Sequence[int], dtype: Any
) -> np.ndarray:
    """X reduced over dims, which stay with size 1."""
    order = sorted(range(x.ndim), key=lambda d: -abs(x.strides[d]))
    y = np.asarray(x.transpose(order), order="C")
    if not dims:
        y = y.astype(dtype)
    sizes = list(y.shape)
    runs = [(flag, [p for p, _ in run]) for flag, run in
            groupby(enumerate(d in dims for d in order), key=lambda item: item[1])]  # fmt: skip
    for flag, places in reversed(runs):
        if flag:
            n = math.prod(sizes[p] for p in places)
            outer, inner = math.prod(sizes[: places[0]]), math.prod(sizes[places[-1] + 1 :])
            y = _fold(rows, columns, y.reshape(outer, n, inner), dtype)
            for p in places:
                sizes[p] = 1
    return y.reshape(sizes).transpose([order.index(d) for d in range(x.ndim)])


def plain(x: np.ndarray) -> np.ndarray:
    """Small integers and bools as int64, so that fewer loops are compiled."""
    return x if x.dtype.kind == "f" else x.astype(np.int64, copy=False)


def finished(y: np.ndarray, shape: Sequence[int], dtype: np.dtype) -> np.ndarray:
    """A result in memory of ours, under its shape and dtype."""
    out = empty(shape, dtype)
    with np.errstate(all="ignore"):
        out[...] = y.reshape(shape).astype(dtype, copy=False)
    return out


def total(x: np.ndarray, dims: Sequence[int]) -> np.ndarray:
    """Σ over dims, which stay with size 1, in float64 or int64."""
    return reduce(
        _sum_rows, _sum_columns, plain(x), dims, np.float64 if x.dtype.kind == "f" else np.int64
    )


@kernel("sum", backend="numba", dtypes=ALL)
def sum(x: np.ndarray, *, dim: Sequence[int], keepdim: bool) -> np.ndarray:
    """Σ over dims."""
    dtype = x.dtype if x.dtype.kind == "f" else np.dtype(np.int64)
    return finished(total(x, dim), reduced(x.shape, dim, keepdim), dtype)


@kernel("mean", backend="numba", dtypes=FLOATS)
def mean(x: np.ndarray, *, dim: Sequence[int], keepdim: bool) -> np.ndarray:
    """Σ / n over dims; NaN for n = 0."""
    n = math.prod(x.shape[d] for d in dim)
    with np.errstate(all="ignore"):
        return finished(np.divide(total(x, dim), n), reduced(x.shape, dim, keepdim), x.dtype)


@kernel("amax", backend="numba", dtypes=ALL)
def amax(x: np.ndarray, *, dim: Sequence[int], keepdim: bool) -> np.ndarray:
    """The largest element over dims."""
    whole = plain(x)
    y = reduce(_max_rows, _max_columns, whole, dim, whole.dtype)
    return finished(y, reduced(x.shape, dim, keepdim), x.dtype)


def largest(x: np.ndarray, dim: int) -> tuple[np.ndarray, np.ndarray]:
    """The largest elements along a dim and their places."""
    whole = np.ascontiguousarray(plain(x)).reshape(grouped(x.shape, dim))
    top = _fold(_max_rows, _max_columns, whole, whole.dtype)
    index = np.empty(top.shape, np.int64)
    if top.size:
        split(_find, len(whole), whole.size * _NANOSECONDS * 5, whole, top, index)
    return top, index


@kernel("max", backend="numba", dtypes=ALL)
def max(x: np.ndarray, *, dim: int, keepdim: bool) -> tuple[np.ndarray, np.ndarray]:
    """The largest element along a dim, and where it first is."""
    top, index = largest(x, dim)
    shape = reduced(x.shape, (dim,), keepdim)
    return finished(top, shape, x.dtype), finished(index, shape, index.dtype)


@kernel("argmax", backend="numba", dtypes=NUMBERS)
def argmax(x: np.ndarray, *, dim: int | None, keepdim: bool) -> np.ndarray:
    """Where the largest element along a dim (None: of the flattened array) first is."""
    dims = range(x.ndim) if dim is None else (dim,)
    _, index = largest(x.reshape(-1), 0) if dim is None else largest(x, dim)
    return finished(index, reduced(x.shape, dims, keepdim), index.dtype)
