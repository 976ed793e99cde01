"""Modules made of modules, and lists of parameters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..core.errors import ArgumentError, DTypeError, IndexRangeError
from ..tensor import Parameter, Tensor
from .module import Module

__all__ = ["ModuleDict", "ModuleList", "ParameterDict", "ParameterList", "Sequential"]


def _position(name: str, index: Any, length: int) -> int:
    """A list's index, counted from the front; IndexRangeError for one out of range."""
    place = index.__index__()
    if not -length <= place < length:
        raise IndexRangeError(f"{name}: index {place} of {length} entries")
    return place % length


class _List(Module):
    """Modules under the names "0", "1", ...: what Sequential and ModuleList share."""

    def _assign(self, modules: Iterable[Module]) -> None:
        modules = list(modules)
        self._modules.clear()
        for i, module in enumerate(modules):
            if not isinstance(module, Module):
                raise DTypeError(
                    f"{type(self).__name__}: [{i}]: got {type(module).__name__}, want a Module"
                )
            self.add_module(str(i), module)

    def append(self, module: Module) -> Any:
        """Adds a module at the end."""
        self._assign([*self, module])
        return self

    def extend(self, modules: Iterable[Module]) -> Any:
        """Adds modules at the end."""
        self._assign([*self, *modules])
        return self

    def insert(self, index: int, module: Module) -> Any:
        """Puts a module before the one at an index."""
        modules = list(self)
        modules.insert(index, module)
        self._assign(modules)
        return self

    def pop(self, index: int = -1) -> Module:
        """Removes and returns a module."""
        module = list(self)[_position(type(self).__name__, index, len(self))]
        del self[index]
        return module

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter([m for m in self._modules.values() if m is not None])

    def __getitem__(self, index: int | slice) -> Any:
        modules = list(self)
        if isinstance(index, slice):
            return Sequential(*modules[index])
        return modules[_position(type(self).__name__, index, len(modules))]

    def __setitem__(self, index: int, module: Module) -> None:
        key = list(self._modules)[_position(type(self).__name__, index, len(self))]
        setattr(self, key, module)

    def __delitem__(self, index: int | slice) -> None:
        modules = list(self)
        if not isinstance(index, slice):
            index = _position(type(self).__name__, index, len(modules))
        del modules[index]
        self._assign(modules)


class Sequential(_List):
    """Runs modules one after the other. Takes modules, or one dict of name -> module."""

    def __init__(self, *modules: Module | Mapping[str, Module]) -> None:
        super().__init__()
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            for name, module in modules[0].items():
                self.add_module(name, module)
        else:
            self._assign(modules)  # type: ignore[arg-type]

    def forward(self, x: Any) -> Any:
        """The last module's output."""
        for module in self:
            x = module(x)
        return x

    def append(self, module: Module) -> Sequential:
        """Adds a module at the end; the others keep their names."""
        self.add_module(str(len(self)), module)
        return self


class ModuleList(_List):
    """A list of modules that the module holding it knows of."""

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__()
        self._assign(modules)

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return ModuleList(list(self)[index])
        return super().__getitem__(index)

    def __add__(self, other: Iterable[Module]) -> ModuleList:
        return ModuleList([*self, *other])

    def __iadd__(self, other: Iterable[Module]) -> ModuleList:
        return self.extend(other)


class ModuleDict(Module):
    """A dict of modules that the module holding it knows of."""

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] = ()) -> None:
        super().__init__()
        self.update(modules)

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Adds modules by name."""
        for name, module in modules.items() if isinstance(modules, Mapping) else modules:
            self[name] = module

    def __setitem__(self, name: str, module: Module) -> None:
        if not isinstance(module, Module):
            raise DTypeError(f"ModuleDict: {name}: got {type(module).__name__}, want a Module")
        self.add_module(name, module)

    def __getitem__(self, name: str) -> Any:
        return self._modules[name]

    def __delitem__(self, name: str) -> None:
        del self._modules[name]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, name: object) -> bool:
        return name in self._modules

    def keys(self) -> Iterable[str]:
        """The names."""
        return self._modules.keys()

    def values(self) -> Iterable[Any]:
        """The modules."""
        return self._modules.values()

    def items(self) -> Iterable[tuple[str, Any]]:
        """The names with their modules."""
        return self._modules.items()

    def pop(self, name: str) -> Any:
        """Removes and returns a module."""
        return self._modules.pop(name)

    def clear(self) -> None:
        """Removes all modules."""
        self._modules.clear()


def _parameter(owner: str, name: Any, value: Any) -> Parameter:
    if not isinstance(value, Tensor):
        raise DTypeError(f"{owner}: {name}: got {type(value).__name__}, want a Tensor")
    return value if isinstance(value, Parameter) else Parameter(value)


class ParameterList(Module):
    """A list of parameters that the module holding it knows of."""

    def __init__(self, values: Iterable[Tensor] = ()) -> None:
        super().__init__()
        self.extend(values)

    def append(self, value: Tensor) -> ParameterList:
        """Adds a parameter at the end (a Tensor becomes one)."""
        name = str(len(self))
        self.register_parameter(name, _parameter("ParameterList", name, value))
        return self

    def extend(self, values: Iterable[Tensor]) -> ParameterList:
        """Adds parameters at the end."""
        for value in values:
            self.append(value)
        return self

    def __len__(self) -> int:
        return len(self._parameters)

    def __iter__(self) -> Iterator[Any]:
        return iter(list(self._parameters.values()))

    def __getitem__(self, index: int | slice) -> Any:
        values = list(self._parameters.values())
        if isinstance(index, slice):
            return ParameterList(values[index])  # type: ignore[arg-type]
        return values[_position("ParameterList", index, len(values))]

    def __setitem__(self, index: int, value: Tensor) -> None:
        name = str(_position("ParameterList", index, len(self)))
        self.register_parameter(name, _parameter("ParameterList", name, value))


class ParameterDict(Module):
    """A dict of parameters that the module holding it knows of."""

    def __init__(self, values: Mapping[str, Tensor] | Iterable[tuple[str, Tensor]] = ()) -> None:
        super().__init__()
        for name, value in values.items() if isinstance(values, Mapping) else values:
            self[name] = value

    def __setitem__(self, name: str, value: Tensor) -> None:
        if not name or "." in name:
            raise ArgumentError(f"ParameterDict: name: got {name!r}, want one without a dot")
        self.register_parameter(name, _parameter("ParameterDict", name, value))

    def __getitem__(self, name: str) -> Any:
        return self._parameters[name]

    def __delitem__(self, name: str) -> None:
        del self._parameters[name]

    def __len__(self) -> int:
        return len(self._parameters)

    def __iter__(self) -> Iterator[str]:
        return iter(self._parameters)

    def __contains__(self, name: object) -> bool:
        return name in self._parameters

    def keys(self) -> Iterable[str]:
        """The names."""
        return self._parameters.keys()

    def values(self) -> Iterable[Any]:
        """The parameters."""
        return self._parameters.values()

    def items(self) -> Iterable[tuple[str, Any]]:
        """The names with their parameters."""
        return self._parameters.items()
