"""The triplet margin loss: an anchor's distances from a positive and a negative row."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from ..backends.reference import loss_triplet as reference
from ..backends.reference.norm_length import signs
from ..core.dtypes import is_float, result_type
from ..core.errorbound import Bounded, bounded
from ..core.errors import ArgumentError, DTypeError, ShapeError
from ..core.shapes import as_bool, as_float
from ..spec import BadInput, Cost, OpSpec, Out, Plan, Sample, op
from .elementwise import add, div, eq, ge, lt, mul, neg, sub, where
from .elementwise_math import minimum
from .norm_length import composed_slope
from .reduce_statistics import norm
from .shape import promoted, reshape


def _checked(
    name: str, arrays: dict[str, Any], margin: Any, p: Any, eps: Any, swap: Any, reduction: Any
) -> tuple[np.dtype, tuple[int, ...], dict[str, Any]]:
    """The common dtype, the shape of the loss, and the canonical options."""
    shape = arrays["a"].shape
    if not shape:
        raise ShapeError(f"{name}: a is 0-d, want [..., D]")
    for key in ("b", "c"):
        if arrays[key].shape != shape:
            raise ShapeError(f"{name}: {key} has shape {arrays[key].shape}, want {shape}")
    dtype = result_type(*arrays.values())
    if not is_float(dtype):
        raise DTypeError(f"{name}: a has dtype {arrays['a'].dtype}, want a float")
    options = {"margin": as_float(name, "margin", margin), "p": as_float(name, "p", p),
               "eps": as_float(name, "eps", eps), "swap": as_bool(name, "swap", swap),
               "reduction": reduction}  # fmt: skip
    if not options["margin"] > 0:
        raise ArgumentError(f"{name}: margin: got {margin}, want a number above 0")
    if math.isnan(options["p"]):
        raise ArgumentError(f"{name}: p: got nan, want a number")
    if reduction not in ("mean", "sum", "none"):
        raise ArgumentError(f"{name}: reduction: got {reduction!r}, want 'mean', 'sum' or 'none'")
    return dtype, shape[:-1] if reduction == "none" else (), options


def _shape(
    a: Any, b: Any, c: Any, margin: Any = 1.0, p: Any = 2.0, eps: Any = 1e-6, swap: Any = False,
    reduction: Any = "mean",
) -> Plan:  # fmt: skip
    name, arrays = "triplet_margin_loss", {"a": a, "b": b, "c": c}
    dtype, shape, options = _checked(name, arrays, margin, p, eps, swap, reduction)
    given = tuple(promoted(name, x, dtype) for x in arrays.values())
    return Plan((Out(shape, dtype),), given, options)


def _backward_shape(
    g: Any, a: Any, b: Any, c: Any, margin: Any = 1.0, p: Any = 2.0, eps: Any = 1e-6,
    swap: Any = False, reduction: Any = "mean",
) -> Plan:  # fmt: skip
    name, arrays = "triplet_margin_loss_backward", {"a": a, "b": b, "c": c}
    dtype, shape, options = _checked(name, arrays, margin, p, eps, swap, reduction)
    if g.shape != shape:
        raise ShapeError(f"{name}: g has shape {g.shape}, want {shape}")
    given = tuple(promoted(name, x, dtype) for x in (g, a, b, c))
    return Plan((Out(a.shape, dtype),) * 3, given, options)


def _vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    found = triplet_margin_loss_backward(g, saved.a, saved.b, saved.c, **saved.options)
    return tuple(d if need else None for d, need in zip(found, saved.needs, strict=True))


def _composed_vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    """The formulas of the reference."""
    o, shape = saved.options, saved.inputs[0].shape
    p, rows = o["p"], math.prod(shape[:-1])
    if o["reduction"] == "none":
        g = reshape(g, shape=(*shape[:-1], 1))
    elif o["reduction"] == "mean":
        g = div(g, rows)
    pairs = ((saved.a, saved.b), (saved.a, saved.c), (saved.b, saved.c))
    d = [add(sub(x, y), o["eps"]) for x, y in pairs]
    sizes = [norm(x, p=p, dim=-1, keepdim=True) for x in d]
    near, far, swapped = sizes
    value = sub(add(near, o["margin"]), minimum(far, swapped) if o["swap"] else far)
    g = where(ge(value, 0), g, 0.0)
    found = [g, g, mul(g, 0)]
    if o["swap"]:
        half = mul(g, 0.5)
        found[1:] = (where(lt(u, v), g, where(lt(v, u), 0.0, half))
                     for u, v in ((far, swapped), (swapped, far)))  # fmt: skip

    def slope(x: Any, size: Any, t: Any) -> Any:
        zero = eq(size, 0)
        steep = composed_slope(x, size, where(zero, 1.0, size), p, -1)
        return where(zero, 0.0, mul(steep, t))

    u, v, w = (slope(*given) for given in zip(d, sizes, found, strict=True))
    gradients = sub(u, v), neg(add(u, w)), add(v, w)
    return tuple(x if need else None for x, need in zip(gradients, saved.needs, strict=True))


# --- bounds ------------------------------------------------------------------------------------


def _length(d: Bounded, p: float) -> Bounded:
    """The p-norm over the last dim, which is kept."""
    if p == 2:
        return (d * d).in_range().sum(-1, keepdims=True).in_range().sqrt()
    if p == 1:
        return abs(d).sum(-1, keepdims=True).in_range()
    if p == 0:  # of numbers not 0; one may round to it
        count = np.sum(d.value != 0, axis=-1, keepdims=True).astype(d.value.dtype)
        unsure = np.sum(np.abs(d.value) <= d.error, axis=-1, keepdims=True)
        return replace(d, value=count, error=unsure.astype(d.value.dtype))
    if math.isinf(p):
        size = abs(d)
        return size.max(-1, keepdims=True) if p > 0 else -((-size).max(-1, keepdims=True))
    return abs(d).power(p).in_range().sum(-1, keepdims=True).in_range().root(p).in_range()


def _distances(
    a: Bounded, b: Bounded, c: Bounded, eps: float, p: float
) -> tuple[list[Bounded], list[Bounded]]:
    d = [x - y + eps for x, y in ((a, b), (a, c), (b, c))]
    return d, [_length(x, p) for x in d]


def _value(sizes: list[Bounded], margin: float, swap: bool) -> Bounded:
    near, far, swapped = sizes
    return near + margin - (far.minimum(swapped) if swap else far)


def _bounded(
    a: Bounded, b: Bounded, c: Bounded, *, margin: float, p: float, eps: float, swap: bool,
    reduction: str,
) -> Bounded:  # fmt: skip
    if not a.value.size:
        zero = a.exactly(np.maximum(np.full(a.value.shape[:-1], margin, a.value.dtype), 0))
        y = zero._rounded(zero.value, zero.error)  # the margin, as the kernel has it
    else:
        _, sizes = _distances(a, b, c, eps, p)
        y = _value(sizes, margin, swap).relu()
        y = y.reshape(*y.value.shape[:-1])
    if reduction == "none":
        return y
    total = y.sum().in_range()
    return total / y.value.size if reduction == "mean" else total


def _gradient_bounded(
    g: Bounded, a: Bounded, b: Bounded, c: Bounded, *, margin: float, p: float, eps: float,
    swap: bool, reduction: str,
) -> tuple[Bounded, ...]:  # fmt: skip
    if not a.value.size:
        return a, a, a
    rows = a.value.size // a.value.shape[-1]
    if reduction == "none":
        g = g.reshape(*g.value.shape, 1)
    elif reduction == "mean":
        g = g / rows
    d, sizes = _distances(a, b, c, eps, p)
    value = _value(sizes, margin, swap)
    unsure = np.abs(value.value) <= value.error  # whether it is cut off, or which one is nearer
    if swap:
        unsure |= np.abs(sizes[1].value - sizes[2].value) <= sizes[1].error + sizes[2].error
    shape = sizes[0].value.shape
    upstream = np.broadcast_to(g.value, shape), np.broadcast_to(g.error, shape)
    wide = replace(g, value=upstream[0], error=upstream[1])
    found = reference.weights([s.value for s in sizes], wide.value, margin, swap)
    # Weights are g, its half or 0, none of which rounds further.
    slopes = [_slope(x, size, p) for x, size in zip(d, sizes, strict=True)]
    u, v, w = (
        slope * replace(wide, value=t, error=np.where(t == 0, 0, wide.error))
        for slope, t in zip(slopes, found, strict=True)
    )
    if not swap:
        w = w.where(np.zeros(w.value.shape, bool))
    loose = unsure  # also of a gradient that is infinite
    for slope in slopes[: 3 if swap else 2]:
        loose = loose | np.isinf(slope.error)
    return tuple(replace(x, error=np.where(loose, np.inf, x.error)) for x in (u - v, -u - w, v + w))


def _slope(d: Bounded, size: Bounded, p: float) -> Bounded:
    """The slope of a length by d; any where a rounding may change which elements are largest, or
    whether one, or the length, is 0."""
    zero = np.abs(d.value) <= d.error
    if p == 2:
        return _sure(d / size, size.value <= size.error, size.value == 0)
    if p == 0:
        return d.exactly(np.zeros_like(d.value))
    if p == 1:
        return _sure(d.exactly(signs(d.value)), zero, np.zeros_like(zero))
    if math.isinf(p):
        near = np.abs(np.abs(d.value) - size.value) <= d.error + size.error
        count = np.sum(near, axis=-1, keepdims=True)
        chosen = np.where(near, signs(d.value), 0)
        slope = d.exactly(chosen / np.maximum(count, 1))
        slope = slope._rounded(slope.value, slope.error)
        return _sure(slope, (count > 1) | (size.value <= size.error), size.value == 0)
    steep = (abs(d) / size).power(p - 1).in_range()
    steep = replace(steep, value=np.copysign(steep.value, d.value))
    if p == 3:  # made of two quotients, whose errors a power's cover but for a denormal of each
        steep = steep._rounded(steep.value, steep.error)
    return _sure(steep, (size.value <= size.error) | (zero & (p < 2)), size.value == 0)


def _sure(slope: Bounded, unsure: np.ndarray, zero: np.ndarray) -> Bounded:
    value = np.where(zero, 0, slope.value)
    return replace(slope, value=value, error=np.where(unsure, np.inf, slope.error))


# --- samples -----------------------------------------------------------------------------------

_CASES: tuple[tuple[str, tuple[int, ...]], ...] = (
    ("rows", (5, 7)), ("vector", (33,)), ("one", (1, 1)), ("no rows", (0, 5)),
    ("empty rows", (3, 0)), ("blocks", (2, 4100)), ("many", (2, 3, 17)), ("chunks", (300, 65)),
)  # fmt: skip
_OPTIONS: tuple[dict[str, Any], ...] = (
    {"reduction": "none"}, {"reduction": "sum", "swap": True}, {"reduction": "none", "swap": True},
    {"margin": 0.25, "eps": 0.125}, *({"p": p} for p in (1.0, 3.0, 2.5, math.inf, 0.0)),
    {"p": 1.0, "swap": True, "reduction": "none"}, {"p": math.inf, "swap": True},
)  # fmt: skip
_BENCH_CASES = (("embeddings", (256, 128)), ("wide", (64, 4096)))


def _samples(backward: bool) -> tuple[Sample, ...]:
    def case(name: str, shape: tuple[int, ...], options: Any = None, **more: Any) -> Sample:
        options = {"margin": 1.0, "p": 2.0, "eps": 1e-6, "swap": False, "reduction": "mean",
                   **(options or {})}  # fmt: skip
        upstream = shape[:-1] if options["reduction"] == "none" else ()
        arrays = (upstream, *(shape,) * 3) if backward else (shape,) * 3
        return Sample(name, arrays, options, **more)

    return (
        *(case(*given) for given in _CASES),
        *(case(f"options {i}", (5, 33), options) for i, options in enumerate(_OPTIONS)),
        # The least of several differences has kinks wherever two meet.
        case("least", (5, 33) if backward else (5, 1), {"p": -math.inf, "reduction": "none"}),
        *(case(*given, bench=True) for given in _BENCH_CASES),
    )


def _f32(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


def _bad(backward: bool) -> tuple[BadInput, ...]:
    def given(a: Any, b: Any = None, **options: Any) -> Any:
        arrays = (a, a if b is None else b, a)
        return lambda: ((_f32(), *arrays) if backward else arrays, options)

    return (
        BadInput("shapes", given(_f32(2, 3), _f32(3)), ShapeError),
        BadInput("0-d", given(_f32()), ShapeError),
        BadInput("integers", given(np.zeros((2, 3), int)), DTypeError),
        BadInput("not an array", given([1.0, 2.0]), DTypeError),
        BadInput("margin 0", given(_f32(2, 3), margin=0.0), ArgumentError),
        BadInput("margin", given(_f32(2, 3), margin="wide"), DTypeError),
        BadInput("p", given(_f32(2, 3), p=None), DTypeError),
        BadInput("p nan", given(_f32(2, 3), p=math.nan), ArgumentError),
        BadInput("eps", given(_f32(2, 3), eps="small"), DTypeError),
        BadInput("swap", given(_f32(2, 3), swap=1), DTypeError),
        BadInput("reduction", given(_f32(2, 3), reduction="max"), ArgumentError),
        *((BadInput("g", given(_f32(2, 3), reduction="none"), ShapeError),) if backward else ()),
    )


def _terms(*arrays: Any, **options: Any) -> int:
    """Of a row, or of the sum over the rows."""
    width = arrays[-1].shape[-1]
    return max(width, math.prod(arrays[-1].shape[:-1]), 1)


triplet_margin_loss = op(
    name="triplet_margin_loss",
    family="loss",
    signature="a[...,D], b[...,D], c[...,D]; margin, p, eps, swap, reduction -> y",
    shape=_shape,
    reference=reference.triplet_margin_loss,
    vjp=_vjp,
    composed_vjp=_composed_vjp,
    saves=("a", "b", "c"),
    cost=lambda a, b, c, swap, **_: Cost((12 if swap else 8) * a.size, 3 * a.nbytes),
    terms=_terms,
    bound=bounded(_bounded),
    samples=_samples(backward=False),
    bad_inputs=_bad(backward=False),
)

triplet_margin_loss_backward: OpSpec = op(
    name="triplet_margin_loss_backward",
    family="loss",
    signature="g, a[...,D], b[...,D], c[...,D]; margin, p, eps, swap, reduction -> da, db, dc",
    shape=_backward_shape,
    reference=reference.triplet_margin_loss_backward,
    cost=lambda g, a, b, c, swap, **_: Cost((21 if swap else 14) * a.size, 6 * a.nbytes),
    terms=_terms,
    bound=bounded(_gradient_bounded),
    samples=_samples(backward=True),
    bad_inputs=_bad(backward=True),
)
