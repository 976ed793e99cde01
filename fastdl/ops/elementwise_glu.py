"""glu: one half of a dim gated by the sigmoid of the other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ..backends.reference import elementwise_glu as reference
from ..core.dtypes import is_float
from ..core.errorbound import Bounded, bounded, concatenate
from ..core.errors import DTypeError, IndexRangeError, ShapeError
from ..core.shapes import is_channels_last, normalize_dim
from ..spec import BadInput, Cost, OpSpec, Out, Plan, Sample, op
from .elementwise import f32, mul, sigmoid, sub
from .shape import cat, getitem


def _checked(name: str, x: Any, dim: Any) -> tuple[int, tuple[int, ...]]:
    """The dim, and the shape of x with half of it."""
    if not is_float(x.dtype):
        raise DTypeError(f"{name}: x has dtype {x.dtype}, want a float; cast it first")
    if x.ndim == 0:
        raise ShapeError(f"{name}: x has no dims, want at least one")
    d = normalize_dim(name, dim, x.ndim)
    if x.shape[d] % 2:
        raise ShapeError(f"{name}: dim {dim} of shape {x.shape} has an odd size, want an even one")
    return d, (*x.shape[:d], x.shape[d] // 2, *x.shape[d + 1 :])


def _shape(x: Any, dim: Any = -1) -> Plan:
    d, halved = _checked("glu", x, dim)
    return Plan((Out(halved, x.dtype, is_channels_last(x)),), (x,), {"dim": d})


def _backward_shape(g: Any, x: Any, dim: Any = -1) -> Plan:
    d, halved = _checked("glu_backward", x, dim)
    if g.shape != halved:
        raise ShapeError(f"glu_backward: g has shape {g.shape}, want {halved}")
    if g.dtype != x.dtype:
        raise DTypeError(f"glu_backward: g has dtype {g.dtype}, want that of x, {x.dtype}")
    return Plan((Out(x.shape, x.dtype, is_channels_last(x)),), (g, x), {"dim": d})


def _vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    return (glu_backward(g, saved.x, dim=saved.options["dim"]),)


def _composed_vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    dim = saved.options["dim"]
    half = saved.inputs[0].shape[dim] // 2
    a, b = (getitem(saved.x, index=((slice(None),) * dim) + (part,))
            for part in (slice(half), slice(half, None)))  # fmt: skip
    gate = sigmoid(b)
    return (cat(mul(g, gate), mul(mul(g, a), mul(gate, sub(1, gate))), dim=dim),)


def _gated(a: Bounded, gate: Bounded) -> Bounded:
    """a · gate; no bound where a is infinite and the gate may have become 0."""
    product = a * gate
    either = np.isinf(a.value) & (np.abs(gate.value) <= gate.error)
    return replace(product, error=np.where(either, np.inf, product.error))


def _bounded(x: Bounded, *, dim: int) -> Bounded:
    a, b = _halves(x, dim)
    return _gated(a, b.sigmoid())


def _gradient_bounded(g: Bounded, x: Bounded, *, dim: int) -> Bounded:
    a, b = _halves(x, dim)
    gate, slope = reference.gate_slopes(b)
    return concatenate((_gated(g, gate), _gated((g * a).in_range(), slope)), dim)


def _halves(x: Bounded, dim: int) -> tuple[Bounded, Bounded]:
    whole, half = (slice(None),) * dim, x.value.shape[dim] // 2
    return x[(*whole, slice(half))], x[(*whole, slice(half, None))]


_CASES = (
    *((f"row of {2 * n}", (3, 2 * n), -1) for n in (1, 7, 16, 17, 33, 130)),
    ("vector", (10,), 0),
    ("columns", (6, 17), 0),
    ("middle", (3, 4, 5), 1),
    ("image", (2, 6, 5, 7), 1),
    ("width", (2, 3, 5, 4), 3),
    ("long halves", (2, 2, 9000), 1),
    ("empty halves", (3, 0), 1),
    ("no rows", (0, 4), 1),
)
_BENCH_CASES = (("features", (256, 2048), -1), ("images", (16, 64, 28, 28), 1))


def _samples(backward: bool) -> tuple[Sample, ...]:
    def case(name: str, shape: Any, dim: int, **more: Any) -> Sample:
        halved = list(shape)
        halved[dim] //= 2
        arrays = (tuple(halved), shape) if backward else (shape,)
        return Sample(name, arrays, {"dim": dim}, **more)

    return (
        *(case(*given) for given in _CASES),
        case("channels last", (2, 6, 5, 7), 1, channels_last=True),
        case("width, channels last", (2, 6, 5, 4), 3, channels_last=True),
        *(case(*given, bench=True) for given in _BENCH_CASES),
    )


def _bad(backward: bool) -> tuple[BadInput, ...]:
    def given(x: Any, half: Any, **options: Any) -> Any:
        return lambda: ((half, x) if backward else (x,), options)

    return (
        BadInput("odd", given(f32(3, 5), f32(3, 2)), ShapeError),
        BadInput("scalar array", given(f32(), f32()), ShapeError),
        BadInput("dim", given(f32(3, 4), f32(3, 2), dim=2), IndexRangeError),
        BadInput("float dim", given(f32(3, 4), f32(3, 2), dim=1.0), DTypeError),
        BadInput("ints", given(np.zeros(4, int), np.zeros(2, int)), DTypeError),
        BadInput("complex", given(np.zeros(4, complex), np.zeros(2, complex)), DTypeError),
        BadInput("not an array", given([1.0, 2.0], [1.0]), DTypeError),
        *((BadInput("gradient", given(f32(3, 4), f32(3, 4)), ShapeError),) if backward else ()),
    )


glu = op(
    name="glu",
    family="elementwise",
    signature="x; dim -> y",
    shape=_shape,
    reference=reference.glu,
    vjp=_vjp,
    composed_vjp=_composed_vjp,
    saves=("x",),
    cost=lambda x, dim: Cost(2 * x.size, 1.5 * x.nbytes),
    bound=bounded(_bounded),
    samples=_samples(backward=False),
    bad_inputs=_bad(backward=False),
)

glu_backward: OpSpec = op(
    name="glu_backward",
    family="elementwise",
    signature="g, x; dim -> dx",
    shape=_backward_shape,
    reference=reference.glu_backward,
    cost=lambda g, x, dim: Cost(4 * x.size, 2.5 * x.nbytes),
    bound=bounded(_gradient_bounded),
    samples=_samples(backward=True),
    bad_inputs=_bad(backward=True),
)
