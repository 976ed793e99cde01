"""Elements in another order or several times, triangles, and diagonals (views)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..backends.reference import shape_view as reference
from ..core.errors import ArgumentError, DTypeError, IndexRangeError, ShapeError
from ..core.shapes import as_int, as_ints, is_channels_last, normalize_dim
from ..spec import OPS, BadInput, Cost, OpSpec, Out, Plan, Sample, exact, op
from .shape import NUMERIC, reshape


def _f32(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


def _copied(x: Any, **_: Any) -> Cost:
    return Cost(0, 2 * x.nbytes)


def _dims(name: str, dims: Any, ndim: int) -> tuple[int, ...]:
    return tuple(normalize_dim(name, d, ndim, "dims") for d in as_ints(name, "dims", dims))


# --- other orders ------------------------------------------------------------------------------


def _flip_shape(x: Any, dims: Any) -> Plan:
    axes = _dims("flip", dims, x.ndim)
    if len(set(axes)) < len(axes):
        raise ArgumentError(f"flip: dims: got {dims}, want every dim once")
    out = Out(x.shape, x.dtype, is_channels_last(x))
    return Plan((out,), (x,), {"dims": axes if x.ndim else ()})


flip: OpSpec = op(
    name="flip",
    family="shape",
    signature="x; dims -> y",
    shape=_flip_shape,
    reference=reference.flip,
    vjp=lambda saved, g: (flip(g, dims=saved.options["dims"]),),
    cost=_copied,
    bound=exact,
    samples=(
        Sample("row", ((33,),), {"dims": (0,)}),
        Sample("both", ((3, 17),), {"dims": (0, -1)}),
        Sample("middle", ((2, 5, 4),), {"dims": (1,)}),
        Sample("channels last", ((2, 3, 4, 5),), {"dims": (3,)}, channels_last=True),
        Sample("none", ((3,),), {"dims": ()}),
        Sample("scalar array", ((),), {"dims": (0,)}),
        Sample("empty", ((0, 3),), {"dims": (0, 1)}),
        Sample("images", ((32, 3, 224, 224),), {"dims": (3,)}, bench=True),
    ),
    bad_inputs=(
        BadInput("twice", lambda: ((_f32(3, 4),), {"dims": (0, -2)}), ArgumentError),
        BadInput("range", lambda: ((_f32(3, 4),), {"dims": (2,)}), IndexRangeError),
        BadInput("float dim", lambda: ((_f32(3, 4),), {"dims": (0.5,)}), DTypeError),
    ),
    dtypes=NUMERIC,
)


def _roll_shape(x: Any, shifts: Any, dims: Any) -> Plan:
    steps, axes = as_ints("roll", "shifts", shifts), _dims("roll", dims, x.ndim)
    if len(steps) != len(axes):
        raise ArgumentError(f"roll: shifts: got {len(steps)} for {len(axes)} dims, want as many")
    options = {"shifts": steps, "dims": axes} if x.ndim else {"shifts": (), "dims": ()}
    return Plan((Out(x.shape, x.dtype, is_channels_last(x)),), (x,), options)


def _roll_vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    back = tuple(-s for s in saved.options["shifts"])
    return (roll(g, shifts=back, dims=saved.options["dims"]),)


roll: OpSpec = op(
    name="roll",
    family="shape",
    signature="x; shifts, dims -> y",
    shape=_roll_shape,
    reference=reference.roll,
    vjp=_roll_vjp,
    cost=_copied,
    bound=exact,
    samples=(
        Sample("row", ((33,),), {"shifts": (5,), "dims": (0,)}),
        Sample("back", ((3, 17),), {"shifts": (-4,), "dims": (1,)}),
        Sample("both", ((4, 7),), {"shifts": (1, 2), "dims": (0, 1)}),
        Sample("far", ((4, 7),), {"shifts": (-9, 15), "dims": (0, 1)}),
        Sample("one dim twice", ((9,),), {"shifts": (2, 3), "dims": (0, 0)}),
        Sample("whole turn", ((4,),), {"shifts": (4,), "dims": (0,)}),
        Sample(
            "channels last", ((2, 3, 4, 5),), {"shifts": (1,), "dims": (2,)}, channels_last=True
        ),
        Sample("scalar array", ((),), {"shifts": (2,), "dims": (0,)}),
        Sample("empty", ((0, 3),), {"shifts": (1,), "dims": (0,)}),
        Sample("windows", ((8, 96, 56, 56),), {"shifts": (-3, -3), "dims": (2, 3)}, bench=True),
    ),
    bad_inputs=(
        BadInput("count", lambda: ((_f32(3, 4),), {"shifts": (1, 2), "dims": (0,)}), ArgumentError),
        BadInput("dim", lambda: ((_f32(3, 4),), {"shifts": (1,), "dims": (2,)}), IndexRangeError),
        BadInput("float", lambda: ((_f32(3),), {"shifts": (0.5,), "dims": (0,)}), DTypeError),
    ),
    dtypes=NUMERIC,
)


# --- parts -------------------------------------------------------------------------------------


def _split_shape(x: Any, sizes: Any, dim: Any = 0) -> Plan:
    if not x.ndim:
        raise ShapeError("split: got a 0-d array, want at least 1 dim")
    parts, axis = as_ints("split", "sizes", sizes), normalize_dim("split", dim, x.ndim)
    if not parts or min(parts) < 0 or sum(parts) != x.shape[axis]:
        raise ShapeError(
            f"split: sizes: got {parts}, want sizes >= 0 that sum to {x.shape[axis]}, dim {axis} of"
            f" {x.shape}"
        )
    shapes = ((*x.shape[:axis], n, *x.shape[axis + 1 :]) for n in parts)
    outs = tuple(Out(shape, x.dtype) for shape in shapes)
    return Plan(outs, (x,), {"sizes": parts, "dim": axis})


# One node for all parts, so that their gradients are put together once, and not each added to
# zeros of x's size.
split: OpSpec = op(
    name="split",
    family="shape",
    signature="x; sizes, dim -> parts",
    shape=_split_shape,
    reference=reference.split,
    vjp=lambda saved, *parts: (OPS["cat"](*parts, dim=saved.options["dim"]),),
    cost=lambda x, **_: Cost(0, 0),
    bound=exact,
    samples=(
        Sample("two", ((5, 3),), {"sizes": (2, 3), "dim": 0}),
        Sample("columns", ((2, 7),), {"sizes": (1, 0, 6), "dim": -1}),
        Sample("one", ((4,),), {"sizes": (4,), "dim": 0}),
        Sample("empty", ((0, 3),), {"sizes": (0, 0), "dim": 0}),
    ),
    bad_inputs=(
        BadInput("sum", lambda: ((_f32(5),), {"sizes": (2, 2), "dim": 0}), ShapeError),
        BadInput("negative", lambda: ((_f32(5),), {"sizes": (7, -2), "dim": 0}), ShapeError),
        BadInput("no parts", lambda: ((_f32(0),), {"sizes": (), "dim": 0}), ShapeError),
        BadInput("scalar array", lambda: ((_f32(),), {"sizes": (1,), "dim": 0}), ShapeError),
        BadInput("dim", lambda: ((_f32(5),), {"sizes": (5,), "dim": 1}), IndexRangeError),
    ),
    dtypes=NUMERIC,
    view=True,
)


# --- repetition --------------------------------------------------------------------------------


def _repeat_shape(x: Any, repeats: Any) -> Plan:
    times = as_ints("repeat", "repeats", repeats)
    if len(times) < x.ndim:
        raise ShapeError(
            f"repeat: repeats: got {times}, want at least one for each of {x.ndim} dims"
        )
    if any(t < 0 for t in times):
        raise ShapeError(f"repeat: repeats: got {times}, want numbers >= 0")
    shape = (1,) * (len(times) - x.ndim) + x.shape
    sizes = tuple(t * n for t, n in zip(times, shape, strict=True))
    return Plan((Out(sizes, x.dtype),), (x,), {"repeats": times})


def _repeat_vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    """The sum over the copies, which are the even dims of g cut up."""
    shape, times = saved.inputs[0].shape, saved.options["repeats"]
    sizes = (1,) * (len(times) - len(shape)) + shape
    cut = tuple(n for pair in zip(times, sizes, strict=True) for n in pair)
    copies = tuple(range(0, len(cut), 2))
    total = OPS["sum"](reshape(g, shape=cut), dim=copies) if copies else g
    return (reshape(total, shape=shape),)


repeat: OpSpec = op(
    name="repeat",
    family="shape",
    signature="x; repeats -> y",
    shape=_repeat_shape,
    reference=reference.repeat,
    vjp=_repeat_vjp,
    cost=lambda x, repeats: Cost(0, x.nbytes * (1 + math.prod(repeats))),
    bound=exact,
    samples=(
        Sample("row", ((17,),), {"repeats": (3,)}),
        Sample("both", ((3, 5),), {"repeats": (2, 4)}),
        Sample("new dims", ((3, 5),), {"repeats": (2, 1, 1, 2)}),
        Sample("channels last", ((2, 3, 4, 5),), {"repeats": (1, 2, 1, 1)}, channels_last=True),
        Sample("scalar array", ((),), {"repeats": (3, 2)}),
        Sample("scalar once", ((),), {"repeats": ()}),
        Sample("none", ((3, 2),), {"repeats": (0, 1)}),
        Sample("empty", ((0, 3),), {"repeats": (2, 2)}),
        Sample("batch", ((1, 197, 768),), {"repeats": (32, 1, 1)}, bench=True),
    ),
    bad_inputs=(
        BadInput("too few", lambda: ((_f32(3, 4),), {"repeats": (2,)}), ShapeError),
        BadInput("negative", lambda: ((_f32(3),), {"repeats": (-1,)}), ShapeError),
        BadInput("float", lambda: ((_f32(3),), {"repeats": (1.5,)}), DTypeError),
    ),
    dtypes=NUMERIC,
)


# --- triangles ---------------------------------------------------------------------------------


def _triangle_shape(name: str) -> Any:
    def shape(x: Any, diagonal: Any = 0) -> Plan:
        if x.ndim < 2:
            raise ShapeError(f"{name}: x has shape {x.shape}, want at least 2 dims")
        far = as_int(name, "diagonal", diagonal)
        if not -(2**62) < far < 2**62:
            raise ArgumentError(f"{name}: diagonal: got {far}, want one that fits int64")
        return Plan((Out(x.shape, x.dtype),), (x,), {"diagonal": far})

    return shape


def _triangle(name: str) -> OpSpec:
    found: OpSpec = op(
        name=name,
        family="shape",
        signature="x; diagonal -> y",
        shape=_triangle_shape(name),
        reference=getattr(reference, name),
        vjp=lambda saved, g: (found(g, diagonal=saved.options["diagonal"]),),
        cost=_copied,
        bound=exact,
        samples=(
            *(
                Sample(f"{r}x{c} from {d}", ((r, c),), {"diagonal": d})
                for r, c in ((1, 1), (5, 5), (3, 33), (17, 4))
                for d in (-2, 0, 1)
            ),
            Sample("far", ((3, 4),), {"diagonal": 99}),
            Sample("far below", ((3, 4),), {"diagonal": -99}),
            Sample("batch", ((2, 3, 4, 5),), {"diagonal": 0}),
            Sample("channels last", ((2, 3, 4, 5),), {"diagonal": 1}, channels_last=True),
            Sample("empty", ((0, 3, 0),), {"diagonal": 0}),
            Sample("mask", ((1024, 1024),), {"diagonal": 0}, bench=True),
        ),
        bad_inputs=(
            BadInput("vector", lambda: ((_f32(3),), {"diagonal": 0}), ShapeError),
            BadInput("diagonal", lambda: ((_f32(3, 3),), {"diagonal": 0.5}), DTypeError),
        ),
        dtypes=NUMERIC,
        elementwise=True,
    )
    return found


tril, triu = _triangle("tril"), _triangle("triu")


# --- diagonals ---------------------------------------------------------------------------------


def _diagonal_of(name: str, shape: tuple[int, ...], offset: Any, dim1: Any, dim2: Any) -> Any:
    """The shape of the diagonals, and the canonical options."""
    if len(shape) < 2:
        raise ShapeError(f"{name}: x has shape {shape}, want at least 2 dims")
    first = normalize_dim(name, dim1, len(shape), "dim1")
    second = normalize_dim(name, dim2, len(shape), "dim2")
    if first == second:
        raise ArgumentError(f"{name}: dim1 and dim2: got {first} twice, want two dims")
    far = as_int(name, "offset", offset)
    rows, columns = shape[first], shape[second]
    n = max(0, min(rows, columns - far) if far >= 0 else min(rows + far, columns))
    others = tuple(size for d, size in enumerate(shape) if d not in (first, second))
    return (*others, n), {"offset": far, "dim1": first, "dim2": second}


def _diagonal_shape(x: Any, offset: Any = 0, dim1: Any = 0, dim2: Any = 1) -> Plan:
    shape, options = _diagonal_of("diagonal", x.shape, offset, dim1, dim2)
    return Plan((Out(shape, x.dtype),), (x,), options)


def _backward_shape(
    g: Any, input_shape: Any, offset: Any = 0, dim1: Any = 0, dim2: Any = 1
) -> Plan:
    name = "diagonal_backward"
    sizes = as_ints(name, "input_shape", input_shape)
    shape, options = _diagonal_of(name, sizes, offset, dim1, dim2)
    if g.shape != shape:
        raise ShapeError(f"{name}: g has shape {g.shape}, want {shape}")
    return Plan((Out(sizes, g.dtype),), (g,), {"input_shape": sizes, **options})


_DIAGONALS: tuple[tuple[str, tuple[int, ...], dict[str, int]], ...] = (
    ("square", (5, 5), {}),
    ("above", (4, 17), {"offset": 3}),
    ("below", (17, 4), {"offset": -2}),
    ("beyond", (3, 4), {"offset": 9}),
    ("batch", (2, 3, 4, 5), {"dim1": -2, "dim2": -1, "offset": 1}),
    ("turned", (3, 2, 4), {"dim1": 2, "dim2": 0}),
    ("empty", (0, 3), {}),
)

diagonal: OpSpec = op(
    name="diagonal",
    family="shape",
    signature="x; offset, dim1, dim2 -> y",
    shape=_diagonal_shape,
    reference=reference.diagonal,
    vjp=lambda saved, g: (
        diagonal_backward(g, input_shape=saved.inputs[0].shape, **saved.options),
    ),
    cost=lambda x, **_: Cost(0, 0),
    bound=exact,
    samples=tuple(Sample(n, (s,), o) for n, s, o in _DIAGONALS),
    bad_inputs=(
        BadInput("vector", lambda: ((_f32(3),), {}), ShapeError),
        BadInput("one dim", lambda: ((_f32(3, 3),), {"dim1": 1, "dim2": -1}), ArgumentError),
        BadInput("dim", lambda: ((_f32(3, 3),), {"dim1": 2}), IndexRangeError),
        BadInput("offset", lambda: ((_f32(3, 3),), {"offset": 0.5}), DTypeError),
    ),
    dtypes=NUMERIC,
    view=True,
)

diagonal_backward: OpSpec = op(
    name="diagonal_backward",
    family="shape",
    signature="g; input_shape, offset, dim1, dim2 -> dx",
    shape=_backward_shape,
    reference=reference.diagonal_backward,
    vjp=lambda saved, v: (
        diagonal(v, **{k: o for k, o in saved.options.items() if k != "input_shape"}),
    ),
    cost=lambda g, input_shape, **_: Cost(0, g.nbytes + math.prod(input_shape) * g.itemsize),
    bound=exact,
    samples=(
        *(
            Sample(
                n,
                (_diagonal_of("", s, *({"offset": 0, "dim1": 0, "dim2": 1} | o).values())[0],),
                {"input_shape": s, **o},
            )
            for n, s, o in _DIAGONALS
        ),
        Sample("matrix", ((1024,),), {"input_shape": (1024, 1024)}, bench=True),
    ),
    bad_inputs=(
        BadInput("shape", lambda: ((_f32(2),), {"input_shape": (3, 3)}), ShapeError),
        BadInput("vector", lambda: ((_f32(2),), {"input_shape": (3,)}), ShapeError),
    ),
    dtypes=NUMERIC,
)  # fmt: skip
