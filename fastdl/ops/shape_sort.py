"""Order along one dim. NaN is the largest number, as in torch; equal elements keep their order."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..backends.reference import shape_sort as reference
from ..core.errors import ArgumentError, DTypeError, IndexRangeError
from ..core.shapes import as_bool, as_int, normalize_dim
from ..spec import BadInput, Cost, OpSpec, Out, Plan, Sample, exact, op
from .shape import NUMERIC
from .shape_index import scatter

_INT64 = np.dtype(np.int64)


def _sort_shape(x: Any, dim: Any = -1, descending: Any = False) -> Plan:
    options = {
        "dim": normalize_dim("sort", dim, x.ndim),
        "descending": as_bool("sort", "descending", descending),
    }
    return Plan((Out(x.shape, x.dtype), Out(x.shape, _INT64)), (x,), options)


def _topk_shape(x: Any, k: Any, dim: Any = -1, largest: Any = True) -> Plan:
    axis, count = normalize_dim("topk", dim, x.ndim), as_int("topk", "k", k)
    n = x.shape[axis] if x.ndim else 1
    if not 0 <= count <= n:
        raise ArgumentError(f"topk: k: got {count}, want from 0 to {n}, the size of dim {axis}")
    if not x.ndim and count == 0:
        raise ArgumentError("topk: k: got 0 for a 0-d array, want 1")
    shape = (*x.shape[:axis], count, *x.shape[axis + 1 :]) if x.ndim else ()
    options = {"k": count, "dim": axis, "largest": as_bool("topk", "largest", largest)}
    return Plan((Out(shape, x.dtype), Out(shape, _INT64)), (x,), options)


def _vjp(saved: Any, g: Any, _: Any = None) -> tuple[Any, ...]:
    """Every gradient goes back to where its value came from."""
    zeros = np.zeros(saved.inputs[0].shape, g.dtype)
    return (scatter(zeros, saved.index, g, dim=saved.options["dim"]),)


def _cost(x: Any, dim: int, k: int | None = None, **_: Any) -> Cost:
    """n log n comparisons of a row at most; writes the elements wanted and their places."""
    n = x.shape[dim] if x.ndim else 1
    kept = x.size if k is None or not n else x.size // n * k
    return Cost(x.size * math.log2(max(n, 2)), x.nbytes + kept * (x.itemsize + 8))


_SHAPES: dict[str, tuple[tuple[int, ...], int]] = {
    "row": ((33,), 0),
    "rows": ((5, 17), -1),
    "columns": ((17, 5), 0),
    "middle": ((3, 16, 2), 1),
    "long": ((2, 1500), 1),
    "long columns": ((700, 3), 0),
    "one": ((4, 1), 1),
    "scalar array": ((), 0),
    "empty": ((0, 3), 1),
    "empty rows": ((3, 0), 1),
}


def _f32(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


sort: OpSpec = op(
    name="sort",
    family="shape",
    signature="x; dim, descending -> values, index",
    shape=_sort_shape,
    reference=reference.sort,
    vjp=_vjp,
    saves=("index",),
    cost=_cost,
    bound=exact,
    samples=(
        *(Sample(n, (s,), {"dim": d}) for n, (s, d) in _SHAPES.items()),
        *(
            Sample(f"{n}, descending", (s,), {"dim": d, "descending": True})
            for n, (s, d) in _SHAPES.items()
        ),
        Sample("scores", ((64, 8192),), {"dim": 1, "descending": True}, bench=True),
        Sample("a million", ((1 << 20,),), {"dim": 0}, bench=True),
    ),
    bad_inputs=(
        BadInput("dim", lambda: ((_f32(3),), {"dim": 1}), IndexRangeError),
        BadInput("descending", lambda: ((_f32(3),), {"dim": 0, "descending": 1}), DTypeError),
        BadInput("list", lambda: (([1.0],), {"dim": 0}), DTypeError),
    ),
    dtypes=NUMERIC,
)

topk: OpSpec = op(
    name="topk",
    family="shape",
    signature="x; k, dim, largest -> values, index",
    shape=_topk_shape,
    reference=reference.topk,
    vjp=_vjp,
    saves=("index",),
    cost=_cost,
    bound=exact,
    samples=(
        *(
            Sample(f"{n}, {k} {way}", (s,), {"dim": d, "k": k, "largest": way == "largest"})
            for n, (s, d) in _SHAPES.items()
            for k in (0, 1, 5)
            for way in ("largest", "smallest")
            if (k <= s[d] if s else k == 1)
        ),
        Sample("vocabulary", ((32, 50257),), {"dim": 1, "k": 50, "largest": True}, bench=True),
        Sample("classes", ((256, 1000),), {"dim": 1, "k": 5, "largest": True}, bench=True),
    ),
    bad_inputs=(
        BadInput("k too large", lambda: ((_f32(3),), {"k": 4, "dim": 0}), ArgumentError),
        BadInput("k negative", lambda: ((_f32(3),), {"k": -1, "dim": 0}), ArgumentError),
        BadInput("k's type", lambda: ((_f32(3),), {"k": 1.0, "dim": 0}), DTypeError),
        BadInput("dim", lambda: ((_f32(3),), {"k": 1, "dim": 1}), IndexRangeError),
    ),
    dtypes=NUMERIC,
)
