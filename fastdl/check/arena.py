"""Memory that the judge and the child share, where every array ends or begins at a guard page.

The judge lays an array out where the kernel will see it, and reads it again afterwards: nothing is
copied on the kernel's side, and no word of the child's is needed to know that an input was modified
or that something was written beside an array. Pages between the slots may be touched by neither
reads nor writes in the child, so the first byte past an end faults.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import random
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..core.dtypes import as_dtype
from ..spec import Out

PAGE = mmap.PAGESIZE
SIZE = 1 << 35  # bytes of address space; pages that are never touched cost nothing,
EMULATED_SIZE = 1 << 31  # but not every emulator believes that
CANARY = 0xFF  # NaN in every float dtype, −1 in every signed one
EMPTY = 64  # bytes between a guard page and an empty array
MARGIN = 512  # bytes beside an array, on the side without a guard page, that are watched


Restride = Callable[[np.ndarray], np.ndarray]  # the same numbers behind other strides


class Placed(NamedTuple):
    """An array in the arena, as the child is told of it."""

    offset: int  # of the first element
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: str


class Slot(NamedTuple):
    """Pages between two guard pages."""

    start: int
    pages: int

    @property
    def end(self) -> int:
        """Where the guard page begins."""
        return self.start + self.pages * PAGE


class Extent(NamedTuple):
    """The bytes that one array spans, its elements' values, and the bytes watched beside it."""

    array: np.ndarray  # in the arena
    low: int
    high: int
    slot: Slot
    values: bytes  # what it must still hold afterwards
    before: np.ndarray | None = None  # an output's elements, which alone may be others


class Arena:
    """The judge's end: slots by size, and the arrays of the call being prepared."""

    def __init__(self, size: int = SIZE) -> None:
        self.fd, self.size = os.memfd_create("fastdl-check"), size
        os.ftruncate(self.fd, size)
        self._map = mmap.mmap(self.fd, size, mmap.MAP_SHARED)
        self.bytes = np.frombuffer(self._map, np.uint8)
        self.guards = [0]  # offsets of all guard pages
        self._end = PAGE
        self._free: dict[int, list[Slot]] = {}
        self._used: list[Slot] = []
        self._extents: list[Extent] = []
        self._random = random.SystemRandom()

    def close(self) -> None:
        """Gives the memory back."""
        self._extents.clear()
        del self.bytes
        os.close(self.fd)

    def clear(self) -> None:
        """Forgets the arrays of the last call; the next may lie at the same addresses."""
        for slot in self._used:
            self._free[slot.pages].append(slot)
        self._used.clear()
        self._extents.clear()

    def _slot(self, size: int) -> Slot:
        pages = 1
        while pages * PAGE < size + MARGIN:
            pages *= 2
        free = self._free.setdefault(pages, [])
        if not free:
            for _ in range(4 if pages < 256 else 1):
                if self._end + (pages + 1) * PAGE > self.size:
                    raise MemoryError("the checker's shared memory is full")
                free.append(Slot(self._end, pages))
                self._end += (pages + 1) * PAGE
                self.guards.append(self._end - PAGE)
        slot = free.pop(self._random.randrange(len(free)))
        self._used.append(slot)
        return slot

    def place(self, a: np.ndarray, at_end: bool, shift: int = 0) -> Placed:
        """An array with the values and strides of `a`, flush with a guard page or shifted off it.

        What lies between the elements of a strided array, and beside it, is NaN.
        """
        before, span = _span(a)
        if not span:  # NumPy's own loops look at the first element of no elements
            at_end, shift = False, EMPTY
        shift = -(-shift // a.itemsize) * a.itemsize  # kernels see aligned elements only
        slot, base, begin = self._reserve(span, at_end, shift, CANARY)
        there = np.ndarray(a.shape, a.dtype, self._map, base + before, a.strides)
        if a.size:
            np.copyto(there, a)
        values = self.bytes[begin : min(base + span + MARGIN, slot.end)].tobytes()
        self._extents.append(Extent(there, base, base + span, slot, values))
        return Placed(base + before, a.shape, a.strides, a.dtype.name)

    def place_output(
        self, out: Out, at_end: bool, pattern: int, restride: Restride | None = None
    ) -> tuple[Placed, np.ndarray]:
        """An array for a kernel to write to, full of a byte pattern: contiguous, or `restride` of
        such a one."""
        shape, dtype, last = out
        like = np.empty((shape[0], *shape[2:], shape[1]) if last else shape, dtype)
        if last:
            like = np.moveaxis(like, -1, 1)
        if restride:
            like = restride(like)
        before, span = _span(like)
        slot, base, begin = self._reserve(span, at_end, 0, pattern)
        there = np.ndarray(shape, dtype, self._map, base + before, like.strides)
        values = self.bytes[begin : min(base + span + MARGIN, slot.end)].tobytes()
        self._extents.append(Extent(there, base, base + span, slot, values, there.copy()))
        return Placed(base + before, shape, like.strides, dtype.name), there

    def _reserve(self, size: int, at_end: bool, shift: int, pattern: int) -> tuple[Slot, int, int]:
        """A slot, where the array begins, and where the watched bytes begin."""
        slot = self._slot(size + shift)
        end = slot.end
        base = end - size if at_end else slot.start + shift
        begin = max(base - MARGIN, slot.start)
        self.bytes[begin : base + size] = pattern
        self.bytes[begin:base] = CANARY
        self.bytes[base + size : min(base + size + MARGIN, end)] = CANARY
        return slot, base, begin

    def room(self, size: int) -> int:
        """The offset of plain bytes for the child to leave a result in."""
        return self._slot(size).start

    def read(self, offset: int, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """A copy of what the child left at an offset."""
        return np.ndarray(shape, dtype, self._map, offset).copy()

    def damage(self, names: list[str]) -> str:
        """What was written where nothing may be: an input modified, or bytes beside an array."""
        for name, extent in zip(names, self._extents, strict=True):
            begin = max(extent.low - MARGIN, extent.slot.start)
            end = min(extent.high + MARGIN, extent.slot.end)
            if (self.bytes[begin : extent.low] != CANARY).any():
                return f"wrote before the start of {name}"
            if (self.bytes[extent.high : end] != CANARY).any():
                return f"wrote past the end of {name}"
            if extent.before is not None:
                np.copyto(extent.array, extent.before)
            if self.bytes[begin:end].tobytes() != extent.values:
                output = extent.before is not None
                return (
                    f"{'wrote between the elements of' if output else 'modified its input'} {name}"
                )
        return ""

    def locate(self, offset: int, names: list[str]) -> str:
        """Which array of the call a faulting offset lies next to, in words."""
        best, nearest = "", 1 << 62
        for name, extent in zip(names, self._extents, strict=True):
            size = max(extent.array.dtype.itemsize, 1)
            if offset >= extent.high and offset - extent.high < min(nearest, PAGE):
                nearest = offset - extent.high
                best = f"{nearest} bytes ({nearest // size} elements) past the end of {name}"
            elif offset < extent.low and extent.low - offset <= min(nearest, PAGE):
                nearest = extent.low - offset
                best = f"{nearest} bytes ({-(-nearest // size)} elements) before {name}"
        return best


def _span(a: np.ndarray) -> tuple[int, int]:
    """Bytes of an array before its first element (of negative strides), and bytes in all."""
    if not a.size:
        return 0, 0
    steps = [(n - 1) * s for n, s in zip(a.shape, a.strides, strict=True)]
    before = -sum(s for s in steps if s < 0)
    return before, before + sum(s for s in steps if s > 0) + a.itemsize


class View:
    """The child's end: the same memory, guard pages closed."""

    def __init__(self, fd: int):
        self._map = mmap.mmap(fd, os.fstat(fd).st_size, mmap.MAP_SHARED)
        self._char = ctypes.c_char.from_buffer(self._map)
        self.address = ctypes.addressof(self._char)
        self._mprotect = ctypes.CDLL(None, use_errno=True).mprotect
        self._ndarray = np.ndarray  # before a kernel could put something else there

    def guard(self, offsets: list[int]) -> None:
        """Makes pages that nothing may touch."""
        for offset in offsets:
            if self._mprotect(ctypes.c_void_p(self.address + offset), ctypes.c_size_t(PAGE), 0):
                raise OSError(ctypes.get_errno(), "mprotect")

    def array(self, placed: Placed) -> np.ndarray:
        """The array that the judge laid out."""
        offset, shape, strides, dtype = placed
        return self._ndarray(shape, as_dtype(dtype), self._map, offset, strides)

    def leave(self, offset: int, a: np.ndarray) -> None:
        """Copies a result, in C order, to where the judge reads it."""
        there = self._ndarray(a.shape, a.dtype, self._map, offset)
        there[...] = a
