"""Reductions over one dim or several."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..backends.reference import reduce as reference
from ..core.dtypes import FLOATS, bool_, int64, is_float
from ..core.errorbound import bounded
from ..core.errors import ArgumentError, DTypeError, IndexRangeError
from ..core.shapes import as_bool, normalize_dim, normalize_dims, reduced
from ..spec import (
    BadInput,
    Bools,
    Cost,
    Ints,
    OpSpec,
    Out,
    Plan,
    Sample,
    accumulated,
    exact,
    exact_value,
    op,
)
from .elementwise import div, eq, where
from .shape import NUMERIC, expand, reshape

Dims = tuple[int, ...]


def f32(*shape: int) -> np.ndarray:
    """Zeros, for bad inputs."""
    return np.zeros(shape, np.float32)


def terms_of(x: Any, dim: Dims, **_: Any) -> int:
    """The number of elements that a result is made of."""
    return math.prod(x.shape[d] for d in dim)


def cost_of(x: Any, dim: Any, **_: Any) -> Cost:
    """One operation an element, read once."""
    dims = tuple(range(x.ndim)) if dim is None else (dim,) if isinstance(dim, int) else dim
    results = math.prod(reduced(x.shape, dims, False))
    return Cost(x.size, x.nbytes + results * x.itemsize)


def restored(g: Any, saved: Any) -> Any:
    """A gradient (or result) of a reduction with the reduced dims back, as size 1."""
    shape, dim = saved.inputs[0].shape, saved.options["dim"]
    dims = dim if isinstance(dim, tuple) else (dim,)
    return reshape(g, shape=reduced(shape, dims, True))


def spread(g: Any, saved: Any) -> Any:
    """A gradient of a reduction repeated over the dims it reduced (a view)."""
    return expand(restored(g, saved), shape=saved.inputs[0].shape)


SAMPLES = (
    *(Sample(f"row of {n}", ((3, n),), {"dim": 1}) for n in (1, 7, 16, 17, 31, 32, 33, 65)),
    *(Sample(f"column of {n}", ((n, 17),), {"dim": 0}) for n in (1, 2, 5, 32)),
    Sample("all", ((5, 33),), {"dim": None}),
    Sample("two dims", ((3, 4, 5),), {"dim": (0, 2)}),
    Sample("middle", ((3, 4, 17),), {"dim": -2, "keepdim": True}),
    Sample("batch statistics", ((2, 3, 5, 7),), {"dim": (0, 2, 3)}),
    Sample("channels last", ((2, 3, 5, 7),), {"dim": (0, 2, 3)}, channels_last=True),
    Sample("pixels, channels last", ((2, 3, 5, 7),), {"dim": (2, 3)}, channels_last=True),
    Sample("scalar array", ((),), {"dim": None}),
    Sample("long", ((10007,),), {"dim": 0}),
    Sample("rows", ((256, 1024),), {"dim": 1}, bench=True),
    Sample("columns", ((256, 1024),), {"dim": 0}, bench=True),
    Sample("activations", ((32, 64, 56, 56),), {"dim": None}, bench=True),
)
EMPTY_SAMPLES = (
    Sample("nothing left", ((0, 3),), {"dim": 1}),
    Sample("of nothing", ((0, 3),), {"dim": 0}),
)
BAD = (
    BadInput("dim", lambda: ((f32(3, 4),), {"dim": 2}), IndexRangeError),
    BadInput("negative dim", lambda: ((f32(3, 4),), {"dim": -3}), IndexRangeError),
    BadInput("float dim", lambda: ((f32(3, 4),), {"dim": 1.0}), DTypeError),
    BadInput("keepdim", lambda: ((f32(3, 4),), {"dim": 1, "keepdim": "no"}), DTypeError),
    BadInput("not an array", lambda: (([1.0],), {"dim": 0}), DTypeError),
    BadInput("complex", lambda: ((np.zeros(3, complex),), {"dim": 0}), DTypeError),
)
TWICE = BadInput("dim twice", lambda: ((f32(3, 4),), {"dim": (1, -1)}), ArgumentError)


def plan_of(name: str, x: Any, dim: Any, keepdim: Any, dtype: np.dtype) -> Plan:
    """The checked call of a reduction over one dim or several."""
    dims = normalize_dims(name, dim, x.ndim)
    keep = as_bool(name, "keepdim", keepdim)
    out = Out(reduced(x.shape, dims, keep), dtype)
    return Plan((out,), (x,), {"dim": dims, "keepdim": keep})


# --- sums --------------------------------------------------------------------------------------


def _sum_shape(x: Any, dim: Any = None, keepdim: Any = False) -> Plan:
    return plan_of("sum", x, dim, keepdim, x.dtype if is_float(x.dtype) else int64)


sum = op(
    name="sum",
    family="reduce",
    signature="x; dim, keepdim -> y",
    shape=_sum_shape,
    reference=reference.sum,
    vjp=lambda saved, g: (spread(g, saved),),
    cost=cost_of,
    terms=terms_of,
    bound=accumulated,
    samples=(
        *SAMPLES,
        *EMPTY_SAMPLES,
        Sample("of ints", (Ints((5, 33), -1000, 1000, "int32"),), {"dim": 1}),
        Sample("of bools", (Bools((5, 33)),), {"dim": 0}),
    ),
    bad_inputs=(*BAD, TWICE),
    dtypes=NUMERIC,
)


def _mean_shape(x: Any, dim: Any = None, keepdim: Any = False) -> Plan:
    if not is_float(x.dtype):
        raise DTypeError(f"mean: x has dtype {x.dtype}, want a float; cast it first")
    return plan_of("mean", x, dim, keepdim, x.dtype)


def _mean_vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    shape = saved.inputs[0].shape
    n = math.prod(shape[d] for d in saved.options["dim"])
    return (spread(div(g, n), saved),)


mean = op(
    name="mean",
    family="reduce",
    signature="x; dim, keepdim -> y",
    shape=_mean_shape,
    reference=reference.mean,
    vjp=_mean_vjp,
    cost=cost_of,
    terms=terms_of,
    bound=bounded(lambda x, dim, keepdim: x.sum(dim, keepdims=keepdim) / terms_of(x.value, dim)),
    samples=(*SAMPLES, *EMPTY_SAMPLES),
    bad_inputs=(
        *BAD,
        TWICE,
        BadInput("ints", lambda: ((np.zeros(3, np.int64),), {"dim": 0}), DTypeError),
    ),
)


# --- extremes ------------------------------------------------------------------------------------


def nonempty(name: str, x: Any, dims: Dims, given: Any) -> None:
    """Nothing has no maximum: torch's error for reducing over a dim of size 0."""
    if (given is None or given == ()) and x.size == 0:
        raise IndexRangeError(f"{name}: dim: want one to be given, for x of shape {x.shape}")
    for d in dims:
        if x.ndim and x.shape[d] == 0:
            raise IndexRangeError(f"{name}: dim {d} of shape {x.shape} has size 0, want at least 1")


def _amax_vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    """Shared evenly among the elements that attain the extreme."""
    ties = eq(saved.x, restored(saved.y, saved))
    count = sum(ties, dim=saved.options["dim"], keepdim=True)
    return (div(where(ties, restored(g, saved), 0), count),)


def _extreme(name: str) -> OpSpec:
    def shape(x: Any, dim: Any = None, keepdim: Any = False) -> Plan:
        plan = plan_of(name, x, dim, keepdim, x.dtype)
        nonempty(name, x, plan.options["dim"], dim)
        return plan

    return op(
        name=name,
        family="reduce",
        signature="x; dim, keepdim -> y",
        shape=shape,
        reference=getattr(reference, name),
        vjp=_amax_vjp,
        saves=("x", "y"),
        cost=cost_of,
        terms=terms_of,
        bound=exact_value,
        samples=(*SAMPLES, EMPTY_SAMPLES[0]),
        bad_inputs=(
            *BAD,
            TWICE,
            BadInput("of nothing", lambda: ((f32(0, 4),), {"dim": 0}), IndexRangeError),
            BadInput("of nothing at all", lambda: ((f32(0, 4),), {}), IndexRangeError),
        ),
        dtypes=NUMERIC,
    )


amax = _extreme("amax")
amin = _extreme("amin")

# Samples of the ops that take one dim, an int.
ONE_DIM = tuple(s for s in SAMPLES if isinstance(s.options["dim"], int))


def _max_vjp(saved: Any, g: Any, _: Any) -> tuple[Any, ...]:
    """To the element chosen."""
    shape, dim = saved.inputs[0].shape, saved.options["dim"]
    if not shape:
        return (g,)
    along = [n if i == dim else 1 for i, n in enumerate(shape)]
    chosen = eq(np.arange(shape[dim]).reshape(along), restored(saved.index, saved))
    return (where(chosen, restored(g, saved), 0),)


def _with_index(name: str) -> OpSpec:
    def shape(x: Any, dim: Any, keepdim: Any = False) -> Plan:
        keep = as_bool(name, "keepdim", keepdim)
        d = normalize_dim(name, dim, x.ndim)
        nonempty(name, x, (d,), dim)
        out = reduced(x.shape, (d,), keep)
        return Plan((Out(out, x.dtype), Out(out, int64)), (x,), {"dim": d, "keepdim": keep})

    return op(
        name=name,
        family="reduce",
        signature="x; dim, keepdim -> y, index",
        shape=shape,
        reference=getattr(reference, name),
        vjp=_max_vjp,
        saves=("index",),
        cost=cost_of,
        bound=exact,
        samples=(
            *ONE_DIM,
            EMPTY_SAMPLES[0],
            Sample("scalar array", ((),), {"dim": 0}),
            Sample("ties", (Ints((5, 33), 0, 3),), {"dim": 1}),
        ),
        bad_inputs=(
            *BAD,
            BadInput("of nothing", lambda: ((f32(0, 4),), {"dim": 0}), IndexRangeError),
            BadInput("two dims", lambda: ((f32(3, 4),), {"dim": (0, 1)}), DTypeError),
        ),
        dtypes=NUMERIC,
    )


max = _with_index("max")
min = _with_index("min")


def _place(name: str) -> OpSpec:
    def shape(x: Any, dim: Any = None, keepdim: Any = False) -> Plan:
        if x.dtype == bool_:
            raise DTypeError(f"{name}: x has dtype bool, want numbers; cast it first")
        keep = as_bool(name, "keepdim", keepdim)
        d = None if dim is None else normalize_dim(name, dim, x.ndim)
        dims = tuple(range(x.ndim)) if d is None else (d,)
        nonempty(name, x, dims, dim)
        out = Out(reduced(x.shape, dims, keep), int64)
        return Plan((out,), (x,), {"dim": d, "keepdim": keep})

    return op(
        name=name,
        family="reduce",
        signature="x; dim, keepdim -> index",
        shape=shape,
        reference=getattr(reference, name),
        cost=cost_of,
        bound=exact,
        samples=(
            *ONE_DIM,
            EMPTY_SAMPLES[0],
            Sample("all", ((5, 33),), {"dim": None}),
            Sample("all, kept", ((5, 33),), {"dim": None, "keepdim": True}),
            Sample("scalar array", ((),), {"dim": 0}),
            Sample("ties", (Ints((5, 33), 0, 3),), {"dim": 1}),
        ),
        bad_inputs=(
            *BAD,
            BadInput("of nothing", lambda: ((f32(0, 4),), {"dim": 0}), IndexRangeError),
            BadInput("of nothing at all", lambda: ((f32(0, 4),), {}), IndexRangeError),
            BadInput("bools", lambda: ((np.zeros(3, bool),), {"dim": 0}), DTypeError),
        ),
        dtypes=("uint8", "int32", "int64", *FLOATS),
    )


argmax = _place("argmax")
argmin = _place("argmin")
