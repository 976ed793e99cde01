"""Softmax layers."""

from __future__ import annotations

from typing import Any

from .. import functional as F
from .module import Module

__all__ = ["LogSoftmax", "Softmax", "Softmax2d", "Softmin"]


class Softmax(Module):
    """exp(x) / Σ exp(x) along dim."""

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: Any) -> Any:
        """The same shape as x."""
        return F.softmax(x, self.dim)

    def extra_repr(self) -> str:
        """As torch prints it."""
        return f"dim={self.dim}"


class LogSoftmax(Softmax):
    """x − log Σ exp(x) along dim."""

    def forward(self, x: Any) -> Any:
        """The same shape as x."""
        return F.log_softmax(x, self.dim)


class Softmin(Softmax):
    """Softmax of −x along dim."""

    def forward(self, x: Any) -> Any:
        """The same shape as x."""
        return F.softmin(x, self.dim)


class Softmax2d(Module):
    """Softmax over the channels of x[N, C, H, W] or x[C, H, W]."""

    def forward(self, x: Any) -> Any:
        """The same shape as x."""
        return F.softmax(x, -3)
