"""Sorting: csrc/shape_sort.cpp."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import _native
from ...spec import kernel
from .elementwise import ALL


@kernel("sort", backend="native", dtypes=ALL, out=True)
def sort(x: np.ndarray, *, dim: int, descending: bool, out: Any = None) -> Any:
    """By radix where rows are long."""
    return _native.sort(x, dim, descending, None, *(out or (None, None)))


@kernel("topk", backend="native", dtypes=ALL, out=True)
def topk(x: np.ndarray, *, k: int, dim: int, largest: bool, out: Any = None) -> Any:
    """The k are set apart before they are sorted, where they are few."""
    if not x.ndim:
        return _native.sort(x, dim, largest, None, *(out or (None, None)))
    return _native.sort(x, dim, largest, k, *(out or (None, None)))
