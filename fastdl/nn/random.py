"""Dropout layers: active in training, nothing in evaluation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from .. import functional as F
from ..core.errors import ArgumentError
from .module import Module

__all__ = [
    "AlphaDropout", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "FeatureAlphaDropout",
]  # fmt: skip


class _Dropout(Module):
    _drop: ClassVar[Callable[..., Any]]

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ArgumentError(f"{type(self).__name__}: p: got {p}, want 0 to 1")
        self.p, self.inplace = p, inplace

    def forward(self, x: Any) -> Any:
        """The same shape as x."""
        return type(self)._drop(x, self.p, self.training, self.inplace)

    def extra_repr(self) -> str:
        """As torch prints it."""
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """Zeroes elements with probability p; see functional.dropout."""

    _drop = staticmethod(F.dropout)


class Dropout1d(_Dropout):
    """Zeroes channels of x[N, C, L] with probability p."""

    _drop = staticmethod(F.dropout1d)


class Dropout2d(_Dropout):
    """Zeroes channels of x[N, C, H, W] with probability p."""

    _drop = staticmethod(F.dropout2d)


class Dropout3d(_Dropout):
    """Zeroes channels of x[N, C, D, H, W] with probability p."""

    _drop = staticmethod(F.dropout3d)


class AlphaDropout(_Dropout):
    """Dropout for SELU networks; see functional.alpha_dropout."""

    _drop = staticmethod(F.alpha_dropout)


class FeatureAlphaDropout(_Dropout):
    """AlphaDropout of whole channels."""

    _drop = staticmethod(F.feature_alpha_dropout)
