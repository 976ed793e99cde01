"""Output arrays from the caching allocator, and the checker's allocator modes."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from .. import _native
from .shapes import is_channels_last


def empty(shape: Sequence[int], dtype: np.dtype, channels_last: bool = False) -> np.ndarray:
    """An uninitialised array of the allocator; channels_last (4-D) makes it NHWC in memory."""
    array = _native.empty(tuple(shape), dtype, channels_last)
    if array is not NotImplemented:
        return array
    if channels_last:
        n, c, h, w = shape
        return np.empty((n, h, w, c), dtype).transpose(0, 3, 1, 2)
    return np.empty(shape, dtype)


def copy_to(x: np.ndarray, target: np.ndarray) -> None:
    """target[...] = x, for arrays of one shape and dtype."""
    if target.size and _native.copy(x, target) is NotImplemented:
        np.copyto(target, x)  # a dtype or more dimensions than the native copy knows


_probe = [empty((1,), np.dtype("float32"))]
_HELD_ONCE = sys.getrefcount(_probe[0])  # what it says of an object that only a list holds
_Block = type(_probe[0].base)  # what holds the allocator's memory
del _probe


def own(holder: list[np.ndarray], channels_last: bool) -> np.ndarray:
    """The array in holder[0] as one that nobody else can reach, C-contiguous or channels-last.

    That is the array itself if the allocator made it, it is laid out so, and `holder` alone refers
    to it (a view would refer to it too); else a copy. The caller must keep no other reference.
    """
    fits = is_channels_last(holder[0]) if channels_last else holder[0].flags.c_contiguous
    alone = sys.getrefcount(holder[0]) == _HELD_ONCE and type(holder[0].base) is _Block
    if fits and alone and holder[0].flags.writeable:
        return holder[0]
    copy = empty(holder[0].shape, holder[0].dtype, channels_last)
    copy_to(holder[0], copy)
    return copy


def empty_cache() -> None:
    """Gives the allocator's cached blocks back to the operating system."""
    _native.empty_cache()


@contextmanager
def memory_mode(mode: str, pattern: int = 0xFF) -> Iterator[None]:
    """Allocator mode for the checker: 'normal', 'poison', 'guard_end' or 'guard_start'."""
    _native.set_memory_mode(mode, pattern)
    try:
        yield
    finally:
        _native.set_memory_mode("normal", 0)
