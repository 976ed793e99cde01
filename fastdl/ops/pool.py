"""Pooling: maxima and means of windows, and their gradients."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..backends.reference import pool as reference
from ..core import checks
from ..core.dtypes import FLOATS, int64
from ..core.errors import ArgumentError, DTypeError, ShapeError
from ..core.shapes import as_bool, as_int, is_channels_last
from ..core.windows import Pair, empty_windows, pair, pool_options, pool_size
from ..spec import BadInput, Cost, Judged, Out, Plan, Sample, accumulated, gamma, op
from .elementwise import where
from .shape import getitem, reshape

# --- shapes ------------------------------------------------------------------------------------


def _planned(name: str, shape: tuple[int, ...], **given: Any) -> tuple[dict[str, Any], Pair]:
    """Canonical options, and the output's rows and columns, for an input of this shape."""
    options = pool_options(name, **given)
    if shape[1] == 0:
        raise ShapeError(f"{name}: the input has shape {shape}, want at least one channel")
    return options, pool_size(name, (shape[2], shape[3]), **options)


def _max_shape(
    name: str,
    x: np.ndarray,
    *,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: Any = False,
) -> tuple[Out, dict[str, Any]]:
    dtype = checks.same_dtype(name, checks.NUMBERS, x=x)
    checks.rank(name, "x", x, "N, C, H, W")
    options, size = _planned(
        name,
        x.shape,
        kernel_size=kernel_size,
        stride=stride,
        padding=padding,
        dilation=dilation,
        ceil_mode=ceil_mode,
    )
    return Out((*x.shape[:2], *size), dtype, is_channels_last(x)), options


def _max_pool2d_shape(x: np.ndarray, **options: Any) -> Plan:
    y, options = _max_shape("max_pool2d", x, **options)
    return Plan((y,), (x,), options)


def _with_indices_shape(x: np.ndarray, **options: Any) -> Plan:
    y, options = _max_shape("max_pool2d_with_indices", x, **options)
    return Plan((y, y._replace(dtype=int64)), (x,), options)


def _max_backward_shape(g: np.ndarray, x: np.ndarray, **options: Any) -> Plan:
    name = "max_pool2d_backward"
    y, options = _max_shape(name, x, **options)
    checks.same_dtype(name, FLOATS, x=x, g=g)
    checks.shape(name, "g", g, y.shape)
    return Plan((Out(x.shape, x.dtype, is_channels_last(x)),), (g, x), options)


def _avg_options(
    name: str,
    shape: tuple[int, ...],
    *,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: Any = False,
    count_include_pad: Any = True,
    divisor_override: Any = None,
) -> tuple[dict[str, Any], Pair]:
    options, size = _planned(
        name,
        shape,
        kernel_size=kernel_size,
        stride=stride,
        padding=padding,
        dilation=1,
        ceil_mode=ceil_mode,
    )
    del options["dilation"]
    if divisor_override is not None:
        divisor_override = as_int(name, "divisor_override", divisor_override)
        if divisor_override == 0:
            raise ArgumentError(f"{name}: divisor_override: got 0, want None or another int")
    options["count_include_pad"] = as_bool(name, "count_include_pad", count_include_pad)
    options["divisor_override"] = divisor_override
    return options, size


def _avg_pool2d_shape(x: np.ndarray, **options: Any) -> Plan:
    dtype = checks.same_dtype("avg_pool2d", FLOATS, x=x)
    checks.rank("avg_pool2d", "x", x, "N, C, H, W")
    options, size = _avg_options("avg_pool2d", x.shape, **options)
    return Plan((Out((*x.shape[:2], *size), dtype, is_channels_last(x)),), (x,), options)


def _avg_backward_shape(
    g: np.ndarray, *, input_size: Any, channels_last: Any = False, **options: Any
) -> Plan:
    name = "avg_pool2d_backward"
    dtype = checks.same_dtype(name, FLOATS, g=g)
    checks.rank(name, "g", g, "N, C, P, Q")
    shape = (*g.shape[:2], *pair(name, "input_size", input_size, 1))
    options, size = _avg_options(name, shape, **options)
    checks.shape(name, "g", g, (*g.shape[:2], *size))
    layout = as_bool(name, "channels_last", channels_last)
    options |= {"input_size": shape[2:], "channels_last": layout}
    return Plan((Out(shape, dtype, layout),), (g,), options)


# --- gradients ---------------------------------------------------------------------------------


def _max_pool2d_vjp(saved: Any, g: Any, _index: Any = None) -> tuple[Any, ...]:
    return (max_pool2d_backward(g, saved.x, **saved.options),)


def _max_backward_vjp(saved: Any, u: Any) -> tuple[Any, ...]:
    """dx is linear in g; its transpose reads u at the places of the maxima."""
    n, c, h, w = saved.inputs[1].shape
    _, _, p, q = saved.inputs[0].shape
    if not saved.needs[0]:
        return None, None
    _, index = max_pool2d_with_indices(saved.x, **saved.options)
    empty = empty_windows((h, w), (p, q), **saved.options)
    places = np.where(empty, 0, np.asarray(index)).reshape(n * c, p * q)
    planes = reshape(u, shape=(n * c, h * w))
    read = reshape(getitem(planes, index=(np.arange(n * c)[:, None], places)), shape=(n, c, p, q))
    return where(empty, 0, read) if empty.any() else read, None


def _avg_pool2d_vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    (x,) = saved.inputs
    size, layout = x.shape[2:], x.channels_last
    return (avg_pool2d_backward(g, input_size=size, channels_last=layout, **saved.options),)


def _avg_backward_vjp(saved: Any, u: Any) -> tuple[Any, ...]:
    options = dict(saved.options)
    del options["input_size"], options["channels_last"]
    return (avg_pool2d(u, **options),)


# --- for the checker and the benchmark ---------------------------------------------------------


def _window_terms(x: np.ndarray, *, kernel_size: Pair, **options: Any) -> int:
    return math.prod(kernel_size)


def _overlap_terms(g: np.ndarray, *arrays: Any, **options: Any) -> int:
    """How many windows may cover one element of the input."""
    dilation = options.get("dilation", (1, 1))
    axes = zip(options["kernel_size"], options["stride"], dilation, g.shape[2:], strict=True)
    return math.prod(min(math.ceil(k / (s // math.gcd(s, d))), max(n, 1)) for k, s, d, n in axes)


def _scattered(case: Judged) -> tuple[Any, ...]:
    """γ_{depth−1} · Σ|g| over the windows whose maximum an element is: a sum of given terms, the
    first of which is a copy, so that there is no error where windows do not overlap."""
    g, x = case.arrays
    with np.errstate(all="ignore"):
        (sums,) = case.spec.run_reference((np.abs(g), x), case.options)
        return (gamma(case.depth - 1, case.unit) * sums,)


def _cost(spec_shape: Any, operations: Any) -> Any:
    """A Cost: the bytes of all arrays and outputs, and `operations` per element of the smaller."""

    def cost(*arrays: np.ndarray, **options: Any) -> Cost:
        outputs = spec_shape(*arrays, **options).outputs
        moved = sum(a.nbytes for a in arrays)
        moved += sum(math.prod(y.shape) * y.dtype.itemsize for y in outputs)
        windows = min(*(a.size for a in arrays), *(math.prod(y.shape) for y in outputs))
        return Cost(float(windows * operations(options["kernel_size"])), moved)

    return cost


def _taps(kernel_size: Any) -> int:
    return math.prod(pair("cost", "kernel_size", kernel_size, 1))


_SHARED_CASES: tuple[tuple[str, tuple[int, ...], dict[str, Any]], ...] = (
    ("2x2", (2, 3, 8, 8), {"kernel_size": 2}),
    ("2x2 tails", (1, 5, 7, 35), {"kernel_size": 2}),
    ("one", (1, 1, 1, 1), {"kernel_size": 1}),
    ("3x3 stride 2", (2, 3, 9, 8), {"kernel_size": 3, "stride": 2, "padding": 1}),
    ("3x3 overlapping", (1, 17, 8, 9), {"kernel_size": 3, "stride": 1, "padding": 1}),
    ("ceil", (1, 3, 7, 8), {"kernel_size": 3, "stride": 2, "ceil_mode": True}),
    (
        "ceil and padding",
        (1, 3, 6, 8),
        {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True},
    ),
    (
        "ceil beyond the padding",
        (1, 2, 4, 5),
        {"kernel_size": 2, "stride": 3, "padding": 1, "ceil_mode": True},
    ),
    (
        "uneven",
        (1, 3, 9, 11),
        {"kernel_size": (2, 4), "stride": (3, 1), "padding": (1, 2)},
    ),
    ("stride beyond kernel", (1, 3, 11, 12), {"kernel_size": 2, "stride": (5, 3)}),
    ("all of it", (2, 33, 7, 7), {"kernel_size": 7}),
    ("row", (1, 2, 1, 65), {"kernel_size": (1, 5), "stride": 1}),
    ("empty batch", (0, 3, 4, 4), {"kernel_size": 2}),
)
_MAX_CASES = (
    *_SHARED_CASES,
    ("dilation", (1, 3, 9, 10), {"kernel_size": 3, "stride": 1, "dilation": (2, 3)}),
    (
        "dilation, stride, padding",
        (1, 3, 11, 12),
        {"kernel_size": 3, "stride": 2, "padding": 1, "dilation": 2, "ceil_mode": True},
    ),
    # A dilated window steps over an axis shorter than the dilation; it is then the only one there.
    ("stepped over", (1, 3, 2, 2), {"kernel_size": 2, "padding": 1, "dilation": 3}),
    (
        "rows stepped over",
        (2, 17, 2, 9),
        {"kernel_size": (2, 3), "stride": 1, "padding": 1, "dilation": (3, 1)},
    ),
    (
        "columns stepped over",
        (2, 17, 9, 1),
        {
            "kernel_size": (2, 3),
            "stride": (2, 3),
            "padding": 1,
            "dilation": (1, 2),
            "ceil_mode": True,
        },
    ),
)
_PADDED = {"kernel_size": 3, "stride": 2, "padding": 1}
_AVG_CASES = (
    *_SHARED_CASES,
    ("padding not counted", (2, 3, 7, 8), {**_PADDED, "count_include_pad": False}),
    (
        "padding not counted, ceil",
        (1, 3, 6, 8),
        {**_PADDED, "count_include_pad": False, "ceil_mode": True},
    ),
    ("divisor", (1, 3, 7, 8), {**_PADDED, "divisor_override": 5}),
    ("negative divisor", (1, 3, 6, 6), {"kernel_size": 2, "divisor_override": -3}),
)
_BENCH_CASES: tuple[tuple[str, tuple[int, ...], dict[str, Any]], ...] = (
    ("digits", (64, 16, 28, 28), {"kernel_size": 2}),
    ("resnet stem", (8, 64, 112, 112), {"kernel_size": 3, "stride": 2, "padding": 1}),
    ("3x3 stride 1", (1, 192, 28, 28), {"kernel_size": 3, "stride": 1, "padding": 1}),
)


def _samples(name: str) -> tuple[Sample, ...]:
    """The cases as samples of a pooling or of its gradient, in both memory formats."""
    made = []
    of_max = name.startswith("max")
    for bench, cases in ((False, _MAX_CASES if of_max else _AVG_CASES), (True, _BENCH_CASES)):
        for label, x, options in cases:
            shape = _max_pool2d_shape if of_max else _avg_pool2d_shape
            g = shape(np.empty(x, "f4"), **options).outputs[0].shape
            arrays: tuple[Any, ...] = (x,)
            extra: dict[str, Any] = {}
            if name == "max_pool2d_backward":
                arrays = (g, x)
            elif name == "avg_pool2d_backward":
                arrays, extra = (g,), {"input_size": x[2:]}
            for last in (False, True):
                layout = {"channels_last": last} if extra else {}
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


def _bad(name: str, error: type[Exception], *shapes: Any, **options: Any) -> BadInput:
    return BadInput(name, lambda: (tuple(np.zeros(s, "f4") for s in shapes), options), error)


_X = (1, 2, 5, 5)
_SHARED_BAD = (
    _bad("3-D", ShapeError, (2, 5, 5), kernel_size=2),
    _bad("no channels", ShapeError, (2, 0, 5, 5), kernel_size=2),
    _bad("no rows", ShapeError, (2, 2, 0, 5), kernel_size=2, padding=1),
    _bad("kernel too large", ShapeError, _X, kernel_size=6),
    _bad("kernel too large, padded", ShapeError, _X, kernel_size=(8, 2), padding=1),
    _bad("kernel_size 0", ArgumentError, _X, kernel_size=0),
    _bad("kernel_size of three", ArgumentError, _X, kernel_size=(2, 2, 2)),
    _bad("kernel_size 2.0", DTypeError, _X, kernel_size=2.0),
    _bad("stride 0", ArgumentError, _X, kernel_size=2, stride=0),
    _bad("negative padding", ArgumentError, _X, kernel_size=2, padding=-1),
    _bad("padding over half", ArgumentError, _X, kernel_size=3, padding=2),
    _bad("ceil_mode 1", DTypeError, _X, kernel_size=2, ceil_mode=1),
    _bad("unknown option", ArgumentError, _X, kernel_size=2, size=2),
    BadInput("object", lambda: ((np.zeros(_X, "O"),), {"kernel_size": 2}), DTypeError),
    BadInput("complex", lambda: ((np.zeros(_X, "c8"),), {"kernel_size": 2}), DTypeError),
    BadInput("bool", lambda: ((np.zeros(_X, "?"),), {"kernel_size": 2}), DTypeError),
    BadInput("list", lambda: (([[[[1.0]]]],), {"kernel_size": 1}), DTypeError),
)
_MAX_BAD = (
    *_SHARED_BAD,
    _bad("dilation 0", ArgumentError, _X, kernel_size=2, dilation=0),
    _bad("too large, dilated", ShapeError, _X, kernel_size=3, dilation=3),
)

max_pool2d = op(
    name="max_pool2d",
    family="pool",
    signature="x[N,C,H,W]; kernel_size, stride, padding, dilation, ceil_mode -> y[N,C,P,Q]",
    shape=_max_pool2d_shape,
    reference=reference.max_pool2d,
    vjp=_max_pool2d_vjp,
    saves=("x",),
    cost=_cost(_max_pool2d_shape, _taps),
    terms=_window_terms,
    samples=_samples("max_pool2d"),
    bad_inputs=(
        *_MAX_BAD,
        BadInput(
            "out shape",
            lambda: ((np.zeros(_X),), {"kernel_size": 2, "out": np.zeros(_X)}),
            ShapeError,
        ),
    ),
)

max_pool2d_with_indices = op(
    name="max_pool2d_with_indices",
    family="pool",
    signature="x[N,C,H,W]; kernel_size, stride, padding, dilation, ceil_mode"
    " -> y[N,C,P,Q], index[N,C,P,Q]",
    shape=_with_indices_shape,
    reference=reference.max_pool2d_with_indices,
    vjp=_max_pool2d_vjp,
    saves=("x",),
    cost=_cost(_with_indices_shape, _taps),
    terms=_window_terms,
    samples=_samples("max_pool2d_with_indices"),
    bad_inputs=_MAX_BAD,
)

max_pool2d_backward = op(
    name="max_pool2d_backward",
    family="pool",
    signature="g[N,C,P,Q], x[N,C,H,W]; kernel_size, stride, padding, dilation, ceil_mode"
    " -> dx[N,C,H,W]",
    shape=_max_backward_shape,
    reference=reference.max_pool2d_backward,
    vjp=_max_backward_vjp,
    saves=("x",),
    cost=_cost(_max_backward_shape, _taps),
    terms=_overlap_terms,
    bound=_scattered,
    samples=_samples("max_pool2d_backward"),
    bad_inputs=(
        _bad("g size", ShapeError, (1, 2, 3, 3), _X, kernel_size=2),
        _bad("g channels", ShapeError, (1, 3, 2, 2), _X, kernel_size=2),
        _bad("x 3-D", ShapeError, (2, 2, 2), (2, 5, 5), kernel_size=2),
        BadInput(
            "dtypes",
            lambda: ((np.zeros((1, 2, 2, 2), "f4"), np.zeros(_X)), {"kernel_size": 2}),
            DTypeError,
        ),
    ),
)

avg_pool2d = op(
    name="avg_pool2d",
    family="pool",
    signature="x[N,C,H,W]; kernel_size, stride, padding, ceil_mode, count_include_pad,"
    " divisor_override -> y[N,C,P,Q]",
    shape=_avg_pool2d_shape,
    reference=reference.avg_pool2d,
    vjp=_avg_pool2d_vjp,
    cost=_cost(_avg_pool2d_shape, _taps),
    terms=_window_terms,  # n − 1 additions and the division: γ_n of `accumulated`
    bound=accumulated,
    samples=_samples("avg_pool2d"),
    bad_inputs=(
        *_SHARED_BAD,
        _bad("divisor 0", ArgumentError, _X, kernel_size=2, divisor_override=0),
        _bad("divisor 2.5", DTypeError, _X, kernel_size=2, divisor_override=2.5),
        _bad("dilation", ArgumentError, _X, kernel_size=2, dilation=2),
        _bad("count_include_pad", DTypeError, _X, kernel_size=2, count_include_pad=None),
        BadInput("int64", lambda: ((np.zeros(_X, "i8"),), {"kernel_size": 2}), DTypeError),
    ),
)

avg_pool2d_backward = op(
    name="avg_pool2d_backward",
    family="pool",
    signature="g[N,C,P,Q]; input_size, kernel_size, stride, padding, ceil_mode, count_include_pad,"
    " divisor_override, channels_last -> dx[N,C,H,W]",
    shape=_avg_backward_shape,
    reference=reference.avg_pool2d_backward,
    vjp=_avg_backward_vjp,
    cost=_cost(_avg_backward_shape, _taps),
    terms=_overlap_terms,  # each term is a rounded quotient, n − 1 additions: γ_n again
    bound=accumulated,
    samples=_samples("avg_pool2d_backward"),
    bad_inputs=(
        _bad("g size", ShapeError, (1, 2, 3, 3), kernel_size=2, input_size=(5, 5)),
        _bad("input_size", ArgumentError, (1, 2, 2, 2), kernel_size=2, input_size=0),
        _bad("g 3-D", ShapeError, (2, 2, 2), kernel_size=2, input_size=(5, 5)),
    ),
)
