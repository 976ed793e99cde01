"""softmax and log-softmax of x[outer, n, inner] over n, and their gradients.

y = (x − m) − ln Σ e^(x − m) with m the maximum. A row (inner = 1) is gone through four times, the
exponentials written to y in between, so that every pass is one that LLVM vectorises; columns are
worked on side by side, a block that stays in the first-level cache at a time.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...spec import kernel
from ._jit import jit, split
from ._layout import Grouped, dense, empty_like, grouped, is_channels_last
from ._math import exp, log
from .reduce import larger, row_max, row_sum

_BLOCK = 512  # columns worked on together
_NANOSECONDS = 2.0  # an element


@jit
def _rows(first: int, last: int, x: Any, y: Any) -> None:
    """Rows of x[outer, n]."""
    tops, sums = np.empty(64, x.dtype), np.empty(64)
    for i in range(first, last):
        row, out = x[i], y[i]
        m = row_max(row, tops)
        for j in range(row.size):
            out[j] = exp(np.float64(row[j] - m))
        total = log(row_sum(out, sums))
        for j in range(row.size):
            out[j] = (row[j] - m) - total


@jit
def _columns(first: int, last: int, x: Any, y: Any) -> None:
    """Columns of x[outer, n, inner], a block at a time."""
    n, inner = x.shape[1], x.shape[2]
    blocks = (inner + _BLOCK - 1) // _BLOCK
    tops, sums = np.empty(_BLOCK, x.dtype), np.empty(_BLOCK)
    for item in range(first, last):
        i, begin = item // blocks, item % blocks * _BLOCK
        width = min(_BLOCK, inner - begin)
        top, total = tops[:width], sums[:width]
        top[:] = x[i, 0, begin : begin + width]
        total[:] = 0
        for j in range(1, n):
            row = x[i, j, begin : begin + width]
            for k in range(width):
                top[k] = larger(top[k], row[k])
        for j in range(n):
            row = x[i, j, begin : begin + width]
            for k in range(width):
                total[k] += exp(np.float64(row[k] - top[k]))
        for k in range(width):
            total[k] = log(total[k])
        for j in range(n):
            row, out = x[i, j, begin : begin + width], y[i, j, begin : begin + width]
            for k in range(width):
                out[k] = (row[k] - top[k]) - total[k]


@jit
def _softmax_rows(first: int, last: int, x: Any, y: Any) -> None:
    tops, sums = np.empty(64, x.dtype), np.empty(64)
    for i in range(first, last):
        row, out = x[i], y[i]
        m = row_max(row, tops)
        for j in range(row.size):
            out[j] = exp(np.float64(row[j] - m))
        factor = 1 / row_sum(out, sums)
        for j in range(row.size):
            out[j] = out[j] * factor


@jit
def _softmax_columns(first: int, last: int, x: Any, y: Any) -> None:
    n, inner = x.shape[1], x.shape[2]
    blocks = (inner + _BLOCK - 1) // _BLOCK
    tops, sums = np.empty(_BLOCK, x.dtype), np.empty(_BLOCK)
    for item in range(first, last):
        i, begin = item // blocks, item % blocks * _BLOCK
        width = min(_BLOCK, inner - begin)
        top, total = tops[:width], sums[:width]
        top[:] = x[i, 0, begin : begin + width]
        total[:] = 0
        for j in range(1, n):
            row = x[i, j, begin : begin + width]
            for k in range(width):
                top[k] = larger(top[k], row[k])
        for j in range(n):
            row, out = x[i, j, begin : begin + width], y[i, j, begin : begin + width]
            for k in range(width):
                e = exp(np.float64(row[k] - top[k]))
                out[k] = e
                total[k] += e
        for j in range(n):
            out = y[i, j, begin : begin + width]
            for k in range(width):
                out[k] = out[k] / total[k]


@jit
def _softmax_rows_backward(first: int, last: int, g: Any, y: Any, dx: Any) -> None:
    for i in range(first, last):
        upstream, row, out = g[i], y[i], dx[i]
        total = 0.0
        for j in range(row.size):
            total += np.float64(upstream[j]) * row[j]
        for j in range(row.size):
            out[j] = row[j] * (upstream[j] - total)


@jit
def _softmax_columns_backward(first: int, last: int, g: Any, y: Any, dx: Any) -> None:
    n, inner = y.shape[1], y.shape[2]
    blocks = (inner + _BLOCK - 1) // _BLOCK
    sums = np.empty(_BLOCK)
    for item in range(first, last):
        i, begin = item // blocks, item % blocks * _BLOCK
        width = min(_BLOCK, inner - begin)
        total = sums[:width]
        total[:] = 0
        for j in range(n):
            upstream, row = g[i, j, begin : begin + width], y[i, j, begin : begin + width]
            for k in range(width):
                total[k] += np.float64(upstream[k]) * row[k]
        for j in range(n):
            upstream, row = g[i, j, begin : begin + width], y[i, j, begin : begin + width]
            out = dx[i, j, begin : begin + width]
            for k in range(width):
                out[k] = row[k] * (upstream[k] - total[k])


@jit
def _rows_backward(first: int, last: int, g: Any, y: Any, dx: Any) -> None:
    sums = np.empty(64)
    for i in range(first, last):
        upstream, row, out = g[i], y[i], dx[i]
        total = row_sum(upstream, sums)
        for j in range(row.size):
            out[j] = upstream[j] - exp(np.float64(row[j])) * total


@jit
def _columns_backward(first: int, last: int, g: Any, y: Any, dx: Any) -> None:
    n, inner = y.shape[1], y.shape[2]
    blocks = (inner + _BLOCK - 1) // _BLOCK
    sums = np.empty(_BLOCK)
    for item in range(first, last):
        i, begin = item // blocks, item % blocks * _BLOCK
        width = min(_BLOCK, inner - begin)
        total = sums[:width]
        total[:] = 0
        for j in range(n):
            upstream = g[i, j, begin : begin + width]
            for k in range(width):
                total[k] += upstream[k]
        for j in range(n):
            upstream, row = g[i, j, begin : begin + width], y[i, j, begin : begin + width]
            out = dx[i, j, begin : begin + width]
            for k in range(width):
                out[k] = upstream[k] - exp(np.float64(row[k])) * total[k]


def log_softmax_into(y: np.ndarray, x: np.ndarray) -> None:
    """Writes the log-softmax of C-contiguous x[outer, n, inner] to y of that shape."""
    _run(_rows, _columns, x, y)


def _run(rows: Any, columns: Any, *arrays: np.ndarray) -> None:
    outer, _, inner = arrays[0].shape
    cost = arrays[0].size * _NANOSECONDS
    if not arrays[0].size:
        return
    if inner == 1:
        split(rows, outer, cost, *(a.reshape(outer, -1) for a in arrays))
    else:
        split(columns, outer * -(-inner // _BLOCK), cost, *arrays)


def _grouped(last: bool, dim: int, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
    shape: Grouped = grouped(arrays[0].shape, dim, last)
    return tuple(dense(a, last).reshape(shape) for a in arrays)


@kernel("log_softmax", backend="numba")
def log_softmax(x: np.ndarray, *, dim: int) -> np.ndarray:
    """Log-softmax along a dim."""
    y = empty_like(x)
    _run(_rows, _columns, *_grouped(is_channels_last(x), dim, x, y))
    return y


@kernel("log_softmax_backward", backend="numba")
def log_softmax_backward(g: np.ndarray, y: np.ndarray, *, dim: int) -> np.ndarray:
    """dx = g − e^y Σ g."""
    dx = empty_like(y)
    _run(_rows_backward, _columns_backward, *_grouped(is_channels_last(y), dim, g, y, dx))
    return dx


@kernel("softmax", backend="numba")
def softmax(x: np.ndarray, *, dim: int) -> np.ndarray:
    """Softmax along a dim."""
    y = empty_like(x)
    _run(_softmax_rows, _softmax_columns, *_grouped(is_channels_last(x), dim, x, y))
    return y


@kernel("softmax_backward", backend="numba")
def softmax_backward(g: np.ndarray, y: np.ndarray, *, dim: int) -> np.ndarray:
    """dx = y·(g − Σ g·y)."""
    dx = empty_like(y)
    arrays = _grouped(is_channels_last(y), dim, g, y, dx)
    _run(_softmax_rows_backward, _softmax_columns_backward, *arrays)
    return dx
