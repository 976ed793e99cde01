"""Power-average pooling of images and volumes: the p-norm of every window."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from ..backends.reference import pool_lp as reference
from ..core import checks
from ..core.dtypes import FLOATS
from ..core.errorbound import Bounded, bounded, gamma
from ..core.errors import ArgumentError, DTypeError, ShapeError
from ..core.shapes import as_bool, as_float, is_channels_last
from ..core.windows import numbers
from ..spec import BadInput, Cost, NonNegative, OpSpec, Out, Plan, Sample, op
from .elementwise import eq, mul, where
from .elementwise_math import pow
from .pool import avg_pool2d_backward
from .shape import reshape

Sizes = tuple[int, ...]
_DIMS = {2: "N, C, H, W", 3: "N, C, D, H, W"}


def _checked(
    name: str, axes: int, x: Any, norm_type: Any, kernel_size: Any, stride: Any, ceil_mode: Any
) -> tuple[Sizes, dict[str, Any]]:
    """The shape of y, and the canonical options."""
    checks.same_dtype(name, FLOATS, x=x)
    checks.rank(name, "x", x, _DIMS[axes])
    p = as_float(name, "norm_type", norm_type)
    if p == 0 or not math.isfinite(p):
        raise ArgumentError(f"{name}: norm_type: got {norm_type}, want a finite number but 0")
    kernel = numbers(name, "kernel_size", kernel_size, 1, axes)
    unset = stride is None or (isinstance(stride, (tuple, list)) and not stride)
    steps = kernel if unset else numbers(name, "stride", stride, 1, axes)
    if x.shape[1] == 0:
        raise ShapeError(f"{name}: the input has shape {x.shape}, want at least one channel")
    if any(k > n for k, n in zip(kernel, x.shape[2:], strict=True)):
        raise ShapeError(f"{name}: the kernel {kernel} is larger than the input {x.shape[2:]}")
    ceil = as_bool(name, "ceil_mode", ceil_mode)
    output = reference.output_size(x.shape[2:], kernel, steps, ceil)
    options = {"norm_type": p, "kernel_size": kernel, "stride": steps, "ceil_mode": ceil}
    return (*x.shape[:2], *output), options


def _shape_of(name: str, axes: int) -> Any:
    def shape(
        x: Any, norm_type: Any, kernel_size: Any, stride: Any = None, ceil_mode: Any = False
    ) -> Plan:
        size, options = _checked(name, axes, x, norm_type, kernel_size, stride, ceil_mode)
        return Plan((Out(size, x.dtype, is_channels_last(x)),), (x,), options)

    return shape


def _backward_shape_of(name: str, axes: int) -> Any:
    def shape(
        g: Any, x: Any, y: Any, norm_type: Any, kernel_size: Any, stride: Any = None,
        ceil_mode: Any = False,
    ) -> Plan:  # fmt: skip
        size, options = _checked(name, axes, x, norm_type, kernel_size, stride, ceil_mode)
        checks.same_dtype(name, FLOATS, x=x, g=g, y=y)
        checks.shape(name, "g", g, size)
        checks.shape(name, "y", y, size)
        return Plan((Out(x.shape, x.dtype, is_channels_last(x)),), (g, x, y), options)

    return shape


# --- gradients ---------------------------------------------------------------------------------


def _spread(q: Any, like: Any, *, kernel_size: Sizes, stride: Sizes, ceil_mode: bool) -> Any:
    """Every window's q over its number of elements, to all of them; of volumes by planes."""
    shared = {"ceil_mode": ceil_mode, "count_include_pad": False}
    if len(like.shape) == 4:
        return avg_pool2d_backward(
            q, input_size=like.shape[2:], kernel_size=kernel_size, stride=stride,
            channels_last=like.channels_last, **shared,
        )  # fmt: skip
    n, c, m, *size = q.shape
    d, h, w = like.shape[2:]
    plane = math.prod(size)
    across = avg_pool2d_backward(
        reshape(q, shape=(n, c, m, plane)), input_size=(d, plane),
        kernel_size=(kernel_size[0], 1), stride=(stride[0], 1), **shared,
    )  # fmt: skip
    planes = avg_pool2d_backward(
        reshape(across, shape=(n, c * d, *size)), input_size=(h, w), kernel_size=kernel_size[1:],
        stride=stride[1:], **shared,
    )  # fmt: skip
    return reshape(planes, shape=like.shape)


def _composed_vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    options = dict(saved.options)
    p, zero = options.pop("norm_type"), eq(saved.y, 0)
    if p == 1:
        steep = where(zero, 0.0, g)
    else:
        steep = where(zero, 0.0, mul(g, pow(where(zero, 1.0, saved.y), 1 - p)))
    if 0 in saved.inputs[0].shape:
        return (mul(saved.x, 0.0),)
    dx = _spread(mul(steep, math.prod(options["kernel_size"])), saved.inputs[0], **options)
    return (dx if p == 1 else mul(dx, pow(saved.x, p - 1)),)


# --- bounds ------------------------------------------------------------------------------------


def _powered(x: Bounded, p: float) -> Bounded:
    """x^p, which is |x|^p, its negative, or NaN."""
    if p == 1:
        return x
    if p == 2:
        return (x * x).in_range()
    power = abs(x).power(p).in_range()
    return power._make(np.power(x.value, x.value.dtype.type(p)), power.error)


def _bounded(
    x: Bounded, *, norm_type: float, kernel_size: Sizes, stride: Sizes, ceil_mode: bool
) -> Bounded:
    size, p = x.value.shape[2:], norm_type
    output = reference.output_size(size, kernel_size, stride, ceil_mode)
    powers = _powered(x, p)
    value, error, magnitude = (
        reference.windows(a, output, kernel_size, stride)
        for a in (powers.value, powers.error, np.abs(powers.value))
    )
    taps = math.prod(kernel_size)
    count = x.exactly(
        np.broadcast_to(reference.counts(size, output, kernel_size, stride), value.shape[1:])
        .astype(x.value.dtype)
    )  # fmt: skip
    sums = replace(powers, value=value, error=error).sum(0)
    # No bound where a partial sum, or the sum times the taps, may leave the range.
    largest = (replace(powers, value=magnitude, error=error).sum(0) * float(taps)).in_range()
    sums = replace(sums, error=np.where(np.isinf(largest.error), np.inf, sums.error))
    sums = (sums / count) * float(taps)
    if p == 1:
        return sums
    root = abs(sums).root(p).in_range()
    # A sum with a negative term may come out on the other side of 0, or as 0.
    unsure = (magnitude.sum(0) > value.sum(0)) & (np.abs(sums.value) <= sums.error)
    exact = np.power(sums.value, 1 / sums.value.dtype.type(p))
    return replace(root, value=exact, error=np.where(unsure, np.inf, root.error))


def _gradient_bounded(
    g: Bounded, x: Bounded, y: Bounded, *, norm_type: float, kernel_size: Sizes, stride: Sizes,
    ceil_mode: bool,
) -> Bounded:  # fmt: skip
    p, size, output = norm_type, x.value.shape[2:], y.value.shape[2:]
    q = g if p == 1 else g / y if p == 2 else g * _powered(y, 1 - p)
    count = x.exactly(
        np.broadcast_to(reference.counts(size, output, kernel_size, stride), y.value.shape)
        .astype(x.value.dtype)
    )  # fmt: skip
    share = (q.in_range().where(y.value != 0) * float(math.prod(kernel_size))).in_range() / count
    value, error, magnitude = (
        reference.spread(a, size, kernel_size, stride)
        for a in (share.value, share.error, np.abs(share.value) + share.error)
    )
    rounding = gamma(share.depth, share.unit) * magnitude
    sums = share._make(value, error + rounding).in_range()
    return sums if p == 1 else sums * _powered(x, p - 1)


# --- samples -----------------------------------------------------------------------------------

_IMAGES: tuple[tuple[str, Sizes, dict[str, Any]], ...] = (
    ("2x2", (2, 3, 8, 8), {"kernel_size": 2}),
    ("tails", (1, 5, 7, 35), {"kernel_size": 2}),
    ("one", (1, 1, 1, 1), {"kernel_size": 1}),
    ("overlapping", (1, 3, 8, 17), {"kernel_size": 3, "stride": 1}),
    ("uneven", (1, 3, 9, 11), {"kernel_size": (2, 4), "stride": (3, 1)}),
    ("stride beyond kernel", (1, 3, 11, 12), {"kernel_size": 2, "stride": (5, 3)}),
    ("ceil", (1, 3, 7, 8), {"kernel_size": 3, "stride": 2, "ceil_mode": True}),
    ("ceil, no window beyond", (1, 2, 4, 5), {"kernel_size": 1, "stride": 3, "ceil_mode": True}),
    ("row", (1, 2, 1, 65), {"kernel_size": (1, 5), "stride": 1}),
    ("nobody", (0, 3, 4, 4), {"kernel_size": 2}),
)
_VOLUMES: tuple[tuple[str, Sizes, dict[str, Any]], ...] = (
    ("2x2x2", (2, 3, 4, 6, 8), {"kernel_size": 2}),
    ("overlapping", (1, 2, 5, 4, 7), {"kernel_size": (3, 2, 3), "stride": 1}),
    ("ceil", (1, 2, 5, 7, 6), {"kernel_size": (2, 3, 2), "stride": (2, 2, 4), "ceil_mode": True}),
    ("nobody", (0, 3, 2, 2, 2), {"kernel_size": 2}),
)
_POWERS = (1.0, 2.5, 3.0, 4.0, 0.5, -1.0)
_BENCH: dict[int, tuple[Sizes, dict[str, Any]]] = {
    2: ((16, 64, 56, 56), {"kernel_size": 2}),
    3: ((2, 16, 16, 28, 28), {"kernel_size": 2}),
}


def _samples(axes: int, backward: bool) -> tuple[Sample, ...]:
    def case(name: str, x: Sizes, options: dict[str, Any], p: float = 2.0, **more: Any) -> Sample:
        given = {"norm_type": p, **options}
        y = _checked(name, axes, np.empty(x, "f4"), **{"stride": None, "ceil_mode": False, **given})
        # Of numbers of both signs such roots exist here and there (of p = 3, where their powers do
        # not underflow: the root of 0 is 0, that of a negative number NaN), and reciprocals cancel.
        image = x if p in (1, 2, 4) else NonNegative(x)
        arrays = (y[0], image, NonNegative(y[0])) if backward else (image,)
        return Sample(name, arrays, given, **more)

    shapes = _IMAGES if axes == 2 else _VOLUMES
    powers = [case(f"p {p}", *shapes[0][1:], p) for p in _POWERS]
    return (
        *(case(*given) for given in shapes),
        *powers,
        *(case(f"ceil, p {p}", (1, 3, 7, 8), {"kernel_size": 3, "ceil_mode": True}, p)
          for p in (1.0, 3.0) if axes == 2),
        *((case("channels last", (2, 5, 6, 7), {"kernel_size": 2}, channels_last=True),)
          if axes == 2 else ()),
        case("bench", *_BENCH[axes], bench=True),
    )  # fmt: skip


def _bad(axes: int, backward: bool) -> tuple[BadInput, ...]:
    x, small = np.zeros((1, 2, *(5,) * axes), "f4"), np.zeros((1, 2, *(2,) * axes), "f4")

    def given(a: Any = x, **options: Any) -> Any:
        arrays = (small, a, small) if backward else (a,)
        return lambda: (arrays, {"norm_type": 2, "kernel_size": 2, **options})

    return (
        BadInput("rank", given(x[0]), ShapeError),
        BadInput("no channels", given(x[:, :0]), ShapeError),
        BadInput("kernel too large", given(kernel_size=6), ShapeError),
        BadInput("kernel_size 0", given(kernel_size=0), ArgumentError),
        BadInput("kernel_size of four", given(kernel_size=(2, 2, 2, 2)), ArgumentError),
        BadInput("kernel_size 2.0", given(kernel_size=2.0), DTypeError),
        BadInput("stride 0", given(stride=0), ArgumentError),
        BadInput("norm_type 0", given(norm_type=0), ArgumentError),
        BadInput("norm_type inf", given(norm_type=math.inf), ArgumentError),
        BadInput("norm_type", given(norm_type="two"), DTypeError),
        BadInput("ceil_mode 1", given(ceil_mode=1), DTypeError),
        BadInput("ints", given(x.astype(int)), DTypeError),
        BadInput("not an array", given([1.0]), DTypeError),
        *((BadInput("gradient", given(kernel_size=3), ShapeError),) if backward else ()),
    )


def _terms(*arrays: Any, kernel_size: Sizes, **options: Any) -> int:
    return math.prod(kernel_size)


def _declare(axes: int) -> tuple[OpSpec, OpSpec]:
    name, dims = f"lp_pool{axes}d", _DIMS[axes].replace(" ", "")
    options = "norm_type, kernel_size, stride, ceil_mode"
    windows = "N,C,P,Q" if axes == 2 else "N,C,O,P,Q"
    backward = op(
        name=f"{name}_backward",
        family="pool",
        signature=f"g[{windows}], x[{dims}], y[{windows}]; {options} -> dx[{dims}]",
        shape=_backward_shape_of(f"{name}_backward", axes),
        reference=reference.lp_pool2d_backward,
        cost=lambda g, x, y, **_: Cost(3 * x.size + 3 * y.size, 2 * (x.nbytes + y.nbytes)),
        terms=_terms,
        bound=bounded(_gradient_bounded),
        samples=_samples(axes, backward=True),
        bad_inputs=_bad(axes, backward=True),
    )

    def vjp(saved: Any, g: Any) -> tuple[Any, ...]:
        return (backward(g, saved.x, saved.y, **saved.options),)

    forward = op(
        name=name,
        family="pool",
        signature=f"x[{dims}]; {options} -> y[{windows}]",
        shape=_shape_of(name, axes),
        reference=reference.lp_pool2d,
        vjp=vjp,
        composed_vjp=_composed_vjp,
        saves=("x", "y"),
        cost=lambda x, **o: Cost(2 * x.size, x.nbytes * (1 + 1 / math.prod(o["kernel_size"]))),
        terms=_terms,
        bound=bounded(_bounded),
        samples=_samples(axes, backward=False),
        bad_inputs=_bad(axes, backward=False),
    )
    return forward, backward


lp_pool2d, lp_pool2d_backward = _declare(2)
lp_pool3d, lp_pool3d_backward = _declare(3)
