"""Layer, RMS and group norm: rows of their own moments; and batch norm: channels over a batch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..backends.reference import norm as reference
from ..core import checks
from ..core.dtypes import FLOATS
from ..core.errorbound import Bounded, bounded
from ..core.errors import ArgumentError, ShapeError
from ..core.shapes import as_float, as_ints, is_channels_last
from ..spec import BadInput, Cost, OpSpec, Out, Plan, Sample, gamma, op
from .elementwise import add, mul, sub
from .elementwise_math import rsqrt
from .reduce import mean, sum
from .shape import reshape

# --- what all of them share --------------------------------------------------------------------


def _f32(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


def _eps(name: str, eps: Any) -> float:
    value = as_float(name, "eps", eps)
    if not value >= 0:
        raise ArgumentError(f"{name}: eps: got {eps}, want a number that is not negative")
    return value


def _like(x: Any) -> Out:
    return Out(x.shape, x.dtype, is_channels_last(x))


def _composed(
    g: Any, x: Any, weight: Any, over: tuple[int, ...], params: tuple[int, ...], eps: float,
    center: bool = True,
) -> tuple[Any, Any, Any, Any]:  # fmt: skip
    """(dx, dweight, dbias, x − mean) by ops alone, for gradients of gradients."""
    d = sub(x, mean(x, dim=over, keepdim=True)) if center else x
    scale = rsqrt(add(mean(mul(d, d), dim=over, keepdim=True), eps))
    h = mul(d, scale)
    u = g if weight is None else mul(g, weight)
    rest = mul(h, mean(mul(u, h), dim=over, keepdim=True))
    shifted = sub(u, mean(u, dim=over, keepdim=True)) if center else u
    dx = mul(scale, sub(shifted, rest))
    return dx, sum(mul(g, h), dim=params), sum(g, dim=params), d


def moments(x: Bounded, axes: tuple[int, ...], blocks: bool) -> tuple[Bounded, Bounded, Bounded]:
    """Mean, variance and x − mean as the kernels make them: from d = x − c, c the rounded mean.

    The error of c cancels, since the mean of d is taken off again, so errors are those of d, which
    is no larger than |x − mean| + |c − mean|. With `blocks` the moments of blocks are combined: the
    differences of their means, each rounded, enter the variance, and x − mean is made from the
    rounded mean.
    """
    n = math.prod(x.value.shape[a] for a in axes)
    u, tiny, add_up = x.unit, x.tiny, gamma(x.depth + 1, x.unit)  # a sum, and its division by n

    def average(a: Any) -> Any:
        return np.sum(a, axis=axes, keepdims=True) / n

    middle = average(x.value)
    exact = x.value - middle
    off = (add_up + u) * average(np.abs(x.value)) + tiny  # |c − mean|
    size = np.abs(exact) + off
    d_error = u * size + tiny
    rest_error = add_up * average(size + d_error) + average(d_error) + tiny
    mean_error = rest_error + u * (np.abs(middle) + rest_error) + tiny
    squares_error = average(2 * size * d_error + d_error**2)
    squares_error += (add_up + u) * average((size + d_error) ** 2) + tiny
    squares_error += 2 * off * rest_error + rest_error**2 + u * (off + rest_error) ** 2 + tiny
    variance = average(exact**2)
    if blocks:
        # Their means are rounded, added up as differences from the first (no larger on average than
        # the deviations and the first one's), and added to that.
        apart = np.abs(exact)
        spread = average(apart) + np.max(apart, axis=axes, keepdims=True, initial=0)
        mean_error = mean_error + u * (np.abs(middle) + mean_error) + add_up * (spread + mean_error)
        apart = 2 * mean_error
        squares_error += 2 * average(np.abs(exact)) * apart + apart**2
        squares_error += add_up * (variance + squares_error)
        d_error, rest_error = mean_error, 0 * mean_error
    squares_error += u * (variance + squares_error) + tiny
    total = d_error + rest_error
    total = total + 2 * u * (np.abs(exact) + total) + tiny
    return (
        x._make(middle, mean_error), x._make(variance, squares_error), x._make(exact, total)
    )  # fmt: skip


def _root(variance: Bounded, eps: float) -> Bounded:
    """(variance + eps)^(−1/2); whatever the variance's error, it is not negative."""
    root = variance.exactly(np.ones_like(variance.value)) / (variance + eps).sqrt()
    most = (1 + 4 * variance.unit) / math.sqrt(eps) if eps else math.inf
    return variance._make(root.value, np.minimum(root.error, most))


def _normal(x: Bounded, eps: float, center: bool) -> tuple[Bounded, Bounded]:
    """(x − mean)·s and s of [samples, groups, channels, inner]."""
    n = x.value.shape[2] * x.value.shape[3]
    if center:
        _, variance, d = moments(x, (2, 3), False)
    else:
        variance, d = (x * x).sum((2, 3), keepdims=True) / n, x
    scale = _root(variance, eps)
    return d * scale, scale


def _rows_bounded(x: Bounded, weight: Any, bias: Any, eps: float, center: bool) -> Bounded:
    y, _ = _normal(x, eps, center)
    shape = (1, *x.value.shape[1:3], 1)
    y = y if weight is None else y * weight.reshape(*shape)
    return y if bias is None else y + bias.reshape(*shape)


def _rows_backward_bounded(
    g: Bounded, x: Bounded, weight: Any, eps: float, center: bool
) -> tuple[Bounded, Bounded, Bounded]:
    n = x.value.shape[2] * x.value.shape[3]
    h, scale = _normal(x, eps, center)
    u = g if weight is None else g * weight.reshape(1, *x.value.shape[1:3], 1)
    rest = h * ((u * h).sum((2, 3), keepdims=True) / n)
    shifted = u - u.sum((2, 3), keepdims=True) / n if center else u
    return scale * (shifted - rest), (g * h).sum((0, 3)), g.sum((0, 3))


# --- layer norm and RMS norm -------------------------------------------------------------------


def _normalized(
    name: str, x: Any, normalized_shape: Any, eps: Any, **parameters: Any
) -> dict[str, Any]:
    checks.same_dtype(name, FLOATS, x=x, **parameters)
    shape = as_ints(name, "normalized_shape", normalized_shape)
    if not shape or x.shape[max(x.ndim - len(shape), 0) :] != shape:
        raise ShapeError(
            f"{name}: x has shape {x.shape}, want one that ends in normalized_shape, {shape}"
        )
    for label, a in parameters.items():
        if a is not None:
            checks.shape(name, label, a, x.shape if label == "g" else shape)
    return {"normalized_shape": shape, "eps": _eps(name, eps)}


def _layer_shape(x: Any, weight: Any, bias: Any, normalized_shape: Any, eps: Any = 1e-5) -> Plan:
    options = _normalized("layer_norm", x, normalized_shape, eps, weight=weight, bias=bias)
    return Plan((_like(x),), (x, weight, bias), options)


def _layer_backward_shape(
    g: Any, x: Any, weight: Any, normalized_shape: Any, eps: Any = 1e-5
) -> Plan:
    options = _normalized("layer_norm_backward", x, normalized_shape, eps, g=g, weight=weight)
    params = Out(options["normalized_shape"], x.dtype)
    return Plan((_like(x), params, params), (g, x, weight), options)


def _rms_shape(x: Any, weight: Any, normalized_shape: Any, eps: Any = None) -> Plan:
    eps = float(np.finfo(x.dtype).eps) if eps is None and x.dtype.kind == "f" else eps
    options = _normalized("rms_norm", x, normalized_shape, 0.0 if eps is None else eps,
                          weight=weight)  # fmt: skip
    return Plan((_like(x),), (x, weight), options)


def _rms_backward_shape(g: Any, x: Any, weight: Any, normalized_shape: Any, eps: Any) -> Plan:
    options = _normalized("rms_norm_backward", x, normalized_shape, eps, g=g, weight=weight)
    return Plan((_like(x), Out(options["normalized_shape"], x.dtype)), (g, x, weight), options)


def _wanted(saved: Any, *gradients: Any) -> tuple[Any, ...]:
    return tuple(g if need else None for g, need in zip(gradients, saved.needs, strict=True))


def _layer_vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    return _wanted(saved, *layer_norm_backward(g, saved.x, saved.weight, **saved.options))


def _rms_vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    return _wanted(saved, *rms_norm_backward(g, saved.x, saved.weight, **saved.options))


def _composed_rows(saved: Any, g: Any, groups: int, channels: int, center: bool) -> list[Any]:
    """The gradients of x, weight and bias by ops, on [samples, groups, channels, inner]."""
    shape, parameters = saved.inputs[0].shape, None
    if saved.inputs[1] is not None:
        parameters = saved.inputs[1].shape
    size = math.prod(shape)
    row = groups * channels
    inner = math.prod(shape[2:]) if groups > 1 or "num_groups" in saved.options else 1
    parts = (size // (row * inner) if row * inner else 0, groups, channels, inner)
    weight = None
    if parameters is not None:
        weight = reshape(saved.weight, shape=(1, groups, channels, 1))
    dx, dw, db, _ = _composed(
        reshape(g, shape=parts), reshape(saved.x, shape=parts), weight, (2, 3), (0, 3),
        saved.options["eps"], center,
    )  # fmt: skip
    flat = saved.options.get("normalized_shape", (row,))
    return [reshape(dx, shape=shape), reshape(dw, shape=flat), reshape(db, shape=flat)]


def _layer_composed(saved: Any, g: Any) -> tuple[Any, ...]:
    n = math.prod(saved.options["normalized_shape"])
    return _wanted(saved, *_composed_rows(saved, g, 1, n, True))


def _rms_composed(saved: Any, g: Any) -> tuple[Any, ...]:
    n = math.prod(saved.options["normalized_shape"])
    return _wanted(saved, *_composed_rows(saved, g, 1, n, False)[:2])


def _rows_terms(*arrays: Any, normalized_shape: tuple[int, ...], eps: float) -> int:
    """Of a row, and of a parameter's gradient."""
    n = math.prod(normalized_shape)
    size = arrays[0].size
    return max(n, size // n if n else 0, 1)


def _rows_cost(*arrays: Any, **options: Any) -> Cost:
    """Forward eight operations a number; backward twice that, and one operand more."""
    both = len([a for a in arrays if a is not None and a.shape == arrays[0].shape]) > 1
    return Cost((8 + 8 * both) * arrays[0].size, (2 + both) * arrays[0].nbytes)


def _as_rows(a: Any, normalized_shape: tuple[int, ...]) -> Bounded:
    shape = reference._rows_of(a.value, normalized_shape).shape
    return a.reshape(*shape)


def _row_bound(formula: Any, arrays: int) -> Any:
    """A bound from a formula on rows: the first `arrays` operands are such, the rest parameters."""

    def bounded_formula(*given: Any, normalized_shape: tuple[int, ...], eps: float) -> Any:
        rows = (_as_rows(a, normalized_shape) for a in given[:arrays])
        result = formula(*rows, *given[arrays:], eps)
        shape = given[0].value.shape
        if isinstance(result, tuple):
            first, *rest = result
            return first.reshape(*shape), *(r.reshape(*normalized_shape) for r in rest)
        return result.reshape(*shape)

    return bounded(bounded_formula)


ROW_SHAPES = (
    *((f"row of {n}", (3, n), (n,)) for n in (1, 2, 7, 16, 17, 31, 32, 33, 65, 300)),
    ("many rows", (300, 5), (5,)),
    ("two dims", (4, 3, 5), (3, 5)),
    ("everything", (3, 5), (3, 5)),
    ("vector", (9,), (9,)),
    ("image", (2, 3, 5, 7), (7,)),
    ("no rows", (0, 3), (3,)),
)


def _row_samples(arrays: int, parameters: int) -> tuple[Sample, ...]:
    """With all parameters, without any, and for layer norm with one of two."""

    def case(name: str, shape: Any, of: Any, given: int, **more: Any) -> Sample:
        values = (*(shape,) * arrays, *(of,) * given, *(None,) * (parameters - given))
        return Sample(name, values, {"normalized_shape": of, "eps": 1e-5}, **more)

    return (
        *(case(name, shape, of, parameters) for name, shape, of in ROW_SHAPES),
        *(case(f"plain, {n}", (3, n), (n,), 0) for n in (5, 32, 33)),
        *((case("weight alone", (3, 19), (19,), 1),) if parameters > 1 else ()),
        case("channels last", (2, 3, 5, 7), (7,), parameters, channels_last=True),
        case("transformer", (256, 1024), (1024,), parameters, bench=True),
        case("small", (4096, 64), (64,), parameters, bench=True),
    )


def _row_bad(name: str, arrays: int) -> tuple[BadInput, ...]:
    options = {"normalized_shape": (4,), "eps": 1e-5}

    def given(*shape: int, weight: Any = None, **changed: Any) -> Any:
        return lambda: (((_f32(*shape),) * arrays) + (weight,), {**options, **changed})

    return (
        BadInput("shape", given(3, 5), ShapeError),
        BadInput("no shape", given(3, 4, normalized_shape=()), ShapeError),
        BadInput("weight", given(3, 4, weight=_f32(3)), ShapeError),
        BadInput("weight dtype", given(3, 4, weight=np.zeros(4)), checks.DTypeError),
        BadInput("eps", given(3, 4, eps=-1.0), ArgumentError),
        BadInput("eps type", given(3, 4, eps="small"), checks.DTypeError),
        BadInput("ints", lambda: ((np.zeros((3, 4), int),) * arrays, options), checks.DTypeError),
        BadInput("list", lambda: (([[1.0] * 4],) * arrays, options), checks.DTypeError),
    )


layer_norm = op(
    name="layer_norm",
    family="norm",
    signature="x[...,N], weight?[N], bias?[N]; normalized_shape, eps -> y[...,N]",
    shape=_layer_shape,
    reference=reference.layer_norm,
    vjp=_layer_vjp,
    composed_vjp=_layer_composed,
    saves={"x": (0, 1), "weight": (0,)},
    cost=_rows_cost,
    terms=_rows_terms,
    bound=_row_bound(lambda x, w, b, eps: _rows_bounded(x, w, b, eps, True), 1),
    samples=_row_samples(1, 2),
    bad_inputs=_row_bad("layer_norm", 1),
)

layer_norm_backward: OpSpec = op(
    name="layer_norm_backward",
    family="norm",
    signature="g[...,N], x[...,N], weight?[N]; normalized_shape, eps -> dx, dweight, dbias",
    shape=_layer_backward_shape,
    reference=reference.layer_norm_backward,
    cost=_rows_cost,
    terms=_rows_terms,
    bound=_row_bound(lambda g, x, w, eps: _rows_backward_bounded(g, x, w, eps, True), 2),
    samples=_row_samples(2, 1),
    bad_inputs=_row_bad("layer_norm_backward", 2),
)

rms_norm = op(
    name="rms_norm",
    family="norm",
    signature="x[...,N], weight?[N]; normalized_shape, eps -> y[...,N]",
    shape=_rms_shape,
    reference=reference.rms_norm,
    vjp=_rms_vjp,
    composed_vjp=_rms_composed,
    saves={"x": (0, 1), "weight": (0,)},
    cost=_rows_cost,
    terms=_rows_terms,
    bound=_row_bound(lambda x, w, eps: _rows_bounded(x, w, None, eps, False), 1),
    samples=_row_samples(1, 1),
    bad_inputs=_row_bad("rms_norm", 1),
)

rms_norm_backward: OpSpec = op(
    name="rms_norm_backward",
    family="norm",
    signature="g[...,N], x[...,N], weight?[N]; normalized_shape, eps -> dx, dweight",
    shape=_rms_backward_shape,
    reference=reference.rms_norm_backward,
    cost=_rows_cost,
    terms=_rows_terms,
    bound=_row_bound(lambda g, x, w, eps: _rows_backward_bounded(g, x, w, eps, False)[:2], 2),
    samples=_row_samples(2, 1),
    bad_inputs=_row_bad("rms_norm_backward", 2),
)
