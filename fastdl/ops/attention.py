"""Scaled dot-product attention."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..backends.reference import attention as reference
from ..core import checks
from ..core.dtypes import FLOATS, bool_
from ..core.errorbound import Bounded, bounded
from ..core.errors import ArgumentError, DTypeError, ShapeError
from ..core.shapes import as_bool, as_float, as_int
from ..spec import BadInput, Bools, Cost, OpSpec, Out, Plan, Sample, gamma, op
from .elementwise import add, eq, exp, mul, sub, where
from .matmul import matmul
from .reduce import sum
from .shape import permute, reshape, sum_to_shape

_NAME = "scaled_dot_product_attention"


def _f32(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


def _checked(
    name: str, q: Any, k: Any, v: Any, mask: Any, is_causal: Any, scale: Any, p: Any, seed: Any,
    offset: Any,
) -> dict[str, Any]:  # fmt: skip
    """The canonical options, after checking that all arrays fit."""
    checks.same_dtype(name, FLOATS, q=q, k=k, v=v)
    if min(q.ndim, k.ndim, v.ndim) < 2:
        raise ShapeError(
            f"{name}: got shapes {q.shape}, {k.shape} and {v.shape}, want at least 2 dims"
        )
    if k.shape != (*q.shape[:-2], k.shape[-2], q.shape[-1]):
        raise ShapeError(f"{name}: k has shape {k.shape}, want [..., S, E] as q, {q.shape}")
    if v.shape[:-1] != k.shape[:-1]:
        raise ShapeError(f"{name}: v has shape {v.shape}, want [..., S, D] as k, {k.shape}")
    scores = (*q.shape[:-1], k.shape[-2])
    if mask is not None:
        if mask.dtype not in (bool_, q.dtype):
            raise DTypeError(f"{name}: mask has dtype {mask.dtype}, want bool or {q.dtype}")
        try:
            fits = mask.ndim > 0 and np.broadcast_shapes(mask.shape, scores) == scores
        except ValueError:
            fits = False
        if not fits:
            raise ShapeError(f"{name}: mask has shape {mask.shape}, want one of {scores}")
    if scale is None:
        scale = 1 / math.sqrt(q.shape[-1]) if q.shape[-1] else 1.0
    options = {
        "is_causal": as_bool(name, "is_causal", is_causal),
        "scale": as_float(name, "scale", scale),
        "p": as_float(name, "p", p),
        "seed": as_int(name, "seed", seed),
        "offset": as_int(name, "offset", offset),
    }
    if not 0 <= options["p"] <= 1:
        raise ArgumentError(f"{name}: p: got {p}, want 0 to 1")
    return options


def _shape(
    q: Any, k: Any, v: Any, mask: Any, is_causal: Any = False, scale: Any = None, p: Any = 0.0,
    seed: Any = 0, offset: Any = 0,
) -> Plan:  # fmt: skip
    options = _checked(_NAME, q, k, v, mask, is_causal, scale, p, seed, offset)
    outs = Out((*q.shape[:-1], v.shape[-1]), q.dtype), Out(q.shape[:-1], q.dtype)
    return Plan(outs, (q, k, v, mask), options)


def _backward_shape(
    g: Any, q: Any, k: Any, v: Any, y: Any, lse: Any, mask: Any, is_causal: Any = False,
    scale: Any = None, p: Any = 0.0, seed: Any = 0, offset: Any = 0,
) -> Plan:  # fmt: skip
    name = f"{_NAME}_backward"
    options = _checked(name, q, k, v, mask, is_causal, scale, p, seed, offset)
    checks.same_dtype(name, FLOATS, q=q, g=g, y=y, lse=lse)
    for label, a in (("g", g), ("y", y)):
        checks.shape(name, label, a, (*q.shape[:-1], v.shape[-1]))
    checks.shape(name, "lse", lse, q.shape[:-1])
    outs = tuple(Out(a.shape, a.dtype) for a in (q, k, v))
    return Plan(outs, (g, q, k, v, y, lse, mask), options)


# --- gradients ---------------------------------------------------------------------------------


def _vjp(saved: Any, g: Any, dlse: Any) -> tuple[Any, ...]:
    if saved.needs[3] or np.any(dlse):  # a learnt bias, or somebody used the sums as well
        return _composed_vjp(saved, g, dlse)
    grads = scaled_dot_product_attention_backward(
        g, saved.q, saved.k, saved.v, saved.y, saved.lse, saved.mask, **saved.options
    )
    return *(d if need else None for d, need in zip(grads, saved.needs, strict=False)), None


def _swapped(a: Any) -> Any:
    n = len(a.shape)
    return permute(a, dims=(*range(n - 2), n - 1, n - 2))


def _composed_vjp(saved: Any, g: Any, dlse: Any) -> tuple[Any, ...]:
    """The reference's formula by ops, differentiable in all arrays and in y and lse."""
    o, q, k, v, mask = saved.options, saved.q, saved.k, saved.v, saved.mask
    shape = (*q.shape[:-1], k.shape[-2])
    s = mul(matmul(q, _swapped(k)), o["scale"])
    bare = getattr(mask, "_array", mask)
    if mask is not None and bare.dtype != bool_:
        s = add(s, mask)
    gone = reference.hidden(shape, bare, o["is_causal"])
    column = (*shape[:-1], 1)
    lse = reshape(where(eq(saved.lse, -math.inf), 0, saved.lse), shape=column)
    weights = where(gone, 0, exp(where(gone, 0, sub(s, lse))))
    d = reference.factors(shape, o["p"], o["seed"], o["offset"], np.dtype(q.dtype))
    inner = mul(matmul(g, _swapped(v)), d)
    dots = sub(sum(mul(g, saved.y), dim=-1, keepdim=True), reshape(dlse, shape=column))
    ds = mul(weights, sub(inner, dots))
    scaled = mul(ds, o["scale"])
    dmask = sum_to_shape(ds, bare.shape) if saved.needs[3] else None
    dq, dk = matmul(scaled, k), matmul(_swapped(scaled), q)
    return dq, dk, matmul(_swapped(mul(weights, d)), g), dmask


# --- bounds ------------------------------------------------------------------------------------


def _product(a: Bounded, b: Bounded, depth: int, gone: Any = None) -> Bounded:
    """A @ b, its sums trees of a depth; what is gone adds nothing, so b may be infinite there."""
    n = a.value.shape[-1]
    value = (
        np.matmul(a.value, b.value) if gone is None else reference._product(a.value, b.value, gone)
    )
    size_a, size_b = (np.where(np.isfinite(x.value), np.abs(x.value), 0) for x in (a, b))
    left, right = size_a + a.error, size_b + b.error
    carried = np.matmul(size_a, b.error) + np.matmul(a.error, right)
    rounding = gamma(depth, a.unit) * np.matmul(left, right) + (n + 1) * a.tiny
    return a._make(value, carried + rounding)


def _t(a: Bounded) -> Bounded:
    return a._make(np.swapaxes(a.value, -1, -2), np.swapaxes(a.error, -1, -2))


def _scores_bounded(
    q: Any, k: Any, mask: Any, is_causal: bool, scale: float
) -> tuple[Bounded, Any]:
    s = _product(q, _t(k), max(q.value.shape[-1], 1)) * scale
    bare = getattr(mask, "value", mask)
    if isinstance(mask, Bounded):
        s = s + mask
    gone = reference.hidden(s.value.shape, bare, is_causal)
    return s._make(np.where(gone, -np.inf, s.value), s.error), gone


def _weights(shifted: Bounded) -> Bounded:
    """e^x of x ≤ 0: whatever the error of x, the result is in [0, 1]."""
    e = shifted.exp()
    return e._make(e.value, np.minimum(np.nan_to_num(e.error, nan=np.inf), 1 + 8 * e.unit))


def _finite(top: Bounded) -> Bounded:
    """A row of −inf is not shifted."""
    return top.where(top.value != -np.inf)


def _bounded(
    q: Any, k: Any, v: Any, mask: Any, is_causal: bool, scale: float, p: float, seed: int,
    offset: int,
) -> tuple[Bounded, Bounded]:  # fmt: skip
    s, gone = _scores_bounded(q, k, mask, is_causal, scale)
    keys = s.value.shape[-1]
    if not keys:
        zeros = q.exactly(np.zeros((*s.value.shape[:-1], v.value.shape[-1]), s.value.dtype))
        return zeros, q.exactly(np.full(s.value.shape[:-1], -np.inf, s.value.dtype))
    top = s.max(-1, keepdims=True)
    e = _weights(s - _finite(top))
    # Online: for each block of at least 64 keys an exponential and a product scale what was summed;
    # the arguments of those add up to the one difference that is counted above.
    online = 5 * -(-keys // 64)
    e = e._rounded(e.value, e.error, online)
    total = e.sum(-1, keepdims=True, depth=keys + 1)
    d = reference.factors(s.value.shape, p, seed, offset, s.value.dtype)
    weights = e * q._make(d, q.unit * d) if p else e
    sums = _product(weights, v, keys + 1, gone)
    lse = top + total.log()
    some = total._make(np.where(total.value == 0, 1, total.value), total.error)
    y = sums * (q.exactly(np.ones_like(some.value)) / some)
    # A mean of values, whatever its weights, is no larger than the largest of them.
    sizes = np.where(np.isfinite(v.value), np.abs(v.value), 0)
    most = np.max(sizes, axis=-2, keepdims=True, initial=0)
    most = np.abs(y.value) + most * (1 / (1 - p) if p < 1 else 0) * (1 + gamma(keys + 8, q.unit))
    y = y._make(y.value, np.fmin(y.error, most))
    return y, lse.reshape(*s.value.shape[:-1])


def _backward_bounded(
    g: Any, q: Any, k: Any, v: Any, y: Any, lse: Any, mask: Any, is_causal: bool, scale: float,
    p: float, seed: int, offset: int,
) -> tuple[Bounded, ...]:  # fmt: skip
    s, gone = _scores_bounded(q, k, mask, is_causal, scale)
    queries, keys = s.value.shape[-2:]
    shape = (*s.value.shape[:-1], 1)
    shifted = s - _finite(lse).reshape(*shape)
    weights = _weights(shifted._make(np.minimum(shifted.value, 0), shifted.error))
    d = q._make(reference.factors(s.value.shape, p, seed, offset, s.value.dtype), 0)
    d = q._make(d.value, q.unit * d.value if p else 0 * d.value)
    depth = max(v.value.shape[-1], 1)
    dots = (g * y).sum(-1, keepdims=True, depth=depth)
    ds = (weights * (_product(g, _t(v), depth) * d - dots) * scale).where(~gone)
    weights, turned = (weights * d).where(~gone), np.swapaxes(gone, -1, -2)
    return (
        _product(ds, k, keys + 1, gone),
        _product(_t(ds), q, queries + 1, turned),
        _product(_t(weights), g, queries + 1, turned),
    )


# --- for the checker and the benchmark ---------------------------------------------------------


def _cost(*arrays: Any, is_causal: bool, **options: Any) -> Cost:
    """Two products forward, five backward, of which a causal mask leaves half."""
    backward = len(arrays) > 4
    q, k, v = arrays[1:4] if backward else arrays[:3]
    scores = math.prod(q.shape[:-1]) * k.shape[-2]
    products = 2 * v.shape[-1] + 3 * q.shape[-1] if backward else v.shape[-1] + q.shape[-1]
    moved = q.nbytes + k.nbytes + v.nbytes
    share = 0.5 if is_causal else 1.0
    return Cost(share * scores * (2 * products + 10), (2 if backward else 1) * moved + q.nbytes)


# name, leading dims, L, S, E, D, mask, options
_CASES: tuple[tuple[Any, ...], ...] = (
    ("plain", (2, 3), 5, 7, 4, 6, None, {}),
    ("one head", (), 33, 17, 8, 8, None, {}),
    ("one query", (2,), 1, 40, 16, 16, None, {}),
    ("blocks", (1, 2), 70, 300, 16, 24, None, {}),
    ("causal", (2, 2), 65, 65, 8, 8, None, {"is_causal": True}),
    ("causal blocks", (2,), 150, 150, 16, 16, None, {"is_causal": True}),
    ("causal, few keys", (2,), 20, 9, 4, 4, None, {"is_causal": True}),
    ("causal, many keys", (2,), 9, 200, 4, 4, None, {"is_causal": True}),
    ("scale", (2,), 9, 9, 4, 5, None, {"scale": 0.3}),
    ("bool mask", (2, 3), 9, 17, 4, 4, Bools((9, 17)), {}),
    ("padding mask", (2, 3), 9, 17, 4, 4, Bools((2, 1, 1, 17)), {}),
    ("bias", (2, 3), 9, 140, 4, 4, (3, 9, 140), {}),
    ("bias of queries", (2, 3), 9, 17, 4, 4, (9, 1), {}),
    ("causal bias", (2, 3), 9, 17, 4, 4, (9, 17), {"is_causal": True}),
    ("dropout", (2, 2), 9, 150, 4, 4, None, {"p": 0.3, "seed": 5, "offset": 16}),
    ("all dropped", (2,), 5, 9, 4, 4, None, {"p": 1.0, "seed": 5, "offset": 16}),
    ("no keys", (2,), 3, 0, 4, 4, None, {}),
    ("no queries", (2,), 0, 3, 4, 4, None, {}),
)
_BENCH: tuple[tuple[Any, ...], ...] = (
    ("512", (4, 8), 512, 512, 64, 64, None, {}),
    ("512, causal", (4, 8), 512, 512, 64, 64, None, {"is_causal": True}),
    ("decoding", (8, 12), 1, 1024, 64, 64, None, {}),
)


def _samples(backward: bool) -> tuple[Sample, ...]:
    def case(parts: tuple[Any, ...], bench: bool = False) -> Sample:
        name, lead, n, m, e, d, mask, options = parts
        y = (*lead, n, d)
        arrays: tuple[Any, ...] = ((*lead, n, e), (*lead, m, e), (*lead, m, d))
        if backward:
            arrays = (y, *arrays, y, (*lead, n))
        return Sample(name, (*arrays, mask), options, bench=bench)

    return (*map(case, _CASES), *(case(parts, True) for parts in _BENCH))


def _bad(backward: bool) -> tuple[BadInput, ...]:
    def given(
        q: Any = (2, 3, 4), k: Any = (2, 5, 4), v: Any = (2, 5, 6), mask: Any = None, **options: Any
    ) -> Any:
        def call() -> Any:
            arrays: tuple[Any, ...] = tuple(_f32(*s) if type(s) is tuple else s for s in (q, k, v))
            if backward:
                arrays = (_f32(2, 3, 6), *arrays, _f32(2, 3, 6), _f32(2, 3))
            return (*arrays, mask), options

        return call

    return (
        BadInput("vector", given(q=(4,)), ShapeError),
        BadInput("batches", given(k=(3, 5, 4)), ShapeError),
        BadInput("sizes of q and k", given(k=(2, 5, 3)), ShapeError),
        BadInput("keys and values", given(v=(2, 4, 6)), ShapeError),
        BadInput("mask", given(mask=_f32(3, 4)), ShapeError),
        BadInput("mask of more dims", given(mask=_f32(2, 2, 3, 5)), ShapeError),
        BadInput("mask of ints", given(mask=np.zeros((3, 5), int)), DTypeError),
        BadInput("dtypes", given(k=np.zeros((2, 5, 4))), DTypeError),
        BadInput("list", given(v=[[1.0]]), DTypeError),
        BadInput("p", given(p=1.5), ArgumentError),
        BadInput("scale", given(scale="a"), DTypeError),
        BadInput("is_causal", given(is_causal=1), DTypeError),
    )


scaled_dot_product_attention = op(
    name=_NAME,
    family="attention",
    signature="q[...,L,E], k[...,S,E], v[...,S,D], mask?[...,L,S];"
    " is_causal, scale, p, seed, offset -> y[...,L,D], lse[...,L]",
    shape=_shape,
    reference=reference.scaled_dot_product_attention,
    vjp=_vjp,
    composed_vjp=_composed_vjp,
    saves=("q", "k", "v", "mask", "y", "lse"),
    cost=_cost,
    terms=lambda q, k, v, mask, **options: max(q.shape[-1], k.shape[-2], 1),
    bound=bounded(_bounded),
    samples=_samples(False),
    bad_inputs=_bad(False),
)

scaled_dot_product_attention_backward: OpSpec = op(
    name=f"{_NAME}_backward",
    family="attention",
    signature="g[...,L,D], q[...,L,E], k[...,S,E], v[...,S,D], y[...,L,D], lse[...,L],"
    " mask?[...,L,S]; is_causal, scale, p, seed, offset -> dq, dk, dv",
    shape=_backward_shape,
    reference=reference.scaled_dot_product_attention_backward,
    cost=_cost,
    terms=lambda g, q, k, v, *rest, **options: max(*q.shape[-2:], *v.shape[-2:], 1),
    bound=bounded(_backward_bounded),
    samples=_samples(True),
    bad_inputs=_bad(True),
)
