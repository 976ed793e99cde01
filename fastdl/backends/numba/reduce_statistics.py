"""Products, minima, variances, norms, log-sum-exp and running sums, after the sums of reduce.py."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...core.memory import empty
from ...core.shapes import reduced
from ...spec import kernel
from ._jit import jit, split
from ._layout import grouped
from .elementwise import ALL, FLOATS, NUMBERS
from .reduce import amax, argmax, finished, largest, plain, reduce, total

Dims = Sequence[int]


@jit
def _end(i: int, n: int, x: Any) -> Any:
    """Where row i of n ends, in a flat x that may end within it."""
    return (i + 1) * n if (i + 1) * n < x.size else x.size


@jit
def _multiply_rows(first: int, last: int, x: Any, n: int, y: Any) -> None:
    for i in range(first, last):
        product = y.dtype.type(1)
        for j in range(i * n, _end(i, n, x)):
            product *= x[j]
        y[i] = product


@jit
def _multiply_columns(first: int, last: int, x: Any, y: Any) -> None:
    blocks = (x.shape[2] + 1023) // 1024
    for item in range(first, last):
        i, begin = item // blocks, item % blocks * 1024
        product = y[i, begin : begin + 1024]
        product[:] = 1
        for j in range(x.shape[1]):
            row = x[i, j, begin : begin + 1024]
            for k in range(product.size):
                product[k] *= row[k]


def _turned(x: np.ndarray) -> np.ndarray:
    """The same numbers in the opposite order, exactly: −x, or ~x of integers."""
    return np.negative(x) if x.dtype.kind == "f" else ~plain(x)


@kernel("prod", backend="numba", dtypes=ALL)
def prod(x: np.ndarray, *, dim: Dims, keepdim: bool) -> np.ndarray:
    """∏ over dims."""
    wide = plain(x)
    y = reduce(_multiply_rows, _multiply_columns, wide, dim, wide.dtype)
    return finished(y, reduced(x.shape, dim, keepdim), wide.dtype)


@kernel("amin", backend="numba", dtypes=ALL)
def amin(x: np.ndarray, *, dim: Dims, keepdim: bool) -> np.ndarray:
    """The smallest element over dims."""
    least = _turned(amax(_turned(x), dim=dim, keepdim=keepdim))
    return finished(np.asarray(least), reduced(x.shape, dim, keepdim), x.dtype)


@kernel("min", backend="numba", dtypes=ALL)
def min(x: np.ndarray, *, dim: int, keepdim: bool) -> tuple[np.ndarray, np.ndarray]:
    """The smallest element along a dim, and where it first is."""
    top, index = largest(_turned(x), dim)
    shape = reduced(x.shape, (dim,), keepdim)
    return finished(_turned(top), shape, x.dtype), finished(index, shape, index.dtype)


@kernel("argmin", backend="numba", dtypes=NUMBERS)
def argmin(x: np.ndarray, *, dim: int | None, keepdim: bool) -> np.ndarray:
    """Where the smallest element along a dim (None: of the flattened array) first is."""
    return argmax(_turned(x), dim=dim, keepdim=keepdim)


def _count(x: np.ndarray, dim: Dims) -> int:
    return math.prod(x.shape[d] for d in dim)


def _variance(x: np.ndarray, dim: Dims, correction: float) -> np.ndarray:
    """In float64, over dims that stay with size 1."""
    n = _count(x, dim)
    centred = x - np.divide(total(x, dim).reshape(reduced(x.shape, dim, True)), n)
    return np.divide(total(np.square(centred), dim), max(n - correction, 0))


@kernel("var", backend="numba", dtypes=FLOATS)
def var(x: np.ndarray, *, dim: Dims, correction: float, keepdim: bool) -> np.ndarray:
    """Two passes, in float64."""
    with np.errstate(all="ignore"):
        y = _variance(x, dim, correction)
    return finished(y, reduced(x.shape, dim, keepdim), x.dtype)


@kernel("std", backend="numba", dtypes=FLOATS)
def std(x: np.ndarray, *, dim: Dims, correction: float, keepdim: bool) -> np.ndarray:
    """√ var."""
    with np.errstate(all="ignore"):
        y = np.sqrt(_variance(x, dim, correction))
    return finished(y, reduced(x.shape, dim, keepdim), x.dtype)


@kernel("norm", backend="numba", dtypes=FLOATS)
def norm(x: np.ndarray, *, p: float, dim: Dims, keepdim: bool) -> np.ndarray:
    """Powers by NumPy, sums in float64."""
    shape, size = reduced(x.shape, dim, keepdim), np.abs(x)
    with np.errstate(all="ignore"):
        if math.isinf(p):
            if _count(x, dim) == 0:
                return finished(np.zeros(shape), shape, x.dtype)
            return (amax if p > 0 else amin)(size, dim=dim, keepdim=keepdim)
        if p == 0:
            return finished(total(size != 0, dim), shape, x.dtype)
        y = total(np.power(size, p, dtype=np.float64), dim)
        return finished(np.power(y, 1 / p), shape, x.dtype)


@kernel("logsumexp", backend="numba", dtypes=FLOATS)
def logsumexp(x: np.ndarray, *, dim: Dims, keepdim: bool) -> np.ndarray:
    """ln Σ e^(x − top) + top, where a top of ±∞ is taken for 0."""
    shape = reduced(x.shape, dim, keepdim)
    with np.errstate(all="ignore"):
        if _count(x, dim) == 0:
            return finished(np.full(shape, -np.inf), shape, x.dtype)
        top = amax(x, dim=dim, keepdim=True)
        top = np.where(np.isfinite(top), top, 0).astype(np.float64)
        y = np.log(total(np.exp(x - top), dim)).reshape(top.shape) + top
    return finished(y, shape, x.dtype)


@jit
def _cumulative_sum(first: int, last: int, x: Any, y: Any) -> None:
    for i in range(first, last):
        y[i, 0] = x[i, 0]
        for j in range(1, x.shape[1]):
            for k in range(x.shape[2]):
                y[i, j, k] = y[i, j - 1, k] + x[i, j, k]


@jit
def _cumulative_product(first: int, last: int, x: Any, y: Any) -> None:
    for i in range(first, last):
        y[i, 0] = x[i, 0]
        for j in range(1, x.shape[1]):
            for k in range(x.shape[2]):
                y[i, j, k] = y[i, j - 1, k] * x[i, j, k]


def _scan(function: Any, x: np.ndarray, dim: int, reverse: bool) -> np.ndarray:
    y = empty(x.shape, x.dtype)
    if not x.size:
        return y
    part = (slice(None), slice(None, None, -1 if reverse else 1))
    shape = grouped(x.shape, dim)
    given = np.ascontiguousarray(x).reshape(shape)[part]
    result = y.reshape(shape)[part]
    split(function, len(given), x.size * 1.0, given, result)
    return y


@kernel("cumsum", backend="numba", dtypes=("int64", *FLOATS))
def cumsum(x: np.ndarray, *, dim: int, reverse: bool) -> np.ndarray:
    """Term by term."""
    return _scan(_cumulative_sum, x, dim, reverse)


@kernel("cumprod", backend="numba", dtypes=("int64", *FLOATS))
def cumprod(x: np.ndarray, *, dim: int, reverse: bool) -> np.ndarray:
    """Factor by factor."""
    return _scan(_cumulative_product, x, dim, reverse)
