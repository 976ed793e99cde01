"""Local response normalisation, across neighbouring channels."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from ..backends.reference import norm_response as reference
from ..core import checks
from ..core.dtypes import FLOATS
from ..core.errorbound import Bounded, bounded
from ..core.errors import ArgumentError, DTypeError, ShapeError
from ..core.shapes import as_float, as_int
from ..spec import BadInput, Cost, OpSpec, Plan, Sample, op
from .elementwise import add, div, mul, sub
from .elementwise_math import pow
from .norm import _f32, _like
from .pool import avg_pool2d
from .shape import cat, reshape


def _options(name: str, x: Any, size: Any, alpha: Any, beta: Any, k: Any) -> dict[str, Any]:
    if x.ndim < 3:
        raise ShapeError(f"{name}: x has shape {x.shape}, want at least 3 dims [N, C, ...]")
    window = as_int(name, "size", size)
    if window < 1:
        raise ArgumentError(f"{name}: size: got {size}, want at least 1")
    numbers = {"alpha": alpha, "beta": beta, "k": k}
    return {"size": window, **{key: as_float(name, key, v) for key, v in numbers.items()}}


def _shape(x: Any, size: Any, alpha: Any = 1e-4, beta: Any = 0.75, k: Any = 1.0) -> Plan:
    name = "local_response_norm"
    checks.same_dtype(name, FLOATS, x=x)
    return Plan((_like(x),), (x,), _options(name, x, size, alpha, beta, k))


def _backward_shape(
    g: Any, x: Any, size: Any, alpha: Any = 1e-4, beta: Any = 0.75, k: Any = 1.0
) -> Plan:
    name = "local_response_norm_backward"
    checks.same_dtype(name, FLOATS, x=x, g=g)
    checks.shape(name, "g", g, x.shape)
    return Plan((_like(x),), (g, x), _options(name, x, size, alpha, beta, k))


def _vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    return (local_response_norm_backward(g, saved.x, **saved.options),)


def _composed_vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    size, alpha, beta, k = (saved.options[key] for key in ("size", "alpha", "beta", "k"))
    shape = saved.inputs[0].shape
    if not math.prod(shape):
        return (mul(g, 1.0),)
    flat = (shape[0], 1, shape[1], math.prod(shape[2:]))
    x, u = reshape(saved.x, shape=flat), reshape(g, shape=flat)

    def means(v: Any, before: int, after: int) -> Any:
        ends = (np.zeros((shape[0], 1, n, flat[3]), v.dtype) for n in (before, after))
        first, last = ends
        return avg_pool2d(cat(first, v, last, dim=2), kernel_size=(size, 1), stride=(1, 1))

    t = add(mul(means(mul(x, x), size // 2, (size - 1) // 2), alpha), k)
    d = pow(t, beta)
    along = means(div(div(mul(u, x), d), t), (size - 1) // 2, size // 2)
    return (reshape(sub(div(u, d), mul(x, mul(along, 2 * alpha * beta))), shape=shape),)


# --- bounds ------------------------------------------------------------------------------------


def _summed(v: Bounded, before: int, after: int) -> Bounded:
    """Sums over windows, in any order of the kernel's depth."""
    parts = (reference.windows(part, before, after) for part in (v.value, v.error))
    value, error = parts
    return replace(v, value=value, error=error).sum(0).in_range()


def _base(x: Bounded, size: int, alpha: float, k: float) -> Bounded:
    squares = _summed((x * x).in_range(), size // 2, (size - 1) // 2)
    return squares * (x._coerced(alpha) / size) + k


def _bounded(x: Bounded, *, size: int, alpha: float, beta: float, k: float) -> Bounded:
    return x / _base(x, size, alpha, k).power(beta).in_range()


def _gradient_bounded(
    g: Bounded, x: Bounded, *, size: int, alpha: float, beta: float, k: float
) -> Bounded:
    t = _base(x, size, alpha, k)
    d = t.power(beta).in_range()
    q = ((g * x).in_range() / d).in_range() / t
    factor = x._coerced(alpha) / size * (2 * beta)
    taken = x * (factor * _summed(q.in_range(), (size - 1) // 2, size // 2)).in_range()
    return g / d - taken.in_range()


# --- samples -----------------------------------------------------------------------------------

_CASES: tuple[tuple[str, tuple[int, ...], dict[str, Any]], ...] = (
    ("torch's defaults", (2, 7, 3, 5), {"size": 5}),
    ("strong", (2, 7, 3, 5), {"size": 5, "alpha": 0.3, "k": 1.5}),
    ("even size", (1, 6, 17), {"size": 4, "alpha": 0.5, "beta": 0.6}),
    ("size 1", (2, 3, 16), {"size": 1, "alpha": 0.5}),
    ("wider than the channels", (1, 3, 33), {"size": 9, "alpha": 1.0, "beta": 0.75}),
    ("beta 1", (1, 5, 7), {"size": 3, "alpha": 0.5, "beta": 1.0, "k": 2.0}),
    ("beta 2.5", (1, 5, 7), {"size": 3, "alpha": 0.5, "beta": 2.5}),
    ("volume", (1, 4, 2, 3, 5), {"size": 3, "alpha": 0.5}),
    ("pieces", (1, 33, 1100), {"size": 5, "alpha": 0.1}),
    ("no channels", (2, 0, 4), {"size": 3}),
    ("nobody", (0, 4, 3), {"size": 3}),
)
_BENCH = ("AlexNet", (8, 96, 27, 27), {"size": 5})


def _samples(arrays: int) -> tuple[Sample, ...]:
    defaults = {"alpha": 1e-4, "beta": 0.75, "k": 1.0}

    def case(name: str, shape: Any, options: Any, **more: Any) -> Sample:
        return Sample(name, (shape,) * arrays, {**defaults, **options}, **more)

    return (
        *(case(*given) for given in _CASES),
        case("channels last", (2, 6, 3, 5), {"size": 3, "alpha": 0.5}, channels_last=True),
        case(*_BENCH, bench=True),
    )


def _bad(arrays: int) -> tuple[BadInput, ...]:
    def given(x: Any, **options: Any) -> Any:
        return lambda: ((x,) * arrays, {"size": 3, **options})

    x = _f32(1, 3, 4)
    return (
        BadInput("2-D", given(_f32(3, 4)), ShapeError),
        BadInput("size 0", given(x, size=0), ArgumentError),
        BadInput("float size", given(x, size=3.0), DTypeError),
        BadInput("alpha", given(x, alpha="small"), DTypeError),
        BadInput("beta", given(x, beta=None), DTypeError),
        BadInput("ints", given(np.zeros((1, 3, 4), int)), DTypeError),
        BadInput("not an array", given([[[1.0]]]), DTypeError),
    )


local_response_norm = op(
    name="local_response_norm",
    family="norm",
    signature="x[N,C,...]; size, alpha, beta, k -> y[N,C,...]",
    shape=_shape,
    reference=reference.local_response_norm,
    vjp=_vjp,
    composed_vjp=_composed_vjp,
    saves=("x",),
    cost=lambda x, size, **_: Cost((2 * size + 4) * x.size, 2 * x.nbytes),
    terms=lambda x, size, **_: size,
    bound=bounded(_bounded),
    samples=_samples(1),
    bad_inputs=_bad(1),
)

local_response_norm_backward: OpSpec = op(
    name="local_response_norm_backward",
    family="norm",
    signature="g[N,C,...], x[N,C,...]; size, alpha, beta, k -> dx[N,C,...]",
    shape=_backward_shape,
    reference=reference.local_response_norm_backward,
    cost=lambda g, x, size, **_: Cost((3 * size + 12) * x.size, 3 * x.nbytes),
    terms=lambda g, x, size, **_: size,
    bound=bounded(_gradient_bounded),
    samples=_samples(2),
    bad_inputs=_bad(2),
)
