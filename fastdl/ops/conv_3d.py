"""3-D convolution and its two gradients, each the other two's gradient, as in conv.py."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..backends.reference import conv_3d as reference
from ..core import checks
from ..core.errors import ArgumentError, DTypeError, ShapeError
from ..core.windows import conv_options, conv_size, numbers
from ..spec import OPS, BadInput, Cost, Out, Plan, Sample, accumulated, op
from .conv import check_groups, convolution_terms, input_grad_terms, weight_grad_terms

# --- shapes ------------------------------------------------------------------------------------


def _conv3d_shape(
    x: np.ndarray,
    w: np.ndarray,
    bias: np.ndarray | None,
    *,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: Any = 1,
) -> Plan:
    name = "conv3d"
    dtype = checks.same_dtype(name, checks.NUMBERS, x=x, w=w, bias=bias)
    checks.rank(name, "x", x, "N, C, D, H, W")
    checks.rank(name, "w", w, "K, C/groups, T, R, S")
    if x.shape[1] == 0:
        raise ShapeError(f"{name}: the input has shape {x.shape}, want at least one channel")
    groups = check_groups(name, groups, x.shape[1], w.shape[0], w.shape[1])
    if bias is not None:
        checks.shape(name, "bias", bias, (w.shape[0],))
    options = conv_options(name, w.shape[2:], stride, padding, dilation)
    size = conv_size(name, x.shape[2:], w.shape[2:], **options)
    out = Out((x.shape[0], w.shape[0], *size), dtype)
    return Plan((out,), (x, w, bias), {**options, "groups": groups})


def _input_grad_shape(
    g: np.ndarray,
    w: np.ndarray,
    *,
    input_size: Any,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: Any = 1,
) -> Plan:
    name = "conv3d_input_grad"
    dtype = checks.same_dtype(name, checks.NUMBERS, g=g, w=w)
    checks.rank(name, "g", g, "N, K, O, P, Q")
    checks.rank(name, "w", w, "K, C/groups, T, R, S")
    size = numbers(name, "input_size", input_size, 1, 3)
    groups = check_groups(name, groups, 0, w.shape[0], None)
    options = conv_options(name, w.shape[2:], stride, padding, dilation)
    wanted = conv_size(name, size, w.shape[2:], **options)
    checks.shape(name, "g", g, (g.shape[0], w.shape[0], *wanted))
    out = Out((g.shape[0], w.shape[1] * groups, *size), dtype)
    return Plan((out,), (g, w), {**options, "input_size": size, "groups": groups})


def _weight_grad_shape(
    x: np.ndarray,
    g: np.ndarray,
    *,
    kernel_size: Any,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: Any = 1,
) -> Plan:
    name = "conv3d_weight_grad"
    dtype = checks.same_dtype(name, checks.NUMBERS, x=x, g=g)
    checks.rank(name, "x", x, "N, C, D, H, W")
    checks.rank(name, "g", g, "N, K, O, P, Q")
    kernel = numbers(name, "kernel_size", kernel_size, 1, 3)
    groups = check_groups(name, groups, x.shape[1], g.shape[1], None)
    options = conv_options(name, kernel, stride, padding, dilation)
    wanted = conv_size(name, x.shape[2:], kernel, **options)
    checks.shape(name, "g", g, (x.shape[0], g.shape[1], *wanted))
    out = Out((g.shape[1], x.shape[1] // groups, *kernel), dtype)
    return Plan((out,), (x, g), {**options, "kernel_size": kernel, "groups": groups})


# --- gradients ---------------------------------------------------------------------------------


def _shared(saved: Any) -> dict[str, Any]:
    return {name: saved.options[name] for name in ("stride", "padding", "dilation", "groups")}


def _input_grad(saved: Any, position: int, g: Any, w: Any) -> Any:
    if not saved.needs[position]:
        return None
    return conv3d_input_grad(g, w, input_size=saved.inputs[position].shape[2:], **_shared(saved))


def _weight_grad(saved: Any, position: int, x: Any, g: Any) -> Any:
    if not saved.needs[position]:
        return None
    return conv3d_weight_grad(x, g, kernel_size=saved.inputs[position].shape[2:], **_shared(saved))


def _conv3d_vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    db = OPS["sum"](g, dim=(0, 2, 3, 4), keepdim=False) if saved.needs[2] else None
    return _input_grad(saved, 0, g, saved.w), _weight_grad(saved, 1, saved.x, g), db


def _input_grad_vjp(saved: Any, u: Any) -> tuple[Any, ...]:
    dg = conv3d(u, saved.w, **_shared(saved)) if saved.needs[0] else None
    return dg, _weight_grad(saved, 1, u, saved.g)


def _weight_grad_vjp(saved: Any, u: Any) -> tuple[Any, ...]:
    dg = conv3d(saved.x, u, **_shared(saved)) if saved.needs[1] else None
    return _input_grad(saved, 0, saved.g, u), dg


# --- for the checker and the benchmark ---------------------------------------------------------


def _cost(shape: Any, per_output: Any) -> Any:
    def cost(*arrays: Any, **options: Any) -> Cost:
        given = [a for a in arrays if a is not None]
        missing = (None,) if shape is _conv3d_shape and len(arrays) == 2 else ()
        (y,) = shape(*arrays, *missing, **options).outputs
        moved = sum(a.nbytes for a in given) + math.prod(y.shape) * given[0].itemsize
        return Cost(2.0 * per_output(y.shape, *given[:2]), moved)

    return cost


_CASES: tuple[tuple[str, tuple[int, ...], tuple[int, ...], dict[str, Any]], ...] = (
    ("one of everything", (1, 1, 1, 1, 1), (1, 1, 1, 1, 1), {}),
    ("1x1x1", (2, 3, 4, 5, 3), (4, 3, 1, 1, 1), {}),
    ("1x1x1 stride 2", (2, 3, 4, 5, 3), (4, 3, 1, 1, 1), {"stride": 2}),
    ("3x3x3", (2, 3, 5, 6, 7), (5, 3, 3, 3, 3), {}),
    ("3x3x3 same", (1, 5, 4, 5, 6), (17, 5, 3, 3, 3), {"padding": "same"}),
    ("even kernel same", (1, 2, 4, 5, 3), (3, 2, 2, 3, 4), {"padding": "same", "dilation": 2}),
    ("stride 2", (2, 3, 7, 6, 5), (4, 3, 3, 3, 3), {"stride": 2, "padding": 1}),
    (
        "uneven",
        (1, 2, 9, 5, 7),
        (3, 2, 2, 1, 3),
        {"stride": (3, 1, 2), "padding": (2, 0, 1), "dilation": (2, 1, 1)},
    ),
    ("stride beyond kernel", (1, 2, 8, 5, 4), (3, 2, 2, 1, 1), {"stride": (4, 3, 2)}),
    ("only depth", (1, 2, 6, 3, 3), (3, 2, 3, 1, 1), {"padding": (1, 0, 0)}),
    ("no depth", (2, 3, 3, 6, 5), (4, 3, 1, 3, 3), {"padding": (0, 1, 1)}),
    ("six paddings", (1, 2, 3, 4, 3), (3, 2, 3, 3, 2), {"padding": ((0, 2), (1, 0), (3, 1))}),
    ("padding beyond kernel", (1, 2, 2, 2, 2), (2, 2, 2, 2, 2), {"padding": 3}),
    ("kernel fills input", (2, 2, 3, 4, 5), (3, 2, 3, 4, 5), {}),
    ("groups", (2, 6, 4, 4, 5), (4, 3, 3, 3, 3), {"groups": 2, "padding": 1}),
    ("depthwise", (1, 5, 4, 4, 4), (5, 1, 3, 3, 3), {"groups": 5, "padding": 1}),
    ("empty batch", (0, 3, 4, 5, 5), (4, 3, 3, 3, 3), {}),
)
_BENCH: tuple[tuple[str, tuple[int, ...], tuple[int, ...], dict[str, Any]], ...] = (
    ("r3d stem", (1, 3, 16, 56, 56), (64, 3, 3, 7, 7), {"stride": (1, 2, 2), "padding": (1, 3, 3)}),
    ("r3d 28", (1, 64, 8, 28, 28), (64, 64, 3, 3, 3), {"padding": 1}),
)


def _samples(kind: str) -> tuple[Sample, ...]:
    made = []
    for bench, cases in ((False, _CASES), (True, _BENCH)):
        for number, (label, x, w, options) in enumerate(cases):
            plan = _conv3d_shape(np.empty(x, "f4"), np.empty(w, "f4"), None, **options)
            g = plan.outputs[0].shape
            arrays: tuple[Any, ...] = (x, w, w[:1] if number % 2 == 0 else None)
            extra: dict[str, Any] = {}
            if kind == "conv3d_input_grad":
                arrays, extra = (g, w), {"input_size": x[2:]}
            elif kind == "conv3d_weight_grad":
                arrays, extra = (x, g), {"kernel_size": w[2:]}
            made.append(Sample(label, arrays, {**options, **extra}, bench=bench))
    return tuple(made)


_X, _W = (1, 2, 5, 5, 5), (3, 2, 3, 3, 3)


def _bad(name: str, error: type[Exception], *shapes: Any, **options: Any) -> BadInput:
    return BadInput(name, lambda: (tuple(np.zeros(s, "f4") for s in shapes), options), error)


conv3d = op(
    name="conv3d",
    family="conv",
    signature="x[N,C,D,H,W], w[K,C/g,T,R,S], bias?[K]; stride, padding, dilation, groups"
    " -> y[N,K,O,P,Q]",
    shape=_conv3d_shape,
    reference=reference.conv3d,
    vjp=_conv3d_vjp,
    saves={"x": (1,), "w": (0,)},
    cost=_cost(_conv3d_shape, lambda y, x, w: math.prod(y) * math.prod(w.shape[1:])),
    terms=convolution_terms,
    bound=accumulated,
    samples=_samples("conv3d"),
    bad_inputs=(
        _bad("4-D", ShapeError, _X[1:], _W),
        _bad("w 4-D", ShapeError, _X, _W[1:]),
        _bad("channels", ShapeError, (1, 3, 5, 5, 5), _W),
        _bad("no channels", ShapeError, (1, 0, 5, 5, 5), (3, 0, 3, 3, 3)),
        _bad("groups do not divide", ShapeError, (1, 4, 5, 5, 5), _W, groups=2),
        _bad("kernel too deep", ShapeError, _X, (3, 2, 6, 3, 3)),
        _bad("no planes", ShapeError, (1, 2, 0, 5, 5), _W, padding=2),
        _bad("stride 0", ArgumentError, _X, _W, stride=(1, 0, 1)),
        _bad("stride of two", ArgumentError, _X, _W, stride=(1, 1)),
        _bad("stride 1.5", DTypeError, _X, _W, stride=1.5),
        _bad("negative padding", ArgumentError, _X, _W, padding=-1),
        _bad("same with stride", ArgumentError, _X, _W, padding="same", stride=2),
        _bad("groups 0", ArgumentError, _X, _W, groups=0),
        _bad("bias size", ShapeError, _X, _W, (2,)),
        _bad("unknown option", ArgumentError, _X, _W, strides=2),
        BadInput("dtypes", lambda: ((np.zeros(_X), np.zeros(_W, "f4")), {}), DTypeError),
        BadInput("list", lambda: (([1.0], np.zeros(_W)), {}), DTypeError),
    ),
)

conv3d_input_grad = op(
    name="conv3d_input_grad",
    family="conv",
    signature="g[N,K,O,P,Q], w[K,C/g,T,R,S]; input_size, stride, padding, dilation, groups"
    " -> dx[N,C,D,H,W]",
    shape=_input_grad_shape,
    reference=reference.conv3d_input_grad,
    vjp=_input_grad_vjp,
    saves=("g", "w"),
    cost=_cost(_input_grad_shape, lambda dx, g, w: g.size * math.prod(w.shape[1:])),
    terms=input_grad_terms,
    bound=accumulated,
    samples=_samples("conv3d_input_grad"),
    bad_inputs=(
        _bad("g size", ShapeError, (1, 3, 4, 3, 3), _W, input_size=(5, 5, 5)),
        _bad("input_size", ArgumentError, (1, 3, 3, 3, 3), _W, input_size=(5, 5)),
        _bad("groups", ShapeError, (1, 3, 3, 3, 3), _W, input_size=5, groups=2),
        _bad("rank", ShapeError, (3, 3, 3, 3), _W, input_size=5),
    ),
)

conv3d_weight_grad = op(
    name="conv3d_weight_grad",
    family="conv",
    signature="x[N,C,D,H,W], g[N,K,O,P,Q]; kernel_size, stride, padding, dilation, groups"
    " -> dw[K,C/g,T,R,S]",
    shape=_weight_grad_shape,
    reference=reference.conv3d_weight_grad,
    vjp=_weight_grad_vjp,
    saves=("x", "g"),
    cost=_cost(_weight_grad_shape, lambda dw, x, g: g.size * math.prod(dw[1:])),
    terms=weight_grad_terms,
    bound=accumulated,
    samples=_samples("conv3d_weight_grad"),
    bad_inputs=(
        _bad("g size", ShapeError, _X, (1, 3, 4, 3, 3), kernel_size=3),
        _bad("g batch", ShapeError, _X, (2, 3, 3, 3, 3), kernel_size=3),
        _bad("kernel_size 0", ArgumentError, _X, (1, 3, 5, 5, 5), kernel_size=0),
        _bad("kernel too large", ShapeError, _X, (1, 3, 1, 1, 1), kernel_size=6),
        _bad("groups", ShapeError, (1, 3, 5, 5, 5), (1, 4, 3, 3, 3), kernel_size=3, groups=2),
    ),
)
