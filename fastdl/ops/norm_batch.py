"""Group norm, and batch norm: moments of channels over groups, or over a batch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..backends.reference import norm as reference
from ..core import checks
from ..core.dtypes import FLOATS
from ..core.errorbound import Bounded, bounded
from ..core.errors import ArgumentError, DTypeError, ShapeError
from ..core.shapes import as_bool, as_int
from ..spec import BadInput, Cost, OpSpec, Out, Plan, Sample, op
from .elementwise import add, mul, neg, sub
from .elementwise_math import rsqrt
from .norm import (
    _composed,
    _composed_rows,
    _eps,
    _f32,
    _like,
    _root,
    _rows_backward_bounded,
    _rows_bounded,
    _wanted,
    moments,
)
from .reduce import sum
from .shape import reshape


def _channels(name: str, x: Any, **parameters: Any) -> int:
    """The number of channels of x[N, C, ...], after checking that parameters are [C]."""
    checks.same_dtype(name, FLOATS, x=x, **parameters)
    if x.ndim < 2:
        raise ShapeError(f"{name}: x has shape {x.shape}, want at least 2 dims [N, C, ...]")
    for label, a in parameters.items():
        if a is not None:
            checks.shape(name, label, a, x.shape if label == "g" else x.shape[1:2])
    return x.shape[1]


# --- group norm --------------------------------------------------------------------------------


def _group_options(name: str, x: Any, num_groups: Any, eps: Any, **given: Any) -> dict[str, Any]:
    channels, groups = _channels(name, x, **given), as_int(name, "num_groups", num_groups)
    if groups < 1 or channels % groups:
        raise ArgumentError(
            f"{name}: num_groups: got {num_groups}, want a divisor of the {channels} channels"
        )
    return {"num_groups": groups, "eps": _eps(name, eps)}


def _group_shape(x: Any, weight: Any, bias: Any, num_groups: Any, eps: Any = 1e-5) -> Plan:
    options = _group_options("group_norm", x, num_groups, eps, weight=weight, bias=bias)
    return Plan((_like(x),), (x, weight, bias), options)


def _group_backward_shape(g: Any, x: Any, weight: Any, num_groups: Any, eps: Any = 1e-5) -> Plan:
    options = _group_options("group_norm_backward", x, num_groups, eps, g=g, weight=weight)
    params = Out(x.shape[1:2], x.dtype)
    return Plan((_like(x), params, params), (g, x, weight), options)


def _group_vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    return _wanted(saved, *group_norm_backward(g, saved.x, saved.weight, **saved.options))


def _group_composed(saved: Any, g: Any) -> tuple[Any, ...]:
    groups = saved.options["num_groups"]
    channels = saved.inputs[0].shape[1] // groups
    return _wanted(saved, *_composed_rows(saved, g, groups, channels, True))


def _group_terms(*arrays: Any, num_groups: int, eps: float) -> int:
    x = arrays[0]
    row = math.prod(x.shape[1:]) // num_groups
    return max(row, x.size // max(x.shape[1], 1), 1)


def _cost(*arrays: Any, **options: Any) -> Cost:
    """Eight operations a number, and as many again for a gradient."""
    both = len([a for a in arrays if a is not None and a.ndim > 1]) > 1
    return Cost((8 + 8 * both) * arrays[0].size, (2 + both) * arrays[0].nbytes)


def group_formula(formula: Any, arrays: int) -> Any:
    """A formula for rows, for the groups of the first `arrays` operands."""

    def of_groups(*given: Any, num_groups: int, eps: float) -> Any:
        shape = given[0].value.shape
        parts = reference.grouped(given[0].value, num_groups, shape[1] // num_groups).shape
        result = formula(*(a.reshape(*parts) for a in given[:arrays]), *given[arrays:], eps)
        if isinstance(result, tuple):
            first, *rest = result
            return first.reshape(*shape), *(r.reshape(-1) for r in rest)
        return result.reshape(*shape)

    return of_groups


_GROUP_SHAPES = (
    ("image", (2, 6, 5, 7), 3),
    ("one group", (3, 4, 3, 3), 1),
    ("channels", (2, 6, 4, 4), 6),
    ("rows", (5, 6), 2),
    ("rows of one", (5, 3), 3),
    ("sequence", (2, 4, 33), 2),
    ("volume", (2, 4, 2, 3, 5), 2),
    ("wide", (1, 32, 3, 17), 2),
    ("nobody", (0, 4, 3), 2),
)


def _group_samples(arrays: int, parameters: int) -> tuple[Sample, ...]:
    def case(name: str, shape: Any, groups: int, given: int, **more: Any) -> Sample:
        values = (*(shape,) * arrays, *(shape[1:2],) * given, *(None,) * (parameters - given))
        return Sample(name, values, {"num_groups": groups, "eps": 1e-5}, **more)

    return (
        *(case(name, shape, groups, parameters) for name, shape, groups in _GROUP_SHAPES),
        case("plain", (2, 6, 5, 7), 2, 0),
        case("channels last", (2, 6, 5, 7), 3, parameters, channels_last=True),
        case("U-Net", (8, 64, 32, 32), 8, parameters, bench=True),
    )


def _group_bad(arrays: int) -> tuple[BadInput, ...]:
    def given(*shape: int, weight: Any = None, **options: Any) -> Any:
        return lambda: ((_f32(*shape),) * arrays + (weight,), {"num_groups": 2, **options})

    return (
        BadInput("vector", given(4), ShapeError),
        BadInput("groups", given(3, 4, num_groups=3), ArgumentError),
        BadInput("no groups", given(3, 4, num_groups=0), ArgumentError),
        BadInput("groups type", given(3, 4, num_groups=2.0), DTypeError),
        BadInput("weight", given(3, 4, weight=_f32(3)), ShapeError),
        BadInput("eps", given(3, 4, eps=-1.0), ArgumentError),
        BadInput(
            "ints", lambda: ((np.zeros((3, 4), int),) * arrays, {"num_groups": 2}), DTypeError
        ),
    )


group_norm = op(
    name="group_norm",
    family="norm",
    signature="x[N,C,...], weight?[C], bias?[C]; num_groups, eps -> y[N,C,...]",
    shape=_group_shape,
    reference=reference.group_norm,
    vjp=_group_vjp,
    composed_vjp=_group_composed,
    saves={"x": (0, 1), "weight": (0,)},
    cost=_cost,
    terms=_group_terms,
    bound=bounded(group_formula(lambda x, w, b, eps: _rows_bounded(x, w, b, eps, True), 1)),
    samples=_group_samples(1, 2),
    bad_inputs=_group_bad(1),
)

group_norm_backward: OpSpec = op(
    name="group_norm_backward",
    family="norm",
    signature="g[N,C,...], x[N,C,...], weight?[C]; num_groups, eps -> dx, dweight, dbias",
    shape=_group_backward_shape,
    reference=reference.group_norm_backward,
    cost=_cost,
    terms=_group_terms,
    bound=bounded(
        group_formula(lambda g, x, w, eps: _rows_backward_bounded(g, x, w, eps, True), 2)
    ),
    samples=_group_samples(2, 1),
    bad_inputs=_group_bad(2),
)

# --- batch norm --------------------------------------------------------------------------------


def _batch_shape(x: Any, weight: Any, bias: Any, eps: Any = 1e-5) -> Plan:
    channels = _channels("batch_norm", x, weight=weight, bias=bias)
    moment = Out((channels,), x.dtype)
    options = {"eps": _eps("batch_norm", eps)}
    return Plan((_like(x), moment, moment, moment), (x, weight, bias), options)


def _eval_shape(x: Any, mean: Any, var: Any, weight: Any, bias: Any, eps: Any = 1e-5) -> Plan:
    name = "batch_norm_eval"
    _channels(name, x, mean=mean, var=var, weight=weight, bias=bias)
    return Plan((_like(x),), (x, mean, var, weight, bias), {"eps": _eps(name, eps)})


def _batch_backward_shape(
    g: Any, x: Any, mean: Any, rstd: Any, weight: Any, training: Any = True
) -> Plan:
    name = "batch_norm_backward"
    channels = _channels(name, x, g=g, mean=mean, rstd=rstd, weight=weight)
    params = Out((channels,), x.dtype)
    options = {"training": as_bool(name, "training", training)}
    return Plan((_like(x), params, params), (g, x, mean, rstd, weight), options)


def _along(v: Any, ndim: int) -> Any:
    """[C] as [1, C, 1, ...]."""
    return reshape(v, shape=(1, -1, *(1,) * (ndim - 2)))


def _batch_vjp(saved: Any, g: Any, dmean: Any, dvar: Any, drstd: Any) -> tuple[Any, ...]:
    if np.any(dmean) or np.any(dvar) or np.any(drstd):  # somebody used the moments as well
        return _batch_composed(saved, g, dmean, dvar, drstd)
    return _wanted(saved, *batch_norm_backward(g, saved.x, saved.mean, saved.rstd, saved.weight))


def _batch_composed(saved: Any, g: Any, dmean: Any, dvar: Any, drstd: Any) -> tuple[Any, ...]:
    shape = saved.inputs[0].shape
    n = math.prod(shape) // max(shape[1], 1)
    over = (0, *range(2, len(shape)))
    weight = None if saved.inputs[1] is None else _along(saved.weight, len(shape))
    dx, dw, db, d = _composed(g, saved.x, weight, over, over, saved.options["eps"])
    if n:  # variance = mean d², rstd = (variance + eps)^(−1/2)
        rstd = saved.rstd
        spread = sub(dvar, mul(mul(drstd, mul(rstd, mul(rstd, rstd))), 0.5))
        dx = add(dx, mul(d, mul(_along(spread, len(shape)), 2 / n)))
        dx = add(dx, mul(_along(dmean, len(shape)), 1 / n))
    return _wanted(saved, dx, dw, db)


def _eval_vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    """Mean and variance are operands like any others here."""
    rstd = rsqrt(add(saved.var, saved.options["eps"]))
    dx, dw, db = batch_norm_backward(g, saved.x, saved.mean, rstd, saved.weight, training=False)
    return _wanted(saved, dx, *_of_moments(saved, rstd, dw, db), dw, db)


def _of_moments(saved: Any, rstd: Any, dw: Any, db: Any) -> tuple[Any, Any]:
    scale = rstd if saved.inputs[3] is None else mul(rstd, saved.weight)
    return neg(mul(db, scale)), mul(mul(dw, mul(scale, rstd)), -0.5)


def _eval_composed(saved: Any, g: Any) -> tuple[Any, ...]:
    ndim = len(saved.inputs[0].shape)
    over = (0, *range(2, ndim))
    rstd = rsqrt(add(saved.var, saved.options["eps"]))
    d = sub(saved.x, _along(saved.mean, ndim))
    dw, db = mul(sum(mul(g, d), dim=over), rstd), sum(g, dim=over)
    scale = rstd if saved.inputs[3] is None else mul(rstd, saved.weight)
    dx = mul(g, _along(scale, ndim))
    return _wanted(saved, dx, *_of_moments(saved, rstd, dw, db), dw, db)


def _batch_terms(*arrays: Any, **options: Any) -> int:
    x = arrays[0]
    return max(x.size // max(x.shape[1], 1), 1)


def _planes(a: Bounded) -> Bounded:
    shape = a.value.shape
    return a.reshape(*shape[:2], math.prod(shape[2:]))


def _column(v: Bounded) -> Bounded:
    return v.reshape(1, -1, 1)


def _applied(d: Bounded, scale: Bounded, weight: Any, bias: Any) -> Bounded:
    y = d * (scale if weight is None else scale * _column(weight))
    return y if bias is None else y + _column(bias)


def _batch_bounded(x: Bounded, weight: Any, bias: Any, eps: float) -> tuple[Bounded, ...]:
    mean, variance, d = moments(_planes(x), (0, 2), True)
    scale = _root(variance, eps)
    y = _applied(d, scale, weight, bias).reshape(*x.value.shape)
    return y, mean.reshape(-1), variance.reshape(-1), scale.reshape(-1)


def _eval_bounded(
    x: Bounded, mean: Bounded, variance: Bounded, weight: Any, bias: Any, eps: float
) -> Bounded:
    scale = _root(_column(variance), eps)
    return _applied(_planes(x) - _column(mean), scale, weight, bias).reshape(*x.value.shape)


def _batch_backward_bounded(
    g: Bounded, x: Bounded, mean: Bounded, rstd: Bounded, weight: Any, training: bool
) -> tuple[Bounded, ...]:
    parts = _planes(g)
    n = parts.value.shape[0] * parts.value.shape[2]
    d, scale = _planes(x) - _column(mean), _column(rstd)
    db, along = parts.sum((0, 2), keepdims=True), (parts * d).sum((0, 2), keepdims=True)
    if training:  # products of sums and squares, which may leave the range of float32 on their way
        factor = (along.in_range() * scale * scale).in_range() / n
        dx = parts - db / n - (d * factor).in_range()
    else:
        dx = parts
    dx = dx * (scale if weight is None else scale * _column(weight))
    return dx.reshape(*x.value.shape), (along * scale).reshape(-1), db.reshape(-1)


_BATCH_SHAPES = (
    ("image", (3, 4, 5, 7)),
    ("one channel", (3, 1, 5, 7)),
    ("rows", (33, 5)),
    ("wide rows", (7, 70)),
    ("one place", (5, 3, 1, 1)),
    ("sequence", (3, 4, 33)),
    ("volume", (2, 3, 2, 3, 5)),
    ("many planes", (70, 6, 3, 3)),
    ("long planes", (2, 2, 90, 110)),
    ("many rows", (3000, 9)),
)


def _batch_samples(arrays: int, vectors: int, parameters: int, **options: Any) -> tuple[Any, ...]:
    def case(name: str, shape: Any, given: int, **more: Any) -> Sample:
        channel = shape[1:2]
        values = (*(shape,) * arrays, *(channel,) * (vectors + given),
                  *(None,) * (parameters - given))  # fmt: skip
        return Sample(name, values, options, **more)

    return (
        *(case(name, shape, parameters) for name, shape in _BATCH_SHAPES),
        case("plain", (3, 4, 5, 7), 0),
        case("channels last", (3, 6, 5, 7), parameters, channels_last=True),
        case("wide, channels last", (2, 70, 3, 5), parameters, channels_last=True),
        case("ResNet", (32, 64, 56, 56), parameters, bench=True),
        case("ResNet, channels last", (32, 64, 56, 56), parameters, channels_last=True, bench=True),
        case("head", (256, 512), parameters, bench=True),
    )


def _batch_bad(arrays: int, vectors: int, **options: Any) -> tuple[BadInput, ...]:
    def given(*shape: int, channels: int = 4, weight: Any = None, **changed: Any) -> Any:
        values = (*(_f32(*shape),) * arrays, *(_f32(channels),) * vectors, weight)
        return lambda: (values, {**options, **changed})

    ints = np.zeros((3, 4), int)
    return (
        BadInput("vector", given(4), ShapeError),
        BadInput("weight", given(3, 4, weight=_f32(3)), ShapeError),
        BadInput("weight dtype", given(3, 4, weight=np.zeros(4)), DTypeError),
        *((BadInput("moments", given(3, 4, channels=3), ShapeError),) if vectors else ()),
        *((BadInput("eps", given(3, 4, eps=-1.0), ArgumentError),) if "eps" in options else ()),
        BadInput(
            "ints",
            lambda: ((*(ints,) * arrays, *(np.zeros(4, int),) * vectors), options),
            DTypeError,
        ),
        BadInput("not an array", lambda: (([[1.0]],) * (arrays + vectors), options), DTypeError),
    )


batch_norm = op(
    name="batch_norm",
    family="norm",
    signature="x[N,C,...], weight?[C], bias?[C]; eps -> y[N,C,...], mean[C], var[C], rstd[C]",
    shape=_batch_shape,
    reference=reference.batch_norm,
    vjp=_batch_vjp,
    composed_vjp=_batch_composed,
    saves=("x", "weight", "mean", "rstd"),
    cost=_cost,
    terms=_batch_terms,
    bound=bounded(_batch_bounded),
    samples=(
        *_batch_samples(1, 0, 2, eps=1e-5),
        Sample("nobody", ((0, 3, 2), (3,), (3,)), {"eps": 1e-5}),
    ),
    bad_inputs=_batch_bad(1, 0, eps=1e-5),
)

batch_norm_eval = op(
    name="batch_norm_eval",
    family="norm",
    signature="x[N,C,...], mean[C], var[C], weight?[C], bias?[C]; eps -> y[N,C,...]",
    shape=_eval_shape,
    reference=reference.batch_norm_eval,
    vjp=_eval_vjp,
    composed_vjp=_eval_composed,
    saves=("x", "mean", "var", "weight"),
    cost=_cost,
    bound=bounded(_eval_bounded),
    samples=_batch_samples(1, 2, 2, eps=1e-5),
    bad_inputs=_batch_bad(1, 2, eps=1e-5),
)

batch_norm_backward: OpSpec = op(
    name="batch_norm_backward",
    family="norm",
    signature="g[N,C,...], x[N,C,...], mean[C], rstd[C], weight?[C]; training"
    " -> dx[N,C,...], dweight[C], dbias[C]",
    shape=_batch_backward_shape,
    reference=reference.batch_norm_backward,
    cost=_cost,
    terms=_batch_terms,
    bound=bounded(_batch_backward_bounded),
    samples=(
        *_batch_samples(2, 2, 1, training=True),
        Sample("eval", ((3, 4, 5, 7),) * 2 + ((4,),) * 3, {"training": False}),
    ),
    bad_inputs=_batch_bad(2, 2, training=True),
)
