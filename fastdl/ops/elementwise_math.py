"""More elementwise ops: arithmetic, rounding, functions, decisions and bits."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..backends.reference import elementwise_math as reference
from ..core.dtypes import FLOATS, INTEGERS, bool_, is_float
from ..core.errors import ArgumentError, DTypeError
from ..core.shapes import is_channels_last
from ..spec import (
    BadInput,
    Bools,
    Cost,
    Ints,
    OpSpec,
    Out,
    Plan,
    Sample,
    exact,
    exact_value,
    op,
    ulps,
)
from .elementwise import (
    BINARY_BAD,
    BINARY_SAMPLES,
    NUMERIC,
    UNARY_BAD,
    UNARY_SAMPLES,
    add,
    bytes_of,
    cast,
    correctly_rounded,
    cost_of,
    cost_of_deciding,
    div,
    eq,
    f32,
    format_of,
    ge,
    gt,
    log,
    lt,
    mul,
    neg,
    operands,
    sub,
    sum_like,
    unary_shape,
    where,
)
from .shape import expand, promoted

WHOLE = ("bool", *INTEGERS)
Vjp = Callable[..., tuple[Any, ...]]


def zeros_like(g: Any) -> Any:
    """A gradient of zeros: what does not change has one, as in torch."""
    return expand(np.zeros((), g.dtype), shape=tuple(g.shape))


def _no_slope(saved: Any, g: Any) -> tuple[Any, ...]:
    return (zeros_like(g),)


# --- one operand -------------------------------------------------------------------------------


def _unary(
    name: str,
    vjp: Vjp | None,
    saved: str = "",
    *,
    bound: Any = exact,
    floats: bool = False,
    bools: bool = False,
    smooth: bool = True,
) -> OpSpec:
    """`floats`: integers are promoted to float32; `bools`: they are taken too."""
    plain = unary_shape(name, floats)

    def shape(x: Any) -> Plan:
        if bools and x.dtype == bool_:
            return Plan((Out(x.shape, x.dtype, is_channels_last(x)),), (x,))
        return plain(x)

    return op(
        name=name,
        family="elementwise",
        signature="x -> y",
        shape=shape,
        reference=getattr(reference, name),
        vjp=vjp,
        saves=(saved,) if saved else (),
        cost=cost_of,
        bound=bound,
        samples=UNARY_SAMPLES,
        bad_inputs=UNARY_BAD,
        dtypes=NUMERIC if floats or bools else NUMERIC[1:],
        elementwise=True,
        smooth=smooth,
    )


def _function(name: str, vjp: Vjp, saved: str, bound: Any = None) -> OpSpec:
    return _unary(name, vjp, saved, bound=bound or ulps(2), floats=True)


absolute: OpSpec = _unary("abs", lambda saved, g: (mul(g, sign(saved.x)),), "x")
sign: OpSpec = _unary("sign", _no_slope, bools=True)
square = _unary("square", lambda saved, g: (mul(mul(g, saved.x), 2),), "x", bound=correctly_rounded)
floor, ceil, trunc, round = (
    _unary(name, _no_slope, smooth=False) for name in ("floor", "ceil", "trunc", "round")
)
sqrt = _function("sqrt", lambda saved, g: (div(g, mul(saved.y, 2)),), "y", correctly_rounded)
rsqrt = _function(
    "rsqrt", lambda saved, g: (mul(mul(g, mul(saved.y, mul(saved.y, saved.y))), -0.5),), "y"
)
reciprocal = _function(
    "reciprocal", lambda saved, g: (neg(mul(g, mul(saved.y, saved.y))),), "y", correctly_rounded
)
sin: OpSpec = _function("sin", lambda saved, g: (mul(g, cos(saved.x)),), "x")
cos: OpSpec = _function("cos", lambda saved, g: (neg(mul(g, sin(saved.x))),), "x")
log1p = _function("log1p", lambda saved, g: (div(g, add(saved.x, 1)),), "x")
expm1 = _function("expm1", lambda saved, g: (mul(g, add(saved.y, 1)),), "y")
exp2 = _function("exp2", lambda saved, g: (mul(g, mul(saved.y, math.log(2))),), "y")
log2 = _function("log2", lambda saved, g: (div(g, mul(saved.x, math.log(2))),), "x")
log10 = _function("log10", lambda saved, g: (div(g, mul(saved.x, math.log(10))),), "x")


def _decision_cost(*arrays: Any) -> Cost:
    return Cost(arrays[0].size, bytes_of(arrays[0]) + arrays[0].size)


def _decision(name: str) -> OpSpec:
    return op(
        name=name,
        family="elementwise",
        signature="x -> y",
        shape=lambda x: Plan((Out(x.shape, bool_, is_channels_last(x)),), (x,)),
        reference=getattr(reference, name),
        cost=_decision_cost,
        bound=exact,
        samples=(*UNARY_SAMPLES, Sample("of ints", (Ints((5, 9), -1, 2, "int32"),))),
        bad_inputs=UNARY_BAD,
        dtypes=NUMERIC,
        elementwise=True,
    )


isnan, isinf, isfinite, logical_not = (
    _decision(name) for name in ("isnan", "isinf", "isfinite", "logical_not")
)


def _bits_shape(name: str) -> Callable[..., Plan]:
    def shape(*arrays: Any) -> Plan:
        common, dtype = operands(name, *arrays)
        if is_float(dtype):
            raise DTypeError(f"{name}: got floats, want integers or bools")
        out = Out(common, dtype, format_of(common, *arrays))
        return Plan((out,), tuple(promoted(name, x, dtype) for x in arrays))

    return shape


def _bits(name: str, count: int) -> OpSpec:
    def ints(*shape: int) -> Ints:
        return Ints(shape, 0, 100, "int32")

    bad = BadInput("floats", lambda: ((f32(3),) * count, {}), DTypeError)
    return op(
        name=name,
        family="elementwise",
        signature="x -> y" if count == 1 else "a, b -> y",
        shape=_bits_shape(name),
        reference=getattr(reference, name),
        cost=cost_of,
        bound=exact,
        samples=(
            *(Sample(f"n{n}", (ints(n),) * count) for n in (1, 7, 16, 17, 33)),
            Sample("scalar array", (ints(),) * count),
            Sample("rows", (ints(5, 33), ints(33))[:count]),
            Sample("of bytes", (Ints((5, 33), 0, 256, "uint8"),) * count),
            Sample("of bools", (Bools((5, 33)),) * count),
            Sample("of int64", (Ints((5, 33), -(2**40), 2**40),) * count),
            Sample("empty", (ints(0, 3),) * count),
            Sample("masks", (Bools((256, 1024)),) * count, bench=True),
        ),
        bad_inputs=(
            bad,
            BadInput("complex", lambda: ((np.zeros(3, complex),) * count, {}), DTypeError),
            BadInput("list", lambda: (([1, 2],) * count, {}), DTypeError),
        ),
        dtypes=WHOLE,
        scalars=count > 1,
        elementwise=True,
    )


bitwise_not = _bits("bitwise_not", 1)
bitwise_and, bitwise_or, bitwise_xor = (
    _bits(name, 2) for name in ("bitwise_and", "bitwise_or", "bitwise_xor")
)


# --- two operands ------------------------------------------------------------------------------


def _promoting(name: str, *, result: np.dtype | None = None, bools: bool = True) -> Any:
    """The shape function of `name(a, b)` with promoted operands and, if given, a result dtype."""

    def shape(a: Any, b: Any) -> Plan:
        common, dtype = operands(name, a, b)
        if not bools and dtype == bool_:
            raise DTypeError(f"{name}: got bools, want numbers; cast one first")
        out = Out(common, result or dtype, format_of(common, a, b))
        return Plan((out,), (promoted(name, a, dtype), promoted(name, b, dtype)))

    return shape


def _binary(
    name: str,
    shape: Callable[..., Plan],
    vjp: Vjp | None = None,
    *,
    saves: Any = (),
    bound: Any = exact,
    cost: Any = cost_of,
    samples: tuple[Sample, ...] = BINARY_SAMPLES,
    bad: tuple[BadInput, ...] = BINARY_BAD,
    dtypes: tuple[str, ...] = NUMERIC,
    smooth: bool = True,
) -> OpSpec:
    return op(
        name=name,
        family="elementwise",
        signature="a, b -> y",
        shape=shape,
        reference=getattr(reference, name),
        vjp=vjp,
        saves=saves,
        cost=cost,
        bound=bound,
        samples=samples,
        bad_inputs=bad,
        dtypes=dtypes,
        scalars=True,
        elementwise=True,
        smooth=smooth,
    )


def _selected_vjp(loses: OpSpec, wins: OpSpec) -> Vjp:
    """To the operand chosen; equal ones share."""

    def vjp(saved: Any, g: Any) -> tuple[Any, ...]:
        def part(other_wins: OpSpec) -> Any:
            shared = where(eq(saved.a, saved.b), mul(g, 0.5), g)
            return where(other_wins(saved.a, saved.b), 0, shared)

        return sum_like(saved, 0, lambda: part(loses)), sum_like(saved, 1, lambda: part(wins))

    return vjp


maximum = _binary(
    "maximum", _promoting("maximum"), _selected_vjp(lt, gt), saves=("a", "b"), bound=exact_value
)
minimum = _binary(
    "minimum", _promoting("minimum"), _selected_vjp(gt, lt), saves=("a", "b"), bound=exact_value
)
logical_and, logical_or, logical_xor = (
    _binary(name, _promoting(name, result=bool_), cost=cost_of_deciding)
    for name in ("logical_and", "logical_or", "logical_xor")
)


def _pow_shape(a: Any, b: Any) -> Plan:
    plan = _promoting("pow", bools=False)(a, b)
    if not is_float(plan.outputs[0].dtype) and isinstance(b, int) and b < 0:
        raise ArgumentError(f"pow: b: got {b} for integers, want at least 0; cast a to a float")
    return plan


def _pow_vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    """b·a^(b − 1), 0 for b = 0; y·ln a, 0 for a = 0 and b ≥ 0."""
    a, b = saved.a, saved.b

    def by_base() -> Any:
        if isinstance(b, (int, float)):
            return zeros_like(g) if b == 0 else mul(g, mul(pow(a, b - 1), b))
        return where(eq(b, 0), 0, mul(g, mul(pow(a, sub(b, 1)), b)))

    def by_exponent() -> Any:
        if isinstance(a, (int, float)):
            if a == 0:
                return where(ge(b, 0), 0, mul(mul(g, saved.y), -math.inf))
            return mul(mul(g, saved.y), math.log(a) if a > 0 else math.nan)
        nothing = logical_and(eq(a, 0), ge(b, 0))
        base = a if is_float(a.dtype) else cast(a, dtype=g.dtype.name)
        return where(nothing, 0, mul(mul(g, saved.y), log(base)))

    return sum_like(saved, 0, by_base), sum_like(saved, 1, by_exponent)


pow: OpSpec = _binary(
    "pow",
    _pow_shape,
    _pow_vjp,
    saves={"a": (0, 1), "b": (0, 1), "y": (1,)},
    bound=ulps(2),
    samples=(
        *(s for s in BINARY_SAMPLES if s.name not in ("python scalar first", "int with float")),
        Sample("python scalar first", (3, (17,))),  # of a negative one all powers are NaN
        Sample("int with float", (Ints((4, 9), 1, 5, "int32"), (4, 9))),  # and not too steep
        Sample("cube", ((5, 33), 3.0)),  # two products, no power
        Sample("of ints", (Ints((5, 33), -9, 10), Ints((5, 33), 0, 6))),
        Sample("to negative ints", (Ints((5, 33), -2, 3, "int32"), Ints((33,), -3, 4, "int32"))),
        Sample("of bytes", (Ints((33,), 0, 256, "uint8"), 3)),
    ),
    bad=(
        *BINARY_BAD,
        BadInput("negative integer", lambda: ((np.arange(3), -1), {}), ArgumentError),
        BadInput("bools", lambda: ((np.zeros(3, bool), np.zeros(3, bool)), {}), DTypeError),
    ),
    dtypes=FLOATS,
)


def _division_shape(name: str, floats: bool = True) -> Callable[..., Plan]:
    """Integers are divided by integers other than 0."""
    promoting = _promoting(name, bools=False)

    def shape(a: Any, b: Any) -> Plan:
        plan = promoting(a, b)
        if is_float(plan.outputs[0].dtype):
            if not floats:
                raise DTypeError(f"{name}: got floats, want integers")
        elif not np.all(plan.arrays[1]):
            raise ArgumentError(f"{name}: b: got a 0 among integers, want none (ZeroDivisionError)")
        return plan

    return shape


WHOLE_SAMPLES = (
    Sample("of ints", (Ints((5, 33), -50, 50), Ints((5, 33), 1, 9))),
    Sample("by negative ints", (Ints((5, 33), -50, 50, "int32"), Ints((33,), -9, 0, "int32"))),
    Sample("of bytes", (Ints((33,), 0, 256, "uint8"), 7)),
    Sample("by one int", (Ints((3, 5), -50, 50), -7)),
)
WHOLE_ONLY = (
    *WHOLE_SAMPLES,
    Sample("scalar array", (Ints((), 1, 9), Ints((), 1, 9))),
    Sample("empty", (Ints((0, 3), 1, 9), Ints((3,), 1, 9))),
)
BY_ZERO = BadInput("by zero", lambda: ((np.arange(3), 0), {}), ArgumentError)
OF_BOOLS = BadInput("bools", lambda: ((np.zeros(3, bool), np.ones(3, bool)), {}), DTypeError)


def _remainder_vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    return (
        sum_like(saved, 0, lambda: g),
        sum_like(saved, 1, lambda: neg(mul(g, floor_divide(saved.a, saved.b)))),
    )


# Off by a unit of each of a − r, the quotient and the nearest whole number.
floor_divide = _binary(
    "floor_divide",
    _division_shape("floor_divide"),
    lambda saved, g: (
        sum_like(saved, 0, lambda: zeros_like(g)),
        sum_like(saved, 1, lambda: zeros_like(g)),
    ),
    bound=ulps(3),
    samples=(*BINARY_SAMPLES, *WHOLE_SAMPLES),
    bad=(*BINARY_BAD, BY_ZERO, OF_BOOLS),
    dtypes=FLOATS,
    smooth=False,
)
remainder = _binary(
    "remainder",
    _division_shape("remainder"),
    _remainder_vjp,
    saves={"a": (1,), "b": (1,)},
    bound=correctly_rounded,
    samples=(*BINARY_SAMPLES, *WHOLE_SAMPLES),
    bad=(*BINARY_BAD, BY_ZERO, OF_BOOLS),
    dtypes=FLOATS,
    smooth=False,
)
trunc_divide = _binary(
    "trunc_divide",
    _division_shape("trunc_divide", floats=False),
    samples=(
        *WHOLE_ONLY,
        Sample("indices", (Ints((256, 1024), 0, 1 << 20), Ints((1024,), 1, 999)), bench=True),
    ),
    bad=(BY_ZERO, OF_BOOLS, BadInput("floats", lambda: ((f32(3), f32(3)), {}), DTypeError)),
    dtypes=("int64",),
)
