"""Elements in another order or several times, triangles and diagonals."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

Window = tuple[Any, ...]  # slices


def flip(x: Any, *, dims: tuple[int, ...]) -> Any:
    """The elements along dims in reverse order."""
    return np.array(np.flip(x, dims))


def roll(x: Any, *, shifts: tuple[int, ...], dims: tuple[int, ...]) -> Any:
    """The elements along dims moved on, those that fall off the end at the beginning."""
    return np.roll(x, shifts, dims) if dims else np.array(x)


def split(x: Any, *, sizes: tuple[int, ...], dim: int) -> Any:
    """Views of x, one after the other along dim."""
    ends = list(itertools.accumulate(sizes))
    before = (slice(None),) * dim
    return tuple(x[(*before, slice(end - n, end))] for n, end in zip(sizes, ends, strict=True))


def roll_windows(
    shape: tuple[int, ...], shifts: tuple[int, ...], dims: tuple[int, ...]
) -> list[tuple[Window, Window]]:
    """Which window of x goes to which of the result: two along every dim that moves."""
    moves = dict.fromkeys(dims, 0)
    for shift, dim in zip(shifts, dims, strict=True):
        moves[dim] += shift
    parts = []
    for dim, n in enumerate(shape):
        by = moves.get(dim, 0) % n if n else 0
        halves = [(slice(n - by), slice(by, None)), (slice(n - by, None), slice(by))]
        parts.append(halves if by else [(slice(None), slice(None))])
    pieces = itertools.product(*parts)
    return [(tuple(p[0] for p in piece), tuple(p[1] for p in piece)) for piece in pieces]


def repeat_views(x: Any, y: Any, repeats: tuple[int, ...]) -> tuple[Any, Any]:
    """X with strides of 0, and y = x repeated, both as [times, size, times, size, ...]."""
    shape = (1,) * (len(repeats) - x.ndim) + x.shape
    split = tuple(itertools.chain(*zip(repeats, shape, strict=True)))
    places = tuple(itertools.chain(*((1, n) for n in shape)))
    return np.broadcast_to(x.reshape(places), split), y.reshape(split)


def repeat(x: Any, *, repeats: tuple[int, ...]) -> Any:
    """X side by side with itself along every dim, of which there may be more than x has."""
    return np.tile(x, repeats)


def tril(x: Any, *, diagonal: int) -> Any:
    """The matrices in the last two dims, zero above a diagonal."""
    return np.tril(x, diagonal)


def triu(x: Any, *, diagonal: int) -> Any:
    """The matrices in the last two dims, zero below a diagonal."""
    return np.triu(x, diagonal)


def diagonal(x: Any, *, offset: int, dim1: int, dim2: int) -> Any:
    """A view of the diagonals of the matrices in two dims, as the last dim."""
    return np.diagonal(x, offset, dim1, dim2)


def diagonal_backward(
    g: Any, *, input_shape: tuple[int, ...], offset: int, dim1: int, dim2: int
) -> Any:
    """Zeros with g on the diagonals."""
    y = np.zeros(input_shape, g.dtype)
    view = np.diagonal(y, offset, dim1, dim2)
    view.flags.writeable = True
    view[...] = g
    return y
