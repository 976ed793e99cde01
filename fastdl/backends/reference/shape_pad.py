"""Padding in plain NumPy: a window of a constant array, or an axis after the other by place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...core.resampling import Table, padded_source, padded_tables
from .elementwise import cast
from .interpolate import mixed

Sides = tuple[tuple[int, int], ...]


def pad(x: np.ndarray, *, padding: Sides, mode: str, value: float) -> np.ndarray:
    """X between constants (cut where a padding is negative), or between elements of its own."""
    if mode == "constant":
        shape = [n + before + after for n, (before, after) in zip(x.shape, padding, strict=True)]
        y = filled(shape, value, x.dtype)
        to, of = windows(x.shape, padding)
        y[to] = x[of]
        return y
    for axis, (n, side) in enumerate(zip(x.shape, padding, strict=True)):
        if side != (0, 0):
            x = np.take(x, padded_source(n, *side, mode), axis)
    return x


def filled(shape: Sequence[int], value: float, dtype: np.dtype) -> np.ndarray:
    """An array of one value, which the op `cast` brings to the dtype: −1 is 255 on any machine."""
    return cast(np.full(shape, value), dtype=dtype.name)


def windows(shape: tuple[int, ...], padding: Sides) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Where x lies in its padded form, and the part of x that is there."""
    to = tuple(
        slice(max(b, 0), max(b, 0) + n + min(b, 0) + min(a, 0))
        for n, (b, a) in zip(shape, padding, strict=True)
    )
    of = tuple(slice(max(-b, 0), n - max(-a, 0)) for n, (b, a) in zip(shape, padding, strict=True))
    return to, of


def tables(shape: tuple[int, ...], padding: Sides, mode: str, backward: bool) -> list[Table | None]:
    """The tables of the dims from 2 on."""
    return padded_tables(shape[2:], padding[2:], mode, backward)


def pad_backward(g: np.ndarray, *, padding: Sides, mode: str, channels_last: bool) -> np.ndarray:
    """dx: the sum of what came of each element."""
    shape = tuple(n - before - after for n, (before, after) in zip(g.shape, padding, strict=True))
    return mixed(g, tables(shape, padding, mode, backward=True))
