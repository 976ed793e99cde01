"""Transposed convolution: the gradient of a convolution's input, as an op with a bias of its own.

y = conv2d_input_grad(x, w) + bias; so its gradients are conv2d of the upstream one, and
conv2d_weight_grad with the roles of input and output exchanged.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..backends.reference import conv as reference
from ..core import checks
from ..core.errors import ArgumentError, DTypeError, ShapeError
from ..core.shapes import as_int, is_channels_last
from ..core.windows import pair, plane
from ..spec import OPS, BadInput, Cost, Out, Plan, Sample, accumulated, op
from .conv import conv2d, conv2d_weight_grad, input_grad_terms
from .shape import getitem

NAME = "conv_transpose2d"


def _shape(
    x: np.ndarray,
    w: np.ndarray,
    bias: np.ndarray | None,
    *,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: Any = 1,
    dilation: Any = 1,
) -> Plan:
    dtype = checks.same_dtype(NAME, checks.NUMBERS, x=x, w=w, bias=bias)
    checks.rank(NAME, "x", x, "N, C, H, W")
    checks.rank(NAME, "w", w, "C, K/groups, R, S")
    options = {
        "stride": pair(NAME, "stride", stride, 1),
        "padding": pair(NAME, "padding", padding, 0),
        "output_padding": pair(NAME, "output_padding", output_padding, 0),
        "dilation": pair(NAME, "dilation", dilation, 1),
        "groups": as_int(NAME, "groups", groups),
    }
    groups = options["groups"]
    if groups < 1:
        raise ArgumentError(f"{NAME}: groups: got {groups!r}, want an int of at least 1")
    if w.shape[0] < groups or w.shape[0] % groups:
        raise ShapeError(
            f"{NAME}: {w.shape[0]} input channels in {groups} group(s), want a positive multiple"
        )
    if x.shape[1] != w.shape[0]:
        raise ShapeError(f"{NAME}: argument x has {x.shape[1]} channels, want w's {w.shape[0]}")
    channels = w.shape[1] * groups
    if bias is not None:
        checks.shape(NAME, "bias", bias, (channels,))
    size = transposed_size(NAME, plane(x), plane(w), **options)
    return Plan(
        (Out((x.shape[0], channels, *size), dtype, is_channels_last(x)),), (x, w, bias), options
    )


def transposed_size(
    name: str, size: Any, kernel_size: Any, *,
    stride: Any, padding: Any, output_padding: Any, dilation: Any, **options: Any,
) -> tuple[int, ...]:  # fmt: skip
    """The spatial sizes of a transposed convolution's output; ShapeError if there is none."""
    lengths = []
    for n, k, s, p, more, d in zip(
        size, kernel_size, stride, padding, output_padding, dilation, strict=True
    ):
        if n < 1 or k < 1:
            raise ShapeError(
                f"{name}: image {size} with kernel {kernel_size}: want sizes of at least one"
            )
        if more >= max(s, d):
            raise ArgumentError(
                f"{name}: output_padding: got {output_padding}, want less than stride {stride} or"
                f" dilation {dilation}"
            )
        lengths.append((n - 1) * s - 2 * p + d * (k - 1) + more + 1)
        if lengths[-1] < 1:
            raise ShapeError(
                f"{name}: image {size}, kernel {kernel_size} and padding {padding} leave nothing"
            )
    return tuple(lengths)


def _vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    shared = {name: saved.options[name] for name in ("stride", "dilation", "groups")}
    sides, rows = [], []
    axes = (saved.options[name] for name in ("stride", "padding", "output_padding"))
    for size, s, p, more in zip(g.shape[2:], *axes, strict=True):
        # An output padding of a stride or more would be another row of x; what lies beyond the
        # padding met no tap.
        beyond = max(more - p, 0) if more >= s else 0
        sides.append((p, max(p - more, 0) if more >= s else p))
        rows.append(slice(0, size - beyond))
    upstream = g
    if tuple(r.stop for r in rows) != tuple(g.shape[2:]):
        upstream = getitem(g, index=(slice(None), slice(None), *rows))
    shared["padding"] = tuple(sides)
    dx = conv2d(upstream, saved.w, **shared) if saved.needs[0] else None
    dw = db = None
    if saved.needs[1]:
        meta = saved.inputs[1]
        dw = conv2d_weight_grad(
            upstream, saved.x,
            kernel_size=meta.shape[2:], channels_last=meta.channels_last, **shared,
        )  # fmt: skip
    if saved.needs[2]:
        db = OPS["sum"](g, dim=(0, 2, 3), keepdim=False)
    return dx, dw, db


def _terms(x: np.ndarray, w: np.ndarray, bias: np.ndarray | None = None, **options: Any) -> int:
    return input_grad_terms(x, w, **options) + (bias is not None)


def _cost(x: np.ndarray, w: np.ndarray, bias: np.ndarray | None = None, **options: Any) -> Cost:
    (y,) = _shape(x, w, bias, **options).outputs
    size = math.prod(y.shape)
    moved = x.nbytes + w.nbytes + size * x.itemsize + (0 if bias is None else bias.nbytes)
    return Cost(2.0 * x.size * math.prod(w.shape[1:]) + (0 if bias is None else size), moved)


_CASES: tuple[tuple[str, tuple[int, ...], tuple[int, ...], dict[str, Any]], ...] = (
    ("one of everything", (1, 1, 1, 1), (1, 1, 1, 1), {}),
    ("3x3", (2, 3, 5, 6), (3, 5, 3, 3), {}),
    ("3x3 same", (1, 17, 5, 7), (17, 16, 3, 3), {"padding": 1}),
    ("4x4 stride 2", (2, 5, 4, 5), (5, 3, 4, 4), {"stride": 2, "padding": 1}),
    ("of one pixel", (3, 7, 1, 1), (7, 5, 4, 4), {}),
    ("of one pixel, groups", (2, 6, 1, 1), (6, 2, 2, 3), {"groups": 3}),
    ("of one pixel, padded", (2, 3, 1, 1), (3, 2, 4, 4), {"padding": 1}),
    ("output padding", (1, 3, 4, 5), (3, 2, 3, 3), {"stride": 3, "output_padding": (2, 1)}),
    (
        "output padding beyond the stride",
        (1, 2, 4, 5),
        (2, 3, 2, 3),
        {"stride": (1, 2), "padding": (0, 3), "output_padding": (2, 2), "dilation": 3},
    ),
    ("stride beyond kernel", (1, 2, 4, 3), (2, 3, 2, 1), {"stride": (4, 3)}),
    ("dilation", (1, 2, 5, 5), (2, 3, 3, 2), {"dilation": (2, 3), "padding": 1}),
    ("groups", (2, 6, 4, 4), (6, 2, 3, 3), {"groups": 2, "padding": 1}),
    ("depthwise", (1, 17, 5, 5), (17, 1, 3, 3), {"groups": 17, "stride": 2, "padding": 1}),
    ("empty batch", (0, 3, 5, 5), (3, 4, 3, 3), {}),
)  # fmt: skip
_BENCH: tuple[tuple[str, tuple[int, ...], tuple[int, ...], dict[str, Any]], ...] = (
    ("dcgan 1", (64, 100, 1, 1), (100, 512, 4, 4), {}),
    ("dcgan 3", (64, 256, 8, 8), (256, 128, 4, 4), {"stride": 2, "padding": 1}),
    ("unet 2x2", (4, 128, 28, 28), (128, 64, 2, 2), {"stride": 2}),
)


def _samples() -> tuple[Sample, ...]:
    return tuple(
        Sample(
            label + (" channels-last" if last else ""),
            (x, w, (w[1] * options.get("groups", 1),) if number % 2 == 0 else None),
            options,
            channels_last=last,
            bench=bench,
        )
        for bench, cases in ((False, _CASES), (True, _BENCH))
        for number, (label, x, w, options) in enumerate(cases)
        for last in (False, True)
    )


def _bad(
    name: str, error: type[Exception], x: Any = (1, 2, 5, 5), w: Any = (2, 3, 3, 3), **options: Any
) -> BadInput:
    return BadInput(name, lambda: ((np.zeros(x, "f4"), np.zeros(w, "f4")), options), error)


conv_transpose2d = op(
    name=NAME,
    family="conv",
    signature="x[N,C,H,W], w[C,K/g,R,S], bias?[K]; stride, padding, output_padding, groups,"
    " dilation -> y[N,K,P,Q]",
    shape=_shape,
    reference=reference.conv_transpose2d,
    vjp=_vjp,
    saves={"x": (1,), "w": (0,)},
    cost=_cost,
    terms=_terms,
    bound=accumulated,
    samples=_samples(),
    bad_inputs=(
        _bad("x 2-D", ShapeError, x=(5, 5)),
        _bad("w 3-D", ShapeError, w=(2, 3, 3)),
        _bad("channels", ShapeError, x=(1, 3, 5, 5)),
        _bad("groups do not divide", ShapeError, groups=3),
        _bad("groups 0", ArgumentError, groups=0),
        _bad("padded away", ShapeError, padding=4),
        _bad("no rows", ShapeError, x=(1, 2, 0, 5)),
        _bad("kernel of size 0", ShapeError, w=(2, 3, 0, 3)),
        _bad("output_padding as the stride", ArgumentError, stride=2, output_padding=2),
        _bad("negative output_padding", ArgumentError, stride=2, output_padding=-1),
        _bad("negative padding", ArgumentError, padding=-1),
        _bad("padding by name", DTypeError, padding="same"),
        _bad("stride 0", ArgumentError, stride=0),
        _bad("dilation 0", ArgumentError, dilation=(1, 0)),
        _bad("stride 1.5", DTypeError, stride=1.5),
        _bad("unknown option", ArgumentError, strides=2),
        BadInput(
            "bias size",
            lambda: ((np.zeros((1, 2, 5, 5)), np.zeros((2, 3, 3, 3)), np.zeros(2)), {}),
            ShapeError,
        ),
        BadInput(
            "dtypes",
            lambda: ((np.zeros((1, 2, 5, 5)), np.zeros((2, 3, 3, 3), "f4")), {}),
            DTypeError,
        ),
        BadInput("list", lambda: (([[[[1.0]]]], np.zeros((1, 1, 1, 1))), {}), DTypeError),
        BadInput(
            "out shape",
            lambda: (
                (np.zeros((1, 2, 5, 5)), np.zeros((2, 3, 3, 3))),
                {"out": np.zeros((1, 3, 5, 5))},
            ),
            ShapeError,
        ),
    ),
)  # fmt: skip
