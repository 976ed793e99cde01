"""Products, variances, norms, log-sum-exp, and running sums and products."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..backends.reference import reduce_statistics as reference
from ..core.dtypes import int64, is_float
from ..core.errorbound import bounded
from ..core.errors import DTypeError, IndexRangeError
from ..core.shapes import as_bool, as_float, normalize_dim
from ..spec import (
    BadInput,
    Bools,
    Cost,
    Ints,
    Judged,
    OpSpec,
    Out,
    Plan,
    Sample,
    Within,
    accumulated,
    gamma,
    op,
)
from .elementwise import NUMERIC, cast, div, eq, exp, mul, ne, sub, where
from .elementwise_math import absolute, logical_and, pow, sign
from .reduce import (
    BAD,
    EMPTY_SAMPLES,
    ONE_DIM,
    SAMPLES,
    TWICE,
    Dims,
    cost_of,
    f32,
    mean,
    nonempty,
    plan_of,
    restored,
    sum,
    terms_of,
)

NO_INTS = BadInput("ints", lambda: ((np.zeros(3, np.int64),), {"dim": 0}), DTypeError)


# --- products ----------------------------------------------------------------------------------


def product_bound(case: Judged) -> tuple[Any, ...]:
    """γ_n·|y|, and what underflow of a partial product may cost, times all factors above 1.

    Where those overflow, so may a partial product in some order: then there is no bound.
    """
    x = np.abs(case.arrays[0])
    x = np.where(np.isfinite(x), x, 1)  # what is not finite has a class and no error
    (grown,) = case.spec.run_reference((np.maximum(x, 1),), case.options)
    lost = case.terms * np.longdouble(case.tiny) * grown
    bound = gamma(case.terms, case.unit) * np.abs(case.expected[0]) + lost
    largest = np.longdouble(8) * case.unit / case.tiny if case.tiny else np.inf
    return (np.where(grown < largest, bound, np.inf),)


def _prod_shape(x: Any, dim: Any = None, keepdim: Any = False) -> Plan:
    return plan_of("prod", x, dim, keepdim, x.dtype if is_float(x.dtype) else int64)


def _prod_vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    """g·y/x; where there is one zero it alone has a gradient, of two none has."""
    x, dim = saved.x, saved.options["dim"]
    zero = eq(x, 0)
    zeros = sum(zero, dim=dim, keepdim=True)
    others = where(zero, 1, x)
    rest = prod(others, dim=dim, keepdim=True)  # of the elements that are not 0
    from_zero = where(logical_and(zero, eq(zeros, 1)), rest, 0)
    slope = where(eq(zeros, 0), div(rest, others), from_zero)
    return (mul(restored(g, saved), slope),)


prod: OpSpec = op(
    name="prod",
    family="reduce",
    signature="x; dim, keepdim -> y",
    shape=_prod_shape,
    reference=reference.prod,
    vjp=_prod_vjp,
    saves=("x",),
    cost=cost_of,
    terms=terms_of,
    bound=product_bound,
    samples=(
        *(s for s in SAMPLES if s.name != "long"),  # whose products all overflow or vanish
        *EMPTY_SAMPLES,
        Sample("of ints", (Ints((5, 9), -3, 4, "int32"),), {"dim": 1}),
        Sample("of bools", (Bools((5, 33)),), {"dim": 0}),
    ),
    bad_inputs=(*BAD, TWICE),
    dtypes=NUMERIC,
)


# --- variances ---------------------------------------------------------------------------------


def _float_reduction(
    name: str,
    *,
    vjp: Callable[..., tuple[Any, ...]],
    saves: tuple[str, ...],
    formula: Callable[..., Any],
    samples: tuple[Sample, ...],
    bad: tuple[BadInput, ...] = (),
    **defaults: float,
) -> OpSpec:
    """A reduction of floats with numbers for options."""

    def shape(x: Any, dim: Any = None, keepdim: Any = False, **given: Any) -> Plan:
        if not is_float(x.dtype):
            raise DTypeError(f"{name}: x has dtype {x.dtype}, want a float; cast it first")
        plan = plan_of(name, x, dim, keepdim, x.dtype)
        for option, default in defaults.items():
            plan.options[option] = as_float(name, option, given.get(option, default))
        if math.isinf(plan.options.get("p", 0)) and plan.options["p"] < 0:
            nonempty(name, x, plan.options["dim"], dim)
        return plan

    options = "".join(f", {option}" for option in defaults)
    return op(
        name=name,
        family="reduce",
        signature=f"x; dim, keepdim{options} -> y",
        shape=shape,
        reference=getattr(reference, name),
        vjp=vjp,
        saves=saves,
        cost=cost_of,
        terms=terms_of,
        bound=bounded(formula),
        samples=samples,
        bad_inputs=(*BAD, TWICE, NO_INTS, *bad),
    )


def _var_bounded(x: Any, dim: Dims, correction: float, keepdim: bool) -> Any:
    n = reference.count(x.value, dim)
    centred = x - x.sum(dim, keepdims=True).in_range() / n
    total = (centred * centred).in_range().sum(dim, keepdims=keepdim)
    return total / float(max(n - correction, 0))


def _centred(saved: Any) -> Any:
    return sub(saved.x, mean(saved.x, dim=saved.options["dim"], keepdim=True))


def _degrees(saved: Any) -> float:
    n = math.prod(saved.inputs[0].shape[d] for d in saved.options["dim"])
    return max(n - saved.options["correction"], 0)


def _slope(saved: Any, scale: float) -> float:
    """scale / (n − correction), infinite for no degree of freedom."""
    degrees = _degrees(saved)
    return scale / degrees if degrees else math.inf


def _var_vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    return (mul(mul(restored(g, saved), _slope(saved, 2)), _centred(saved)),)


def _std_vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    """Nothing where the deviation is 0, as in torch."""
    scaled = where(eq(saved.y, 0), 0, div(g, saved.y))
    return (mul(mul(restored(scaled, saved), _slope(saved, 1)), _centred(saved)),)


# One number alone has no corrected variance (NaN), of which there are no differences.
VARIANCE_SAMPLES = (
    *(
        Sample(s.name, s.arrays, {**s.options, "correction": 0}) if s.name.endswith(" of 1") else s
        for s in SAMPLES
    ),
    *EMPTY_SAMPLES,
    Sample("of all", ((5, 33),), {"dim": 1, "correction": 0}),
    Sample("corrected twice", ((5, 33),), {"dim": (0, 1), "correction": 2, "keepdim": True}),
)
VARIANCE_BAD = (
    BadInput("correction", lambda: ((f32(3),), {"dim": 0, "correction": "n"}), DTypeError),
)
var = _float_reduction(
    "var",
    vjp=_var_vjp,
    saves=("x",),
    formula=_var_bounded,
    samples=VARIANCE_SAMPLES,
    bad=VARIANCE_BAD,
    correction=1,
)
std = _float_reduction(
    "std",
    vjp=_std_vjp,
    saves=("x", "y"),
    formula=lambda x, dim, correction, keepdim: _var_bounded(x, dim, correction, keepdim).sqrt(),
    samples=VARIANCE_SAMPLES,
    bad=VARIANCE_BAD,
    correction=1,
)


# --- norms -------------------------------------------------------------------------------------


def _norm_bounded(x: Any, p: float, dim: Dims, keepdim: bool) -> Any:
    if p == 0 or math.isinf(p):
        return x.exactly(reference.norm(x.value, p=p, dim=dim, keepdim=keepdim))
    if p == 1:
        return abs(x).sum(dim, keepdims=keepdim).in_range()
    if p == 2:
        return (x * x).in_range().sum(dim, keepdims=keepdim).in_range().sqrt()
    return abs(x).power(p).in_range().sum(dim, keepdims=keepdim).in_range().root(p)


def _norm_vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    """x·|x|^(p − 2) / y^(p − 1), 0 for y = 0; equal largest or smallest elements share."""
    x, p, dim = saved.x, saved.options["p"], saved.options["dim"]
    y, g = restored(saved.y, saved), restored(g, saved)
    if p == 0:
        return (mul(sign(x), 0),)
    if p == 1:
        return (mul(sign(x), g),)
    if math.isinf(p):
        ties = eq(absolute(x), y)
        count = sum(ties, dim=dim, keepdim=True)
        return (where(ties, mul(sign(x), div(g, count)), 0),)
    if p == 2:
        return (mul(x, where(eq(y, 0), 0, div(g, y))),)
    scaled = where(eq(y, 0), 0, div(g, pow(y, p - 1)))
    steep = where(eq(x, 0), 0, mul(x, pow(absolute(x), p - 2)))
    return (mul(steep, scaled),)


norm = _float_reduction(
    "norm",
    vjp=_norm_vjp,
    saves=("x", "y"),
    formula=_norm_bounded,
    samples=(
        *SAMPLES,
        *EMPTY_SAMPLES,
        *(
            Sample(f"p {p}", ((5, 33),), {"dim": 1, "p": p})
            for p in (0.0, 1.0, 3.0, 0.5, math.inf, -math.inf)
        ),
        Sample("p 1 of columns", ((33, 5),), {"dim": 0, "p": 1.0}),
        Sample("p 1 of short rows", ((3, 7),), {"dim": 1, "p": 1.0}),
        Sample("p inf, dims", ((3, 4, 5),), {"dim": (0, 2), "p": math.inf, "keepdim": True}),
        Sample("p 1 of rows", ((256, 1024),), {"dim": 1, "p": 1.0}, bench=True),
    ),
    bad=(
        BadInput("p", lambda: ((f32(3),), {"dim": 0, "p": "two"}), DTypeError),
        BadInput(
            "smallest of none", lambda: ((f32(0, 3),), {"dim": 0, "p": -math.inf}), IndexRangeError
        ),
    ),
    p=2.0,
)


# --- log-sum-exp -------------------------------------------------------------------------------


def _logsumexp_bounded(x: Any, dim: Dims, keepdim: bool) -> Any:
    if x.value.size == 0:
        return x.exactly(reference.logsumexp(x.value, dim=dim, keepdim=keepdim))
    top = x.max(dim, keepdims=True) if dim else x
    total = (x - top).exp().sum(dim, keepdims=True).log() + top
    shape = reference.logsumexp(x.value, dim=dim, keepdim=keepdim).shape
    return total.reshape(*shape)


def _logsumexp_vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    y = restored(saved.y, saved)
    level = where(ne(absolute(y), math.inf), y, 0)
    return (mul(restored(g, saved), exp(sub(saved.x, level))),)


logsumexp = _float_reduction(
    "logsumexp",
    vjp=_logsumexp_vjp,
    saves=("x", "y"),
    formula=_logsumexp_bounded,
    samples=(*SAMPLES, *EMPTY_SAMPLES),
)


# --- running sums and products -----------------------------------------------------------------


def _scan(
    name: str, vjp: Callable[..., tuple[Any, ...]], saves: tuple[str, ...], bound: Any
) -> OpSpec:
    def shape(x: Any, dim: Any, reverse: Any = False) -> Plan:
        dtype = x.dtype if is_float(x.dtype) else int64
        d = normalize_dim(name, dim, x.ndim)
        given = x if x.dtype == dtype else cast(x, dtype=dtype.name)
        options = {"dim": d, "reverse": as_bool(name, "reverse", reverse)}
        return Plan((Out(x.shape, dtype),), (given,), options)

    # Rows longer than a block of the widest registers, whose product stays a number.
    blocks: Any = (2, 300) if name == "cumsum" else Within((2, 300), 0.9, 1.1)
    return op(
        name=name,
        family="reduce",
        signature="x; dim, reverse -> y",
        shape=shape,
        reference=getattr(reference, name),
        vjp=vjp,
        saves=saves,
        cost=lambda x, dim, reverse: Cost(x.size, 2 * x.nbytes),
        terms=lambda x, dim, reverse: x.shape[dim] if x.ndim else 1,
        bound=bound,
        samples=(
            *(
                Sample(s.name, s.arrays, {"dim": s.options["dim"]}, bench=s.bench)
                for s in ONE_DIM
                if s.name != "long"
            ),
            Sample("nine rows", ((9, 17),), {"dim": 1}),
            Sample("blocks", (blocks,), {"dim": 1}),
            Sample("blocks backwards", (blocks,), {"dim": 1, "reverse": True}),
            Sample("backwards", ((9, 17),), {"dim": 1, "reverse": True}),
            Sample("columns backwards", ((9, 17),), {"dim": 0, "reverse": True}),
            Sample("scalar array", ((),), {"dim": 0}),
            Sample("empty", ((0, 3),), {"dim": 1}),
            Sample("along nothing", ((0, 3),), {"dim": 0}),
            Sample("of ints", (Ints((5, 9), -3, 4, "int32"),), {"dim": 1}),
        ),
        bad_inputs=(
            *(b for b in BAD if b.name != "keepdim"),
            BadInput("two dims", lambda: ((f32(3, 4),), {"dim": (0, 1)}), DTypeError),
            BadInput("reverse", lambda: ((f32(3),), {"dim": 0, "reverse": 1}), DTypeError),
        ),
        dtypes=NUMERIC,
    )


def _cumsum_vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    dim, reverse = saved.options["dim"], saved.options["reverse"]
    return (cumsum(g, dim=dim, reverse=not reverse),)


def _cumprod_vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    """Σ_{j ≥ k} g_j·y_j / x_k before the first zero, where y is what it is.

    At the first zero the same with a 1 in its place, whose products have no zero; past it nothing.
    """
    x, dim, reverse = saved.x, saved.options["dim"], saved.options["reverse"]

    def total(products: Any) -> Any:
        return cumsum(mul(g, products), dim=dim, reverse=not reverse)

    zero = eq(x, 0)
    seen = cumsum(zero, dim=dim, reverse=reverse)
    before, first = eq(seen, 0), logical_and(zero, eq(seen, 1))
    without = cumprod(where(first, 1, x), dim=dim, reverse=reverse)
    plain = div(total(cumprod(x, dim=dim, reverse=reverse)), where(zero, 1, x))
    return (where(before, plain, where(first, total(without), 0)),)


cumsum: OpSpec = _scan("cumsum", _cumsum_vjp, (), accumulated)
cumprod: OpSpec = _scan("cumprod", _cumprod_vjp, ("x",), product_bound)
