"""Interpolation of [N, C, spatial...] to other sizes, and its gradient.

Every mode is a linear map along each axis in turn, so the gradient is the same with the transposed
tables (core/resampling.py), and each of the two ops is the other's gradient. Mode 'area' is
adaptive average pooling.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..backends.reference import interpolate as reference
from ..core import checks
from ..core.dtypes import FLOATS
from ..core.errors import ArgumentError, DTypeError, ShapeError
from ..core.shapes import as_bool, as_float, as_ints, is_channels_last
from ..spec import BadInput, Cost, Judged, Out, Plan, Sample, gamma, op

# Each mode with the numbers of dims it is for; the linear and cubic ones may align corners.
MODES = {
    "nearest": (3, 4, 5), "nearest-exact": (3, 4, 5), "area": (3, 4, 5),
    "linear": (3,), "bilinear": (4,), "bicubic": (4,), "trilinear": (5,),
}  # fmt: skip


def _options(
    name: str, ndim: int, mode: Any, align_corners: Any, scale_factor: Any
) -> dict[str, Any]:
    if not isinstance(mode, str) or mode not in MODES:
        raise ArgumentError(f"{name}: mode: got {mode!r}, want one of {', '.join(MODES)}")
    if ndim not in MODES[mode]:
        wanted = " or ".join(f"{n}-D" for n in MODES[mode])
        raise ShapeError(f"{name}: mode {mode!r} wants {wanted}, got {ndim}-D")
    align = as_bool(name, "align_corners", align_corners)
    if align and not mode.endswith(("linear", "cubic")):
        raise ArgumentError(f"{name}: align_corners: got True for mode {mode!r}, want False")
    factors = (None,) * (ndim - 2) if scale_factor is None else tuple(scale_factor)
    if len(factors) != ndim - 2:
        raise ArgumentError(f"{name}: scale_factor: got {factors}, want {ndim - 2} numbers")
    factors = tuple(f if f is None else as_float(name, "scale_factor", f) for f in factors)
    if any(f is not None and not 0 < f < math.inf for f in factors):
        raise ArgumentError(f"{name}: scale_factor: got {factors}, want numbers above 0")
    return {"mode": mode, "align_corners": align, "scale_factor": factors}


def _size(name: str, argument: str, value: Any, axes: int, least: int) -> tuple[int, ...]:
    size = as_ints(name, argument, value)
    if len(size) != axes or not all(least <= n < 2**31 for n in size):
        raise ArgumentError(
            f"{name}: {argument}: got {value!r}, want {axes} sizes of at least {least}"
        )
    return size


def _checked(name: str, argument: str, a: np.ndarray) -> None:
    checks.same_dtype(name, FLOATS, **{argument: a})
    if not 3 <= a.ndim <= 5:
        raise ShapeError(f"{name}: argument {argument} has shape {a.shape}, want 3-D to 5-D")
    if 0 in a.shape[1:]:
        raise ShapeError(
            f"{name}: argument {argument} has shape {a.shape}, want no size 0 but the batch's"
        )


def _shape(
    x: np.ndarray,
    *,
    size: Any,
    mode: Any = "nearest",
    align_corners: Any = False,
    scale_factor: Any = None,
) -> Plan:
    name = "interpolate"
    _checked(name, "x", x)
    options = _options(name, x.ndim, mode, align_corners, scale_factor)
    size = _size(name, "size", size, x.ndim - 2, 1)
    out = Out((*x.shape[:2], *size), x.dtype, is_channels_last(x))
    return Plan((out,), (x,), {"size": size, **options})


def _backward_shape(
    g: np.ndarray,
    *,
    input_size: Any,
    mode: Any = "nearest",
    align_corners: Any = False,
    scale_factor: Any = None,
    channels_last: Any = False,
) -> Plan:
    name = "interpolate_backward"
    _checked(name, "g", g)
    options = _options(name, g.ndim, mode, align_corners, scale_factor)
    size = _size(name, "input_size", input_size, g.ndim - 2, 1)
    layout = as_bool(name, "channels_last", channels_last)
    out = Out((*g.shape[:2], *size), g.dtype, layout)
    return Plan((out,), (g,), {"input_size": size, **options, "channels_last": layout})


def _vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    (x,) = saved.inputs
    options = {k: v for k, v in saved.options.items() if k != "size"}
    size, layout = x.shape[2:], x.channels_last
    return (interpolate_backward(g, input_size=size, channels_last=layout, **options),)


def _backward_vjp(saved: Any, u: Any) -> tuple[Any, ...]:
    kept = ("mode", "align_corners", "scale_factor")
    options = {name: saved.options[name] for name in kept}
    return (interpolate(u, size=saved.inputs[0].shape[2:], **options),)


# --- for the checker and the benchmark ---------------------------------------------------------


def _tables(a: np.ndarray, options: Any) -> list[Any]:
    given = {k: v for k, v in options.items() if k not in ("size", "input_size", "channels_last")}
    if "size" in options:
        return reference.tables(a.shape[2:], options["size"], **given)
    return reference.transposed_tables(options["input_size"], a.shape[2:], **given)


def _terms(a: np.ndarray, **options: Any) -> int:
    return math.prod(max(t.most_terms, 1) for t in _tables(a, options) if t is not None)


def _bound(case: Judged) -> tuple[Any, ...]:
    """γ_n of |weights| · |x|: along an axis of k terms n is k + 1, for the rounding of the weights,
    the products and k − 1 additions; nothing where values are copied.

    Underflow loses `tiny` a term on each of three axes at most, and no weight is above 1.
    """
    (a,) = case.arrays
    tables = _tables(a, case.options)
    roundings, absolute = 0, []
    for t in tables:
        exact = t is None or (t.most_terms == 1 and np.all(t.weight == 1))
        roundings += 0 if exact else t.most_terms + 1
        absolute.append(t and t._replace(weight=np.abs(t.weight)))
    total = reference.mixed(np.abs(a), absolute)
    lost = (3 * case.terms + 1) * case.tiny if roundings else 0
    return (gamma(roundings, case.unit) * total + lost,)


def _cost(shape: Any) -> Any:
    def cost(a: np.ndarray, **options: Any) -> Cost:
        plan = shape(a, **options)
        (y,) = plan.outputs
        size = math.prod(y.shape)
        each = sum(t.most_terms for t in _tables(a, plan.options) if t is not None)
        return Cost(2.0 * size * each, a.nbytes + size * a.itemsize)

    return cost


_CASES: tuple[tuple[str, tuple[int, ...], tuple[int, ...], dict[str, Any]], ...] = (
    ("nearest twice", (2, 3, 5, 4), (10, 8), {}),
    ("nearest uneven", (1, 17, 7, 6), (5, 13), {"mode": "nearest"}),
    ("nearest by factor", (1, 2, 5, 6), (8, 9), {"scale_factor": (1.7, 1.6)}),
    ("nearest-exact", (2, 3, 7, 6), (5, 13), {"mode": "nearest-exact"}),
    ("nearest 1-D", (2, 3, 7), (11,), {"mode": "nearest"}),
    ("nearest 3-D", (1, 2, 3, 4, 5), (5, 4, 7), {"mode": "nearest"}),
    ("linear", (2, 3, 19), (40,), {"mode": "linear"}),
    ("bilinear twice", (2, 5, 4, 5), (8, 10), {"mode": "bilinear"}),
    ("bilinear smaller", (1, 16, 9, 11), (4, 5), {"mode": "bilinear"}),
    ("bilinear corners", (1, 33, 5, 6), (9, 11), {"mode": "bilinear", "align_corners": True}),
    ("bilinear to a pixel", (1, 2, 5, 6), (1, 1), {"mode": "bilinear", "align_corners": True}),
    ("bilinear by factor", (1, 3, 5, 6), (8, 9), {"mode": "bilinear", "scale_factor": (1.7, 1.6)}),
    ("bilinear, one axis", (1, 3, 5, 6), (5, 9), {"mode": "bilinear"}),
    ("bicubic", (2, 3, 6, 5), (9, 13), {"mode": "bicubic"}),
    ("bicubic corners", (1, 2, 6, 5), (4, 9), {"mode": "bicubic", "align_corners": True}),
    ("trilinear", (1, 3, 3, 4, 5), (5, 6, 4), {"mode": "trilinear"}),
    ("area", (2, 17, 10, 11), (4, 3), {"mode": "area"}),
    ("area larger", (1, 3, 4, 5), (6, 5), {"mode": "area"}),
    ("area 1-D", (2, 3, 33), (7,), {"mode": "area"}),
    ("area 3-D", (1, 2, 5, 4, 6), (2, 3, 4), {"mode": "area"}),
    ("same size", (1, 2, 3, 4), (3, 4), {"mode": "bilinear"}),
    ("empty batch", (0, 3, 4, 4), (8, 8), {"mode": "bilinear"}),
)
_BENCH: tuple[tuple[str, tuple[int, ...], tuple[int, ...], dict[str, Any]], ...] = (
    ("unet nearest", (4, 128, 32, 32), (64, 64), {"mode": "nearest"}),
    ("unet bilinear", (4, 128, 32, 32), (64, 64), {"mode": "bilinear", "align_corners": True}),
    ("image", (1, 3, 256, 256), (224, 224), {"mode": "bilinear"}),
    ("area 7x7", (8, 512, 10, 10), (7, 7), {"mode": "area"}),
)


def _samples(backward: bool) -> tuple[Sample, ...]:
    made = []
    for bench, cases in ((False, _CASES), (True, _BENCH)):
        for label, x, size, options in cases:
            for last in (False, True) if len(x) == 4 else (False,):
                shape = (*x[:2], *size) if backward else x
                given = {"input_size": x[2:], "channels_last": last} if backward else {"size": size}
                made.append(
                    Sample(
                        label + (" channels-last" if last else ""), (shape,), {**options, **given},
                        channels_last=last, bench=bench,
                    )
                )  # fmt: skip
    return tuple(made)


def _bad(
    name: str, error: type[Exception], shape: Any = (1, 2, 4, 4), size: Any = (8, 8), **options: Any
) -> BadInput:
    return BadInput(name, lambda: ((np.zeros(shape, "f4"),), {"size": size, **options}), error)


interpolate = op(
    name="interpolate",
    family="interpolate",
    signature="x[N,C,...]; size, mode, align_corners, scale_factor -> y[N,C,...]",
    shape=_shape,
    reference=reference.interpolate,
    vjp=_vjp,
    cost=_cost(_shape),
    terms=_terms,
    bound=_bound,
    samples=_samples(False),
    bad_inputs=(
        _bad("2-D", ShapeError, (4, 4)),
        _bad("no channels", ShapeError, (1, 0, 4, 4)),
        _bad("no rows", ShapeError, (1, 2, 0, 4)),
        _bad("size 0", ArgumentError, size=(0, 4)),
        _bad("three sizes", ArgumentError, size=(4, 4, 4)),
        _bad("size 2.5", DTypeError, size=(2.5, 4)),
        _bad("unknown mode", ArgumentError, mode="quadratic"),
        _bad("mode of another rank", ShapeError, mode="linear"),
        _bad("corners of nearest", ArgumentError, align_corners=True),
        _bad("corners 1", DTypeError, mode="bilinear", align_corners=1),
        _bad("factor 0", ArgumentError, scale_factor=(0.0, 1.0)),
        _bad("one factor", ArgumentError, scale_factor=(2.0,)),
        _bad("unknown option", ArgumentError, scale=2),
        BadInput("int64", lambda: ((np.zeros((1, 2, 4, 4), "i8"),), {"size": (8, 8)}), DTypeError),
        BadInput("list", lambda: (([[[1.0]]],), {"size": (3,)}), DTypeError),
    ),
)

interpolate_backward = op(
    name="interpolate_backward",
    family="interpolate",
    signature="g[N,C,...]; input_size, mode, align_corners, scale_factor, channels_last"
    " -> dx[N,C,...]",
    shape=_backward_shape,
    reference=reference.interpolate_backward,
    vjp=_backward_vjp,
    cost=_cost(_backward_shape),
    terms=_terms,
    bound=_bound,
    samples=_samples(True),
    bad_inputs=(
        BadInput(
            "input_size",
            lambda: ((np.zeros((1, 2, 4, 4), "f4"),), {"input_size": 0}),
            ArgumentError,
        ),
        BadInput("2-D", lambda: ((np.zeros((4, 4), "f4"),), {"input_size": (2, 2)}), ShapeError),
    ),
)
