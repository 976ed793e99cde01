"""`Module`: parameters, buffers, submodules, train/eval and state_dict, as in torch.nn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Self

import numpy as np

from ..autograd import no_grad
from ..core.dtypes import NAMES, as_dtype, is_float, name_of
from ..core.errors import DTypeError, ShapeError, StateError
from ..creation import plain_array
from ..tensor import Parameter, Tensor

__all__ = ["Module"]


class IncompatibleKeys(NamedTuple):
    """What `load_state_dict` found on one side only."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class RemovableHandle:
    """What registering a hook returns: `remove()` takes it back, also at the end of a `with`."""

    def __init__(self, hooks: dict[RemovableHandle, Any]) -> None:
        self._hooks = hooks

    def remove(self) -> None:
        """Takes the hook back; a second time does nothing."""
        self._hooks.pop(self, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exception: object) -> None:
        self.remove()


class Module:
    """Base class of layers and models: assign Parameters and Modules as attributes, write forward.

    Attributes:
        training: True after `train()`, False after `eval()`.
    """

    training: bool
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Module | None]
    _transient: set[str]  # names of the buffers that state_dict leaves out
    _pre_hooks: dict[RemovableHandle, tuple[Callable[..., Any], bool]]
    _hooks: dict[RemovableHandle, tuple[Callable[..., Any], bool]]

    def __init__(self) -> None:
        # Straight into __dict__: __setattr__ below needs them to be there.
        self.__dict__.update(training=True, _parameters={}, _buffers={}, _modules={})
        self.__dict__.update(_transient=set(), _pre_hooks={}, _hooks={})

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes; written by each subclass."""
        raise NotImplementedError(f"{type(self).__name__} has no forward method")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Runs the pre-hooks, forward and the hooks."""
        for hook, with_kwargs in tuple(self._pre_hooks.values()):
            given = hook(self, args, kwargs) if with_kwargs else hook(self, args)
            if given is not None and with_kwargs:
                args, kwargs = given
            elif given is not None:
                args = given if isinstance(given, tuple) else (given,)
        result = self.forward(*args, **kwargs)
        for hook, with_kwargs in tuple(self._hooks.values()):
            given = hook(self, args, kwargs, result) if with_kwargs else hook(self, args, result)
            result = result if given is None else given
        return result

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Calls `hook(module, args)` before forward; what it returns, unless None, replaces args.

        `with_kwargs` calls `hook(module, args, kwargs)`, which returns both or None. `prepend`
        calls it before the hooks there are.
        """
        return _register(self._pre_hooks, hook, prepend, with_kwargs)

    def register_forward_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Calls `hook(module, args, output)` after forward; a result but None replaces output.

        `with_kwargs` calls `hook(module, args, kwargs, output)`. `prepend` calls it before the
        hooks there are.
        """
        return _register(self._hooks, hook, prepend, with_kwargs)

    # --- attributes ----------------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        if "_modules" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__}: call super().__init__() first")
        tables = (self._parameters, self._buffers, self._modules)
        if isinstance(value, Parameter):
            kind: Any = self._parameters
        elif isinstance(value, Module):
            kind = self._modules
        else:  # a registered name keeps its table: None, or a plain Tensor for a buffer
            kind = next((t for t in tables if name in t), None)
            allowed = value is None or (kind is self._buffers and isinstance(value, Tensor))
            if kind is not None and not allowed:
                raise DTypeError(
                    f"{type(self).__name__}.{name}: got {type(value).__name__}, want a Parameter,"
                    " Module or None, as registered"
                )
        for table in tables:
            if table is not kind:
                table.pop(name, None)
        if kind is None:
            object.__setattr__(self, name, value)
        else:
            self.__dict__.pop(name, None)
            kind[name] = value

    def __getattr__(self, name: str) -> Any:
        for table in ("_parameters", "_buffers", "_modules"):
            if name in self.__dict__.get(table, ()):
                return self.__dict__[table][name]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __delattr__(self, name: str) -> None:
        for table in (self._parameters, self._buffers, self._modules):
            if name in table:
                del table[name]
                return
        object.__delattr__(self, name)

    def register_parameter(self, name: str, parameter: Parameter | None) -> None:
        """Adds a parameter by name; None keeps the place free (a layer without bias)."""
        self._parameters[name] = parameter

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Adds a tensor that is not trained; `state_dict` has it if it is persistent."""
        self._buffers[name] = tensor
        (self._transient.discard if persistent else self._transient.add)(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Adds a submodule by name."""
        self._modules[name] = module

    # --- walking -------------------------------------------------------------------------------

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module and all below it, each once, with dotted names."""
        seen: set[int] = set()

        def walk(module: Module, path: str) -> Iterator[tuple[str, Module]]:
            if id(module) in seen:
                return
            seen.add(id(module))
            yield path, module
            for name, child in module._modules.items():
                if child is not None:
                    yield from walk(child, f"{path}.{name}" if path else name)

        yield from walk(self, prefix)

    def modules(self) -> Iterator[Module]:
        """This module and all below it, each once."""
        return (module for _, module in self.named_modules())

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The direct submodules with their names."""
        return ((name, child) for name, child in self._modules.items() if child is not None)

    def children(self) -> Iterator[Module]:
        """The direct submodules."""
        return (child for _, child in self.named_children())

    def _named(self, table: str) -> Iterator[tuple[str, Any]]:
        for path, module in self.named_modules():
            for name, value in getattr(module, table).items():
                if value is not None:
                    yield f"{path}.{name}" if path else name, value

    def _state(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        """Parameters and persistent buffers in torch's order; those of a shared module under each
        name."""
        for table in (self._parameters, self._buffers):
            for name, value in table.items():
                if value is not None and not (table is self._buffers and name in self._transient):
                    yield prefix + name, value
        for name, child in self.named_children():
            yield from child._state(f"{prefix}{name}.")

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """All parameters with dotted names; a shared one once."""
        seen: set[int] = set()
        for name, parameter in self._named("_parameters"):
            if id(parameter) not in seen:
                seen.add(id(parameter))
                yield name, parameter

    def parameters(self) -> Iterator[Parameter]:
        """All parameters; a shared one once."""
        return (parameter for _, parameter in self.named_parameters())

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        """All buffers with dotted names."""
        return self._named("_buffers")

    def buffers(self) -> Iterator[Tensor]:
        """All buffers."""
        return (buffer for _, buffer in self.named_buffers())

    def apply(self, function: Callable[[Module], Any]) -> Self:
        """Calls `function` on every module, children first."""
        for child in self.children():
            child.apply(function)
        function(self)
        return self

    # --- state ---------------------------------------------------------------------------------

    def train(self, mode: bool = True) -> Self:
        """Puts this module and all below it in training mode (or out of it)."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Puts this module and all below it in evaluation mode."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Turns recording on or off for all parameters."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forgets the gradients (or sets them to zero)."""
        for parameter in self.parameters():
            if set_to_none or parameter.grad is None:
                parameter.grad = None
            else:
                parameter.grad = Tensor(np.zeros(parameter.shape, parameter.dtype))

    def to(
        self,
        *args: Any,
        dtype: Any = None,
        device: Any = None,
        memory_format: str | None = None,
    ) -> Self:
        """Casts float parameters and buffers, moves them, or lays 4-D ones out as NHWC in memory.

        `.to(dtype)`, `.to(device)`, `.to(memory_format=fastdl.channels_last)`.
        """
        probe = Tensor(np.empty(0, np.float32)).to(*args, dtype=dtype, device=device)
        target = probe.dtype if _names_dtype(args, dtype) else None
        if target is not None and not is_float(target):
            raise DTypeError(f"Module.to: dtype: got {target}, want a float dtype")
        for module in self.modules():
            for tensor in (*module._parameters.values(), *module._buffers.values()):
                if tensor is None:
                    continue
                wanted = target if is_float(tensor.dtype) else None
                with no_grad():
                    moved = tensor.to(wanted, memory_format=memory_format)
                    if moved._array is tensor._array:
                        continue
                    tensor._array = moved._array
                    if tensor.grad is not None:
                        tensor.grad = tensor.grad.to(wanted, memory_format=memory_format)
                tensor._counter.value += 1
        return self

    def float(self) -> Self:
        """Casts to float32."""
        return self.to(np.float32)

    def double(self) -> Self:
        """Casts to float64."""
        return self.to(np.float64)

    def state_dict(self) -> dict[str, Tensor]:
        """Parameters and buffers by torch's names, detached, sharing storage."""
        return {name: tensor.detach() for name, tensor in self._state()}

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True
    ) -> IncompatibleKeys:
        """Copies values in by name, from arrays, Tensors or torch tensors, cast to each dtype.

        Raises ShapeError for a value of the wrong shape, DTypeError for one that is no array of
        numbers and, if strict, StateError (a KeyError) for names that only one side has; then
        nothing is changed.
        """
        if not isinstance(state_dict, Mapping):
            raise DTypeError(
                f"load_state_dict: state_dict: got {type(state_dict).__name__}, want a dict"
            )
        own = dict(self._state())
        missing = [name for name in own if name not in state_dict]
        unexpected = [name for name in state_dict if name not in own]
        if strict and (missing or unexpected):
            raise StateError(
                f"load_state_dict of {type(self).__name__}: missing {missing},"
                f" unexpected {unexpected}"
            )
        values = {
            name: plain_array(f"load_state_dict: {name}", state_dict[name])
            for name in own
            if name in state_dict
        }
        for name, value in values.items():
            if value.shape != own[name].shape:
                raise ShapeError(
                    f"load_state_dict: {name} has shape {value.shape}, want {own[name].shape}"
                )
            if name_of(value.dtype) not in NAMES or not value.dtype.isnative:
                raise DTypeError(
                    f"load_state_dict: {name} has dtype {value.dtype}, want one of"
                    f" {', '.join(NAMES)}"
                )
        for name, value in values.items():
            np.copyto(own[name]._written(), value, casting="unsafe")
        return IncompatibleKeys(missing, unexpected)

    # --- printing ------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """What a subclass wants between its parentheses."""
        return ""

    def __repr__(self) -> str:
        children = [
            f"  ({name}): " + repr(child).replace("\n", "\n  ")
            for name, child in self.named_children()
        ]
        inside = self.extra_repr()
        if children:
            inside = "\n".join(["", *([f"  {inside}"] if inside else []), *children, ""])
        return f"{type(self).__name__}({inside})"


def _register(
    hooks: dict[RemovableHandle, Any], hook: Callable[..., Any], prepend: bool, with_kwargs: bool
) -> RemovableHandle:
    handle, before = RemovableHandle(hooks), dict(hooks) if prepend else {}
    if prepend:
        hooks.clear()
    hooks[handle] = hook, with_kwargs
    hooks.update(before)
    return handle


def _names_dtype(args: tuple[Any, ...], dtype: Any) -> bool:
    """Does `.to(*args, dtype=dtype)` name a dtype?"""
    if dtype is not None:
        return True
    for a in args:
        if isinstance(a, Tensor):
            return True
        try:
            as_dtype(a)
        except DTypeError:
            continue
        return True
    return False
