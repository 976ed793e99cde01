"""Resampling in plain NumPy: along every axis in turn, a sum of inputs with weights.

y[..., o, ...] = Σ_k weight[k] · x[..., index[k], ...], by the tables of core/resampling.py; the
gradient is the same with the transposed tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...core.resampling import Table, axis_table, transposed_table


def mixed(x: np.ndarray, tables: Sequence[Table | None]) -> np.ndarray:
    """The arrays' spatial axes, from 2 on, mixed by a table each (None leaves one as it is)."""
    for axis, table in enumerate(tables, 2):
        if table is not None:
            x = _mixed_axis(x, axis, table)
    return x


def _mixed_axis(x: np.ndarray, axis: int, table: Table) -> np.ndarray:
    count = np.diff(table.first)
    shape = [1] * x.ndim
    shape[axis] = len(count)
    y = np.zeros((*x.shape[:axis], len(count), *x.shape[axis + 1 :]), x.dtype)
    for k in range(table.most_terms):
        place = np.where(k < count, table.first[:-1] + k, 0)
        weight = table.weight[place].astype(x.dtype).reshape(shape)
        term = weight * np.take(x, table.source[place], axis)
        y += np.where((k < count).reshape(shape), term, 0)
    return y


def tables(
    input_size: Sequence[int], size: Sequence[int], mode: str, align_corners: bool,
    scale_factor: Sequence[float | None],
) -> list[Table | None]:  # fmt: skip
    """The table of each spatial axis."""
    kind = mode.removeprefix("bi").removeprefix("tri")
    axes = zip(input_size, size, scale_factor, strict=True)
    return [axis_table(n, m, kind, align_corners, scale) for n, m, scale in axes]


def transposed_tables(
    input_size: Sequence[int], size: Sequence[int], mode: str, align_corners: bool,
    scale_factor: Sequence[float | None],
) -> list[Table | None]:  # fmt: skip
    """Those of the gradient."""
    kind = mode.removeprefix("bi").removeprefix("tri")
    axes = zip(input_size, size, scale_factor, strict=True)
    return [transposed_table(n, m, kind, align_corners, scale) for n, m, scale in axes]


def interpolate(x: np.ndarray, *, size: Sequence[int], **options: Any) -> np.ndarray:
    """y [N, C, *size] of x [N, C, *spatial]."""
    return mixed(x, tables(x.shape[2:], size, **options))


def interpolate_backward(
    g: np.ndarray, *, input_size: Sequence[int], channels_last: bool, **options: Any
) -> np.ndarray:
    """dx [N, C, *input_size] of g [N, C, *size]."""
    return mixed(g, transposed_tables(input_size, g.shape[2:], **options))
