"""Activation layers."""

from __future__ import annotations

from typing import Any

from .. import functional as F
from .module import Module

__all__ = ["ReLU", "Sigmoid", "Tanh"]


class ReLU(Module):
    """max(x, 0); `inplace=True` overwrites its input."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, x: Any) -> Any:
        """The same shape as x."""
        return F.relu(x, inplace=self.inplace)

    def extra_repr(self) -> str:
        """As torch prints it."""
        return "inplace=True" if self.inplace else ""


class Tanh(Module):
    """The hyperbolic tangent."""

    def forward(self, x: Any) -> Any:
        """The same shape as x."""
        return F.tanh(x)


class Sigmoid(Module):
    """1 / (1 + exp(−x))."""

    def forward(self, x: Any) -> Any:
        """The same shape as x."""
        return F.sigmoid(x)
