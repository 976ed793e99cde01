"""Kernels from outside fastdl: Python functions by file and name, C symbols by a signature.

The first half runs in the child alone. The second half, a C signature and how the arrays and
options of an op fill it, never loads the library.
"""

from __future__ import annotations

import ctypes
import importlib.util
import math
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..core.errors import ArgumentError
from ..spec import KERNELS, Kernel, OpSpec, Plan
from .arena import Placed, View

OURS = ("native", "numba", "reference", "cuda")

# --- in the child -----------------------------------------------------------------------------


def split(where: str) -> tuple[str, str]:
    """`path.py:function` or `lib.so:symbol` as file and name ("" for all that a file declares)."""
    path, _, name = where.partition(":")
    return path, name


def load(op: str, where: str) -> tuple[list[Callable[..., Any]], list[dict[str, Any]]]:
    """Runs a file; the function named, or all kernels of the op that the file declares.

    With each, what `@fastdl.kernel` declared of it, and how it wants to be called.
    """
    path, name = split(where)
    module, kernels = _ran.get(path) or _run(path)
    declared = [k for k in kernels if k.op == op]
    if name:
        function = module
        for part in name.split("."):
            function = getattr(function, part)
        chosen = [k for k in declared if k.fn is function]
        if not chosen:
            described = {"name": name, "backend": "", "canonical": False}
            return [_named_options(function)], [described]
        declared = chosen
    if not declared:
        raise ArgumentError(f"{path} declares no kernel of {op}; name a function: {path}:function")
    return [_declining(k) for k in declared], [_declaration(k) for k in declared]


def run_file(path: str) -> Any:
    """The module in a file."""
    spec = importlib.util.spec_from_file_location(f"_checked_{Path(path).stem}", path)
    if spec is None or spec.loader is None:
        raise ArgumentError(f"cannot import {path}: want a .py file")
    sys.path.insert(0, str(Path(path).resolve().parent))
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


_ran: dict[str, tuple[Any, list[Kernel]]] = {}  # the file's module, the kernels that it declares


def kernels_of(path: str) -> list[dict[str, str]]:
    """The kernels that a file declares: op, name, and the place to ask for each alone."""
    module, kernels = _ran.get(path) or _run(path)
    names = {id(value): name for name, value in vars(module).items()}
    return [
        {"op": k.op, "name": k.name, "place": f"{path}:{names[id(k.fn)]}" if id(k.fn) in names
         else path}
        for k in kernels
    ]  # fmt: skip


def _run(path: str) -> tuple[Any, list[Kernel]]:
    """Runs a file, once: a second run would declare its ops again."""
    before = list(_strange())
    module = run_file(path)
    _ran[path] = module, [k for k in _strange() if k not in before]
    return _ran[path]


def _strange() -> Iterator[Kernel]:
    """The kernels on backends that are not fastdl's."""
    for backends in KERNELS.values():
        for backend, kernels in backends.items():
            if backend not in OURS:
                yield from kernels


def _declaration(k: Kernel) -> dict[str, Any]:
    return {
        "name": k.name, "backend": k.backend, "dtypes": k.dtypes, "out": k.out, "bits": k.bits,
        "input_bits": k.input_bits, "accumulator": k.accumulator, "canonical": True,
    }  # fmt: skip


def _declining(k: Kernel) -> Callable[..., Any]:
    """A declared kernel that is asked first whether it declines, as dispatch would."""

    def call(*arrays: Any, **options: Any) -> Any:
        plain = {name: value for name, value in options.items() if name != "out"}
        if why := k.declined(arrays, plain):
            raise NotImplementedError(why)
        return k.fn(*arrays, **options)

    call.__wrapped__ = k.fn  # type: ignore[attr-defined]
    return call


def declared_depth(function: Callable[..., Any]) -> Callable[[int], int]:
    """The depth formula that came with a declared kernel."""
    function = getattr(function, "__wrapped__", function)
    for backends in KERNELS.values():
        for kernels in backends.values():
            for k in kernels:
                if getattr(k.fn, "__wrapped__", k.fn) is function:
                    return k.depth
    return lambda terms: terms


def _named_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Declines the options a plain function has no parameter for, instead of a TypeError."""
    import inspect

    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # a compiled function that does not tell
        return function
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return function
    known = {p.name for p in parameters if p.kind is not p.POSITIONAL_ONLY}
    positional = sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        positional = sys.maxsize

    def call(*arrays: Any, **options: Any) -> Any:
        if missing := sorted(options.keys() - known):
            raise NotImplementedError(f"takes no option {missing[0]!r}")
        if len(arrays) > positional:
            raise NotImplementedError(f"takes no {len(arrays)} arrays")
        return function(*arrays, **options)

    return call


def c_call(library: str, symbol: str, arguments: list[Any], view: View) -> Callable[..., Any]:
    """A C function with all its arguments, to be called with nothing more."""
    function = getattr(ctypes.CDLL(library), symbol)
    function.restype = None
    filled = [
        ctypes.c_void_p(view.address + value.offset)
        if isinstance(value, Placed)
        else _NUMBERS[kind](value)
        for kind, value in arguments
    ]
    return lambda: function(*filled)


_NUMBERS = {
    "int": ctypes.c_int, "int32_t": ctypes.c_int32, "int64_t": ctypes.c_int64,
    "long": ctypes.c_long, "size_t": ctypes.c_size_t, "ptrdiff_t": ctypes.c_ssize_t,
    "float": ctypes.c_float, "double": ctypes.c_double,
}  # fmt: skip

# --- a C signature ----------------------------------------------------------------------------

_POINTERS = {"float": "float32", "double": "float64", "int32_t": "int32", "int64_t": "int64"}


class Parameter(NamedTuple):
    """One parameter of a C function."""

    kind: str
    pointer: bool
    name: str


@dataclass(frozen=True)
class CSymbol:
    """A C function of a plain family: C-contiguous arrays, no batches, sizes as numbers.

    Pointers are the arrays of the op in its signature's order, then its outputs. A number is a
    dimension of the signature by its name, in any case; an option by its name, where it is one
    number; `n` where the signature names no dimensions: the number of elements; or `rows` and
    `cols` of an op along the last dimension.
    """

    library: str
    symbol: str
    parameters: tuple[Parameter, ...]

    @classmethod
    def parse(cls, where: str, signature: str) -> CSymbol:
        """From `lib.so:symbol` and `op(float* a, int n)`; ArgumentError for what is not that."""
        library, symbol = split(where)
        found = re.fullmatch(r"\s*(?:void\s+)?\w+\s*\(([^()]*)\)\s*;?\s*", signature)
        if not found or not symbol:
            raise ArgumentError(
                f"--signature: got {signature!r} for {where!r}, want like"
                " 'matmul(float* a, float* b, float* c, int m, int n, int k)' for lib.so:symbol"
            )
        parameters = []
        for text in found[1].split(","):
            one = re.fullmatch(r"\s*(?:const\s+)?(\w+)\s*(\*?)\s*(?:restrict\s+)?(\w+)\s*", text)
            if not one or one[1] not in (_POINTERS if one[2] else _NUMBERS):
                raise ArgumentError(
                    f"--signature: cannot read {text.strip()!r}; pointers are to"
                    f" {', '.join(_POINTERS)}, numbers {', '.join(_NUMBERS)}"
                )
            parameters.append(Parameter(one[1], bool(one[2]), one[3]))
        return cls(str(Path(library).resolve()), symbol, tuple(parameters))

    @property
    def dtypes(self) -> tuple[str, ...]:
        """The dtypes of its pointers."""
        return tuple(dict.fromkeys(_POINTERS[p.kind] for p in self.parameters if p.pointer))

    def why_not(self, spec: OpSpec, plan: Plan) -> str:
        """Why a call does not fit the C function; "" if it does."""
        try:
            self.bind(spec, plan)
        except ArgumentError as error:
            return str(error)
        return ""

    def bind(self, spec: OpSpec, plan: Plan) -> list[tuple[str, Any]]:
        """Its arguments: (kind, number), or ("array", position), outputs after the arrays."""
        present = [i for i, a in enumerate(plan.arrays) if a is not None]
        for i in present:
            a = plan.arrays[i]
            if not isinstance(a, np.ndarray) or not a.flags.c_contiguous:
                raise ArgumentError("takes C-contiguous arrays only")
        places = [*present, *(len(plan.arrays) + i for i in range(len(plan.outputs)))]
        pointers = [p for p in self.parameters if p.pointer]
        if len(pointers) != len(places):
            raise ArgumentError(f"has {len(pointers)} pointers for {len(places)} arrays")
        sizes = _sizes(spec, plan)
        used: set[str] = set()
        arguments: list[tuple[str, Any]] = []
        for p in self.parameters:
            if p.pointer:
                place = places[sum(kind == "array" for kind, _ in arguments)]
                arguments.append(("array", place))
                if _POINTERS[p.kind] != _dtype_at(plan, place):
                    raise ArgumentError(f"{p.name} is no pointer to {_dtype_at(plan, place)}")
                continue
            option = plan.options.get(p.name)
            number = _one_number(option) if p.name in plan.options else sizes.get(p.name.lower())
            if number is None:
                raise ArgumentError(f"{p.name} is not a number of this call")
            used.add(p.name)
            arguments.append((p.kind, number))
        rowwise = {"rows", "cols"} <= used
        neutral = _neutral_options(spec, plan)
        for name, value in plan.options.items():
            if name in used or (rowwise and name in ("dim", "keepdim")):
                continue
            if name not in neutral or neutral[name] != value:
                raise ArgumentError(f"takes no option {name}")
        return arguments


def _dtype_at(plan: Plan, place: int) -> str:
    count = len(plan.arrays)
    found = plan.arrays[place] if place < count else plan.outputs[place - count]
    return str(found.dtype.name)


def _one_number(option: Any) -> Any:
    """An option as one number: (2, 2) and ((2, 2), (2, 2)) are 2; None if it is not one."""
    while isinstance(option, tuple) and option and all(o == option[0] for o in option):
        option = option[0]
    return option if isinstance(option, (bool, int, float)) else None


def _sizes(spec: OpSpec, plan: Plan) -> dict[str, int]:
    """The dimensions of the signature by their names in lower case."""
    sizes: dict[str, int] = {}
    named = False
    arrays = [(a.dims, x.shape) for a, x in zip(spec.signature.arrays, plan.arrays, strict=False)
              if isinstance(x, np.ndarray)]  # fmt: skip
    for dims, shape in arrays:
        names = [d.strip().lower() for d in dims.strip("[]").split(",") if d.strip()]
        plain = [d for d in names if d != "..."]
        if not plain:
            continue
        named = True
        if len(plain) != len(shape):
            raise ArgumentError(f"takes arrays [{', '.join(plain)}] only")
        for name, size in zip(plain, shape, strict=True):
            if sizes.setdefault(name, size) != size:
                raise ArgumentError(f"takes one size {name} only")
    first = arrays[0][1]
    if not named:
        if any(shape != first for _, shape in arrays):
            raise ArgumentError("takes arrays of one shape only")
        sizes["n"] = math.prod(first)
    if plan.options.get("dim") in (len(first) - 1, (len(first) - 1,)) and first:
        sizes |= {"rows": math.prod(first[:-1]), "cols": first[-1]}
    return sizes


def _neutral_options(spec: OpSpec, plan: Plan) -> dict[str, Any]:
    """The canonical options of the call that gives none."""
    try:
        return spec.shape(*plan.arrays).options
    except Exception:  # some option is required
        return {}
