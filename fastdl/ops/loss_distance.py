"""pairwise_distance: the Euclidean distance of rows, and its gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backends.reference import loss_distance as reference
from ..core.dtypes import is_float, result_type
from ..core.errorbound import Bounded, bounded
from ..core.errors import DTypeError, ShapeError
from ..core.shapes import as_float
from ..spec import BadInput, Cost, Out, Plan, Sample, op
from .elementwise import add, div, eq, mul, neg, sub, where
from .shape import promoted, reshape


def _checked(name: str, **arrays: Any) -> np.dtype:
    """The common dtype of a and b, of one shape, and of others without their last dim."""
    a = arrays["a"]
    if a.ndim == 0:
        raise ShapeError(f"{name}: a is 0-d, want [..., D]")
    for key, array in arrays.items():
        wanted = a.shape if key in ("a", "b") else a.shape[:-1]
        if array.shape != wanted:
            raise ShapeError(f"{name}: {key} has shape {array.shape}, want {wanted}")
    dtype = result_type(a, arrays["b"])
    if not is_float(dtype):
        raise DTypeError(f"{name}: a has dtype {a.dtype}, want a float")
    return dtype


def _shape(a: Any, b: Any, eps: Any = 1e-6) -> Plan:
    name = "pairwise_distance"
    dtype = _checked(name, a=a, b=b)
    arrays = promoted(name, a, dtype), promoted(name, b, dtype)
    return Plan((Out(a.shape[:-1], dtype),), arrays, {"eps": as_float(name, "eps", eps)})


def _backward_shape(g: Any, a: Any, b: Any, y: Any, eps: Any = 1e-6) -> Plan:
    name = "pairwise_distance_backward"
    dtype = _checked(name, a=a, b=b, g=g, y=y)
    arrays = tuple(promoted(name, v, dtype) for v in (g, a, b, y))
    return Plan((Out(a.shape, dtype),), arrays, {"eps": as_float(name, "eps", eps)})


def _vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    da = pairwise_distance_backward(g, saved.a, saved.b, saved.y, **saved.options)
    return da, (neg(da) if saved.needs[1] else None)


def _composed_vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    d = add(sub(saved.a, saved.b), saved.options["eps"])
    zero = eq(saved.y, 0)
    scale = where(zero, mul(g, 0), div(g, where(zero, add(saved.y, 1), saved.y)))
    da = mul(d, reshape(scale, shape=(*scale.shape, 1)))
    return da, (neg(da) if saved.needs[1] else None)


def _bounded(a: Bounded, b: Bounded, *, eps: float) -> Bounded:
    d = a - b + eps
    return (d * d).in_range().sum(-1).sqrt()


def _gradient_bounded(g: Bounded, a: Bounded, b: Bounded, y: Bounded, *, eps: float) -> Bounded:
    d, scale = a - b + eps, (g / y).in_range()
    along = scale.reshape(*scale.value.shape, 1)
    return (d * along).where(np.broadcast_to(y.value[..., None] != 0, d.value.shape))


_CASES = (("rows", (5, 7)), ("vector", (33,)), ("one", (1, 1)), ("no rows", (0, 5)),
          ("empty rows", (3, 0)), ("blocks", (3, 4100)), ("many", (2, 3, 17)))  # fmt: skip
_BENCH_CASES = (("embeddings", (256, 128)), ("wide", (64, 4096)))


def _samples(backward: bool) -> tuple[Sample, ...]:
    made = []
    for bench, cases in ((False, _CASES), (True, _BENCH_CASES)):
        for name, shape in cases:
            rows = shape[:-1]
            arrays = (rows, shape, shape, rows) if backward else (shape, shape)
            made.append(Sample(name, arrays, bench=bench))
    arrays = ((5,), (5, 7), (5, 7), (5,)) if backward else ((5, 7), (5, 7))
    return (*made, Sample("eps", arrays, {"eps": 0.25}))


def _f32(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


_BAD: tuple[tuple[str, type[Exception], Any, Any, dict[str, Any]], ...] = (
    ("shapes", ShapeError, _f32(2, 3), _f32(3), {}),
    ("0-d", ShapeError, _f32(), _f32(), {}),
    ("integers", DTypeError, _f32(2, 3).astype(int), _f32(2, 3).astype(int), {}),
    ("object", DTypeError, _f32(2, 3).astype(object), _f32(2, 3), {}),
    ("not an array", DTypeError, _f32(2), [0.0, 1.0], {}),
    ("eps", DTypeError, _f32(2, 3), _f32(2, 3), {"eps": "small"}),
)


def _bad(backward: bool) -> tuple[BadInput, ...]:
    def bad(name: str, error: type[Exception], a: Any, b: Any, options: Any) -> BadInput:
        rows = _f32(*a.shape[:-1])
        arrays = (rows, a, b, rows) if backward else (a, b)
        return BadInput(name, lambda: (arrays, options), error)

    return tuple(bad(*case) for case in _BAD)


pairwise_distance = op(
    name="pairwise_distance",
    family="loss",
    signature="a[...,D], b[...,D]; eps -> y[...]",
    shape=_shape,
    reference=reference.pairwise_distance,
    vjp=_vjp,
    composed_vjp=_composed_vjp,
    saves=("a", "b", "y"),
    cost=lambda a, b, **_: Cost(4 * a.size, 2 * a.nbytes),
    terms=lambda a, b, **_: max(a.shape[-1], 1),
    bound=bounded(_bounded),
    samples=_samples(backward=False),
    bad_inputs=_bad(backward=False),
)

pairwise_distance_backward = op(
    name="pairwise_distance_backward",
    family="loss",
    signature="g[...], a[...,D], b[...,D], y[...]; eps -> da[...,D]",
    shape=_backward_shape,
    reference=reference.pairwise_distance_backward,
    cost=lambda g, a, b, y, **_: Cost(3 * a.size, 3 * a.nbytes),
    bound=bounded(_gradient_bounded),
    samples=_samples(backward=True),
    bad_inputs=_bad(backward=True),
)
