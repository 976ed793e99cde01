"""Resampling: one pass an axis over arrays [outer, n, inner], a row of inner at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...core.memory import empty
from ...core.resampling import Table
from ...core.shapes import is_channels_last
from ...spec import kernel
from ..reference.interpolate import tables, transposed_tables
from ._jit import jit, split
from ._layout import dense


@jit
def _mix(start, stop, x, inputs, inner, first, index, weight, y):
    outputs = len(first) - 1
    for item in range(start, stop):
        outer, o = item // outputs, item % outputs
        to = item * inner
        for j in range(inner):
            y[to + j] = 0
        for k in range(first[o], first[o + 1]):
            at = (outer * inputs + index[k]) * inner
            for j in range(inner):
                y[to + j] += weight[k] * x[at + j]


def mixed(
    x: np.ndarray, mixtures: Sequence[Table | None], size: Sequence[int], last: bool
) -> np.ndarray:
    """x[N,C,...] with every spatial axis mixed, as [N,C,*size] in a memory format."""
    y = dense(x, last)
    start = 1 if last else 2
    for axis, (table, n) in enumerate(zip(mixtures, size, strict=True), start):
        if table is None:
            continue
        before, y = y, empty((*y.shape[:axis], n, *y.shape[axis + 1 :]), x.dtype)
        inner = math.prod(y.shape[axis + 1 :])
        rounded = table.of_dtype(x.dtype)
        split(_mix, math.prod(y.shape[: axis + 1]), y.size * 1.0 * max(table.most_terms, 1),
              before.reshape(-1), before.shape[axis], inner, *rounded, y.reshape(-1))  # fmt: skip
    result = empty((*x.shape[:2], *size), x.dtype, last)
    result[...] = y.transpose(0, 3, 1, 2) if last else y
    return result


@kernel("interpolate", backend="numba")
def interpolate(x: np.ndarray, *, size: Any, **options: Any) -> np.ndarray:
    """x[N,C,...] -> y[N,C,*size]."""
    return mixed(x, tables(x.shape[2:], size, **options), size, is_channels_last(x))


@kernel("interpolate_backward", backend="numba")
def interpolate_backward(
    g: np.ndarray, *, input_size: Any, channels_last: bool, **options: Any
) -> np.ndarray:
    """g[N,C,...] -> dx[N,C,*input_size]."""
    mixtures = transposed_tables(input_size, g.shape[2:], **options)
    return mixed(g, mixtures, input_size, channels_last)
