"""Elementwise ops of three operands: clamp, addcmul, addcdiv, lerp."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..backends.reference import elementwise_math as reference
from ..core.dtypes import bool_, is_float
from ..core.errorbound import bounded
from ..core.errors import ArgumentError, DTypeError, ShapeError
from ..core.shapes import as_float
from ..spec import BadInput, Ints, OpSpec, Out, Plan, Sample, exact_value, op
from .elementwise import (
    NUMERIC,
    cost_of,
    div,
    f32,
    format_of,
    ge,
    gt,
    le,
    lt,
    mul,
    neg,
    operands,
    sub,
    sum_like,
    where,
)
from .elementwise_math import logical_and, logical_or
from .shape import promoted

Vjp = Callable[..., tuple[Any, ...]]

TERNARY_SAMPLES = (
    *(Sample(f"n{n}", ((n,), (n,), (n,))) for n in (1, 7, 16, 17, 33)),
    Sample("scalar array", ((), (), ())),
    Sample("python scalars", ((3, 5), -0.5, 0.75)),
    Sample("broadcast", ((5, 33), (33,), (5, 1))),
    Sample("channels last", ((2, 3, 5, 7),) * 3, channels_last=True),
    Sample("empty", ((0, 3), (3,), (3,))),
    Sample("rows", ((256, 1024),) * 3, bench=True),
)
TERNARY_BAD = (
    BadInput("shapes", lambda: ((f32(3, 4), f32(3), f32(4)), {}), ShapeError),
    BadInput("text", lambda: ((f32(3), "x", f32(3)), {}), DTypeError),
    BadInput("only scalars", lambda: ((1.0, 2.0, 3.0), {}), DTypeError),
    BadInput("complex", lambda: ((f32(3), f32(3), np.zeros(3, complex)), {}), DTypeError),
    BadInput("out shape", lambda: ((f32(3), f32(3), f32(3)), {"out": f32(4)}), ShapeError),
)


def _clamp_shape(x: Any, low: Any = None, high: Any = None) -> Plan:
    given = [a for a in (x, low, high) if a is not None]
    if len(given) < 2:
        raise ArgumentError("clamp: got neither min nor max, want at least one")
    common, dtype = operands("clamp", *given)
    if dtype == bool_:
        raise DTypeError("clamp: got bools, want numbers; cast them first")
    limits = np.iinfo(dtype) if not is_float(dtype) else None
    ends = (limits.min, limits.max) if limits else (-np.inf, np.inf)
    low, high = (e if a is None else a for a, e in zip((low, high), ends, strict=True))
    out = Out(common, dtype, format_of(common, x, low, high))
    return Plan((out,), tuple(promoted("clamp", a, dtype) for a in (x, low, high)))


def _clamp_vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    """To x from the closed interval, else to the end that it passes; high wins where they cross."""
    x, low, high = saved.x, saved.low, saved.high

    def held() -> Any:
        if low is None or high is None:
            return le(x, high) if low is None else ge(x, low)
        return logical_and(ge(x, low), le(x, high))

    def at_low() -> Any:
        below = lt(x, low)
        return where(below if high is None else logical_and(below, lt(low, high)), g, 0)

    def at_high() -> Any:
        above = gt(x, high)
        return where(above if low is None else logical_or(above, gt(low, high)), g, 0)

    return (
        sum_like(saved, 0, lambda: where(held(), g, 0)),
        None if low is None else sum_like(saved, 1, at_low),
        None if high is None else sum_like(saved, 2, at_high),
    )


clamp = op(
    name="clamp",
    family="elementwise",
    signature="x, low?, high? -> y",
    shape=_clamp_shape,
    reference=reference.clamp,
    vjp=_clamp_vjp,
    saves=("x", "low", "high"),
    cost=cost_of,
    bound=exact_value,
    samples=(
        *TERNARY_SAMPLES,
        Sample("below", ((5, 33), None, 0.5)),
        Sample("above", ((5, 33), 0.5, None)),
        Sample("of ints", (Ints((5, 33), -50, 50), -7, 8)),
        Sample("of ints by a float", (Ints((5, 33), -50, 50), -7.5, None)),
        Sample("activations", ((32, 64, 56, 56), -0.5, 0.5), bench=True),
    ),
    bad_inputs=(
        *TERNARY_BAD,
        BadInput("no ends", lambda: ((f32(3),), {}), ArgumentError),
        BadInput("bools", lambda: ((np.zeros(3, bool), False, True), {}), DTypeError),
    ),
    dtypes=NUMERIC[1:],
    scalars=True,
    elementwise=True,
)


def _ternary(name: str, signature: str, vjp: Vjp, *, saves: Any, options: Any = None) -> OpSpec:
    def shape(a: Any, b: Any, c: Any, **given: Any) -> Plan:
        common, dtype = operands(name, a, b, c)
        if not is_float(dtype):
            raise DTypeError(f"{name}: got {dtype}, want floats; cast one first")
        out = Out(common, dtype, format_of(common, a, b, c))
        canonical = {k: as_float(name, k, given.get(k, v)) for k, v in (options or {}).items()}
        return Plan((out,), tuple(promoted(name, x, dtype) for x in (a, b, c)), canonical)

    return op(
        name=name,
        family="elementwise",
        signature=signature,
        shape=shape,
        reference=getattr(reference, name),
        vjp=vjp,
        saves=saves,
        cost=cost_of,
        bound=bounded(getattr(reference, name)),
        samples=(
            *TERNARY_SAMPLES,
            *(Sample("option", ((5, 33),) * 3, {k: -0.75}) for k in options or {}),
        ),
        bad_inputs=(
            *TERNARY_BAD,
            BadInput("ints", lambda: ((np.arange(3), np.arange(3), np.arange(3)), {}), DTypeError),
        ),
        scalars=True,
        elementwise=True,
    )


def _addcmul_vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    scaled = mul(g, saved.options["value"])
    return (
        sum_like(saved, 0, lambda: g),
        sum_like(saved, 1, lambda: mul(scaled, saved.b)),
        sum_like(saved, 2, lambda: mul(scaled, saved.a)),
    )


def _addcdiv_vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    scaled = mul(g, saved.options["value"])
    return (
        sum_like(saved, 0, lambda: g),
        sum_like(saved, 1, lambda: div(scaled, saved.b)),
        sum_like(saved, 2, lambda: neg(mul(scaled, div(div(saved.a, saved.b), saved.b)))),
    )


def _lerp_vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    w = saved.w
    return (
        sum_like(saved, 0, lambda: mul(g, sub(1, w) if not isinstance(w, float) else 1 - w)),
        sum_like(saved, 1, lambda: mul(g, w)),
        sum_like(saved, 2, lambda: mul(g, sub(saved.b, saved.a))),
    )


addcmul = _ternary(
    "addcmul",
    "x, a, b; value -> y",
    _addcmul_vjp,
    saves={"a": (2,), "b": (1,)},
    options={"value": 1.0},
)
addcdiv = _ternary(
    "addcdiv",
    "x, a, b; value -> y",
    _addcdiv_vjp,
    saves={"a": (2,), "b": (1, 2)},
    options={"value": 1.0},
)
lerp = _ternary("lerp", "a, b, w -> y", _lerp_vjp, saves={"a": (2,), "b": (2,), "w": (0, 1)})
