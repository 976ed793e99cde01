"""Output arrays from the caching allocator, and the checker's allocator modes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from .. import _native


def empty(shape: Sequence[int], dtype: np.dtype, channels_last: bool = False) -> np.ndarray:
    """An uninitialised array of the allocator; channels_last (4-D) makes it NHWC in memory."""
    array = _native.empty(tuple(shape), dtype, channels_last)
    if array is not NotImplemented:
        return array
    if channels_last:
        n, c, h, w = shape
        return np.empty((n, h, w, c), dtype).transpose(0, 3, 1, 2)
    return np.empty(shape, dtype)


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
