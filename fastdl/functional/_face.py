"""What the faces of all families share: Tensor methods, casts, and inputs without a batch."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Literal, TypeVar

from .. import in_place as tensors
from ..core.dtypes import as_dtype
from ..core.errors import DTypeError
from ..ops.elementwise import cast
from ..ops.shape import reshape
from ..tensor import Tensor

Function = TypeVar("Function", bound=Callable[..., Any])


def method(
    function: Function | None = None,
    *,
    in_place: bool | Literal["op"] = False,
    sizes: bool = False,
    name: str | None = None,
) -> Any:
    """Makes a function of torch's top level a Tensor method too: `f(x, ...)` is `x.f(...)`.

    Args:
        in_place: also make `x.f_(...)`, which writes the result to x's storage; "op" if it is the
            op of f's name with the same arguments, which then needs no copy.
        sizes: the second argument is a tuple that may also be spread: `x.f((2, 3))`, `x.f(2, 3)`.
        name: of the method, if it is not the function's.
    """
    if function is None:
        return functools.partial(method, in_place=in_place, sizes=sizes, name=name)
    name = name or function.__name__
    setattr(Tensor, name, _spread(function) if sizes else function)
    if in_place:
        setattr(Tensor, f"{name}_", _in_place(function, in_place == "op"))
    return function


def _spread(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(self: Tensor, *sizes: Any, **named: Any) -> Any:
        if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
            sizes = tuple(sizes[0])
        return function(self, sizes, **named) if sizes or not named else function(self, **named)

    return call


def _in_place(function: Callable[..., Any], is_op: bool) -> Callable[..., Any]:
    name = function.__name__
    takes_out = "out" in inspect.signature(function).parameters

    def run(self: Tensor, *others: Any) -> Tensor:
        return tensors.run(self, name, others)

    def replace(self: Tensor, *args: Any, **named: Any) -> Tensor:
        def compute(x: Any, **out: Any) -> Any:
            return function(x, *args, **named, **out)

        others = (*args, *named.values())
        return tensors.replace(self, f"{name}_", compute, others, takes_out)

    call = run if is_op else replace
    call.__name__, call.__doc__ = f"{name}_", f"`{name}` written to the tensor's own storage."
    return call


def cast_to(input: Any, dtype: Any) -> Any:
    """`input` in a dtype; itself for None."""
    return input if dtype is None else cast(input, dtype=as_dtype(dtype).name)


def shape_of(op: str, input: Any) -> tuple[int, ...]:
    """The shape of an array or Tensor; DTypeError for anything else."""
    if not hasattr(input, "shape"):
        raise DTypeError(f"{op}: input: got {type(input).__name__}, want a NumPy array or a Tensor")
    return input.shape


def batched(x: Any) -> Any:
    """A view with a first dimension of size 1 (of every one of a tuple, for outputs)."""
    if isinstance(x, tuple):
        return tuple(batched(part) for part in x)
    return x[None]


def unbatched(y: Any) -> Any:
    """Undoes `batched`."""
    if isinstance(y, tuple):
        return tuple(unbatched(part) for part in y)
    return reshape(y, shape=y.shape[1:])
