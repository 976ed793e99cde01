"""Order along one dim; NaN is the largest, and equal elements keep their order."""

from __future__ import annotations

from typing import Any

import numpy as np


def order(x: np.ndarray, dim: int, descending: bool) -> np.ndarray:
    """Where the elements in order come from."""
    if not descending:
        return np.argsort(x, axis=dim, kind="stable")
    # Turned round, sorted and turned round again, equal elements are in order again.
    back = np.flip(np.argsort(np.flip(x, dim), axis=dim, kind="stable"), dim)
    return x.shape[dim] - 1 - back


def sort(x: Any, *, dim: int, descending: bool) -> Any:
    """The elements in order, and where each was."""
    if not x.ndim:
        return np.array(x), np.zeros((), np.int64)
    index = order(x, dim, descending)
    return np.take_along_axis(x, index, dim), index


def topk(x: Any, *, k: int, dim: int, largest: bool) -> Any:
    """The k first elements in order, and where each was."""
    values, index = sort(x, dim=dim, descending=largest)
    if not x.ndim:
        return values, index
    first = (*[slice(None)] * dim, slice(k))
    return values[first], index[first]
