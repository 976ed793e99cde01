"""Activation functions: each with a fused gradient at x, and torch's derivatives at kinks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..backends.reference import elementwise_activation as reference
from ..core.dtypes import is_float
from ..core.errorbound import bounded
from ..core.errors import ArgumentError, DTypeError, ShapeError, UnsupportedError
from ..core.shapes import as_float, is_channels_last
from ..spec import BadInput, OpSpec, Out, Plan, Sample, exact, exact_value, op
from .elementwise import (
    UNARY_SAMPLES,
    add,
    backward_shape,
    cost_of,
    div,
    erf,
    exp,
    f32,
    format_of,
    gt,
    le,
    lt,
    mul,
    neg,
    operands,
    sigmoid,
    sub,
    sum_like,
    tanh,
    where,
)
from .elementwise_math import absolute
from .shape import promoted

Slope = Callable[..., Any]


def _canonical(name: str, options: Mapping[str, Any], defaults: Mapping[str, float]) -> Any:
    canonical = {key: as_float(name, key, options.get(key, default))
                 for key, default in defaults.items()}  # fmt: skip
    if name.startswith("celu") and canonical["alpha"] == 0:
        raise ArgumentError(f"{name}: alpha: got 0, want another number")
    return canonical


def _forward_shape(name: str, defaults: Mapping[str, float]) -> Callable[..., Plan]:
    def shape(x: Any, **options: Any) -> Plan:
        if not is_float(x.dtype):
            raise DTypeError(f"{name}: x has dtype {x.dtype}, want a float; cast it first")
        canonical = _canonical(name, options, defaults)
        return Plan((Out(x.shape, x.dtype, is_channels_last(x)),), (x,), canonical)

    return shape


def _gradient_shape(name: str, defaults: Mapping[str, float]) -> Callable[..., Plan]:
    checked = backward_shape(name)

    def shape(g: Any, x: Any, **options: Any) -> Plan:
        plan = checked(g, x)
        plan.options.update(_canonical(name, options, defaults))
        return plan

    return shape


BAD = (
    BadInput("not an array", lambda: (([1.0, 2.0],), {}), DTypeError),
    BadInput("python scalar", lambda: ((1.0,), {}), DTypeError),
    BadInput("ints", lambda: ((np.zeros(3, np.int64),), {}), DTypeError),
    BadInput("complex", lambda: ((np.zeros(3, np.complex128),), {}), DTypeError),
    BadInput("out shape", lambda: ((f32(3),), {"out": f32(4)}), ShapeError),
    BadInput("unknown option", lambda: ((f32(3),), {"slop": 2}), ArgumentError),
)
BACKWARD_BAD = (
    BadInput("shapes", lambda: ((f32(3), f32(4)), {}), ShapeError),
    BadInput("ints", lambda: ((np.zeros(3, int), np.zeros(3, int)), {}), DTypeError),
    BadInput("one array", lambda: ((f32(3), "x"), {}), DTypeError),
)


def _bad_option(name: str) -> BadInput:
    return BadInput(f"{name} is text", lambda: ((f32(3),), {name: "much"}), DTypeError)


def activation(
    name: str,
    slope: Slope | None,
    *,
    others: tuple[Mapping[str, float], ...] = (),
    refused: tuple[BadInput, ...] = (),
    bound: Any = None,
    smooth: bool = True,
    **defaults: float,
) -> tuple[OpSpec, OpSpec]:
    """Declares `name` and `name_backward`.

    `slope(g, x, **options)` is g times the derivative, made of ops, for second derivatives; None
    where the second derivative is 0 almost everywhere. `others` are more options to check with,
    `refused` calls that the forward op refuses.
    """
    names = f"; {', '.join(defaults)}" if defaults else ""
    forward_reference = getattr(reference, name)
    backward_reference = getattr(reference, f"{name}_backward")

    def backward_vjp(saved: Any, v: Any) -> tuple[Any, ...]:
        if slope is not None and saved.needs[1]:
            raise UnsupportedError(
                f"{name}_backward has no gradient by x; differentiate {name} with create_graph=True"
            )
        return backward(v, saved.x, **saved.options), None

    def forward_vjp(saved: Any, g: Any) -> tuple[Any, ...]:
        return (backward(g, saved.x, **saved.options),)

    def composed_vjp(saved: Any, g: Any) -> tuple[Any, ...]:
        assert slope is not None
        return (slope(g, saved.x, **saved.options),)

    def samples(count: int) -> tuple[Sample, ...]:
        return (
            *(Sample(s.name, s.arrays * count, channels_last=s.channels_last, bench=s.bench)
              for s in UNARY_SAMPLES),
            *(Sample(f"options {i}", ((5, 33),) * count, more) for i, more in enumerate(others)),
        )  # fmt: skip

    backward: OpSpec = op(
        name=f"{name}_backward",
        family="elementwise",
        signature=f"g, x{names} -> dx",
        shape=_gradient_shape(f"{name}_backward", defaults),
        reference=backward_reference,
        vjp=backward_vjp,
        saves=("x",),
        cost=cost_of,
        bound=bound or bounded(backward_reference),
        samples=samples(2),
        bad_inputs=BACKWARD_BAD,
        elementwise=True,
        smooth=smooth,
    )
    forward = op(
        name=name,
        family="elementwise",
        signature=f"x{names} -> y",
        shape=_forward_shape(name, defaults),
        reference=forward_reference,
        vjp=forward_vjp,
        composed_vjp=composed_vjp if slope is not None else None,
        saves=("x",),
        cost=cost_of,
        bound=bound or bounded(forward_reference),
        samples=samples(1),
        bad_inputs=(*BAD, *map(_bad_option, defaults), *refused),
        elementwise=True,
        smooth=smooth,
    )
    return forward, backward


def _elu_slope(g: Any, x: Any, *, alpha: float, scale: float, input_scale: float) -> Any:
    below = mul(g, mul(exp(mul(x, input_scale)), alpha * scale * input_scale))
    return where(le(x, 0), below, mul(g, scale))


def _selu_slope(g: Any, x: Any) -> Any:
    scale = reference.SELU_SCALE
    return where(le(x, 0), mul(g, mul(exp(x), reference.SELU_ALPHA * scale)), mul(g, scale))


def _celu_slope(g: Any, x: Any, *, alpha: float) -> Any:
    return where(le(x, 0), mul(g, exp(div(x, alpha))), g)


def _gelu_slope(g: Any, x: Any) -> Any:
    below = mul(add(erf(mul(x, reference.ROOT_HALF)), 1), 0.5)
    density = mul(exp(mul(mul(x, x), -0.5)), reference.NORMAL)
    return mul(g, add(below, mul(x, density)))


def _gelu_tanh_slope(g: Any, x: Any) -> Any:
    scale, cube, x2 = reference.TANH_SCALE, reference.TANH_CUBE, mul(x, x)
    t = tanh(mul(x, mul(add(mul(x2, cube), 1), scale)))
    inner = mul(add(mul(x2, 3 * cube), 1), scale)
    bend = mul(mul(mul(x, sub(1, mul(t, t))), inner), 0.5)
    return mul(g, add(mul(add(t, 1), 0.5), bend))


def _silu_slope(g: Any, x: Any) -> Any:
    s = sigmoid(x)
    return mul(g, mul(s, add(mul(x, sub(1, s)), 1)))


def _softplus_slope(g: Any, x: Any, *, beta: float, threshold: float) -> Any:
    t = mul(x, beta)
    return where(gt(t, threshold), g, mul(g, sigmoid(t)))


def _mish_slope(g: Any, x: Any) -> Any:
    t = tanh(softplus(x, beta=1.0, threshold=40.0))
    return mul(g, add(t, mul(mul(x, sigmoid(x)), sub(1, mul(t, t)))))


def _softsign_slope(g: Any, x: Any) -> Any:
    t = add(absolute(x), 1)
    return div(g, mul(t, t))


def _hardswish_slope(g: Any, x: Any) -> Any:
    inside = mul(g, add(div(x, 3), 0.5))
    return where(le(x, -3), 0, where(lt(x, 3), inside, g))


leaky_relu, leaky_relu_backward = activation(
    "leaky_relu", None, others=({"negative_slope": 0.2},), negative_slope=0.01
)
elu, elu_backward = activation(
    "elu",
    _elu_slope,
    others=(
        {"alpha": 1.6732632423543772, "scale": 1.0507009873554805},
        {"alpha": 0.5, "input_scale": 2.0},
    ),
    alpha=1.0,
    scale=1.0,
    input_scale=1.0,
)
selu, selu_backward = activation("selu", _selu_slope)
celu, celu_backward = activation(
    "celu",
    _celu_slope,
    others=({"alpha": 0.3}, {"alpha": 2.0}, {"alpha": -1.5}),
    refused=(BadInput("alpha 0", lambda: ((f32(3),), {"alpha": 0.0}), ArgumentError),),
    alpha=1.0,
)
gelu, gelu_backward = activation("gelu", _gelu_slope)
gelu_tanh, gelu_tanh_backward = activation("gelu_tanh", _gelu_tanh_slope)
silu, silu_backward = activation("silu", _silu_slope)
softplus, softplus_backward = activation(
    "softplus", _softplus_slope, others=({"beta": 2.0, "threshold": 2.0},), beta=1.0, threshold=20.0
)
mish, mish_backward = activation("mish", _mish_slope)
logsigmoid, logsigmoid_backward = activation("logsigmoid", lambda g, x: mul(g, sigmoid(neg(x))))
softsign, softsign_backward = activation("softsign", _softsign_slope)
hardtanh, hardtanh_backward = activation(
    "hardtanh",
    None,
    smooth=False,
    others=({"min_val": 0.0, "max_val": 6.0},),
    min_val=-1.0,
    max_val=1.0,
)
relu6, relu6_backward = activation("relu6", None, smooth=False, bound=exact_value)
hardsigmoid, hardsigmoid_backward = activation("hardsigmoid", None)
hardswish, hardswish_backward = activation("hardswish", _hardswish_slope)
threshold, threshold_backward = activation(
    "threshold",
    None,
    smooth=False,
    others=({"threshold": 0.5, "value": 0.25},),
    bound=exact,
    threshold=0.0,
    value=0.0,
)


def _prelu_shape(x: Any, w: Any) -> Plan:
    common, dtype = operands("prelu", x, w)
    if not is_float(dtype):
        raise DTypeError(f"prelu: got {x.dtype} and {w.dtype}, want floats")
    out = Out(common, dtype, format_of(common, x, w))
    return Plan((out,), (promoted("prelu", x, dtype), promoted("prelu", w, dtype)))


def _prelu_vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    above = gt(saved.x, 0)
    return (
        sum_like(saved, 0, lambda: where(above, g, mul(g, saved.w))),
        sum_like(saved, 1, lambda: where(above, 0, mul(g, saved.x))),
    )


prelu = op(
    name="prelu",
    family="elementwise",
    signature="x, w -> y",
    shape=_prelu_shape,
    reference=reference.prelu,
    vjp=_prelu_vjp,
    saves=("x", "w"),
    cost=cost_of,
    bound=bounded(reference.prelu),
    samples=(
        *(Sample(f"n{n}", ((n,), (1,))) for n in (1, 7, 16, 17, 33)),
        Sample("channels", ((2, 3, 5, 7), (3, 1, 1))),
        Sample("channels last", ((2, 3, 5, 7), (3, 1, 1)), channels_last=True),
        Sample("empty", ((0, 3), (1,))),
        Sample("activations", ((32, 64, 56, 56), (64, 1, 1)), bench=True),
    ),
    bad_inputs=(
        BadInput("shapes", lambda: ((f32(3, 4), f32(3)), {}), ShapeError),
        BadInput("ints", lambda: ((np.zeros(3, int), np.zeros(3, int)), {}), DTypeError),
        BadInput("text", lambda: ((f32(3), "w"), {}), DTypeError),
    ),
    elementwise=True,
)
