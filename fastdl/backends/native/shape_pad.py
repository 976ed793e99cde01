"""Padding as strided copies; its gradient as a resampling (csrc/interpolate.cpp)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np

from ... import _native
from ...core.memory import empty
from ...core.shapes import is_channels_last
from ...spec import kernel
from ..reference.shape_pad import filled, tables, windows
from .elementwise import ALL
from .interpolate import resample


@lru_cache(256)
def _mixtures(dtype: np.dtype, shape: Any, padding: Any, mode: str) -> tuple[Any, ...]:
    made = tables(shape, padding, mode, backward=True)
    return tuple(t and tuple(t.of_dtype(dtype)) for t in made)


def _border(n: int, before: int, after: int, mode: str) -> Iterator[tuple[slice, slice]]:
    """Where an axis of n elements is padded, and from where in the padded axis."""
    end = before + n
    if before > 0:
        source = {
            "reflect": slice(2 * before, before, -1),
            "replicate": slice(before, before + 1),
            "circular": slice(n, end),
        }
        yield slice(before), source[mode]
    if after > 0:
        source = {
            "reflect": slice(end - 2, end - 2 - after if end - 2 - after >= 0 else None, -1),
            "replicate": slice(end - 1, end),
            "circular": slice(before, before + after),
        }
        yield slice(end, end + after), source[mode]


@kernel("pad", backend="native", dtypes=ALL)
def pad(x: np.ndarray, *, padding: Any, mode: str, value: float) -> np.ndarray:
    """The middle is one strided copy; borders are filled, or copied axis by axis from the result.

    Corners of constants are filled more than once, which costs less than telling them apart.
    """
    shape = [n + before + after for n, (before, after) in zip(x.shape, padding, strict=True)]
    y = empty(shape, x.dtype, is_channels_last(x))
    to, of = windows(x.shape, padding)
    whole: Any = (...,)  # of a 0-d array too, an array and not its element
    _native.copy(x[of + whole], y[to + whole])
    fill = filled((), value, x.dtype)
    for axis, (n, (before, after)) in enumerate(zip(x.shape, padding, strict=True)):
        if mode == "constant":
            ahead = (slice(None),) * axis
            if before > 0:
                y[(*ahead, slice(before))] = fill
            if after > 0:
                y[(*ahead, slice(max(shape[axis] - after, 0), None))] = fill
        else:  # axes before this one are whole already, later ones have their middle only
            for border, source in _border(n, before, after, mode):
                done, later = (slice(None),) * axis, to[axis + 1 :]
                y[(*done, border, *later)] = y[(*done, source, *later)]
    return y


@kernel("pad_backward", backend="native")
def pad_backward(g: np.ndarray, *, padding: Any, mode: str, channels_last: bool) -> np.ndarray:
    """The transposed resampling."""
    shape = tuple(n - before - after for n, (before, after) in zip(g.shape, padding, strict=True))
    mixtures = _mixtures(g.dtype, shape, padding, mode)
    return resample(g, mixtures, shape[2:], channels_last)
