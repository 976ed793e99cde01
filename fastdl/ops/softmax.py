"""softmax and log-softmax along one dim."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backends.reference import softmax as reference
from ..core.dtypes import is_float, result_type
from ..core.errorbound import bounded
from ..core.errors import DTypeError, IndexRangeError, ShapeError
from ..core.shapes import is_channels_last, normalize_dim
from ..spec import BadInput, Cost, OpSpec, Out, Plan, Sample, op
from .elementwise import exp, mul, neg, sub
from .reduce import sum
from .shape import promoted


def _f32(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


def _cost(*arrays: Any, dim: int) -> Cost:
    """Five operations an element: maximum, subtraction, exp, sum, subtraction."""
    return Cost(5 * arrays[0].size, (len(arrays) + 1) * arrays[0].nbytes)


def _terms(*arrays: Any, dim: int) -> int:
    return arrays[0].shape[dim] if arrays[0].ndim else 1


SHAPES = (
    *((f"row of {n}", (3, n), 1) for n in (1, 2, 7, 10, 16, 17, 31, 32, 33, 65)),
    *((f"column of {n}", (n, 17), 0) for n in (1, 5, 32)),
    ("middle", (3, 5, 7), -2),
    ("vector", (10,), 0),
    ("scalar array", (), 0),
    ("pixels", (2, 3, 5, 7), 1),
    ("no classes", (2, 0), 1),
    ("no rows", (0, 3), 1),
)
BENCH_SHAPES = (("digits", (256, 10), 1), ("rows", (256, 1024), 1), ("vocabulary", (32, 50257), 1))


def _samples(count: int) -> tuple[Sample, ...]:
    return (
        *(Sample(name, (shape,) * count, {"dim": dim}) for name, shape, dim in SHAPES),
        Sample("channels last", ((2, 3, 5, 7),) * count, {"dim": 1}, channels_last=True),
        *(Sample(n, (shape,) * count, {"dim": dim}, bench=True) for n, shape, dim in BENCH_SHAPES),
    )


_BAD = (
    BadInput("dim", lambda: ((_f32(3, 4),), {"dim": 2}), IndexRangeError),
    BadInput("float dim", lambda: ((_f32(3, 4),), {"dim": 1.0}), DTypeError),
    BadInput("two dims", lambda: ((_f32(3, 4),), {"dim": (0, 1)}), DTypeError),
    BadInput("ints", lambda: ((np.zeros(3, np.int64),), {"dim": 0}), DTypeError),
    BadInput("complex", lambda: ((np.zeros(3, complex),), {"dim": 0}), DTypeError),
    BadInput("not an array", lambda: (([1.0],), {"dim": 0}), DTypeError),
)


def _shape(name: str, x: Any, dim: Any) -> Plan:
    if not is_float(x.dtype):
        raise DTypeError(f"{name}: x has dtype {x.dtype}, want a float; cast it first")
    d = normalize_dim(name, dim, x.ndim)
    return Plan((Out(x.shape, x.dtype, is_channels_last(x)),), (x,), {"dim": d})


def log_softmax_bounded(x: Any, dim: int) -> Any:
    """The reference's formula, on numbers that carry their error (`core.errorbound`)."""
    if x.value.size == 0:
        return x
    shifted = x - x.max(dim, keepdims=True)
    return shifted - shifted.exp().sum(dim, keepdims=True).log()


log_softmax = op(
    name="log_softmax",
    family="softmax",
    signature="x; dim -> y",
    shape=lambda x, dim: _shape("log_softmax", x, dim),
    reference=reference.log_softmax,
    vjp=lambda saved, g: (log_softmax_backward(g, saved.y, dim=saved.options["dim"]),),
    saves=("y",),
    cost=_cost,
    terms=_terms,
    bound=bounded(log_softmax_bounded),
    samples=_samples(1),
    bad_inputs=_BAD,
)


_BAD_BACKWARD = (
    BadInput("shapes", lambda: ((_f32(3, 4), _f32(3)), {"dim": 0}), ShapeError),
    BadInput("dim", lambda: ((_f32(3), _f32(3)), {"dim": 1}), IndexRangeError),
    BadInput("ints", lambda: ((np.zeros(3, int), np.zeros(3, int)), {"dim": 0}), DTypeError),
)


def _backward_shape(name: str, g: Any, y: Any, dim: Any) -> Plan:
    if g.shape != y.shape:
        raise ShapeError(f"{name}: g has shape {g.shape}, want that of y, {y.shape}")
    dtype = result_type(g, y)
    if not is_float(dtype):
        raise DTypeError(f"{name}: got {g.dtype} and {y.dtype}, want floats")
    d = normalize_dim(name, dim, y.ndim)
    out = Out(y.shape, dtype, is_channels_last(y))
    return Plan((out,), (promoted(name, g, dtype), promoted(name, y, dtype)), {"dim": d})


def _backward_vjp(saved: Any, v: Any) -> tuple[Any, ...]:
    """For dx = g − p·Σg with p = e^y: dg = v − Σ(v·p), dy = −v·p·Σg."""
    dim = saved.options["dim"]
    vp = mul(v, exp(saved.y))
    return (
        sub(v, sum(vp, dim=dim, keepdim=True)) if saved.needs[0] else None,
        neg(mul(vp, sum(saved.g, dim=dim, keepdim=True))) if saved.needs[1] else None,
    )


log_softmax_backward: OpSpec = op(
    name="log_softmax_backward",
    family="softmax",
    signature="g, y; dim -> dx",
    shape=lambda g, y, dim: _backward_shape("log_softmax_backward", g, y, dim),
    reference=reference.log_softmax_backward,
    vjp=_backward_vjp,
    saves=("g", "y"),
    cost=_cost,
    terms=_terms,
    # e^y overflows only where y is no log-probability, and Σg may then be 0.
    bound=bounded(lambda g, y, dim: g - y.exp().in_range() * g.sum(dim, keepdims=True)),
    samples=_samples(2),
    bad_inputs=_BAD_BACKWARD,
)


# --- softmax -----------------------------------------------------------------------------------


def softmax_bounded(x: Any, dim: int) -> Any:
    """e^(x − m) times the reciprocal of its sum, as the kernels do it."""
    if x.value.size == 0:
        return x
    e = (x - x.max(dim, keepdims=True)).exp()
    total = e.sum(dim, keepdims=True)
    return e * (x.exactly(np.ones_like(total.value)) / total)


softmax = op(
    name="softmax",
    family="softmax",
    signature="x; dim -> y",
    shape=lambda x, dim: _shape("softmax", x, dim),
    reference=reference.softmax,
    vjp=lambda saved, g: (softmax_backward(g, saved.y, dim=saved.options["dim"]),),
    saves=("y",),
    cost=_cost,
    terms=_terms,
    bound=bounded(softmax_bounded),
    samples=_samples(1),
    bad_inputs=_BAD,
)


def _softmax_backward_vjp(saved: Any, v: Any) -> tuple[Any, ...]:
    """For dx = y·(g − Σ g·y): dg = y·(v − Σ v·y), dy = v·(g − Σ g·y) − g·Σ v·y."""
    dim, y, g = saved.options["dim"], saved.y, saved.g
    along = sum(mul(v, y), dim=dim, keepdim=True)
    dg = mul(y, sub(v, along)) if saved.needs[0] else None
    if not saved.needs[1]:
        return dg, None
    shifted = sub(g, sum(mul(g, y), dim=dim, keepdim=True))
    return dg, sub(mul(v, shifted), mul(g, along))


softmax_backward: OpSpec = op(
    name="softmax_backward",
    family="softmax",
    signature="g, y; dim -> dx",
    shape=lambda g, y, dim: _backward_shape("softmax_backward", g, y, dim),
    reference=reference.softmax_backward,
    vjp=_softmax_backward_vjp,
    saves=("g", "y"),
    cost=_cost,
    terms=_terms,
    bound=bounded(lambda g, y, dim: y * (g - (g * y).sum(dim, keepdims=True))),
    samples=_samples(2),
    bad_inputs=_BAD_BACKWARD,
)
