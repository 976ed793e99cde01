"""normalize and cosine_similarity: vectors divided by their length along one dim."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..backends.reference import norm_length as reference
from ..core.dtypes import is_float, result_type
from ..core.errorbound import Bounded, bounded
from ..core.errors import ArgumentError, DTypeError, IndexRangeError, ShapeError
from ..core.shapes import as_float, is_channels_last, normalize_dim
from ..spec import BadInput, Cost, OpSpec, Out, Plan, Sample, op
from .elementwise import div, eq, ge, gt, mul, sub, where
from .elementwise_math import absolute, maximum, pow, sign
from .reduce import sum
from .reduce_statistics import norm
from .shape import promoted, reshape

# --- options and shapes ------------------------------------------------------------------------


def _options(name: str, ndim: int, dim: Any, eps: Any) -> dict[str, Any]:
    return {"dim": normalize_dim(name, dim, ndim), "eps": as_float(name, "eps", eps)}


def _float(name: str, **arrays: Any) -> np.dtype:
    """The common dtype; DTypeError unless it is a float's."""
    dtype = result_type(*arrays.values())
    if not is_float(dtype):
        first, a = next(iter(arrays.items()))
        raise DTypeError(f"{name}: {first} has dtype {a.dtype}, want a float; cast it first")
    return dtype


def _same_shape(name: str, label: str, a: Any, want: tuple[int, ...]) -> None:
    if a.shape != want:
        raise ShapeError(f"{name}: {label} has shape {a.shape}, want {want}")


def _power(name: str, p: Any) -> float:
    power = as_float(name, "p", p)
    if math.isnan(power):
        raise ArgumentError(f"{name}: p: got nan, want a number")
    return power


def _like(a: Any, dtype: np.dtype) -> Out:
    return Out(a.shape, dtype, is_channels_last(a))


def _shape(x: Any, p: Any = 2.0, dim: Any = 1, eps: Any = 1e-12) -> Plan:
    name = "normalize"
    dtype = _float(name, x=x)
    options = {"p": _power(name, p), **_options(name, x.ndim, dim, eps)}
    return Plan((_like(x, dtype),), (x,), options)


def _backward_shape(g: Any, x: Any, p: Any = 2.0, dim: Any = 1, eps: Any = 1e-12) -> Plan:
    name = "normalize_backward"
    dtype = _float(name, g=g, x=x)
    _same_shape(name, "g", g, x.shape)
    options = {"p": _power(name, p), **_options(name, x.ndim, dim, eps)}
    return Plan((_like(x, dtype),), tuple(promoted(name, a, dtype) for a in (g, x)), options)


def _without(shape: tuple[int, ...], dim: int) -> tuple[int, ...]:
    return (*shape[:dim], *shape[dim + 1 :])


def _cosine_shape(a: Any, b: Any, dim: Any = 1, eps: Any = 1e-8) -> Plan:
    name = "cosine_similarity"
    dtype = _float(name, a=a, b=b)
    _same_shape(name, "b", b, a.shape)
    options = _options(name, a.ndim, dim, eps)
    out = Out(_without(a.shape, options["dim"]), dtype)
    return Plan((out,), tuple(promoted(name, x, dtype) for x in (a, b)), options)


def _cosine_backward_shape(g: Any, a: Any, b: Any, dim: Any = 1, eps: Any = 1e-8) -> Plan:
    name = "cosine_similarity_backward"
    dtype = _float(name, g=g, a=a, b=b)
    options = _options(name, a.ndim, dim, eps)
    _same_shape(name, "b", b, a.shape)
    _same_shape(name, "g", g, _without(a.shape, options["dim"]))
    arrays = tuple(promoted(name, x, dtype) for x in (g, a, b))
    return Plan((_like(a, dtype), _like(b, dtype)), arrays, options)


# --- gradients ---------------------------------------------------------------------------------


def _vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    return (normalize_backward(g, saved.x, **saved.options),)


def _composed_vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    """The formula of the reference; for 1 < p < 2 x = 0 has no second slope, as in torch."""
    x = saved.x
    p, dim, eps = (saved.options[key] for key in ("p", "dim", "eps"))
    size = norm(x, p=p, dim=dim, keepdim=True)
    moves = mul(ge(size, eps), gt(size, 0))
    safe = where(moves, size, 1.0)
    if p == 2:
        slope = div(x, safe)
    elif p == 1:
        slope = sign(x)
    elif p == 0:
        slope = mul(x, 0)
    elif math.isinf(p):
        ties = eq(absolute(x), size)
        slope = div(where(ties, sign(x), 0.0), maximum(sum(ties, dim=dim, keepdim=True), 1))
    else:
        zero = eq(x, 0)
        steep = pow(div(absolute(where(zero, 1.0, x)), safe), p - 1)
        slope = where(zero, 0.0, mul(sign(x), steep))
    along = div(sum(mul(g, x), dim=dim, keepdim=True), safe)
    taken = where(moves, mul(along, slope), 0.0)
    return (div(sub(g, taken), maximum(size, eps)),)


def _cosine_vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    da, db = cosine_similarity_backward(g, saved.a, saved.b, **saved.options)
    return da if saved.needs[0] else None, db if saved.needs[1] else None


def _cosine_composed(saved: Any, g: Any) -> tuple[Any, ...]:
    dim, eps = saved.options["dim"], saved.options["eps"]
    a, b, shape = saved.a, saved.b, saved.inputs[0].shape
    kept = (*shape[:dim], 1, *shape[dim + 1 :]) if shape else ()
    upstream = reshape(g, shape=kept)
    squares = [sum(mul(x, x), dim=dim, keepdim=True) for x in (a, b)]
    # Taken before the root, which has no slope at 0.
    ma, mb = (pow(maximum(s, eps * eps), 0.5) for s in squares)
    both = div(div(upstream, ma), mb)
    along = mul(both, sum(mul(a, b), dim=dim, keepdim=True))
    ca, cb = (where(ge(s, eps * eps), div(div(along, m), m), 0.0)
              for s, m in zip(squares, (ma, mb), strict=True))  # fmt: skip
    return (
        sub(mul(b, both), mul(a, ca)) if saved.needs[0] else None,
        sub(mul(a, both), mul(b, cb)) if saved.needs[1] else None,
    )


# --- bounds ------------------------------------------------------------------------------------


def _sum(terms: Bounded, dim: int) -> Bounded:
    return (terms.sum(dim, keepdims=True) if terms.value.ndim else terms).in_range()


def _length(x: Bounded, p: float, dim: int) -> Bounded:
    if p == 2:
        return _sum((x * x).in_range(), dim).sqrt()
    if p == 1:
        return _sum(abs(x), dim)
    if p == 0 or math.isinf(p):  # counts and selections
        return x.exactly(reference.length(x.value, p, dim))
    return _sum(abs(x).power(p).in_range(), dim).root(p).in_range()


def _following(size: Bounded, c: Bounded, eps: float) -> Bounded:
    """What is taken off where the length is no less than eps; anything where that is not sure."""
    least = size._coerced(eps)
    unsure = np.abs(size.value - least.value) <= size.error + least.error
    unsure &= size.error + least.error > 0
    taken = c.where(np.broadcast_to(reference.follows(size.value, eps), c.value.shape))
    return taken._make(taken.value, np.where(unsure, np.inf, taken.error))


def _bounded(x: Bounded, *, p: float, dim: int, eps: float) -> Bounded:
    return x / _length(x, p, dim).maximum(eps) if x.value.size else x


def _slope(x: Bounded, size: Bounded, p: float) -> Bounded:
    if p in {1, 0} or math.isinf(p):
        slope = x.exactly(np.broadcast_to(reference.slope(x.value, size.value, p), x.value.shape))
        return slope if p in (0, 1) else slope._rounded(slope.value, slope.error)  # c / count
    steep = (abs(x) / size).power(p - 1)
    value = np.where(x.value == 0, 0, np.copysign(steep.value, x.value))
    return steep._make(value, np.where(x.value == 0, 0, steep.error))


def _gradient_bounded(g: Bounded, x: Bounded, *, p: float, dim: int, eps: float) -> Bounded:
    if not x.value.size:
        return x
    size = _length(x, p, dim)
    along = (_sum((g * x).in_range(), dim) / size).in_range()
    taken = x * (along / size).in_range() if p == 2 else along * _slope(x, size, p)
    return (g - _following(size, taken.in_range(), eps)) / size.maximum(eps)


def _cosine_bounded(a: Bounded, b: Bounded, *, dim: int, eps: float) -> Bounded:
    ma, mb = (_length(x, 2, dim).maximum(eps) for x in (a, b))
    y = (_sum((a * b).in_range(), dim) / ma).in_range() / mb
    shape = a.value.shape
    return y.reshape(*_without(shape, dim))


def _cosine_gradient_bounded(
    g: Bounded, a: Bounded, b: Bounded, *, dim: int, eps: float
) -> tuple[Bounded, Bounded]:
    shape = a.value.shape
    upstream = g.reshape(*shape[:dim], 1, *shape[dim + 1 :]) if shape else g
    la, lb = _length(a, 2, dim), _length(b, 2, dim)
    ma, mb = la.maximum(eps), lb.maximum(eps)
    both = ((upstream / ma).in_range() / mb).in_range()
    along = upstream * ((_sum((a * b).in_range(), dim) / ma).in_range() / mb).in_range()

    def one(x: Bounded, other: Bounded, size: Bounded, most: Bounded) -> Bounded:
        c = ((along.in_range() / most).in_range() / most).in_range()
        return (other * both).in_range() - (x * _following(size, c, eps)).in_range()

    return one(a, b, la, ma), one(b, a, lb, mb)


# --- samples -----------------------------------------------------------------------------------

_CASES: tuple[tuple[str, tuple[int, ...], int], ...] = (
    *((f"row of {n}", (3, n), 1) for n in (1, 7, 16, 17, 33, 65, 130)),
    *((f"column of {n}", (n, 17), 0) for n in (1, 5, 33)),
    ("vector", (10,), 0),
    ("long row", (2, 4100), -1),
    ("long column", (1030, 3), 0),
    ("middle", (3, 5, 7), 1),
    ("image", (2, 6, 5, 7), 1),
    ("no elements", (3, 0), 1),
    ("no rows", (0, 3), 1),
)
_BENCH_CASES = (("embeddings", (256, 512), 1), ("images", (16, 64, 28, 28), 1))
_POWERS = (1.0, 3.0, 0.5, 0.0, math.inf, -math.inf, -1.0)


def _samples(upstreams: int, arrays: int, reduced: bool, powers: bool) -> tuple[Sample, ...]:
    def case(name: str, shape: Any, dim: int, options: Any = None, **more: Any) -> Sample:
        upstream = _without(shape, dim % len(shape)) if reduced else shape
        values = (*(upstream,) * upstreams, *(shape,) * arrays)
        if shape[dim] == 1:  # a constant, ±1, below the length: no slope to take differences of
            options = {"eps": 8.0}
        return Sample(name, values, {"dim": dim, **(options or {})}, **more)

    return (
        *(case(*given) for given in _CASES),
        case("channels last", (2, 6, 5, 7), 1, channels_last=True),
        case("eps", (5, 33), 1, {"eps": 8.0}),
        *(case(f"p {p}, {way}", (5, 33), dim, {"p": p})
          for p in (_POWERS if powers else ()) for way, dim in (("rows", 1), ("columns", 0))),
        *(case(*given, bench=True) for given in _BENCH_CASES),
    )  # fmt: skip


def _f32(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


def _bad(upstreams: int, arrays: int, reduced: bool, powers: bool) -> tuple[BadInput, ...]:
    def given(make: Any, *shape: int, **options: Any) -> Any:
        upstream = make(*shape[:-1]) if reduced else make(*shape)
        values = (*(upstream,) * upstreams, *(make(*shape),) * arrays)
        return lambda: (values, {"dim": -1, **options})

    def ints(*shape: int) -> np.ndarray:
        return np.zeros(shape, int)

    found = [
        BadInput("dim", given(_f32, 3, 4, dim=2), IndexRangeError),
        BadInput("float dim", given(_f32, 3, 4, dim=1.0), DTypeError),
        BadInput("eps", given(_f32, 3, 4, eps="small"), DTypeError),
        BadInput("ints", given(ints, 3, 4), DTypeError),
        BadInput("not an array", lambda: (([1.0, 2.0],) * (upstreams + arrays), {}), DTypeError),
    ]
    if powers:
        found.append(BadInput("p", given(_f32, 3, 4, p="two"), DTypeError))
        found.append(BadInput("p nan", given(_f32, 3, 4, p=math.nan), ArgumentError))
    if upstreams + arrays > 1:
        values = (_f32(3, 4),) * (upstreams + arrays - 1) + (_f32(3, 5),)
        found.append(BadInput("shapes", lambda: (values, {"dim": 1}), ShapeError))
    return tuple(found)


def _terms(*arrays: Any, dim: int, **options: Any) -> int:
    x = arrays[-1]
    return max(x.shape[dim], 1) if x.ndim else 1


def _declare(
    name: str, signature: str, shape: Any, formula: Any, upstreams: int, arrays: int,
    reduced: bool, flops: int, **fields: Any,
) -> OpSpec:  # fmt: skip
    powers = name.startswith("normalize")
    return op(
        name=name,
        family="norm",
        signature=signature,
        shape=shape,
        reference=getattr(reference, name),
        cost=lambda *given, **_: Cost(
            flops * given[-1].size,
            (len(given) + (not reduced or upstreams * arrays)) * given[-1].nbytes,
        ),
        terms=_terms,
        bound=bounded(formula),
        samples=_samples(upstreams, arrays, reduced, powers),
        bad_inputs=_bad(upstreams, arrays, reduced, powers),
        **fields,
    )


normalize = _declare(
    "normalize", "x; p, dim, eps -> y", _shape, _bounded, 0, 1, False, 3,
    vjp=_vjp, composed_vjp=_composed_vjp, saves=("x",),
)  # fmt: skip
normalize_backward = _declare(
    "normalize_backward", "g, x; p, dim, eps -> dx", _backward_shape, _gradient_bounded,
    1, 1, False, 7,
)  # fmt: skip
cosine_similarity = _declare(
    "cosine_similarity", "a, b; dim, eps -> y", _cosine_shape, _cosine_bounded, 0, 2, True, 6,
    vjp=_cosine_vjp, composed_vjp=_cosine_composed, saves=("a", "b"),
)  # fmt: skip
cosine_similarity_backward = _declare(
    "cosine_similarity_backward", "g, a, b; dim, eps -> da, db", _cosine_backward_shape,
    _cosine_gradient_bounded, 1, 2, True, 12,
)  # fmt: skip
