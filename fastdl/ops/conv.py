"""Convolution and its two gradients.

All three are the same sum over (n, k, c, p, q, r, s) of an x, a w and a g, each leaving out one of
them; so the gradients of each are the other two, and derivatives of any order come from three ops.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..backends.reference import conv as reference
from ..core import checks
from ..core.errors import ArgumentError, DTypeError, ShapeError
from ..core.shapes import as_bool, as_int, is_channels_last
from ..core.windows import conv_options, conv_size, pair, plane
from ..spec import OPS, BadInput, Cost, Out, Plan, Sample, accumulated, op
from .shape import reshape

# --- shapes ------------------------------------------------------------------------------------


def check_groups(name: str, groups: Any, channels: int, outputs: int, per_group: int | None) -> int:
    """The checked number of groups of x's C and y's K channels; w has `per_group` of C."""
    groups = as_int(name, "groups", groups)
    if groups < 1:
        raise ArgumentError(f"{name}: groups: got {groups!r}, want an int of at least 1")
    if outputs < groups or outputs % groups:
        raise ShapeError(
            f"{name}: {outputs} output channels in {groups} group(s), want a positive multiple"
        )
    if channels % groups:
        raise ShapeError(f"{name}: {channels} input channels in {groups} group(s), want a multiple")
    if per_group is not None and channels != per_group * groups:
        raise ShapeError(
            f"{name}: argument x has {channels} channels, want {per_group * groups}:"
            f" {per_group} of w in {groups} group(s)"
        )
    return groups


def _conv2d_shape(
    x: np.ndarray,
    w: np.ndarray,
    bias: np.ndarray | None,
    *,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: Any = 1,
) -> Plan:
    dtype = checks.same_dtype("conv2d", checks.NUMBERS, x=x, w=w, bias=bias)
    checks.rank("conv2d", "x", x, "N, C, H, W")
    checks.rank("conv2d", "w", w, "K, C/groups, R, S")
    n, c, size = *x.shape[:2], plane(x)
    k, per_group, kernel = *w.shape[:2], plane(w)
    groups = check_groups("conv2d", groups, c, k, per_group)
    if bias is not None:
        checks.shape("conv2d", "bias", bias, (k,))
    options = conv_options("conv2d", kernel, stride, padding, dilation)
    output = conv_size("conv2d", size, kernel, **options)
    k = k if c else 0  # torch: without input channels there are no output channels either
    out = Out((n, k, *output), dtype, is_channels_last(x))
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
    channels_last: Any = False,
) -> Plan:
    name = "conv2d_input_grad"
    dtype = checks.same_dtype(name, checks.NUMBERS, g=g, w=w)
    checks.rank(name, "g", g, "N, K, P, Q")
    checks.rank(name, "w", w, "K, C/groups, R, S")
    size = pair(name, "input_size", input_size, 1)
    k, per_group, kernel = *w.shape[:2], plane(w)
    groups = check_groups(name, groups, 0, k, None)  # w and groups say how many channels x has
    options = conv_options(name, kernel, stride, padding, dilation)
    checks.shape(name, "g", g, (g.shape[0], k, *conv_size(name, size, kernel, **options)))
    layout = as_bool(name, "channels_last", channels_last)
    out = Out((g.shape[0], per_group * groups, *size), dtype, layout)
    options |= {"input_size": size, "groups": groups, "channels_last": layout}
    return Plan((out,), (g, w), options)


def _weight_grad_shape(
    x: np.ndarray,
    g: np.ndarray,
    *,
    kernel_size: Any,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: Any = 1,
    channels_last: Any = False,
) -> Plan:
    name = "conv2d_weight_grad"
    dtype = checks.same_dtype(name, checks.NUMBERS, x=x, g=g)
    checks.rank(name, "x", x, "N, C, H, W")
    checks.rank(name, "g", g, "N, K, P, Q")
    kernel = pair(name, "kernel_size", kernel_size, 1)
    n, c, size = *x.shape[:2], plane(x)
    k = g.shape[1]
    groups = check_groups(name, groups, c, k, None)
    options = conv_options(name, kernel, stride, padding, dilation)
    checks.shape(name, "g", g, (n, k, *conv_size(name, size, kernel, **options)))
    layout = as_bool(name, "channels_last", channels_last)
    out = Out((k, c // groups, *kernel), dtype, layout)
    options |= {"kernel_size": kernel, "groups": groups, "channels_last": layout}
    return Plan((out,), (x, g), options)


# --- gradients ---------------------------------------------------------------------------------

_SHARED = ("stride", "padding", "dilation", "groups")


def _shared(saved: Any) -> dict[str, Any]:
    return {name: saved.options[name] for name in _SHARED}


def _input_grad(saved: Any, position: int, g: Any, w: Any) -> Any:
    """The gradient of the argument at `position`, the one that stands for x."""
    if not saved.needs[position]:
        return None
    meta = saved.inputs[position]
    return conv2d_input_grad(
        g, w, input_size=meta.shape[2:], channels_last=meta.channels_last, **_shared(saved)
    )


def _weight_grad(saved: Any, position: int, x: Any, g: Any) -> Any:
    """The gradient of the argument at `position`, the one that stands for w."""
    if not saved.needs[position]:
        return None
    meta = saved.inputs[position]
    return conv2d_weight_grad(
        x, g, kernel_size=meta.shape[2:], channels_last=meta.channels_last, **_shared(saved)
    )


def _conv2d_vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    if saved.inputs[0].shape[1] == 0:
        return _empty_vjp(saved, g)
    db = OPS["sum"](g, dim=(0, 2, 3), keepdim=False) if saved.needs[2] else None
    return _input_grad(saved, 0, g, saved.w), _weight_grad(saved, 1, saved.x, g), db


def _empty_vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    """Without input channels nothing depends on anything: empty gradients, and zeros for bias."""
    shapes = [meta.shape if meta is not None else () for meta in saved.inputs]
    dx, dw = (reshape(g, shape=shape) for shape in shapes[:2])
    if not saved.needs[2]:
        return dx, dw, None
    rows = reshape(g, shape=(0, *shapes[2]))
    return dx, dw, OPS["sum"](rows, dim=(0,), keepdim=False)


def _input_grad_vjp(saved: Any, u: Any) -> tuple[Any, ...]:
    dg = conv2d(u, saved.w, **_shared(saved)) if saved.needs[0] else None
    return dg, _weight_grad(saved, 1, u, saved.g)


def _weight_grad_vjp(saved: Any, u: Any) -> tuple[Any, ...]:
    dg = conv2d(saved.x, u, **_shared(saved)) if saved.needs[1] else None
    return _input_grad(saved, 0, saved.g, u), dg


# --- for the checker and the benchmark ---------------------------------------------------------


def convolution_terms(
    x: np.ndarray, w: np.ndarray, bias: np.ndarray | None = None, **options: Any
) -> int:
    """Products summed in an output of a convolution of any number of spatial dims, and the bias."""
    return math.prod(w.shape[1:]) + (bias is not None)


def input_grad_terms(
    g: np.ndarray, w: np.ndarray, *, stride: Any, dilation: Any, groups: int, **options: Any
) -> int:
    """Only every s/gcd(s, d)-th tap meets a given row or column under stride s and dilation d."""
    taps = (
        math.ceil(k / (s // math.gcd(s, d)))
        for k, s, d in zip(w.shape[2:], stride, dilation, strict=True)
    )
    return w.shape[0] // groups * math.prod(taps)


def weight_grad_terms(x: np.ndarray, g: np.ndarray, **options: Any) -> int:
    """Places of the outputs, over which a weight's gradient is summed."""
    return g.shape[0] * math.prod(g.shape[2:])


def _conv2d_cost(
    x: np.ndarray, w: np.ndarray, bias: np.ndarray | None = None, **options: Any
) -> Cost:
    (y,) = _conv2d_shape(x, w, bias, **options).outputs
    size = math.prod(y.shape)
    moved = x.nbytes + w.nbytes + size * x.itemsize + (0 if bias is None else bias.nbytes)
    return Cost(2.0 * size * math.prod(w.shape[1:]) + (0 if bias is None else size), moved)


def _input_grad_cost(g: np.ndarray, w: np.ndarray, **options: Any) -> Cost:
    (dx,) = _input_grad_shape(g, w, **options).outputs
    moved = g.nbytes + w.nbytes + math.prod(dx.shape) * g.itemsize
    return Cost(2.0 * g.size * math.prod(w.shape[1:]), moved)


def _weight_grad_cost(x: np.ndarray, g: np.ndarray, **options: Any) -> Cost:
    (dw,) = _weight_grad_shape(x, g, **options).outputs
    moved = x.nbytes + g.nbytes + math.prod(dw.shape) * x.itemsize
    return Cost(2.0 * g.size * math.prod(dw.shape[1:]), moved)


# name, x, w, options; bias, layouts and gradients are derived below
_CASES: tuple[tuple[str, tuple[int, ...], tuple[int, ...], dict[str, Any]], ...] = (
    ("1x1", (2, 3, 5, 4), (4, 3, 1, 1), {}),
    ("one of everything", (1, 1, 1, 1), (1, 1, 1, 1), {}),
    ("3x3", (2, 3, 7, 8), (5, 3, 3, 3), {}),
    ("3x3 same", (1, 3, 9, 17), (17, 3, 3, 3), {"padding": "same"}),
    ("3x3 valid", (1, 3, 6, 6), (2, 3, 3, 3), {"padding": "valid"}),
    ("even kernel same", (1, 2, 6, 7), (3, 2, 2, 4), {"padding": "same"}),
    ("even dilated same", (1, 2, 8, 9), (3, 2, 2, 4), {"padding": "same", "dilation": (3, 2)}),
    ("stride 2", (2, 3, 9, 8), (4, 3, 3, 3), {"stride": 2, "padding": 1}),
    ("uneven", (1, 2, 9, 11), (3, 2, 2, 3), {"stride": (1, 3), "padding": (0, 2)}),
    ("stride beyond kernel", (1, 2, 11, 10), (3, 2, 2, 1), {"stride": (4, 3)}),
    ("dilation", (1, 2, 9, 9), (3, 2, 3, 2), {"dilation": (2, 3), "padding": 1}),
    ("dilation and stride", (1, 2, 12, 13), (3, 2, 3, 3), {"dilation": 2, "stride": 2}),
    ("four paddings", (1, 2, 5, 5), (3, 2, 3, 3), {"padding": ((0, 2), (3, 1))}),
    ("padding beyond kernel", (1, 2, 3, 3), (2, 2, 2, 2), {"padding": 3}),
    ("kernel fills input", (2, 2, 4, 5), (3, 2, 4, 5), {}),
    ("groups", (2, 6, 6, 6), (4, 3, 3, 3), {"groups": 2, "padding": 1}),
    ("depthwise", (1, 17, 7, 7), (17, 1, 3, 3), {"groups": 17, "padding": 1}),
    ("depthwise twice", (1, 5, 6, 6), (10, 1, 3, 3), {"groups": 5, "stride": 2}),
    ("tile tails", (1, 33, 6, 11), (65, 33, 1, 1), {}),
    ("long sum", (1, 40, 5, 5), (3, 40, 5, 5), {"padding": 2}),
    ("empty batch", (0, 3, 5, 5), (4, 3, 3, 3), {}),
    ("no channels", (2, 0, 5, 5), (4, 0, 3, 3), {}),
    ("long sum with bias", (1, 40, 5, 6), (9, 40, 3, 3), {"padding": 1}),  # several blocks of terms
    ("many pixels", (2, 5, 43, 21), (6, 5, 3, 3), {}),  # several parts of a weight's gradient,
    ("many groups", (2, 32, 19, 21), (32, 2, 3, 3), {"groups": 16}),  # and blocks of a part
)
_BENCH: tuple[tuple[str, tuple[int, ...], tuple[int, ...], dict[str, Any]], ...] = (
    ("digits 1", (64, 1, 28, 28), (16, 1, 3, 3), {"padding": 1}),
    ("digits 2", (64, 16, 14, 14), (32, 16, 3, 3), {"padding": 1}),
    ("resnet stem", (1, 3, 224, 224), (64, 3, 7, 7), {"stride": 2, "padding": 3}),
    ("resnet 56", (1, 64, 56, 56), (64, 64, 3, 3), {"padding": 1}),
    ("resnet 14", (1, 256, 14, 14), (256, 256, 3, 3), {"padding": 1}),
    ("pointwise", (1, 256, 56, 56), (64, 256, 1, 1), {}),
    ("depthwise 96", (1, 96, 56, 56), (96, 1, 3, 3), {"padding": 1, "groups": 96}),
)


def _samples(kind: str) -> tuple[Sample, ...]:
    """The cases as samples of conv2d or of one of its gradients, in both memory formats."""
    made = []
    for bench, cases in ((False, _CASES), (True, _BENCH)):
        for number, (label, x, w, options) in enumerate(cases):
            if kind != "conv2d" and x[1] == 0:
                continue
            plan = _conv2d_shape(np.empty(x, "f4"), np.empty(w, "f4"), None, **options)
            g = plan.outputs[0].shape
            arrays: tuple[Any, ...] = (x, w, w[:1] if number % 2 == 0 else None)
            extra: dict[str, Any] = {}
            if kind == "conv2d_input_grad":
                arrays, extra = (g, w), {"input_size": x[2:]}
            elif kind == "conv2d_weight_grad":
                arrays, extra = (x, g), {"kernel_size": w[2:]}
            for last in (False, True):
                layout = {"channels_last": True} if last and extra else {}
                made.append(
                    Sample(
                        label + (" channels-last" if last else ""),
                        arrays,
                        {**options, **extra, **layout},
                        channels_last=last,
                        bench=bench,
                    )
                )
    return tuple(made)


def _bad(
    name: str, error: type[Exception], x: Any = (1, 2, 5, 5), w: Any = (3, 2, 3, 3), **options: Any
) -> BadInput:
    """A call of conv2d on zeros of these shapes."""
    return BadInput(name, lambda: ((np.zeros(x, "f4"), np.zeros(w, "f4")), options), error)


def _bad_grad(name: str, error: type[Exception], *shapes: Any, **options: Any) -> BadInput:
    return BadInput(name, lambda: (tuple(np.zeros(s, "f4") for s in shapes), options), error)


conv2d = op(
    name="conv2d",
    family="conv",
    signature="x[N,C,H,W], w[K,C/g,R,S], bias?[K]; stride, padding, dilation, groups -> y[N,K,P,Q]",
    shape=_conv2d_shape,
    reference=reference.conv2d,
    vjp=_conv2d_vjp,
    saves={"x": (1,), "w": (0,)},
    cost=_conv2d_cost,
    terms=convolution_terms,
    bound=accumulated,
    samples=_samples("conv2d"),
    bad_inputs=(
        _bad("x 2-D", ShapeError, x=(5, 5)),
        _bad("w 3-D", ShapeError, w=(3, 3, 3)),
        _bad("channels", ShapeError, x=(1, 3, 5, 5)),
        _bad("groups do not divide", ShapeError, x=(1, 4, 5, 5), groups=2),
        _bad("no output channels", ShapeError, w=(0, 2, 3, 3)),
        _bad("kernel too large", ShapeError, w=(3, 2, 6, 3)),
        _bad("kernel too large, padded", ShapeError, w=(3, 2, 8, 3), padding=1),
        _bad("kernel too large, dilated", ShapeError, dilation=3),
        _bad("kernel of size 0", ShapeError, w=(3, 2, 0, 3)),
        _bad("no rows", ShapeError, x=(1, 2, 0, 5), padding=2),
        _bad("stride 0", ArgumentError, stride=0),
        _bad("stride of three", ArgumentError, stride=(1, 1, 1)),
        _bad("stride 1.5", DTypeError, stride=1.5),
        _bad("stride True", DTypeError, stride=True),
        _bad("dilation 0", ArgumentError, dilation=(1, 0)),
        _bad("negative padding", ArgumentError, padding=-1),
        _bad("negative bottom", ArgumentError, padding=((0, -1), (0, 0))),
        _bad("half a padding", ArgumentError, padding=((0, 1), 2)),
        _bad("unknown padding", ArgumentError, padding="full"),
        _bad("same with stride", ArgumentError, padding="same", stride=2),
        _bad("groups 0", ArgumentError, groups=0),
        _bad("unknown option", ArgumentError, strides=2),
        BadInput(
            "bias size",
            lambda: ((np.zeros((1, 2, 5, 5)), np.zeros((3, 2, 3, 3)), np.zeros(2)), {}),
            ShapeError,
        ),
        BadInput(
            "dtypes",
            lambda: ((np.zeros((1, 2, 5, 5)), np.zeros((3, 2, 3, 3), "f4")), {}),
            DTypeError,
        ),
        BadInput(
            "bool",
            lambda: ((np.zeros((1, 2, 5, 5), "?"), np.zeros((3, 2, 3, 3), "?")), {}),
            DTypeError,
        ),
        BadInput(
            "object",
            lambda: ((np.zeros((1, 2, 5, 5), "O"), np.zeros((3, 2, 3, 3))), {}),
            DTypeError,
        ),
        BadInput("list", lambda: (([[[[1.0]]]], np.zeros((1, 1, 1, 1))), {}), DTypeError),
        BadInput(
            "out shape",
            lambda: (
                (np.zeros((1, 2, 5, 5)), np.zeros((3, 2, 3, 3))),
                {"out": np.zeros((1, 3, 5, 5))},
            ),
            ShapeError,
        ),
    ),
)

conv2d_input_grad = op(
    name="conv2d_input_grad",
    family="conv",
    signature="g[N,K,P,Q], w[K,C/g,R,S]; input_size, stride, padding, dilation, groups,"
    " channels_last -> dx[N,C,H,W]",
    shape=_input_grad_shape,
    reference=reference.conv2d_input_grad,
    vjp=_input_grad_vjp,
    saves=("g", "w"),
    cost=_input_grad_cost,
    terms=input_grad_terms,
    bound=accumulated,
    samples=_samples("conv2d_input_grad"),
    bad_inputs=(
        _bad_grad("g size", ShapeError, (1, 3, 4, 4), (3, 2, 3, 3), input_size=(5, 5)),
        _bad_grad("g channels", ShapeError, (1, 2, 3, 3), (3, 2, 3, 3), input_size=(5, 5)),
        _bad_grad("input_size", ArgumentError, (1, 3, 3, 3), (3, 2, 3, 3), input_size=(5, 5, 5)),
        _bad_grad("groups", ShapeError, (1, 3, 3, 3), (3, 2, 3, 3), input_size=(5, 5), groups=2),
        _bad_grad("rank", ShapeError, (3, 3, 3), (3, 2, 3, 3), input_size=(5, 5)),
    ),
)

conv2d_weight_grad = op(
    name="conv2d_weight_grad",
    family="conv",
    signature="x[N,C,H,W], g[N,K,P,Q]; kernel_size, stride, padding, dilation, groups,"
    " channels_last -> dw[K,C/g,R,S]",
    shape=_weight_grad_shape,
    reference=reference.conv2d_weight_grad,
    vjp=_weight_grad_vjp,
    saves=("x", "g"),
    cost=_weight_grad_cost,
    terms=weight_grad_terms,
    bound=accumulated,
    samples=_samples("conv2d_weight_grad"),
    bad_inputs=(
        _bad_grad("g size", ShapeError, (1, 2, 5, 5), (1, 3, 4, 4), kernel_size=3),
        _bad_grad("g batch", ShapeError, (1, 2, 5, 5), (2, 3, 3, 3), kernel_size=3),
        _bad_grad("kernel_size 0", ArgumentError, (1, 2, 5, 5), (1, 3, 5, 5), kernel_size=0),
        _bad_grad("kernel too large", ShapeError, (1, 2, 5, 5), (1, 3, 1, 1), kernel_size=6),
        _bad_grad("groups", ShapeError, (1, 3, 5, 5), (1, 4, 3, 3), kernel_size=3, groups=2),
    ),
)
