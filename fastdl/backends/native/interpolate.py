"""Resampling: csrc/interpolate.cpp, kernels/cpu/interpolate.inc."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from ... import _native
from ...core.memory import empty
from ...core.resampling import Table
from ...core.shapes import is_channels_last
from ...spec import kernel
from ..reference.interpolate import tables, transposed_tables


@lru_cache(256)
def _prepared(
    dtype: np.dtype, transposed: bool, *args: Any
) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray] | None, ...]:
    made: list[Table | None] = (transposed_tables if transposed else tables)(*args)
    return tuple(t and tuple(t.of_dtype(dtype)) for t in made)  # type: ignore[misc]


def resample(
    x: np.ndarray, mixtures: Sequence[Any], size: Sequence[int], last: bool, out: Any = None
) -> np.ndarray:
    """x[N,C,...] with every spatial axis mixed, as [N,C,*size] in a memory format."""
    y = empty((*x.shape[:2], *size), x.dtype, last)
    flat = x.transpose(0, 2, 3, 1) if last else x
    if not flat.flags.c_contiguous:
        x = _native.copy(x, empty(x.shape, x.dtype, last))
    if y.size == 0 or x.size == 0:
        y.fill(0)
    elif all(m is None for m in mixtures):
        _native.copy(x, y)
    else:
        _native.resample(x, tuple(mixtures), last, y)
    return y if out is None else _native.copy(y, out)


@kernel("interpolate", backend="native", out=True)
def interpolate(
    x: np.ndarray, *,
    size: Any, mode: str, align_corners: bool, scale_factor: Any, out: Any = None,
) -> np.ndarray:  # fmt: skip
    """x[N,C,...] -> y[N,C,*size]."""
    mixtures = _prepared(x.dtype, False, x.shape[2:], size, mode, align_corners, scale_factor)
    return resample(x, mixtures, size, is_channels_last(x), out)


@kernel("interpolate_backward", backend="native", out=True)
def interpolate_backward(
    g: np.ndarray, *,
    input_size: Any, mode: str, align_corners: bool, scale_factor: Any, channels_last: bool,
    out: Any = None,
) -> np.ndarray:  # fmt: skip
    """g[N,C,...] -> dx[N,C,*input_size], with the tables transposed."""
    mixtures = _prepared(g.dtype, True, input_size, g.shape[2:], mode, align_corners, scale_factor)
    return resample(g, mixtures, input_size, channels_last, out)
