"""`OpSpec`: the one declaration of an operation, and `kernel`, which attaches kernels to it.

matmul = op(
    name="matmul",
    signature="a[...,M,K], b[...,K,N] -> y[...,M,N]",
    shape=...,      # checks every argument; output shapes and canonical options
    reference=...,  # NumPy
    vjp=..., saves=("a", "b"),
    cost=..., terms=..., bound=..., samples=..., bad_inputs=...,
)

@kernel("matmul", backend="native", dtypes=("float32", "float64"), depth=lambda k: k)
def matmul(a, b): ...
"""

from __future__ import annotations

import inspect
import math
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np

from .core import config
from .core.dtypes import FLOATS, as_dtype, name_of
from .core.errorbound import gamma
from .core.errors import ArgumentError

# --- what a call looks like -------------------------------------------------------------------


class Argument(NamedTuple):
    """One array of a signature: `bias?[K]` is optional, `*tensors[...]` stands for any number."""

    name: str
    dims: str
    optional: bool = False
    variadic: bool = False


@dataclass(frozen=True)
class Signature:
    """The parsed form of `"x[N,C], w?[C]; stride -> y[N,C]"`."""

    text: str
    arrays: tuple[Argument, ...]
    options: tuple[str, ...]
    outputs: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Signature:
        """Parses a signature; ArgumentError if it does not have the form above."""
        left, arrow, right = text.partition("->")
        arrays, _, options = left.partition(";")
        found = re.findall(r"(\*?)(\w+)(\??)(\[[^\]]*\])?", arrays)
        if not arrow or not found:
            raise ArgumentError(f"signature: got {text!r}, want 'x[dims], ...; options -> y[dims]'")
        return cls(
            text,
            tuple(Argument(n, d, opt == "?", star == "*") for star, n, opt, d in found),
            tuple(re.findall(r"\w+", options)),
            tuple(name for name, _ in re.findall(r"(\w+)(\[[^\]]*\])?", right)),
        )

    def array_name(self, position: int) -> str:
        """The name of the array at a position, with its number for a variadic argument."""
        last = self.arrays[-1]
        if last.variadic and position >= len(self.arrays) - 1:
            return f"{last.name}[{position - len(self.arrays) + 1}]"
        return self.arrays[position].name


class Out(NamedTuple):
    """Shape, dtype and memory format of one output."""

    shape: tuple[int, ...]
    dtype: np.dtype
    channels_last: bool = False


@dataclass
class Plan:
    """What `OpSpec.shape` returns: a checked call.

    `arrays` are the operands to hand to kernels (after promotion), `options` the canonical ones.
    """

    outputs: tuple[Out, ...]
    arrays: tuple[Any, ...]
    options: dict[str, Any] = field(default_factory=dict)


# --- what a checker and a benchmark need -------------------------------------------------------


class Cost(NamedTuple):
    """Floating-point operations and the least number of bytes a call must move."""

    flops: float
    bytes: float


@dataclass(frozen=True)
class Ints:
    """A sample's integer array: uniform in [low, high)."""

    shape: tuple[int, ...]
    low: int
    high: int
    dtype: str = "int64"


@dataclass(frozen=True)
class Bools:
    """A sample's random boolean array."""

    shape: tuple[int, ...]


@dataclass(frozen=True)
class NonNegative:
    """A sample's float array that is no less than zero: a running mean of squares, a variance."""

    shape: tuple[int, ...]


@dataclass(frozen=True)
class Within:
    """A sample's float array whose range matters to the op: uniform in [low, high), however the
    other arrays are filled."""

    shape: tuple[int, ...]
    low: float
    high: float


@dataclass(frozen=True)
class Folded:
    """A sample's float array from low to high: what the checker fills in, folded there.

    |v| / (1 + |v|) of each number, so that 0, denormals and infinities reach the ends.
    """

    shape: tuple[int, ...]
    low: float
    high: float

    def fold(self, values: np.ndarray) -> np.ndarray:
        """The numbers within the range; NaN becomes its middle."""
        with np.errstate(all="ignore"):
            part = np.abs(values)
            part = np.where(np.isinf(part), 1, part / (1 + part))
            part = np.where(np.isnan(part), 0.5, part)
            return np.asarray(self.low + (self.high - self.low) * part).astype(values.dtype)


@dataclass(frozen=True)
class Sample:
    """One named case. Float arrays are given as shapes, filled by the checker in many ways.

    An array may also be None (a missing optional one), NonNegative, Within, Folded, Ints, Bools, an
    array or a Python scalar.
    `channels_last` lays out every 4-D float array as NHWC in memory. `bench` marks a size worth
    timing (a network's real shape).
    """

    name: str
    arrays: tuple[Any, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    channels_last: bool = False
    bench: bool = False

    @property
    def elements(self) -> int:
        """Of all its arrays together."""
        shapes = (a if isinstance(a, tuple) else getattr(a, "shape", ()) for a in self.arrays)
        return sum(math.prod(shape) for shape in shapes)

    def build(
        self, rng: np.random.Generator, dtype: Any, fill: Callable[..., np.ndarray] | None = None
    ) -> tuple[Any, ...]:
        """The sample's arrays; `fill(rng, shape, dtype)` makes the float ones (default: normal)."""
        return tuple(self._make(a, rng, as_dtype(dtype), fill or _normal) for a in self.arrays)

    def _make(self, a: Any, rng: np.random.Generator, dtype: np.dtype, fill: Any) -> Any:
        if isinstance(a, Ints):
            return rng.integers(a.low, a.high, a.shape).astype(a.dtype)
        if isinstance(a, Bools):
            return rng.random(a.shape) < 0.5
        if isinstance(a, NonNegative):
            return np.abs(self._make(a.shape, rng, dtype, fill))
        if isinstance(a, Within):
            return rng.uniform(a.low, a.high, a.shape).astype(dtype)
        if isinstance(a, Folded):
            return a.fold(self._make(a.shape, rng, dtype, fill))
        if not isinstance(a, tuple):
            return a
        if self.channels_last and len(a) == 4:
            n, c, h, w = a
            return fill(rng, (n, h, w, c), dtype).transpose(0, 3, 1, 2)
        return fill(rng, a, dtype)


def _normal(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    return rng.standard_normal(shape).astype(dtype)


@dataclass(frozen=True)
class BadInput:
    """A call that must raise `error` and modify nothing: `call()` returns (args, kwargs)."""

    name: str
    call: Callable[[], tuple[tuple[Any, ...], dict[str, Any]]]
    error: type[Exception]


class Judged(NamedTuple):
    """What a bound is computed from.

    Inputs and reference outputs are in the judge's wide dtype; `unit` is the unit roundoff of the
    kernel's dtype, `tiny` its smallest denormal, `depth` the kernel's declared summation depth.
    """

    spec: OpSpec
    arrays: tuple[Any, ...]
    options: Mapping[str, Any]
    expected: tuple[np.ndarray, ...]
    depth: int
    terms: int
    unit: float
    tiny: float
    dtypes: tuple[np.dtype, ...]  # of the outputs


Bound = Callable[[Judged], tuple[Any, ...]]


def exact(case: Judged) -> tuple[Any, ...]:
    """The result is a selection or a copy: no error at all."""
    return tuple(0.0 for _ in case.expected)


def exact_value(case: Judged) -> tuple[Any, ...]:
    """As `exact`, but where +0 and −0 are both largest, either may be the result."""
    return exact(case)


@dataclass(frozen=True)
class Ulps:
    """The bound of `ulps`."""

    n: float

    def __call__(self, case: Judged) -> tuple[Any, ...]:
        """So many steps between the numbers around each exact result."""

        def spacing(y: np.ndarray, dtype: np.dtype) -> Any:
            if dtype.name not in FLOATS:
                return 0.0
            magnitude = np.where(np.isfinite(y), np.abs(y), 0)
            with np.errstate(all="ignore"):
                _, exponent = np.frexp(magnitude)
                step = np.ldexp(np.ones_like(magnitude), exponent) * case.unit
            return self.n * np.maximum(step, case.tiny)

        return tuple(map(spacing, case.expected, case.dtypes))


def ulps(n: float) -> Bound:
    """At most n units in the last place of the exact result."""
    return Ulps(n)


@dataclass(frozen=True)
class Accumulated:
    """The bound of `accumulated`; `scales` are the options that factors of its terms are."""

    scales: tuple[str, ...] = ()

    def __call__(self, case: Judged) -> tuple[Any, ...]:
        """γ_depth · op(|arrays|) + (terms + 1) · tiny, for ops that are sums of products or terms.

        Higham, ASNA, section 3.1, for any order of summation of that depth; the last term is the
        absolute error that each product and the result may suffer from underflow, scaled.
        """

        def magnitude(a: Any) -> Any:
            return np.abs(a) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a

        sizes = {name: abs(case.options[name]) for name in self.scales}
        with np.errstate(all="ignore"):
            absolute = case.spec.run_reference(
                tuple(map(magnitude, case.arrays)), {**case.options, **sizes}
            )
            factor = gamma(case.depth, case.unit)
            least = (case.terms + 1) * case.tiny * max(1, *sizes.values(), 0)
            return tuple(factor * np.abs(y) + least for y in absolute)


accumulated = Accumulated()


# Bounds of sums of products, or of terms: with integers the results are exact as long as every
# partial sum is. That may be so many times the sum of the terms' magnitudes.
SUMS: dict[Bound, int] = {accumulated: 1}

# --- kernels -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kernel:
    """One implementation of an op. See `kernel` for the fields."""

    op: str
    backend: str
    name: str
    fn: Callable[..., Any]
    dtypes: tuple[str, ...]
    depth: Callable[[int], int]
    out: bool
    direct: bool
    declines: Callable[..., str | None] | None
    bits: bool = False
    input_bits: int | None = None
    accumulator: str | None = None

    def why_not(self, plan: Plan) -> str | None:
        """Why this kernel does not take a planned call; None if it does."""
        for a in plan.arrays:
            if isinstance(a, np.ndarray) and name_of(a.dtype) not in self.dtypes:
                return f"dtype {a.dtype} not in {', '.join(self.dtypes)}"
        return self.declined(plan.arrays, plan.options)

    def declined(self, arrays: Sequence[Any], options: Mapping[str, Any]) -> str | None:
        """Why it does not take these options, or what its own `declines` says; None if it does."""
        if self._parameters is not None and not options.keys() <= self._parameters:
            return f"takes no option {min(options.keys() - self._parameters)!r}"
        return self.declines(*arrays, **options) if self.declines else None

    @cached_property
    def _parameters(self) -> frozenset[str] | None:
        """The names of the function's parameters; None if any will do, or it does not tell."""
        try:
            parameters = inspect.signature(self.fn).parameters
        except (TypeError, ValueError):  # a compiled function
            return None
        any_name = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
        return None if any_name else frozenset(parameters)


KERNELS: dict[str, dict[str, list[Kernel]]] = {}


def kernel(
    op: str,
    *,
    backend: str,
    dtypes: Sequence[str] = ("float32", "float64"),
    depth: Callable[[int], int] = lambda terms: terms,
    out: bool = False,
    direct: bool = False,
    declines: Callable[..., str | None] | None = None,
    name: str | None = None,
    bits: bool = False,
    input_bits: int | None = None,
    accumulator: str | None = None,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Attaches a kernel to an op; yours too: it is then checked, timed, dispatched, differentiated.

    Args:
        op: the op's name, e.g. "matmul".
        backend: "native", "numba", "reference", "cuda" or a name of your own.
        dtypes: the array dtypes taken, integer ones (targets, masks) included.
        depth: depth of the summation tree as a function of the number of terms of an output.
        out: the function takes `out=` and writes there.
        direct: the function checks raw arguments itself and returns NotImplemented for what it
            does not take, so dispatch may call it before anything else.
        declines: called like the kernel with a checked call; returns why the kernel does not take
            it, or None.
        name: defaults to the function's name.
        bits: results have the same bits for any number of threads, alignment and repeat (every
            kernel of fastdl's must; the checker holds others to it only if they say so).
        input_bits: bits of its inputs that a sum of products uses, if fewer than the dtype has.
        accumulator: the dtype of its sums, if wider than that of its results, which are then
            rounded once.

    The function is called as fn(*arrays, **options) with NumPy arrays and canonical options, and
    returns an array or a tuple of arrays. The newest kernel of a backend is asked first.
    """

    def attach(fn: Callable[..., Any]) -> Callable[..., Any]:
        config.register_backend(backend)
        label = str(name or getattr(fn, "__name__", "kernel"))
        new = Kernel(op, backend, label, fn, tuple(dtypes), depth, out, direct, declines, bits,
                     input_bits, accumulator)  # fmt: skip
        KERNELS.setdefault(op, {}).setdefault(backend, []).insert(0, new)
        if op in OPS:
            OPS[op].attach_direct()
        return fn

    return attach


# --- the declaration ---------------------------------------------------------------------------


def _no_edges(dtype: str) -> Iterable[Sample]:
    return ()


def _no_terms(*arrays: Any, **options: Any) -> int:
    return 1


@dataclass(eq=False)
class OpSpec:
    """An operation. Calling it runs it on arrays, or on Tensors with a tape.

    Fields:
        signature: arrays; options -> outputs, with their dimensions.
        shape: `shape(*arrays, **options) -> Plan`; raises the declared error for a bad argument.
        reference: the oracle; arrays in the dtype it shall compute in, canonical options.
        vjp: `vjp(saved, *gradients) -> gradients of the arrays` (None where there is none), made of
            ops; `saved` is an `autograd.Saved`.
        composed_vjp: a differentiable form of vjp, used under `create_graph=True`.
        saves: names of the arrays and outputs that vjp reads; as a dict, with the positions of the
            arrays whose gradients read them: where none of those is wanted, vjp sees None.
        cost, terms, bound, samples, bad_inputs: for the checker and the benchmark; `terms` is the
            number of terms summed in one output element.
        edges: more samples for a dtype, in a full run alone, which asks right values and strides of
            them.
        bounds: those of other algorithms than the usual one, by what the option `algorithm` says.
        plain: the options of a call that gives none are none.
        view: the result is a view of the first array; NumPy makes it on every backend.
        scalars: arrays may also be Python scalars (promoted as torch does).
        elementwise: `out` may be exactly an input.
        onto: `out` may be exactly the input at this position.
        smooth: False for a function with jumps, whose differences are not asked of its gradient.
    """

    name: str
    signature: Signature
    shape: Callable[..., Plan]
    reference: Callable[..., Any]
    vjp: Callable[..., tuple[Any, ...]] | None = None
    composed_vjp: Callable[..., tuple[Any, ...]] | None = None
    saves: tuple[str, ...] | Mapping[str, tuple[int, ...]] = ()
    cost: Callable[..., Cost] | None = None
    terms: Callable[..., int] = _no_terms
    bound: Bound = exact
    bounds: Mapping[str, Bound] = field(default_factory=dict)
    samples: Sequence[Sample] = ()
    edges: Callable[[str], Iterable[Sample]] = _no_edges
    bad_inputs: Sequence[BadInput] = ()
    dtypes: tuple[str, ...] = FLOATS
    family: str = ""
    view: bool = False
    scalars: bool = False
    elementwise: bool = False
    onto: int | None = None
    smooth: bool = True
    plain: bool = False
    direct: Callable[..., Any] | None = field(default=None, init=False)
    least_arrays: int = field(default=0, init=False)
    most_arrays: int = field(default=0, init=False)
    option_names: frozenset[str] = field(default=frozenset(), init=False)

    # Both take (spec, arrays, options, out=None); the layers above set them, whom none here names.
    run_arrays: ClassVar[Callable[..., Any]]  # dispatch.run
    run: ClassVar[Callable[..., Any]]  # autograd.run, which knows Tensors

    def __post_init__(self) -> None:
        arguments = self.signature.arrays
        self.least_arrays = sum(not a.optional for a in arguments)
        self.most_arrays = sys.maxsize if arguments[-1].variadic else len(arguments)
        self.option_names = frozenset(self.signature.options)

    def __call__(self, *arrays: Any, out: Any = None, **options: Any) -> Any:
        """Runs the op; see the module's docstring and `fastdl.functional` for the public face."""
        result = self._run_direct(arrays, options, out)
        return OpSpec.run(self, arrays, options, out) if result is NotImplemented else result

    def _run_direct(self, arrays: Sequence[Any], options: dict[str, Any], out: Any = None) -> Any:
        """What the direct kernel makes of a call; NotImplemented if it may not be asked, too.

        Arguments not worth passing are not passed: they are half the time of a small call.
        """
        direct = self.direct
        if direct is None or config.forced_backend.get() is not None:
            return NotImplemented
        if not self.least_arrays <= len(arrays) <= self.most_arrays:
            return NotImplemented
        if not options:
            return direct(*arrays) if out is None else direct(*arrays, out=out)
        if not options.keys() <= self.option_names:
            return NotImplemented
        return direct(*arrays, **options) if out is None else direct(*arrays, out=out, **options)

    def call_arrays(self, arrays: Sequence[Any], options: dict[str, Any]) -> Any:
        """Runs the op on arrays only, without a tape."""
        result = self._run_direct(arrays, options)
        return OpSpec.run_arrays(self, arrays, options) if result is NotImplemented else result

    def attach_direct(self) -> None:
        """Caches the newest native kernel that checks its own arguments, for the hot path."""
        newest = KERNELS.get(self.name, {}).get("native", [])[:1]
        self.direct = newest[0].fn if newest and newest[0].direct else None

    def reads(self, name: str, needs: Sequence[bool]) -> bool:
        """Does the vjp read this array or output when these arrays want gradients?"""
        if isinstance(self.saves, Mapping):
            return any(needs[position] for position in self.saves.get(name, ()))
        return name in self.saves

    def bound_of(self, options: Mapping[str, Any]) -> Bound:
        """The bound of a call with these canonical options."""
        return self.bounds.get(options.get("algorithm", ""), self.bound)

    def kernels(self, backend: str) -> list[Kernel]:
        """The op's kernels on a backend, the one asked first in front."""
        return KERNELS.get(self.name, {}).get(backend, [])

    def run_reference(
        self, arrays: Sequence[Any], options: Mapping[str, Any]
    ) -> tuple[np.ndarray, ...]:
        """The oracle's outputs, in the dtype of the float arrays given."""
        result = self.reference(*arrays, **options)
        return result if isinstance(result, tuple) else (result,)


OPS: dict[str, OpSpec] = {}


def op(*, name: str, signature: str, family: str, **fields: Any) -> OpSpec:
    """Declares and registers an op; a second declaration of a name is an error."""
    if name in OPS:
        raise ArgumentError(f"op {name!r} is declared already")
    spec = OpSpec(name=name, signature=Signature.parse(signature), family=family, **fields)
    OPS[name] = spec
    spec.attach_direct()
    return spec


def find_ops(names: Iterable[str]) -> list[OpSpec]:
    """The specs of some names (all of them for none); ArgumentError for an unknown one."""
    names = list(names)
    unknown = [n for n in names if n not in OPS]
    if unknown:
        raise ArgumentError(f"unknown op {unknown[0]!r}; the ops are: {', '.join(sorted(OPS))}")
    return [OPS[n] for n in names] if names else list(OPS.values())
