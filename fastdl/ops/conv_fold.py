"""Windows of images as columns (im2col) and columns added back (col2im), each the other's
gradient."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..backends.reference import conv_fold as reference
from ..core import checks
from ..core.dtypes import FLOATS
from ..core.errors import ArgumentError, DTypeError, ShapeError
from ..core.shapes import as_bool
from ..core.windows import fold_size, pair, plane
from ..spec import BadInput, Cost, Out, Plan, Sample, accumulated, exact, op


def _options(
    name: str, kernel_size: Any, dilation: Any, padding: Any, stride: Any
) -> dict[str, Any]:
    return {
        "kernel_size": pair(name, "kernel_size", kernel_size, 1),
        "dilation": pair(name, "dilation", dilation, 1),
        "padding": pair(name, "padding", padding, 0),
        "stride": pair(name, "stride", stride, 1),
    }


def _unfold_shape(
    x: np.ndarray, *, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Plan:
    dtype = checks.same_dtype("unfold", FLOATS, x=x)
    checks.rank("unfold", "x", x, "N, C, H, W")
    if x.shape[1] == 0:
        raise ShapeError(f"unfold: the input has shape {x.shape}, want at least one channel")
    options = _options("unfold", kernel_size, dilation, padding, stride)
    size = fold_size("unfold", plane(x), **options)
    channels = x.shape[1] * math.prod(options["kernel_size"])
    return Plan((Out((x.shape[0], channels, math.prod(size)), dtype),), (x,), options)


def _fold_shape(
    x: np.ndarray, *,
    output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1,
    channels_last: Any = False,
) -> Plan:  # fmt: skip
    dtype = checks.same_dtype("fold", FLOATS, x=x)
    checks.rank("fold", "x", x, "N, C·R·S, L")
    options = _options("fold", kernel_size, dilation, padding, stride)
    image = pair("fold", "output_size", output_size, 1)
    windows = math.prod(fold_size("fold", image, **options))
    taps = math.prod(options["kernel_size"])
    if x.shape[1] == 0 or x.shape[1] % taps or x.shape[2] != windows:
        raise ShapeError(
            f"fold: argument x has shape {x.shape}, want a multiple of {taps} channels and"
            f" {windows} columns"
        )
    layout = as_bool("fold", "channels_last", channels_last)
    out = Out((x.shape[0], x.shape[1] // taps, *image), dtype, layout)
    return Plan((out,), (x,), {"output_size": image, **options, "channels_last": layout})


_SHARED = ("kernel_size", "dilation", "padding", "stride")


def _unfold_vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    (x,) = saved.inputs
    return (fold(g, output_size=x.shape[2:], channels_last=x.channels_last, **saved.options),)


def _fold_vjp(saved: Any, u: Any) -> tuple[Any, ...]:
    return (unfold(u, **{name: saved.options[name] for name in _SHARED}),)


def _fold_terms(x: np.ndarray, **options: Any) -> int:
    axes = zip(options["kernel_size"], options["stride"], options["dilation"], strict=True)
    return math.prod(math.ceil(k / (s // math.gcd(s, d))) for k, s, d in axes)


def _cost(shape: Any) -> Any:
    def cost(x: np.ndarray, **options: Any) -> Cost:
        (y,) = shape(x, **options).outputs
        return Cost(float(x.size), x.nbytes + math.prod(y.shape) * x.itemsize)

    return cost


_CASES: tuple[tuple[str, tuple[int, ...], dict[str, Any]], ...] = (
    ("3x3", (2, 3, 5, 6), {"kernel_size": 3}),
    ("one", (1, 1, 1, 1), {"kernel_size": 1}),
    ("padded", (1, 5, 4, 7), {"kernel_size": 3, "padding": 1}),
    ("patches", (2, 3, 8, 8), {"kernel_size": 4, "stride": 4}),
    (
        "uneven",
        (1, 2, 9, 7),
        {"kernel_size": (2, 3), "stride": (3, 1), "padding": (1, 2), "dilation": (2, 1)},
    ),
    ("padding beyond kernel", (1, 2, 2, 3), {"kernel_size": 2, "padding": 3}),
    ("empty batch", (0, 2, 4, 4), {"kernel_size": 2}),
)
_BENCH = (("56 3x3", (1, 64, 56, 56), {"kernel_size": 3, "padding": 1}),)


def _samples(folding: bool) -> tuple[Sample, ...]:
    made = []
    for bench, cases in ((False, _CASES), (True, _BENCH)):
        for label, x, options in cases:
            columns = _unfold_shape(np.empty(x, "f4"), **options).outputs[0].shape
            for last in (False, True):
                given = {"output_size": x[2:], "channels_last": last} if folding else {}
                made.append(
                    Sample(
                        label + (" channels-last" if last else ""), (columns if folding else x,),
                        {**options, **given}, channels_last=last, bench=bench,
                    )
                )  # fmt: skip
    return tuple(made)


def _bad(name: str, error: type[Exception], shape: Any, **options: Any) -> BadInput:
    return BadInput(name, lambda: ((np.zeros(shape, "f4"),), options), error)


_X = (1, 2, 5, 5)

unfold = op(
    name="unfold",
    family="conv",
    signature="x[N,C,H,W]; kernel_size, dilation, padding, stride -> y[N,K,L]",
    shape=_unfold_shape,
    reference=reference.unfold,
    vjp=_unfold_vjp,
    cost=_cost(_unfold_shape),
    bound=exact,
    samples=_samples(False),
    bad_inputs=(
        _bad("3-D", ShapeError, (2, 5, 5), kernel_size=2),
        _bad("no channels", ShapeError, (2, 0, 5, 5), kernel_size=2),
        _bad("kernel too large", ShapeError, _X, kernel_size=6),
        _bad("kernel_size 0", ArgumentError, _X, kernel_size=0),
        _bad("stride 0", ArgumentError, _X, kernel_size=2, stride=0),
        _bad("negative padding", ArgumentError, _X, kernel_size=2, padding=-1),
        _bad("kernel_size 2.0", DTypeError, _X, kernel_size=2.0),
        BadInput("int64", lambda: ((np.zeros(_X, "i8"),), {"kernel_size": 2}), DTypeError),
        BadInput("list", lambda: (([[[[1.0]]]],), {"kernel_size": 1}), DTypeError),
    ),
)

fold = op(
    name="fold",
    family="conv",
    signature="x[N,K,L]; output_size, kernel_size, dilation, padding, stride, channels_last"
    " -> y[N,C,H,W]",
    shape=_fold_shape,
    reference=reference.fold,
    vjp=_fold_vjp,
    cost=_cost(_fold_shape),
    terms=_fold_terms,
    bound=accumulated,
    samples=_samples(True),
    bad_inputs=(
        _bad("4-D", ShapeError, (1, 4, 2, 2), output_size=3, kernel_size=2),
        _bad("channels", ShapeError, (1, 3, 4), output_size=3, kernel_size=2),
        _bad("columns", ShapeError, (1, 4, 5), output_size=3, kernel_size=2),
        _bad("kernel too large", ShapeError, (1, 16, 1), output_size=3, kernel_size=4),
        _bad("output_size 0", ArgumentError, (1, 4, 4), output_size=0, kernel_size=2),
    ),
)
