"""embedding: rows of a table picked by index; one_hot: those of a unit matrix."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backends.reference import embed as reference
from ..core import checks
from ..core.dtypes import INTEGERS, int64, is_float, name_of
from ..core.errors import ArgumentError, DTypeError, IndexRangeError, ShapeError
from ..core.shapes import as_bool, as_int
from ..spec import BadInput, Cost, Ints, Judged, OpSpec, Out, Plan, Sample, gamma, op
from .elementwise import mul
from .shape import promoted


def _f32(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


def _checked(
    name: str, table: Any, index: Any, rows: int, padding_idx: Any, scale_grad_by_freq: Any
) -> tuple[Any, dict[str, Any]]:
    """The index as int64, and the canonical options (−1: no padding)."""
    if not is_float(table.dtype):
        raise DTypeError(f"{name}: got dtype {table.dtype}, want a float")
    if name_of(index.dtype) not in INTEGERS:
        raise DTypeError(f"{name}: index has dtype {index.dtype}, want integers")
    padding = -1
    if padding_idx is not None:
        padding = as_int(name, "padding_idx", padding_idx)
        if not -rows <= padding < rows:
            raise IndexRangeError(f"{name}: padding_idx: got {padding}, want one of {rows} rows")
        padding %= max(rows, 1)
    index = promoted(name, index, int64)
    if index.size and not (index.min() >= 0 and index.max() < rows):
        wrong = index[(index < 0) | (index >= rows)][0]
        raise IndexRangeError(f"{name}: index: got {wrong}, want 0 to {rows - 1}")
    by = as_bool(name, "scale_grad_by_freq", scale_grad_by_freq)
    return index, {"padding_idx": padding, "scale_grad_by_freq": by}


def _shape(
    weight: Any, index: Any, padding_idx: Any = None, scale_grad_by_freq: Any = False
) -> Plan:
    checks.rank("embedding", "weight", weight, "V, D")
    index, options = _checked(
        "embedding", weight, index, weight.shape[0], padding_idx, scale_grad_by_freq
    )
    return Plan((Out((*index.shape, weight.shape[1]), weight.dtype),), (weight, index), options)


def _backward_shape(
    g: Any,
    index: Any,
    num_embeddings: Any,
    padding_idx: Any = None,
    scale_grad_by_freq: Any = False,
) -> Plan:
    name = "embedding_backward"
    rows = as_int(name, "num_embeddings", num_embeddings)
    if g.ndim < 1 or g.shape[:-1] != index.shape:
        raise ShapeError(f"{name}: g has shape {g.shape}, want {index.shape} and one dim more")
    padding_idx = None if padding_idx == -1 else padding_idx
    index, options = _checked(name, g, index, rows, padding_idx, scale_grad_by_freq)
    options["num_embeddings"] = rows
    return Plan((Out((rows, g.shape[-1]), g.dtype),), (g, index), options)


def _vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    rows = saved.inputs[0].shape[0]
    return embedding_backward(g, saved.index, num_embeddings=rows, **saved.options), None


def _backward_vjp(saved: Any, v: Any) -> tuple[Any, ...]:
    """Each place gets its row back, with the weight it had in the sum."""
    index, o = saved.index, saved.options
    index = getattr(index, "_array", index)
    factor = np.ones(index.shape, saved.inputs[0].dtype)
    if o["scale_grad_by_freq"]:
        factor /= np.bincount(index.reshape(-1), minlength=o["num_embeddings"])[index]
    if o["padding_idx"] >= 0:
        factor[index == o["padding_idx"]] = 0
    rows = embedding(v, index)
    plain = not o["scale_grad_by_freq"] and o["padding_idx"] < 0
    return rows if plain else mul(rows, factor[..., None]), None


def _backward_bound(case: Judged) -> tuple[Any, ...]:
    """Sums of as many terms as an index has places, and a division of them."""
    g, index = case.arrays
    with np.errstate(all="ignore"):
        size = case.spec.run_reference((np.abs(g), index), case.options)[0]
    roundings = case.depth + 2 * case.options["scale_grad_by_freq"]
    return (gamma(roundings, case.unit) * size + 2 * case.tiny,)


_INDICES = (
    ("one", (5, 3), Ints((1,), 0, 5)),
    ("rows", (7, 17), Ints((4, 9), 0, 7)),
    ("wide", (3, 130), Ints((2, 3, 2), 0, 3)),
    ("many", (50, 8), Ints((2000,), 0, 50)),
    ("int32", (5, 16), Ints((6,), 0, 5, "int32")),
    ("scalar array", (5, 33), Ints((), 0, 5)),
    ("nothing", (5, 3), Ints((0,), 0, 5)),
    ("no width", (5, 0), Ints((3,), 0, 5)),
)
_OPTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("padding", {"padding_idx": 2}),
    ("by frequency", {"scale_grad_by_freq": True}),
)


embedding = op(
    name="embedding",
    family="embed",
    signature="weight[V,D], index[...]; padding_idx, scale_grad_by_freq -> y[...,D]",
    shape=_shape,
    reference=reference.embedding,
    vjp=_vjp,
    saves=("index",),
    cost=lambda weight, index, **options: Cost(
        0, index.nbytes + 2 * index.size * weight.shape[1] * weight.itemsize
    ),
    samples=(
        *(Sample(name, (table, index)) for name, table, index in _INDICES),
        # Padding and scaling change the gradient only, and make it another than the derivative.
        Sample("tokens", ((8192, 512), Ints((16, 256), 0, 8192)), bench=True),
    ),
    bad_inputs=(
        BadInput("rank", lambda: ((_f32(3), np.zeros(2, int)), {}), ShapeError),
        BadInput("floats", lambda: ((_f32(3, 4), _f32(2)), {}), DTypeError),
        BadInput("bools", lambda: ((_f32(3, 4), np.zeros(2, bool)), {}), DTypeError),
        BadInput("table of ints", lambda: ((np.zeros((3, 4), int), np.zeros(2, int)), {}),
                 DTypeError),
        BadInput("range", lambda: ((_f32(3, 4), np.full(2, 3)), {}), IndexRangeError),
        BadInput("negative", lambda: ((_f32(3, 4), np.full(2, -1)), {}), IndexRangeError),
        BadInput("padding", lambda: ((_f32(3, 4), np.zeros(2, int)), {"padding_idx": 3}),
                 IndexRangeError),
        BadInput("list", lambda: ((_f32(3, 4), [1]), {}), DTypeError),
    ),
)  # fmt: skip


def _backward_samples() -> tuple[Sample, ...]:
    def case(name: str, table: Any, index: Ints, **options: Any) -> Sample:
        shape = (*index.shape, table[1])
        return Sample(name, (shape, index), {"num_embeddings": table[0], **options})

    return (
        *(case(*part) for part in _INDICES),
        *(case(name, (6, 5), Ints((4, 9), 0, 6), **options) for name, options in _OPTIONS),
        Sample("tokens", ((16, 256, 512), Ints((16, 256), 0, 8192)), {"num_embeddings": 8192},
               bench=True),
    )  # fmt: skip


embedding_backward: OpSpec = op(
    name="embedding_backward",
    family="embed",
    signature="g[...,D], index[...]; num_embeddings, padding_idx, scale_grad_by_freq"
    " -> dweight[V,D]",
    shape=_backward_shape,
    reference=reference.embedding_backward,
    vjp=_backward_vjp,
    saves=("index",),
    cost=lambda g, index, num_embeddings, **options: Cost(
        g.size, g.nbytes + num_embeddings * g.shape[-1] * g.itemsize
    ),
    terms=lambda g, index, **options: max(
        int(np.bincount(index.reshape(-1)).max(initial=1)), 1
    ),
    bound=_backward_bound,
    samples=_backward_samples(),
    bad_inputs=(
        BadInput("shapes", lambda: ((_f32(3, 4), np.zeros(2, int)), {"num_embeddings": 5}),
                 ShapeError),
        BadInput("range", lambda: ((_f32(2, 4), np.full(2, 5)), {"num_embeddings": 5}),
                 IndexRangeError),
        BadInput("rows", lambda: ((_f32(2, 4), np.zeros(2, int)), {"num_embeddings": 1.5}),
                 DTypeError),
        BadInput("floats", lambda: ((_f32(2, 4), _f32(2)), {"num_embeddings": 5}), DTypeError),
    ),
)  # fmt: skip


# --- one_hot -----------------------------------------------------------------------------------


def _one_hot_shape(index: Any, num_classes: Any = -1) -> Plan:
    """Without num_classes, there is one more than the largest index."""
    name = "one_hot"
    if name_of(index.dtype) not in INTEGERS:
        raise DTypeError(f"{name}: index has dtype {index.dtype}, want integers")
    classes = as_int(name, "num_classes", num_classes)
    if classes == -1 and not index.size:
        raise ArgumentError(f"{name}: num_classes: want it given for an empty index")
    if classes == -1:
        classes = int(index.max()) + 1
    elif classes < 1:
        raise ArgumentError(f"{name}: num_classes: got {num_classes}, want −1 or at least 1")
    index = promoted(name, index, int64)
    if index.size and not (index.min() >= 0 and index.max() < classes):
        wrong = index[(index < 0) | (index >= classes)][0]
        raise IndexRangeError(f"{name}: index: got {wrong}, want 0 to {classes - 1}")
    return Plan((Out((*index.shape, classes), int64),), (index,), {"num_classes": classes})


def _one_hot_samples() -> tuple[Sample, ...]:
    cases = (
        ("scalar", (), 3), ("one class", (5,), 1), ("digits", (33,), 10), ("rows", (3, 5), 17),
        ("many classes", (2, 2), 1030), ("many", (3, 4000), 7), ("none", (0, 2), 4),
    )  # fmt: skip
    return (
        *(Sample(name, (Ints(shape, 0, classes),), {"num_classes": classes})
          for name, shape, classes in cases),
        *(Sample(f"classes of {dtype}", (Ints((9,), 0, 5, dtype),), {})
          for dtype in ("int64", "int32", "uint8")),
        Sample("batch of digits", (Ints((256,), 0, 10),), {"num_classes": 10}, bench=True),
        Sample("tokens", (Ints((64, 128), 0, 96),), {"num_classes": 96}, bench=True),
    )  # fmt: skip


def _bad_index(name: str, error: type[Exception], index: Any, **options: Any) -> BadInput:
    return BadInput(name, lambda: ((index,), options), error)


one_hot = op(
    name="one_hot",
    family="embed",
    signature="index[...]; num_classes -> y[...,C]",
    shape=_one_hot_shape,
    reference=reference.one_hot,
    cost=lambda index, num_classes: Cost(0, index.nbytes * (1 + num_classes)),
    dtypes=("int64",),
    samples=_one_hot_samples(),
    bad_inputs=(
        _bad_index("floats", DTypeError, _f32(3), num_classes=3),
        _bad_index("bools", DTypeError, np.zeros(3, bool), num_classes=3),
        _bad_index("not an array", DTypeError, [0, 1], num_classes=3),
        _bad_index("too large", IndexRangeError, np.arange(4), num_classes=3),
        _bad_index("negative", IndexRangeError, np.array([0, -1]), num_classes=3),
        _bad_index("negative, no number", IndexRangeError, np.array([2, -1])),
        _bad_index("empty, no number", ArgumentError, np.zeros(0, int)),
        _bad_index("no classes", ArgumentError, np.zeros(2, int), num_classes=0),
        _bad_index("number", DTypeError, np.zeros(2, int), num_classes=2.0),
    ),
)
