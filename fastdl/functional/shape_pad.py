"""Padding."""

from __future__ import annotations

from typing import Any

from ..core.errors import ArgumentError, ShapeError
from ..core.shapes import as_ints
from ..ops import shape_pad as ops
from ..ops.shape import getitem, reshape
from ._face import shape_of

__all__ = ["pad"]


def pad(input: Any, pad: Any, mode: str = "constant", value: float | None = None) -> Any:
    """The input with more elements (or, where negative, fewer) at the ends of its last dims.

    Args:
        input: any array for 'constant'; for other modes [N, C, spatial...] or [C, spatial...].
        pad: (before, after) of the last dim, then of the one before it, and so on.
        mode: 'constant'; or of the spatial dims, which must then all be given: 'reflect' (without
            repeating the edge), 'replicate' (the edge) or 'circular'.
        value: of 'constant', 0 unless given.

    Raises ArgumentError for an odd or too long `pad`, a padding that reaches as far as the input
    ('reflect') or beyond it ('circular'), or a value in another mode; ShapeError if more is cut
    off than there is, or for a rank that a mode does not take. As torch.nn.functional.pad.
    """
    shape = shape_of("pad", input)
    sides = as_ints("pad", "pad", pad)
    if len(sides) % 2 or len(sides) > 2 * len(shape):
        raise ArgumentError(
            f"pad: got {sides} for shape {shape}, want (before, after) for at most all dims"
        )
    pairs = [(sides[i], sides[i + 1]) for i in range(0, len(sides), 2)][::-1]
    padding = (*((0, 0),) * (len(shape) - len(pairs)), *pairs)
    if mode == "constant":
        return ops.pad(input, padding=padding, mode=mode, value=0.0 if value is None else value)
    if value:
        raise ArgumentError(f"pad: value: got {value} for mode {mode!r}, want None")
    if not 1 <= len(pairs) <= 3 or len(shape) - len(pairs) not in (1, 2):
        raise ShapeError(
            f"pad: mode {mode!r} pads all spatial dims of [N, C, ...] or [C, ...], got {sides} for"
            f" shape {shape}"
        )
    if len(shape) == len(pairs) + 1:
        padded = _spatial(reshape(input, shape=(1, *shape)), ((0, 0), *padding), mode)
        return reshape(padded, shape=padded.shape[1:])
    return _spatial(input, padding, mode)


def _spatial(x: Any, padding: tuple[tuple[int, int], ...], mode: str) -> Any:
    """Negative paddings cut: of a circle before it is closed, of the other modes at the end."""
    cut = tuple((min(before, 0), min(after, 0)) for before, after in padding)
    more = tuple((max(before, 0), max(after, 0)) for before, after in padding)
    if mode == "circular":
        return ops.pad(_cut(x, cut), padding=more, mode=mode)
    return _cut(ops.pad(x, padding=more, mode=mode), cut)


def _cut(x: Any, cut: tuple[tuple[int, int], ...]) -> Any:
    if not any(map(any, cut)):
        return x
    if any(n + before + after < 1 for n, (before, after) in zip(x.shape, cut, strict=True) if n):
        raise ShapeError(f"pad: {cut} cuts off all that {tuple(x.shape)} has")
    return getitem(x, index=tuple(slice(-b, n + a) for n, (b, a) in zip(x.shape, cut, strict=True)))
