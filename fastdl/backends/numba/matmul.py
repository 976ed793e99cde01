"""Matrix products: both operands packed in panels, then register tiles over all of the depth.

y[b, m, n] = bias[n] + Σ_k a[b, m, k] b[b, k, n]; the sum runs over k in order, starting with bias.
A work item is a panel of b's columns with a few panels of a's rows, which stay in the second-level
cache for the next item.

The second choice, behind csrc/matmul.cpp: 0.55 of its speed at 256^3 and 0.75 of it at 1024^3 (110
and 180 GFLOP/s of float32 on one core, where that had 202 and 235).
"""

from __future__ import annotations

import math

import numpy as np

from ...core.memory import empty
from ...spec import kernel
from ._jit import jit, split
from ._tile import ROWS, Strides, columns_of, nanoseconds, pack, store, tile

_GROUP = 8  # tiles below each other in an item


@jit
def _products(first, last, a, b, bias, y, m, n, depth, width):
    tiles, panels = (m + ROWS - 1) // ROWS, (n + width - 1) // width
    groups = (tiles + _GROUP - 1) // _GROUP
    c = np.empty(ROWS * width, y.dtype)
    for item in range(first, last):
        panel, group = item % panels, item // panels % groups
        batch = item // (panels * groups)
        columns = min(width, n - panel * width)
        for t in range(group * _GROUP, min(tiles, group * _GROUP + _GROUP)):
            for i in range(ROWS):
                for j in range(width):
                    c[i * width + j] = bias[panel * width + j]
            at_a = (batch * tiles + t) * depth * ROWS
            at_b = (batch * panels + panel) * depth * width
            tile(a, at_a, b, at_b, c, 0, depth)
            start = (batch * m + t * ROWS) * n + panel * width
            store(c, 0, width, y, start, n, 1, min(ROWS, m - t * ROWS), columns)


def _flat(a: np.ndarray) -> tuple[np.ndarray, tuple[int, int]]:
    """The elements of a[batch, i, j] in an order of memory with i or j last; strides of i and j."""
    if a.swapaxes(1, 2).flags.c_contiguous:
        return a.swapaxes(1, 2).reshape(-1), (1, a.shape[1])
    return a.reshape(-1), (a.shape[2], 1)


def pack_right(b: np.ndarray) -> np.ndarray:
    """b[batch, k, n] in panels, for `multiply_packed`."""
    batch, depth, n = b.shape
    right, (down, column) = _flat(b)
    columns: Strides = (depth * n, 0, column, down)
    return pack(right, columns, (batch, 1), n, depth, columns_of(b.dtype))


def multiply_packed(
    a: np.ndarray, packed_b: np.ndarray, bias: np.ndarray | None, y: np.ndarray
) -> None:
    """Into y[batch, m, n], C-contiguous, of a[batch, m, k] and a packed b[batch, k, n]."""
    batch, m, n = y.shape
    depth = a.shape[2]
    if not y.size:
        return
    width = columns_of(y.dtype)
    padded = np.zeros(-(-n // width) * width, y.dtype)
    if bias is not None:
        padded[:n] = bias
    left, (row, along) = _flat(a)
    rows: Strides = (m * depth, 0, row, along)
    packed_a = pack(left, rows, (batch, 1), m, depth, ROWS)
    items = batch * -(-m // (ROWS * _GROUP)) * -(-n // width)
    split(_products, items, nanoseconds(y.size * depth),
          packed_a, packed_b, padded, y.reshape(-1), m, n, depth, width)  # fmt: skip


def _multiply(a: np.ndarray, b: np.ndarray, bias: np.ndarray | None, y: np.ndarray) -> None:
    """Into y[batch, m, n], C-contiguous, of a[batch, m, k] and b[batch, k, n]."""
    if y.size:
        multiply_packed(a, pack_right(b), bias, y)


@kernel("matmul", backend="numba")
def matmul(a: np.ndarray, b: np.ndarray, invariant: str | None = None) -> np.ndarray:
    """a[..., M, K] b[..., K, N] -> y[..., M, N]; a vector is a matrix of one row or column.

    No row depends on the others in any case: every sum is one chain.
    """
    rows, columns = a.shape[-2:-1], b.shape[-1:] if b.ndim > 1 else ()
    a = a if a.ndim > 1 else a[None]
    b = b if b.ndim > 1 else b[:, None]
    leading = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    y = empty((*leading, *rows, *columns), a.dtype)
    (m, depth), n = a.shape[-2:], b.shape[-1]
    batch = math.prod(leading)
    if math.prod(b.shape[:-2]) == 1:  # one matrix for all of a's rows
        _multiply(a.reshape(1, batch * m, depth), b.reshape(1, depth, n), None,
                  y.reshape(1, batch * m, n))  # fmt: skip
    else:
        a = np.broadcast_to(a, (*leading, m, depth)).reshape(batch, m, depth)
        b = np.broadcast_to(b, (*leading, depth, n)).reshape(batch, depth, n)
        _multiply(a, b, None, y.reshape(batch, m, n))
    return y


@kernel("linear", backend="numba")
def linear(
    x: np.ndarray, w: np.ndarray, bias: np.ndarray | None, invariant: str | None = None
) -> np.ndarray:
    """x[..., K], w[N, K], bias?[N] -> y[..., N]."""
    (n, depth), rows = w.shape, math.prod(x.shape[:-1])
    y = empty((*x.shape[:-1], n), x.dtype)
    _multiply(x.reshape(1, rows, depth), w.T[None], bias, y.reshape(1, rows, n))
    return y
