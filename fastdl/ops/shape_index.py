"""Reading and writing along one dim where an index says, and the gradients of both.

Indices are int64 (int32 is cast), from 0 to the size of the dim less 1, as in torch. Several
writes to one element are made in the order of the index, so a result never depends on threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backends.reference import shape_index as reference
from ..core.dtypes import int32, int64
from ..core.errors import DTypeError, IndexRangeError, ShapeError
from ..core.shapes import normalize_dim
from ..spec import BadInput, Cost, Ints, OpSpec, Out, Plan, Sample, accumulated, exact, op
from .shape import NUMERIC, promoted, setitem

_ADDED = tuple(d for d in NUMERIC if d != "bool")


def _zeros(saved: Any, g: Any) -> Any:
    """Zeros of the first argument's shape, to scatter its gradient to."""
    return np.zeros(saved.inputs[0].shape, g.dtype)


def _index(name: str, index: Any, n: int) -> np.ndarray:
    """The index as int64; DTypeError or IndexRangeError for what torch refuses."""
    if index.dtype not in (int32, int64):
        raise DTypeError(f"{name}: index has dtype {index.dtype}, want int64")
    if index.size:
        least, most = int(index.min()), int(index.max())
        if least < 0 or most >= n:
            raise IndexRangeError(
                f"{name}: index: got {least if least < 0 else most}, want from 0 to {n - 1}"
            )
    return index.astype(int64, copy=False)


def _along(name: str, x: Any, index: Any, dim: Any) -> tuple[np.ndarray, int]:
    """The checked index of x's rank, no larger than x off the dim; the dim."""
    axis = normalize_dim(name, dim, x.ndim)
    if max(index.ndim, 1) != max(x.ndim, 1):
        raise ShapeError(f"{name}: index has {index.ndim} dims, want those of x, {x.ndim}")
    sizes = zip(np.atleast_1d(index).shape, np.atleast_1d(x).shape, strict=True)
    if any(m > n for d, (m, n) in enumerate(sizes) if d != axis):
        raise ShapeError(
            f"{name}: index has shape {index.shape}, want at most {x.shape} but for dim {axis}"
        )
    return _index(name, index, x.shape[axis] if x.ndim else 1), axis


def _row(name: str, x: Any, index: Any, dim: Any) -> tuple[np.ndarray, int]:
    """The checked index of one dim; the dim of x it is for."""
    axis = normalize_dim(name, dim, x.ndim)
    if index.ndim > 1:
        raise ShapeError(f"{name}: index has shape {index.shape}, want one dim")
    checked = _index(name, index.reshape(-1), x.shape[axis] if x.ndim else 1)
    if not x.ndim and checked.size != 1:
        raise ShapeError(f"{name}: index has shape {index.shape}, want one place of a 0-d array")
    return checked, axis


def _gather_shape(x: Any, index: Any, dim: Any) -> Plan:
    checked, axis = _along("gather", x, index, dim)
    return Plan((Out(index.shape, x.dtype),), (x, checked), {"dim": axis})


def _select_shape(x: Any, index: Any, dim: Any) -> Plan:
    checked, axis = _row("index_select", x, index, dim)
    shape = (*x.shape[:axis], checked.size, *x.shape[axis + 1 :]) if x.ndim else ()
    return Plan((Out(shape, x.dtype),), (x, checked), {"dim": axis})


def _source(name: str, x: Any, index: np.ndarray, src: Any) -> np.ndarray:
    """The checked source of a scatter: a number, or at least as large as the index."""
    if not isinstance(src, np.ndarray):
        return promoted(name, src, x.dtype)
    if src.dtype != x.dtype:
        raise DTypeError(f"{name}: src has dtype {src.dtype}, want that of x, {x.dtype}")
    if src.ndim == 0 and index.ndim:
        raise ShapeError(f"{name}: src has no dims, want {index.ndim}, or a number")
    if src.ndim != index.ndim or any(m < n for m, n in zip(src.shape, index.shape, strict=True)):
        raise ShapeError(f"{name}: src has shape {src.shape}, want at least {index.shape}")
    return src


def _scatter_shape(name: str) -> Any:
    def shape(x: Any, index: Any, src: Any, dim: Any) -> Plan:
        if not isinstance(x, np.ndarray) or not isinstance(index, np.ndarray):
            raise DTypeError(f"{name}: want arrays for x and index")
        if name == "scatter_add" and x.dtype == bool:
            raise DTypeError(f"{name}: x has dtype bool, want numbers")
        checked, axis = _along(name, x, index, dim)
        source = _source(name, x, checked, src)
        return Plan((Out(x.shape, x.dtype),), (x, checked, source), {"dim": axis})

    return shape


def _index_add_shape(x: Any, index: Any, src: Any, dim: Any) -> Plan:
    name = "index_add"
    if x.dtype == bool:
        raise DTypeError(f"{name}: x has dtype bool, want numbers")
    checked, axis = _row(name, x, index, dim)
    wanted = (*x.shape[:axis], checked.size, *x.shape[axis + 1 :]) if x.ndim else src.shape
    if src.dtype != x.dtype:
        raise DTypeError(f"{name}: src has dtype {src.dtype}, want that of x, {x.dtype}")
    if src.shape != wanted or (not x.ndim and src.size != 1):
        raise ShapeError(f"{name}: src has shape {src.shape}, want {wanted}")
    return Plan((Out(x.shape, x.dtype),), (x, checked, src), {"dim": axis})


def _cost(x: Any, index: Any, src: Any = None, **_: Any) -> Cost:
    """A gather reads and writes as much as there is index; a scatter copies x too."""
    if src is None:
        return Cost(0, 2 * index.size * x.itemsize + index.nbytes)
    return Cost(index.size, 2 * x.nbytes + 3 * index.size * x.itemsize + index.nbytes)


def _slices_cost(x: Any, index: Any, src: Any = None, *, dim: int) -> Cost:
    slice_bytes = x.nbytes // max(x.shape[dim], 1) if x.ndim else x.nbytes
    moved = index.size * slice_bytes
    return Cost(0, 2 * moved if src is None else 2 * x.nbytes + 3 * moved)


def _most_hits(x: Any, index: Any, src: Any, *, dim: int) -> int:
    """How many terms meet in one element, its own among them, at most."""
    hits = np.ones(x.shape, np.int64)
    ones = np.ones(index.shape, np.int64)
    return int(reference.scatter_add(hits, index, ones, dim=dim).max(initial=1))


def _most_slices(x: Any, index: Any, src: Any, *, dim: int) -> int:
    counts = np.bincount(index.reshape(-1), minlength=1)
    return int(counts.max(initial=0)) + 1


def _f32(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


def _i64(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


# name: the shapes of x and of the index, and the dim
_CASES: dict[str, tuple[tuple[int, ...], tuple[int, ...], int]] = {
    "last": ((5, 33), (5, 40), 1),
    "first": ((17, 6), (9, 6), 0),
    "middle": ((3, 4, 5), (3, 7, 5), -2),
    "smaller": ((4, 5, 6), (2, 9, 3), 1),
    "vector": ((7,), (20,), 0),
    "scalar array": ((), (), 0),
    "no index": ((3, 4), (3, 0), 1),
    "tall": ((2, 100), (70, 100), 0),
    "one": ((1, 1), (1, 1), -1),
}
_BENCH = ((4096, 512), (8192, 512), 0)


def _ints(x: tuple[int, ...], index: tuple[int, ...], dim: int) -> Ints:
    return Ints(index, 0, x[dim] if x else 1)


_BAD: tuple[tuple[str, Any, int, type[Exception]], ...] = (
    ("too large", _i64(3).reshape(1, 1), 0, IndexRangeError),
    ("negative", _i64(-1).reshape(1, 1), 0, IndexRangeError),
    ("rank", _i64(0), 0, ShapeError),
    ("wider than x", np.zeros((1, 5), np.int64), 0, ShapeError),
    ("float index", _f32(1, 1), 0, DTypeError),
    ("dim", _i64(0).reshape(1, 1), 2, IndexRangeError),
)


def _bad(*src: Any) -> tuple[BadInput, ...]:
    return tuple(
        BadInput(n, lambda i=i, d=d: ((_f32(3, 4), i, *src), {"dim": d}), e)  # type: ignore[misc]
        for n, i, d, e in _BAD
    )


gather: OpSpec = op(
    name="gather",
    family="shape",
    signature="x, index; dim -> y",
    shape=_gather_shape,
    reference=reference.gather,
    vjp=lambda saved, g: (
        scatter_add(_zeros(saved, g), saved.index, g, dim=saved.options["dim"]),
        None,
    ),
    saves=("index",),
    cost=_cost,
    bound=exact,
    samples=(
        *(Sample(n, (x, _ints(x, i, d)), {"dim": d}) for n, (x, i, d) in _CASES.items()),
        Sample("tokens", (_BENCH[0], _ints(*_BENCH)), {"dim": 0}, bench=True),
    ),
    bad_inputs=(*_bad(), BadInput("list", lambda: (([1.0], _i64(0)), {"dim": 0}), DTypeError)),
    dtypes=NUMERIC,
)

scatter: OpSpec = op(
    name="scatter",
    family="shape",
    signature="x, index, src; dim -> y",
    shape=_scatter_shape("scatter"),
    reference=reference.scatter,
    vjp=lambda saved, g: (
        scatter(g, saved.index, 0, dim=saved.options["dim"]) if saved.needs[0] else None,
        None,
        _scatter_source(saved, g) if saved.needs[2] else None,
    ),
    saves=("index",),
    cost=_cost,
    bound=exact,
    samples=(
        # One number, so that it does not matter which of several writes is the last.
        *(Sample(n, (x, _ints(x, i, d), 1.5), {"dim": d}) for n, (x, i, d) in _CASES.items()),
        Sample("source", ((3, 5), np.array([[1, 4, 0], [2, 0, 3]]), (2, 4)), {"dim": 1}),
        Sample("one-hot", (_BENCH[0], _ints(*_BENCH), 1.0), {"dim": 0}, bench=True),
    ),
    bad_inputs=(
        *_bad(1.0),
        BadInput(
            "src shape",
            lambda: ((_f32(3, 4), np.zeros((2, 2), np.int64), _f32(1, 2)), {"dim": 0}),
            ShapeError,
        ),
        BadInput(
            "src dtype",
            lambda: ((_f32(3), _i64(0), np.zeros(1)), {"dim": 0}),
            DTypeError,
        ),
    ),
    dtypes=NUMERIC,
    scalars=True,
)


def _scatter_source(saved: Any, g: Any) -> Any:
    """The gradient of a source: what landed where it was written, zero beyond the index."""
    meta, index = saved.inputs[2], saved.index
    found = gather(g, index, dim=saved.options["dim"])
    if found.shape == meta.shape:
        return found
    window = tuple(map(slice, found.shape))
    return setitem(np.zeros(meta.shape, meta.dtype), found, index=window)


scatter_add: OpSpec = op(
    name="scatter_add",
    family="shape",
    signature="x, index, src; dim -> y",
    shape=_scatter_shape("scatter_add"),
    reference=reference.scatter_add,
    vjp=lambda saved, g: (g, None, _scatter_source(saved, g) if saved.needs[2] else None),
    saves=("index",),
    cost=_cost,
    terms=_most_hits,
    bound=accumulated,
    samples=(
        *(Sample(n, (x, _ints(x, i, d), i), {"dim": d}) for n, (x, i, d) in _CASES.items()),
        Sample("larger source", ((3, 5), Ints((2, 3), 0, 5), (4, 4)), {"dim": 1}),
        Sample("tokens", (_BENCH[0], _ints(*_BENCH), _BENCH[1]), {"dim": 0}, bench=True),
    ),
    bad_inputs=(
        *_bad(_f32(3, 4)),
        BadInput(
            "bool",
            lambda: ((np.zeros(3, bool), _i64(0), np.zeros(1, bool)), {"dim": 0}),
            DTypeError,
        ),
    ),
    dtypes=_ADDED,
    scalars=True,
)

# name: x's shape, the size of the index, the dim
_ROWS: dict[str, tuple[tuple[int, ...], int, int]] = {
    "rows": ((9, 33), 14, 0),
    "columns": ((5, 17), 20, -1),
    "middle": ((3, 4, 5), 6, 1),
    "one row": ((1, 16), 3, 0),
    "vector": ((6,), 40, 0),
    "scalar array": ((), 1, 0),
    "no index": ((3, 4), 0, 1),
}
_ROW_BAD: tuple[tuple[str, Any, int, type[Exception]], ...] = (
    ("too large", _i64(3), 0, IndexRangeError),
    ("negative", _i64(-1), 0, IndexRangeError),
    ("rank", _i64(0).reshape(1, 1), 0, ShapeError),
    ("float index", _f32(1), 0, DTypeError),
    ("dim", _i64(0), 2, IndexRangeError),
)


def _slices(x: tuple[int, ...], count: int, dim: int) -> tuple[int, ...]:
    return (*x[: dim % len(x)], count, *x[dim % len(x) + 1 :]) if x else ()


index_select: OpSpec = op(
    name="index_select",
    family="shape",
    signature="x, index; dim -> y",
    shape=_select_shape,
    reference=reference.index_select,
    vjp=lambda saved, g: (
        index_add(_zeros(saved, g), saved.index, g, dim=saved.options["dim"]),
        None,
    ),
    saves=("index",),
    cost=_slices_cost,
    bound=exact,
    samples=(
        *(
            Sample(n, (x, Ints((k,), 0, x[d] if x else 1)), {"dim": d})
            for n, (x, k, d) in _ROWS.items()
        ),
        Sample("embeddings", ((30000, 256), Ints((4096,), 0, 30000)), {"dim": 0}, bench=True),
    ),
    bad_inputs=tuple(
        BadInput(n, lambda i=i, d=d: ((_f32(3, 4), i), {"dim": d}), e)  # type: ignore[misc]
        for n, i, d, e in _ROW_BAD
    ),
    dtypes=NUMERIC,
)

index_add: OpSpec = op(
    name="index_add",
    family="shape",
    signature="x, index, src; dim -> y",
    shape=_index_add_shape,
    reference=reference.index_add,
    vjp=lambda saved, g: (
        g,
        None,
        index_select(g, saved.index, dim=saved.options["dim"]) if saved.needs[2] else None,
    ),
    saves=("index",),
    cost=_slices_cost,
    terms=_most_slices,
    bound=accumulated,
    samples=(
        *(
            Sample(n, (x, Ints((k,), 0, x[d] if x else 1), _slices(x, k, d)), {"dim": d})
            for n, (x, k, d) in _ROWS.items()
        ),
        Sample(
            "embeddings",
            ((30000, 256), Ints((4096,), 0, 30000), (4096, 256)),
            {"dim": 0},
            bench=True,
        ),
    ),
    bad_inputs=(
        *(
            BadInput(n, lambda i=i, d=d: ((_f32(3, 4), i, _f32(1, 4)), {"dim": d}), e)  # type: ignore[misc]
            for n, i, d, e in _ROW_BAD
        ),
        BadInput("src", lambda: ((_f32(3, 4), _i64(0), _f32(2, 4)), {"dim": 0}), ShapeError),
        BadInput(
            "src dtype", lambda: ((_f32(3, 4), _i64(0), np.zeros((1, 4))), {"dim": 0}), DTypeError
        ),
    ),
    dtypes=_ADDED,
)
