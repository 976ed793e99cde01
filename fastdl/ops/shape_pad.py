"""Padding: with a constant, on any dims; or from the input itself, on spatial ones.

The gradient of the first is the first with the opposite padding; of the others, `pad_backward`
adds up what came of each input.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..backends.reference import shape_pad as reference
from ..core import checks
from ..core.dtypes import FLOATS
from ..core.errors import ArgumentError, DTypeError, ShapeError
from ..core.shapes import as_bool, as_float, as_ints, is_channels_last
from ..spec import BadInput, Cost, Out, Plan, Sample, accumulated, exact, op
from .shape import NUMERIC, getitem

MODES = ("constant", "reflect", "replicate", "circular")
Sides = tuple[tuple[int, int], ...]


def _sides(name: str, padding: Any, ndim: int) -> Sides:
    """The (before, after) of every dim."""
    if not isinstance(padding, (tuple, list)) or len(padding) != ndim:
        raise ArgumentError(
            f"{name}: padding: got {padding!r}, want (before, after) for {ndim} dims"
        )
    sides = tuple(as_ints(name, "padding", p) for p in padding)
    if any(len(p) != 2 or not all(-(2**31) < n < 2**31 for n in p) for p in sides):
        raise ArgumentError(f"{name}: padding: got {padding!r}, want two ints for each dim")
    return sides  # type: ignore[return-value]


def _padded(name: str, shape: tuple[int, ...], sides: Sides, mode: Any) -> tuple[int, ...]:
    """The checked size of the result."""
    if not isinstance(mode, str) or mode not in MODES:
        raise ArgumentError(f"{name}: mode: got {mode!r}, want one of {', '.join(MODES)}")
    sizes = tuple(n + before + after for n, (before, after) in zip(shape, sides, strict=True))
    if mode == "constant":
        for n, (before, after), size in zip(shape, sides, sizes, strict=True):
            if size < 0 or (before < 0 and n + before < 0) or (after < 0 and n + after < 0):
                raise ShapeError(f"{name}: padding {sides} cuts off more than {shape} has")
        return sizes
    if not 3 <= len(shape) <= 5 or sides[:2] != ((0, 0), (0, 0)):
        raise ShapeError(
            f"{name}: mode {mode!r} pads dims 2 and on of 3-D to 5-D, got {sides} for {shape}"
        )
    for n, (before, after) in zip(shape[2:], sides[2:], strict=True):
        most = {"reflect": n - 1, "circular": n}.get(mode, 2**31)
        if min(before, after) < 0 or max(before, after) > most:
            raise ArgumentError(
                f"{name}: padding: got {sides} for {shape}, want from 0 to"
                f" {'any number' if mode == 'replicate' else most} in mode {mode!r}"
            )
    if 0 in shape[1:]:
        raise ShapeError(f"{name}: the input has shape {shape}, want no size 0 but the batch's")
    return sizes


def _shape(x: np.ndarray, *, padding: Any, mode: Any = "constant", value: Any = 0.0) -> Plan:
    sides = _sides("pad", padding, x.ndim)
    shape = _padded("pad", x.shape, sides, mode)
    value = as_float("pad", "value", value)
    if mode != "constant" and value:
        raise ArgumentError(f"pad: value: got {value} for mode {mode!r}, want 0")
    options = {"padding": sides, "mode": mode, "value": value}
    return Plan((Out(shape, x.dtype, is_channels_last(x)),), (x,), options)


def _backward_shape(g: np.ndarray, *, padding: Any, mode: Any, channels_last: Any = False) -> Plan:
    name = "pad_backward"
    checks.same_dtype(name, FLOATS, g=g)
    sides = _sides(name, padding, g.ndim)
    if mode == "constant":
        raise ArgumentError(f"{name}: mode: got 'constant', whose gradient is pad itself")
    shape = tuple(n - before - after for n, (before, after) in zip(g.shape, sides, strict=True))
    if min(shape) < 0:
        raise ShapeError(f"{name}: g has shape {g.shape}, less than its padding {sides}")
    _padded(name, shape, sides, mode)
    layout = as_bool(name, "channels_last", channels_last)
    options = {"padding": sides, "mode": mode, "channels_last": layout}
    return Plan((Out(shape, g.dtype, layout),), (g,), options)


def _vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    sides, mode = saved.options["padding"], saved.options["mode"]
    if mode != "constant":
        layout = saved.inputs[0].channels_last
        return (pad_backward(g, padding=sides, mode=mode, channels_last=layout),)
    if all(min(side) >= 0 for side in sides):
        window = (
            slice(before, n - after) for n, (before, after) in zip(g.shape, sides, strict=True)
        )
        return (getitem(g, index=tuple(window)),)
    return (pad(g, padding=tuple((-before, -after) for before, after in sides)),)


def _backward_vjp(saved: Any, u: Any) -> tuple[Any, ...]:
    return (pad(u, padding=saved.options["padding"], mode=saved.options["mode"]),)


def _backward_terms(g: np.ndarray, *, padding: Sides, mode: str, **options: Any) -> int:
    shape = tuple(n - before - after for n, (before, after) in zip(g.shape, padding, strict=True))
    tables = reference.tables(shape, padding, mode, backward=True)
    return math.prod(t.most_terms for t in tables if t is not None)


def _cost(shape: Any) -> Any:
    def cost(x: np.ndarray, **options: Any) -> Cost:
        (y,) = shape(x, **options).outputs
        return Cost(0, x.nbytes + math.prod(y.shape) * x.itemsize)

    return cost


_CONSTANT: tuple[tuple[str, tuple[int, ...], Sides, float], ...] = (
    ("one dim", (5,), ((2, 1),), 0.0),
    ("rows and columns", (2, 3, 5, 7), ((0, 0), (0, 0), (1, 2), (3, 1)), 0.0),
    ("value", (3, 17), ((0, 1), (2, 0)), 1.5),
    ("cut", (4, 6), ((-1, 2), (1, -3)), -1.0),
    ("all cut off", (3, 4), ((-1, -2), (0, 0)), 0.0),
    ("nothing", (3, 4), ((0, 0), (0, 0)), 0.0),
    ("empty", (0, 3), ((1, 1), (0, 0)), 2.0),
    ("scalar array", (), (), 0.0),
)
_EDGES: tuple[tuple[str, tuple[int, ...], Sides, str], ...] = (
    ("reflect", (2, 3, 5, 7), ((0, 0), (0, 0), (4, 2), (3, 6)), "reflect"),
    ("reflect, rows alone", (1, 17, 4, 3), ((0, 0), (0, 0), (1, 1), (0, 0)), "reflect"),
    ("reflect 1-D", (2, 5, 6), ((0, 0), (0, 0), (2, 5)), "reflect"),
    ("reflect 3-D", (1, 2, 3, 4, 2), ((0, 0), (0, 0), (1, 2), (3, 0), (0, 1)), "reflect"),
    ("replicate", (2, 16, 3, 4), ((0, 0), (0, 0), (1, 5), (2, 0)), "replicate"),
    ("replicate one", (1, 2, 1, 1), ((0, 0), (0, 0), (1, 1), (2, 2)), "replicate"),
    ("circular", (2, 3, 4, 5), ((0, 0), (0, 0), (4, 1), (2, 5)), "circular"),
    ("circular 1-D", (1, 33, 7), ((0, 0), (0, 0), (0, 3)), "circular"),
    ("nothing", (1, 2, 3, 4), ((0, 0),) * 4, "reflect"),
    ("empty batch", (0, 2, 3, 4), ((0, 0), (0, 0), (1, 1), (1, 1)), "circular"),
)


def _samples() -> tuple[Sample, ...]:
    plain = [
        Sample(label, (shape,), {"padding": sides, "value": value})
        for label, shape, sides, value in _CONSTANT
    ]
    last = Sample("channels-last", (_CONSTANT[1][1],), {"padding": _CONSTANT[1][2]}, True)
    ring = ((0, 0), (0, 0), (1, 1), (1, 1))
    bench = [
        Sample(mode, ((8, 64, 56, 56),), {"padding": ring, "mode": mode}, bench=True)
        for mode in ("constant", "reflect")
    ]
    return (*plain, last, *_edge_samples(False), *bench)


def _edge_samples(backward: bool) -> tuple[Sample, ...]:
    made = []
    for label, shape, sides, mode in _EDGES:
        padded = tuple(n + sum(side) for n, side in zip(shape, sides, strict=True))
        for last in (False, True) if len(shape) == 4 else (False,):
            made.append(
                Sample(
                    f"{mode}: {label}" + (" channels-last" if last else ""),
                    (padded if backward else shape,),
                    {"padding": sides, "mode": mode}
                    | ({"channels_last": last} if backward else {}),
                    channels_last=last,
                )
            )
    return tuple(made)


def _bad(name: str, error: type[Exception], shape: Any, padding: Any, **options: Any) -> BadInput:
    return BadInput(
        name, lambda: ((np.zeros(shape, "f4"),), {"padding": padding, **options}), error
    )


_RING = ((0, 0), (0, 0), (1, 1), (1, 1))

pad = op(
    name="pad",
    family="shape",
    signature="x; padding, mode, value -> y",
    shape=_shape,
    reference=reference.pad,
    vjp=_vjp,
    cost=_cost(_shape),
    bound=exact,
    samples=_samples(),
    bad_inputs=(
        _bad("one dim short", ArgumentError, (3, 4), ((1, 1),)),
        _bad("a number", ArgumentError, (3, 4), 1),
        _bad("three sides", ArgumentError, (3,), ((1, 1, 1),)),
        _bad("float", DTypeError, (3,), ((1.0, 1),)),
        _bad("cut too much", ShapeError, (3,), ((-2, -2),)),
        _bad("cut too much before", ShapeError, (3,), ((-4, 5),)),
        _bad("unknown mode", ArgumentError, (3,), ((1, 1),), mode="mirror"),
        _bad("value", DTypeError, (3,), ((1, 1),), value="0"),
        _bad("value of reflect", ArgumentError, (1, 1, 3), ((0, 0), (0, 0), (1, 1)), mode="reflect",
             value=1.0),
        _bad("reflect 2-D", ShapeError, (3, 4), ((1, 1), (1, 1)), mode="reflect"),
        _bad("reflect channels", ShapeError, (1, 3, 4), ((0, 0), (1, 1), (1, 1)), mode="reflect"),
        _bad("reflect as far as the size", ArgumentError, (1, 1, 1, 3), _RING, mode="reflect"),
        _bad("circular beyond", ArgumentError, (1, 1, 2), ((0, 0), (0, 0), (3, 0)),
             mode="circular"),
        _bad("negative replicate", ArgumentError, (1, 1, 2), ((0, 0), (0, 0), (-1, 0)),
             mode="replicate"),
        _bad("replicate nothing", ShapeError, (1, 2, 0, 3), _RING, mode="replicate"),
        BadInput("list", lambda: (([1.0],), {"padding": ((1, 1),)}), DTypeError),
    ),
    dtypes=NUMERIC,
)  # fmt: skip

pad_backward = op(
    name="pad_backward",
    family="shape",
    signature="g; padding, mode, channels_last -> dx",
    shape=_backward_shape,
    reference=reference.pad_backward,
    vjp=_backward_vjp,
    cost=_cost(_backward_shape),
    terms=_backward_terms,
    bound=accumulated,
    samples=(
        *_edge_samples(True),
        Sample(
            "reflect",
            ((8, 64, 58, 58),),
            {"padding": _RING, "mode": "reflect", "channels_last": False},
            bench=True,
        ),
    ),
    bad_inputs=(
        _bad("constant", ArgumentError, (1, 1, 3), ((0, 0), (0, 0), (1, 1)), mode="constant"),
        _bad("less than its padding", ShapeError, (1, 1, 3), ((0, 0), (0, 0), (2, 2)),
             mode="circular"),
        _bad("2-D", ShapeError, (3, 3), ((0, 0), (1, 1)), mode="reflect"),
    ),
)  # fmt: skip
