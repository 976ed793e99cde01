"""Gather and scatter: csrc/shape_index.cpp, kernels/cpu/shape_index.inc."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import _native
from ...spec import kernel
from .elementwise import ALL, NUMBERS

INDEXED = ALL  # the index, int64, among them


@kernel("gather", backend="native", dtypes=INDEXED, out=True, direct=True)
def gather(
    x: Any, index: Any = None, *more: Any, dim: Any = None, out: Any = None, **unknown: Any
) -> Any:
    """One element for each of the index."""
    return NotImplemented if more or unknown else _native.gather(x, index, dim, False, out)


@kernel("index_select", backend="native", dtypes=INDEXED, out=True, direct=True)
def index_select(
    x: Any, index: Any = None, *more: Any, dim: Any = None, out: Any = None, **unknown: Any
) -> Any:
    """Whole slices, by an index of one dim."""
    return NotImplemented if more or unknown else _native.gather(x, index, dim, True, out)


@kernel("scatter", backend="native", dtypes=INDEXED, out=True)
def scatter(x: np.ndarray, index: np.ndarray, src: Any, *, dim: int, out: Any = None) -> Any:
    """A copy, and one element of it written for each of the index."""
    return _native.scatter(x, index, src, dim, False, False, out)


@kernel("scatter_add", backend="native", dtypes=NUMBERS, out=True)
def scatter_add(x: np.ndarray, index: np.ndarray, src: Any, *, dim: int, out: Any = None) -> Any:
    """A copy, and one element of it added to for each of the index, in its order."""
    return _native.scatter(x, index, src, dim, False, True, out)


@kernel("index_add", backend="native", dtypes=NUMBERS, out=True)
def index_add(x: np.ndarray, index: np.ndarray, src: Any, *, dim: int, out: Any = None) -> Any:
    """A copy, and whole slices of it added to."""
    return _native.scatter(x, index, src, dim, True, True, out)
