"""Instance norm: every channel of every sample has moments of its own."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..backends.reference import norm as reference
from ..core.errorbound import bounded
from ..core.errors import ArgumentError, DTypeError, ShapeError
from ..spec import BadInput, OpSpec, Out, Plan, Sample, op
from .norm import (
    _composed_rows,
    _eps,
    _f32,
    _like,
    _rows_backward_bounded,
    _rows_bounded,
    _wanted,
)
from .norm_batch import _channels, _cost, group_formula


def _checked(name: str, x: Any, **given: Any) -> int:
    """The number of channels of x, which must have more than one place."""
    channels = _channels(name, x, **given)
    if x.ndim < 3 or math.prod(x.shape[2:]) == 1:
        raise ShapeError(f"{name}: x has shape {x.shape}, want more than 1 place of [N, C, ...]")
    return channels


def _shape(x: Any, weight: Any, bias: Any, eps: Any = 1e-5) -> Plan:
    name = "instance_norm"
    _checked(name, x, weight=weight, bias=bias)
    return Plan((_like(x),), (x, weight, bias), {"eps": _eps(name, eps)})


def _backward_shape(g: Any, x: Any, weight: Any, eps: Any = 1e-5) -> Plan:
    name = "instance_norm_backward"
    params = Out((_checked(name, x, g=g, weight=weight),), x.dtype)
    return Plan((_like(x), params, params), (g, x, weight), {"eps": _eps(name, eps)})


def _vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    return _wanted(saved, *instance_norm_backward(g, saved.x, saved.weight, **saved.options))


def _composed_vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    return _wanted(saved, *_composed_rows(saved, g, saved.inputs[0].shape[1], 1, True))


def _terms(*arrays: Any, eps: float) -> int:
    """Of the moments; of a parameter's gradient, whose terms are those of all samples."""
    x = arrays[0]
    return max(math.prod(x.shape[2:]), x.size // max(x.shape[1], 1), 1)


def _bound(formula: Any, arrays: int) -> Any:
    """Group norm of as many groups as channels."""
    of_groups = group_formula(formula, arrays)
    return bounded(
        lambda *given, eps: of_groups(*given, num_groups=given[0].value.shape[1], eps=eps)
    )


_SHAPES = (
    ("image", (2, 6, 5, 7)),
    ("one channel", (3, 1, 4, 4)),
    *((f"sequence of {n}", (2, 3, n)) for n in (2, 16, 17, 33, 65)),
    ("volume", (2, 4, 2, 3, 5)),
    ("long", (1, 2, 70, 70)),
    ("nobody", (0, 4, 3)),
)


def _samples(arrays: int, parameters: int) -> tuple[Sample, ...]:
    def case(name: str, shape: Any, given: int, **more: Any) -> Sample:
        values = (*(shape,) * arrays, *(shape[1:2],) * given, *(None,) * (parameters - given))
        return Sample(name, values, {"eps": 1e-5}, **more)

    return (
        *(case(name, shape, parameters) for name, shape in _SHAPES),
        case("plain", (2, 6, 5, 7), 0),
        case("channels last", (2, 6, 5, 7), parameters, channels_last=True),
        case("style transfer", (4, 64, 64, 64), parameters, bench=True),
    )


def _bad(arrays: int) -> tuple[BadInput, ...]:
    def given(*shape: int, weight: Any = None, **options: Any) -> Any:
        return lambda: ((_f32(*shape),) * arrays + (weight,), options)

    return (
        BadInput("2-D", given(3, 4), ShapeError),
        BadInput("one place", given(3, 4, 1, 1), ShapeError),
        BadInput("weight", given(3, 4, 2, weight=_f32(3)), ShapeError),
        BadInput("weight dtype", given(3, 4, 2, weight=np.zeros(4)), DTypeError),
        BadInput("eps", given(3, 4, 2, eps=-1.0), ArgumentError),
        BadInput("ints", lambda: ((np.zeros((3, 4, 2), int),) * arrays, {}), DTypeError),
        BadInput("not an array", lambda: (([[[1.0, 2.0]]],) * arrays, {}), DTypeError),
    )


instance_norm = op(
    name="instance_norm",
    family="norm",
    signature="x[N,C,...], weight?[C], bias?[C]; eps -> y[N,C,...]",
    shape=_shape,
    reference=reference.instance_norm,
    vjp=_vjp,
    composed_vjp=_composed_vjp,
    saves={"x": (0, 1), "weight": (0,)},
    cost=_cost,
    terms=_terms,
    bound=_bound(lambda x, w, b, eps: _rows_bounded(x, w, b, eps, True), 1),
    samples=_samples(1, 2),
    bad_inputs=_bad(1),
)

instance_norm_backward: OpSpec = op(
    name="instance_norm_backward",
    family="norm",
    signature="g[N,C,...], x[N,C,...], weight?[C]; eps -> dx, dweight, dbias",
    shape=_backward_shape,
    reference=reference.instance_norm_backward,
    cost=_cost,
    terms=_terms,
    bound=_bound(lambda g, x, w, eps: _rows_backward_bounded(g, x, w, eps, True), 2),
    samples=_samples(2, 1),
    bad_inputs=_bad(2),
)
