"""Reshaping, indexing and joining. NumPy makes the views, on every backend."""

from __future__ import annotations

from typing import Any

import numpy as np

Index = tuple[Any, ...]  # canonical: ints, slices, None, bool masks, integer arrays; no Ellipsis


def reshape(x: Any, *, shape: tuple[int, ...]) -> Any:
    """X's elements in C order under another shape."""
    return x.reshape(shape)


def permute(x: Any, *, dims: tuple[int, ...]) -> Any:
    """X with its dims in another order."""
    return x.transpose(dims)


def expand(x: Any, *, shape: tuple[int, ...]) -> Any:
    """X repeated along dims of size 1, without copying (a read-only view)."""
    return np.broadcast_to(x, shape)


def cat(*tensors: Any, dim: int) -> Any:
    """Arrays one after the other along a dim; empty 1-D ones fit anywhere."""
    kept = [t for t in tensors if t.shape != (0,)]
    return np.concatenate(kept or tensors[:1], axis=dim)


def split_index(index: Index) -> tuple[Index, Index]:
    """An index as two, one after the other: the ints first, then the rest.

    torch selects by ints before it gathers by arrays; NumPy would broadcast an int with the arrays,
    which puts the gathered dims elsewhere in `x[0, :, [1, 2]]`.
    """
    whole = slice(None)
    select: list[Any] = []
    for item in index:
        if isinstance(item, np.ndarray):
            select.extend([whole] * (item.ndim if item.dtype == bool else 1))
        elif item is not None:
            select.append(item if isinstance(item, int) else whole)
    rest = tuple(i for i in index if isinstance(i, bool) or not isinstance(i, int))
    return (*select, ...), (*rest, ...)


def getitem(x: Any, *, index: Index) -> Any:
    """x[index]; a view if there are no arrays in the index."""
    select, rest = split_index(index)
    return x[select][rest]


def assign(y: Any, value: Any, *, index: Index) -> None:
    """y[index] = value, in place."""
    select, rest = split_index(index)
    y[select][rest] = value


def setitem(x: Any, value: Any, *, index: Index) -> Any:
    """A copy of x with x[index] = value."""
    y = np.array(x)
    assign(y, value, index=index)
    return y


def getitem_backward(g: Any, *, input_shape: tuple[int, ...], index: Index) -> Any:
    """Zeros of input_shape with g added at index, duplicates accumulated."""
    y = np.zeros(input_shape, g.dtype)
    select, rest = split_index(index)
    np.add.at(y[select], rest, g)
    return y
