"""Adaptive max pooling, max-unpooling, and the moves of values by place that are their gradients.

A place is h·W + w within its plane. `max_unpool2d` writes values to places, the adaptive pool's
gradient adds them there, and `max_unpool2d_backward` reads them, which is the transpose of either.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..backends.reference import pool_adaptive as reference
from ..core import checks
from ..core.dtypes import FLOATS, int64
from ..core.errors import ArgumentError, DTypeError, IndexRangeError, ShapeError
from ..core.shapes import as_bool, is_channels_last
from ..core.windows import pair
from ..spec import BadInput, Cost, Ints, Out, Plan, Sample, accumulated, exact, op

# --- shapes ------------------------------------------------------------------------------------


def _adaptive_shape(x: np.ndarray, *, output_size: Any) -> Plan:
    name = "adaptive_max_pool2d"
    dtype = checks.same_dtype(name, FLOATS, x=x)
    checks.rank(name, "x", x, "N, C, H, W")
    size = pair(name, "output_size", output_size, 1)
    if 0 in x.shape[1:]:
        raise ShapeError(f"{name}: the input has shape {x.shape}, want no size 0 but the batch's")
    y = Out((*x.shape[:2], *size), dtype, is_channels_last(x))
    return Plan((y, y._replace(dtype=int64)), (x,), {"output_size": size})


def _check_places(name: str, a: np.ndarray, index: np.ndarray, size: int) -> None:
    """The index has a's shape, and lies within a plane of this size."""
    checks.shape(name, "index", index, a.shape)
    if index.dtype != int64:
        raise DTypeError(f"{name}: argument index has dtype {index.dtype}, want int64")
    if index.size and index.view(np.uint64).max() >= size:  # negative ones are largest so
        raise IndexRangeError(
            f"{name}: index: got places {index.min()} to {index.max()}, want 0 to {size - 1}"
        )


def _adaptive_backward_shape(
    g: np.ndarray, index: np.ndarray, *, input_size: Any, channels_last: Any = False
) -> Plan:
    name = "adaptive_max_pool2d_backward"
    dtype = checks.same_dtype(name, FLOATS, g=g)
    checks.rank(name, "g", g, "N, C, P, Q")
    size = pair(name, "input_size", input_size, 1)
    _check_places(name, g, index, math.prod(size))
    layout = as_bool(name, "channels_last", channels_last)
    out = Out((*g.shape[:2], *size), dtype, layout)
    return Plan((out,), (g, index), {"input_size": size, "channels_last": layout})


def _unpool_shape(x: np.ndarray, index: np.ndarray, *, output_size: Any) -> Plan:
    name = "max_unpool2d"
    dtype = checks.same_dtype(name, FLOATS, x=x)
    checks.rank(name, "x", x, "N, C, P, Q")
    size = pair(name, "output_size", output_size, 1)
    if 0 in x.shape[1:]:
        raise ShapeError(f"{name}: the input has shape {x.shape}, want no size 0 but the batch's")
    _check_places(name, x, index, math.prod(size))
    out = Out((*x.shape[:2], *size), dtype, is_channels_last(x))
    return Plan((out,), (x, index), {"output_size": size})


def _unpool_backward_shape(g: np.ndarray, index: np.ndarray, *, channels_last: Any = False) -> Plan:
    name = "max_unpool2d_backward"
    dtype = checks.same_dtype(name, FLOATS, g=g)
    checks.rank(name, "g", g, "N, C, H, W")
    checks.rank(name, "index", index, "N, C, P, Q")
    if index.shape[:2] != g.shape[:2]:
        raise ShapeError(f"{name}: index has shape {index.shape}, want {g.shape[:2]} in front")
    _check_places(name, index, index, g.shape[2] * g.shape[3])
    layout = as_bool(name, "channels_last", channels_last)
    return Plan((Out(index.shape, dtype, layout),), (g, index), {"channels_last": layout})


# --- gradients ---------------------------------------------------------------------------------


def _adaptive_vjp(saved: Any, g: Any, _index: Any = None) -> tuple[Any, ...]:
    (x,) = saved.inputs
    size, layout = x.shape[2:], x.channels_last
    dx = adaptive_max_pool2d_backward(g, saved.index, input_size=size, channels_last=layout)
    return (dx,)


def _read_vjp(saved: Any, u: Any) -> tuple[Any, ...]:
    layout = saved.inputs[0].channels_last
    return max_unpool2d_backward(u, saved.index, channels_last=layout), None


def _unpool_backward_vjp(saved: Any, u: Any) -> tuple[Any, ...]:
    g = saved.inputs[0]
    dg = adaptive_max_pool2d_backward(
        u, saved.index, input_size=g.shape[2:], channels_last=g.channels_last
    )
    return dg, None


# --- for the checker and the benchmark ---------------------------------------------------------


def _meeting(g: np.ndarray, index: np.ndarray, *, input_size: Any, **options: Any) -> int:
    """The most values that go to one place."""
    size = math.prod(input_size)
    planes = np.arange(index.shape[0] * index.shape[1])[:, None] * size
    if not index.size:
        return 1
    places = index.reshape(len(planes), -1) + planes
    return int(np.bincount(places.reshape(-1)).max())


def _cost(shape: Any) -> Any:
    def cost(*arrays: np.ndarray, **options: Any) -> Cost:
        outputs = shape(*arrays, **options).outputs
        moved = sum(a.nbytes for a in arrays)
        moved += sum(math.prod(y.shape) * y.dtype.itemsize for y in outputs)
        return Cost(float(arrays[0].size), moved)

    return cost


_POOLS: tuple[tuple[str, tuple[int, ...], Any, bool], ...] = (
    ("uneven", (2, 3, 10, 7), (4, 3), False),
    ("one", (1, 1, 1, 1), 1, False),
    ("global", (2, 17, 5, 6), 1, False),
    ("the same", (1, 2, 4, 5), (4, 5), False),
    ("larger", (1, 5, 3, 4), (5, 7), False),
    ("tails", (2, 33, 9, 11), (4, 5), False),
    ("empty batch", (0, 3, 5, 5), (2, 2), False),
    ("7x7", (8, 512, 10, 10), (7, 7), True),
)
_PLACES: tuple[tuple[str, tuple[int, ...], tuple[int, int], bool], ...] = (
    ("2x2", (2, 3, 3, 4), (6, 8), False),
    ("one", (1, 1, 1, 1), (1, 1), False),
    ("crowded", (1, 17, 2, 3), (2, 4), False),
    ("row", (2, 2, 1, 9), (1, 20), False),
    ("empty batch", (0, 3, 2, 2), (4, 4), False),
    ("segnet", (4, 64, 56, 56), (112, 112), True),
)


def _place_samples(kind: str) -> tuple[Sample, ...]:
    made = []
    for label, small, large, bench in _PLACES:
        index: Any = Ints(small, 0, large[0] * large[1])
        if kind == "max_unpool2d":
            # Where two values have one place, the gradient is not that of the last one: torch's.
            index = np.resize(np.random.default_rng(0).permutation(math.prod(large)), small)
        for last in (False, True):
            options: dict[str, Any] = {"channels_last": last}
            shape = small
            if kind == "max_unpool2d":
                options = {"output_size": large}
            elif kind == "max_unpool2d_backward":
                shape = (*small[:2], *large)
            else:
                options["input_size"] = large
            name = label + (" channels-last" if last else "")
            made.append(Sample(name, (shape, index), options, channels_last=last, bench=bench))
    return tuple(made)


def _bad(
    name: str, error: type[Exception], shape: Any, index: Any = None, **options: Any
) -> BadInput:
    def call() -> tuple[tuple[Any, ...], dict[str, Any]]:
        x = np.zeros(shape, "f4")
        return ((x,) if index is None else (x, np.array(index))), options

    return BadInput(name, call, error)


_X, _AT = (1, 1, 2, 2), [[[[0, 1], [2, 3]]]]

adaptive_max_pool2d = op(
    name="adaptive_max_pool2d",
    family="pool",
    signature="x[N,C,H,W]; output_size -> y[N,C,P,Q], index[N,C,P,Q]",
    shape=_adaptive_shape,
    reference=reference.adaptive_max_pool2d,
    vjp=_adaptive_vjp,
    saves=("index",),
    cost=_cost(_adaptive_shape),
    bound=exact,
    samples=tuple(
        Sample(
            label + (" channels-last" if last else ""),
            (x,),
            {"output_size": size},
            channels_last=last,
            bench=bench,
        )
        for label, x, size, bench in _POOLS
        for last in (False, True)
    ),
    bad_inputs=(
        _bad("3-D", ShapeError, (2, 5, 5), output_size=2),
        _bad("no channels", ShapeError, (1, 0, 5, 5), output_size=2),
        _bad("no rows", ShapeError, (1, 2, 0, 5), output_size=2),
        _bad("size 0", ArgumentError, _X, output_size=0),
        _bad("three sizes", ArgumentError, _X, output_size=(1, 1, 1)),
        _bad("size 1.5", DTypeError, _X, output_size=1.5),
        BadInput("int64", lambda: ((np.zeros(_X, "i8"),), {"output_size": 1}), DTypeError),
        BadInput("list", lambda: (([[[[1.0]]]],), {"output_size": 1}), DTypeError),
    ),
)

adaptive_max_pool2d_backward = op(
    name="adaptive_max_pool2d_backward",
    family="pool",
    signature="g[N,C,P,Q], index[N,C,P,Q]; input_size, channels_last -> dx[N,C,H,W]",
    shape=_adaptive_backward_shape,
    reference=reference.adaptive_max_pool2d_backward,
    vjp=_read_vjp,
    saves=("index",),
    cost=_cost(_adaptive_backward_shape),
    terms=_meeting,
    bound=accumulated,
    samples=_place_samples("adaptive_max_pool2d_backward"),
    bad_inputs=(
        _bad("place too large", IndexRangeError, _X, _AT, input_size=(1, 3)),
        _bad("negative place", IndexRangeError, (1, 1, 1, 1), [[[[-1]]]], input_size=2),
        _bad("index shape", ShapeError, (1, 1, 2, 3), _AT, input_size=4),
        _bad("size 0", ArgumentError, _X, _AT, input_size=0),
        _bad("float index", DTypeError, _X, [[[[0.0, 1], [2, 3]]]], input_size=4),
    ),
)

max_unpool2d = op(
    name="max_unpool2d",
    family="pool",
    signature="x[N,C,P,Q], index[N,C,P,Q]; output_size -> y[N,C,H,W]",
    shape=_unpool_shape,
    reference=reference.max_unpool2d,
    vjp=_read_vjp,
    saves=("index",),
    cost=_cost(_unpool_shape),
    bound=exact,
    samples=_place_samples("max_unpool2d"),
    bad_inputs=(
        _bad("place too large", IndexRangeError, _X, _AT, output_size=(1, 3)),
        _bad("index shape", ShapeError, (1, 1, 2, 3), _AT, output_size=4),
        _bad("3-D", ShapeError, (1, 2, 2), [[[0, 1], [2, 3]]], output_size=4),
        _bad("size 0", ArgumentError, _X, _AT, output_size=0),
        _bad("no rows", ShapeError, (1, 1, 0, 2), np.zeros((1, 1, 0, 2), "i8"), output_size=4),
        _bad("float index", DTypeError, _X, [[[[0.0, 1], [2, 3]]]], output_size=4),
    ),
)

max_unpool2d_backward = op(
    name="max_unpool2d_backward",
    family="pool",
    signature="g[N,C,H,W], index[N,C,P,Q]; channels_last -> dx[N,C,P,Q]",
    shape=_unpool_backward_shape,
    reference=reference.max_unpool2d_backward,
    vjp=_unpool_backward_vjp,
    saves=("index",),
    cost=_cost(_unpool_backward_shape),
    bound=exact,
    samples=_place_samples("max_unpool2d_backward"),
    bad_inputs=(
        _bad("place too large", IndexRangeError, (1, 1, 1, 3), _AT),
        _bad("channels", ShapeError, (1, 2, 2, 2), _AT),
        _bad("3-D", ShapeError, (1, 2, 2), _AT),
    ),
)
