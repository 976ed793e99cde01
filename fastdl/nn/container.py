"""Modules made of modules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..core.errors import IndexRangeError
from .module import Module

__all__ = ["Sequential"]


class Sequential(Module):
    """Runs modules one after the other. Takes modules, or one dict of name -> module."""

    def __init__(self, *modules: Module | dict[str, Module]) -> None:
        super().__init__()
        if len(modules) == 1 and isinstance(modules[0], dict):
            named = list(modules[0].items())
        else:
            named = [(str(i), m) for i, m in enumerate(modules)]  # type: ignore[misc]
        for name, module in named:
            self.add_module(name, module)

    def forward(self, x: Any) -> Any:
        """The last module's output."""
        for module in self.children():
            x = module(x)
        return x

    def append(self, module: Module) -> Sequential:
        """Adds a module at the end."""
        self.add_module(str(len(self)), module)
        return self

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return self.children()

    def __getitem__(self, index: int | slice) -> Module:
        modules = list(self.children())
        if isinstance(index, slice):
            return Sequential(*modules[index])
        if not -len(modules) <= index < len(modules):
            raise IndexRangeError(f"Sequential: index {index} of {len(modules)} modules")
        return modules[index]
