"""Products of 8-bit integers: zero points are taken off first, then int32 rows of b are added up.

y[b, m, n] = Σ_k a[b, m, k] b[b, k, n], mod 2^32; a work item is a row of y.
"""

from __future__ import annotations

import math

import numpy as np

from ...core.dtypes import float32, int32
from ...core.memory import empty
from ...spec import kernel
from ._jit import jit, split

BYTES = ("int8", "uint8")
_NANOSECONDS = 0.1  # of a product


@jit
def _rows(first, last, a, b, y, m):
    for row in range(first, last):
        batch, i = row // m, row % m
        out = y[batch, i]
        out[:] = 0
        for k in range(a.shape[2]):
            factor = a[batch, i, k]
            for j in range(out.shape[0]):
                out[j] += factor * b[batch, k, j]


@kernel("matmul_integer", backend="numba", dtypes=BYTES)
def matmul_integer(
    a: np.ndarray,
    b: np.ndarray,
    a_zero_point: np.ndarray | None,
    b_zero_point: np.ndarray | None,
) -> np.ndarray:
    """a[..., M, K] b[..., K, N] -> int32 y[..., M, N]; a vector is one row or one column."""
    rows, columns = a.shape[-2:-1], b.shape[-1:] if b.ndim > 1 else ()
    left, right = a.astype(int32), b.astype(int32)
    if a_zero_point is not None:
        left -= a_zero_point.reshape(-1, 1) if a.ndim > 1 else a_zero_point
    if b_zero_point is not None:
        right -= b_zero_point
    left = left if a.ndim > 1 else left[None]
    right = right if b.ndim > 1 else right[:, None]
    leading = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    (m, depth), n, batch = left.shape[-2:], right.shape[-1], math.prod(leading)
    y = empty((*leading, *rows, *columns), int32)
    if y.size:
        left = np.broadcast_to(left, (*leading, m, depth)).reshape(batch, m, depth)
        right = np.broadcast_to(right, (*leading, depth, n)).reshape(batch, depth, n)
        cost = batch * m * n * depth * _NANOSECONDS
        split(_rows, batch * m, cost, np.ascontiguousarray(left), np.ascontiguousarray(right),
              y.reshape(batch, m, n), m)  # fmt: skip
    return y


@kernel("matmul_integer_to_float", backend="numba", dtypes=(*BYTES, "float32"))
def matmul_integer_to_float(
    a: np.ndarray,
    b: np.ndarray,
    a_scale: np.ndarray,
    b_scale: np.ndarray,
    a_zero_point: np.ndarray | None,
    b_zero_point: np.ndarray | None,
    bias: np.ndarray | None,
) -> np.ndarray:
    """The same sums times a_scale · b_scale[N], plus bias[N]."""
    sums = matmul_integer(a, b, a_zero_point, b_zero_point)
    scale = a_scale * b_scale
    if b.ndim == 1:  # a column that is not there
        scale, bias = scale.reshape(()), None if bias is None else bias.reshape(())
    with np.errstate(all="ignore"):
        y = sums.astype(float32) * scale
        return np.asarray(y if bias is None else y + bias)
