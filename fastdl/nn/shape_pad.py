"""Padding layers: each pads the last dims of [N, C, spatial...]; see functional.pad."""

from __future__ import annotations

from typing import Any

from .. import functional as F
from ..core.errors import ArgumentError
from ..core.shapes import as_ints
from .module import Module

__all__ = [
    "CircularPad1d", "CircularPad2d", "CircularPad3d", "ConstantPad1d", "ConstantPad2d",
    "ConstantPad3d", "ReflectionPad1d", "ReflectionPad2d", "ReflectionPad3d",
    "ReplicationPad1d", "ReplicationPad2d", "ReplicationPad3d", "ZeroPad1d", "ZeroPad2d",
    "ZeroPad3d",
]  # fmt: skip


class _Pad(Module):
    """Padding given as one number, or as (before, after) of the last dim, of the one before, ..."""

    axes: int
    mode: str

    def __init__(self, padding: Any) -> None:
        super().__init__()
        name = type(self).__name__
        sides = as_ints(name, "padding", padding)
        if len(sides) == 1:
            sides = sides * (2 * self.axes)
        if len(sides) != 2 * self.axes:
            raise ArgumentError(
                f"{name}: padding: got {padding!r}, want an int or {2 * self.axes} of them"
            )
        self.padding = sides

    def forward(self, x: Any) -> Any:
        """The input, padded."""
        return F.pad(x, self.padding, self.mode)

    def extra_repr(self) -> str:
        """The padding, as torch prints it."""
        return f"{self.padding}"


class _ConstantPad(_Pad):
    mode = "constant"

    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, x: Any) -> Any:
        """The input between constants."""
        return F.pad(x, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        """Padding and value, as torch prints them."""
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPad):
    """[N, C, L] between a constant."""

    axes = 1


class ConstantPad2d(_ConstantPad):
    """[N, C, H, W] between a constant."""

    axes = 2


class ConstantPad3d(_ConstantPad):
    """[N, C, D, H, W] between a constant."""

    axes = 3


class ZeroPad1d(_Pad):
    """[N, C, L] between zeros."""

    axes = 1
    mode = "constant"


class ZeroPad2d(_Pad):
    """[N, C, H, W] between zeros."""

    axes = 2
    mode = "constant"


class ZeroPad3d(_Pad):
    """[N, C, D, H, W] between zeros."""

    axes = 3
    mode = "constant"


class ReflectionPad1d(_Pad):
    """[N, C, L] between its reflection."""

    axes = 1
    mode = "reflect"


class ReflectionPad2d(_Pad):
    """[N, C, H, W] between its reflection."""

    axes = 2
    mode = "reflect"


class ReflectionPad3d(_Pad):
    """[N, C, D, H, W] between its reflection."""

    axes = 3
    mode = "reflect"


class ReplicationPad1d(_Pad):
    """[N, C, L] between copies of its edges."""

    axes = 1
    mode = "replicate"


class ReplicationPad2d(_Pad):
    """[N, C, H, W] between copies of its edges."""

    axes = 2
    mode = "replicate"


class ReplicationPad3d(_Pad):
    """[N, C, D, H, W] between copies of its edges."""

    axes = 3
    mode = "replicate"


class CircularPad1d(_Pad):
    """[N, C, L] between its other end."""

    axes = 1
    mode = "circular"


class CircularPad2d(_Pad):
    """[N, C, H, W] between its other end."""

    axes = 2
    mode = "circular"


class CircularPad3d(_Pad):
    """[N, C, D, H, W] between its other end."""

    axes = 3
    mode = "circular"
