"""Views, indexing and joining, and two helpers all families share: promotion, unbroadcasting."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..backends.reference import shape as reference
from ..core.config import forced_backend
from ..core.dtypes import int32, int64, name_of, promote
from ..core.errors import ArgumentError, DTypeError, IndexRangeError, ShapeError
from ..core.shapes import as_int, as_ints, broadcast, is_channels_last, normalize_dim
from ..spec import OPS, BadInput, Cost, Ints, OpSpec, Out, Plan, Sample, accumulated, exact, op

NUMERIC = ("bool", "uint8", "int32", "int64", "float16", "bfloat16", "float32", "float64")


def promoted(name: str, x: Any, dtype: np.dtype) -> np.ndarray:
    """An operand in the dtype of the call: cast if it has another one, 0-d for a Python scalar."""
    if isinstance(x, np.ndarray):
        if x.dtype == dtype:
            return x
        if x.ndim and forced_backend.get() in (None, "native"):
            return OPS["cast"].call_arrays((x,), {"dtype": dtype.name})
        return x.astype(dtype)
    try:
        value = np.asarray(x, int64 if isinstance(x, int) else None)
    except OverflowError:
        raise ArgumentError(f"{name}: the scalar {x} does not fit int64") from None
    with np.errstate(all="ignore"):  # an overflow to inf or a wrapped integer, as in torch
        return value.astype(dtype)


def sum_to_shape(g: Any, shape: tuple[int, ...]) -> Any:
    """The transpose of broadcasting: g summed over the dims along which `shape` was repeated."""
    if tuple(g.shape) == shape:
        return g
    extra = g.ndim - len(shape)
    if extra < 0:  # an assigned value may have more leading dims (of size 1) than its place
        return reshape(sum_to_shape(g, shape[-extra:]), shape=shape)
    stretched = (i + extra for i, n in enumerate(shape) if n == 1 and g.shape[i + extra] != 1)
    dims = (*range(extra), *stretched)
    if dims:
        g = OPS["sum"](g, dim=dims, keepdim=True)
    return reshape(g, shape=shape) if extra else g


def _no_cost(*_: Any, **__: Any) -> Cost:
    return Cost(0, 0)  # a view moves nothing


def _f32(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


# --- views -------------------------------------------------------------------------------------


def _reshape_shape(x: Any, shape: Any) -> Plan:
    wanted = as_ints("reshape", "shape", shape)
    known = math.prod(n for n in wanted if n != -1)
    if any(n < -1 for n in wanted) or wanted.count(-1) > 1:
        raise ShapeError(f"reshape: shape: got {wanted}, want sizes >= 0 and at most one -1")
    if -1 in wanted:
        if known == 0:
            raise ShapeError(
                f"reshape: shape: got {wanted} for shape {x.shape}, where -1 could be any size"
            )
        filled = tuple(x.size // known if n == -1 else n for n in wanted)
    else:
        filled = wanted
    if math.prod(filled) != x.size:
        raise ShapeError(
            f"reshape: shape: got {wanted}, want one of {x.size} elements, as {x.shape}"
        )
    return Plan((Out(filled, x.dtype),), (x,), {"shape": filled})


reshape: OpSpec = op(
    name="reshape",
    family="shape",
    signature="x; shape -> y",
    shape=_reshape_shape,
    reference=reference.reshape,
    vjp=lambda saved, g: (reshape(g, shape=saved.inputs[0].shape),),
    cost=_no_cost,
    bound=exact,
    samples=(
        Sample("flatten", ((2, 3, 4),), {"shape": (2, -1)}),
        Sample("to scalar", ((1, 1),), {"shape": ()}),
        Sample("from scalar", ((),), {"shape": (1, 1, 1)}),
        Sample("channels last", ((2, 3, 5, 7),), {"shape": (2, -1)}, channels_last=True),
        Sample("empty", ((0, 3),), {"shape": (3, 0, 2)}),
    ),
    bad_inputs=(
        BadInput("size", lambda: ((_f32(3, 4),), {"shape": (5, 2)}), ShapeError),
        BadInput("does not divide", lambda: ((_f32(3, 4),), {"shape": (5, -1)}), ShapeError),
        BadInput("two unknowns", lambda: ((_f32(3, 4),), {"shape": (-1, -1)}), ShapeError),
        BadInput("any size", lambda: ((_f32(0, 4),), {"shape": (-1, 0)}), ShapeError),
        BadInput("negative", lambda: ((_f32(3, 4),), {"shape": (-3, -4)}), ShapeError),
        BadInput("float size", lambda: ((_f32(3, 4),), {"shape": (3.0, 4)}), DTypeError),
        BadInput("not an array", lambda: (([1, 2],), {"shape": (2,)}), DTypeError),
        BadInput("out", lambda: ((_f32(4),), {"shape": (4,), "out": _f32(4)}), ArgumentError),
    ),
    dtypes=NUMERIC,
    view=True,
)


def _reshape_directly(x: Any, *, shape: Any = None, out: Any = None) -> Any:
    """The hot path of gradients: a NumPy array, and a shape without riddles."""
    if (
        out is None
        and type(x) is np.ndarray
        and name_of(x.dtype) in NUMERIC
        and type(shape) is tuple
        and all([type(n) is int and n >= 0 for n in shape])
        and math.prod(shape) == x.size
    ):
        return x.reshape(shape)
    return NotImplemented


reshape.direct = _reshape_directly


def _permute_shape(x: Any, dims: Any) -> Plan:
    got = as_ints("permute", "dims", dims)
    if len(got) != x.ndim:
        raise ShapeError(f"permute: dims: got {got}, want each of the {x.ndim} dims of {x.shape}")
    order = tuple(normalize_dim("permute", d, x.ndim, "dims") for d in got)
    if len(set(order)) < len(order):
        raise ArgumentError(f"permute: dims: got {got}, want every dim once")
    return Plan((Out(tuple(x.shape[d] for d in order), x.dtype),), (x,), {"dims": order})


def _permute_vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    dims = saved.options["dims"]
    return (permute(g, dims=tuple(sorted(range(len(dims)), key=dims.__getitem__))),)


permute = op(
    name="permute",
    family="shape",
    signature="x; dims -> y",
    shape=_permute_shape,
    reference=reference.permute,
    vjp=_permute_vjp,
    cost=_no_cost,
    bound=exact,
    samples=(
        Sample("transpose", ((3, 5),), {"dims": (1, 0)}),
        Sample("cycle", ((2, 3, 5),), {"dims": (2, 0, 1)}),
        Sample("negative", ((2, 3, 5),), {"dims": (0, -1, 1)}),
        Sample("scalar array", ((),), {"dims": ()}),
        Sample("empty", ((0, 3),), {"dims": (1, 0)}),
    ),
    bad_inputs=(
        BadInput("too few", lambda: ((_f32(3, 4),), {"dims": (0,)}), ShapeError),
        BadInput("twice", lambda: ((_f32(3, 4),), {"dims": (0, 0)}), ArgumentError),
        BadInput("range", lambda: ((_f32(3, 4),), {"dims": (0, 2)}), IndexRangeError),
        BadInput("not an array", lambda: (("x",), {"dims": ()}), DTypeError),
    ),
    dtypes=NUMERIC,
    view=True,
)


def _expand_shape(x: Any, shape: Any) -> Plan:
    wanted = as_ints("expand", "shape", shape)
    extra = len(wanted) - x.ndim
    if extra < 0:
        raise ShapeError(
            f"expand: shape: got {wanted}, want at least the {x.ndim} dims of {x.shape}"
        )
    if any(n < 0 for n in wanted[:extra]) or any(n < -1 for n in wanted):
        raise ShapeError(f"expand: shape: got {wanted}, want sizes >= 0, or -1 for an existing dim")
    sizes = (1,) * extra + x.shape
    filled = tuple(n if m == -1 else m for n, m in zip(sizes, wanted, strict=True))
    if any(n not in (1, m) for n, m in zip(sizes, filled, strict=True)):
        raise ShapeError(f"expand: shape: got {wanted} for {x.shape}; only dims of size 1 stretch")
    return Plan((Out(filled, x.dtype),), (x,), {"shape": filled})


expand = op(
    name="expand",
    family="shape",
    signature="x; shape -> y",
    shape=_expand_shape,
    reference=reference.expand,
    vjp=lambda saved, g: (sum_to_shape(g, saved.inputs[0].shape),),
    cost=_no_cost,
    bound=exact,
    samples=(
        Sample("rows", ((1, 5),), {"shape": (3, 5)}),
        Sample("new dim", ((5,),), {"shape": (3, -1)}),
        Sample("scalar array", ((),), {"shape": (2, 2)}),
        Sample("to nothing", ((1, 3),), {"shape": (0, 3)}),
    ),
    bad_inputs=(
        BadInput("size", lambda: ((_f32(3, 4),), {"shape": (3, 5)}), ShapeError),
        BadInput("fewer dims", lambda: ((_f32(3, 4),), {"shape": (4,)}), ShapeError),
        BadInput("-1 in front", lambda: ((_f32(3),), {"shape": (-1, 3)}), ShapeError),
        BadInput("float size", lambda: ((_f32(1),), {"shape": (2.5,)}), DTypeError),
        BadInput("not an array", lambda: ((None,), {"shape": (1,)}), DTypeError),
    ),
    dtypes=NUMERIC,
    view=True,
)


# --- indexing ----------------------------------------------------------------------------------


def _is_bool(item: Any) -> bool:
    return isinstance(item, (bool, np.bool_))


def _index_array(name: str, item: Any) -> Any:
    """An array (or list) of an index: a bool mask, integers, or an int for a 0-d array of one."""
    array = np.asarray(item)
    if array.size == 0 and isinstance(item, list):
        array = array.astype(int64)
    if array.dtype not in (bool, int32, int64):
        raise DTypeError(f"{name}: index: got dtype {array.dtype}, want bool, int32 or int64")
    return int(array) if array.ndim == 0 and array.dtype != bool else array


def _index_slice(name: str, item: slice) -> slice:
    parts = (
        p if p is None else as_int(name, "index", p) for p in (item.start, item.stop, item.step)
    )
    canonical = slice(*parts)
    if canonical.step == 0:
        raise ArgumentError(f"{name}: index: got a slice with step 0, want any other step")
    return canonical


def canonical_index(name: str, index: Any, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """An index as a tuple of ints, slices, None, bool masks and integer arrays, for all dims."""
    items: list[Any] = []
    for item in index if isinstance(index, tuple) else (index,):
        if item is None or item is Ellipsis:
            items.append(item)
        elif isinstance(item, slice):
            items.append(_index_slice(name, item))
        elif _is_bool(item) or isinstance(item, (np.ndarray, list)):
            items.append(_index_array(name, item))
        else:
            items.append(as_int(name, "index", item))
    used = sum(
        item.ndim if isinstance(item, np.ndarray) and item.dtype == bool else 1
        for item in items
        if item is not None and item is not Ellipsis
    )
    gaps = [i for i, item in enumerate(items) if item is Ellipsis]
    if len(gaps) > 1 or used > len(shape):
        raise IndexRangeError(
            f"{name}: index: got {used} indices and {len(gaps)} ellipses for shape {shape}"
        )
    gap = gaps[0] if gaps else len(items)
    return (*items[:gap], *[slice(None)] * (len(shape) - used), *items[gap + 1 :])


def _indexed_shape(name: str, shape: tuple[int, ...], index: tuple[Any, ...]) -> tuple[int, ...]:
    """The shape of x[index], found (and the index checked) on an array of one byte."""
    try:
        return reference.getitem(np.broadcast_to(np.False_, shape), index=index).shape
    except (IndexError, ValueError) as error:
        raise IndexRangeError(f"{name}: index for shape {shape}: {error}") from None


def _getitem_shape(x: Any, index: Any) -> Plan:
    canonical = canonical_index("getitem", index, x.shape)
    out = Out(_indexed_shape("getitem", x.shape, canonical), x.dtype)
    return Plan((out,), (x,), {"index": canonical})


def _getitem_vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    shape, index = saved.inputs[0].shape, saved.options["index"]
    return (getitem_backward(g, input_shape=shape, index=index),)


_rows = np.array([2, 0, 2])
_INDICES = {
    "int": ((5, 4), 3),
    "slice": ((17, 4), slice(1, -1, 3)),
    "negative step": ((17,), slice(None, None, -2)),
    "ellipsis and new dim": ((2, 3, 4), (..., None, 1)),
    "mask": ((3, 2), np.array([[True, False], [False, True], [True, True]])),
    "rows, one twice": ((5, 4), _rows),
    "pairs": ((5, 4), (_rows, np.array([[1], [-1]]))),
    "int and array apart": ((2, 3, 4), (0, slice(None), _rows)),
    "arrays apart": ((4, 3, 5), (_rows, slice(None), _rows)),
    "no rows": ((5, 4), np.zeros(0, np.int64)),
    "empty": ((0, 4), slice(1)),
}
_INDEX_BAD: tuple[tuple[str, Any, type[Exception]], ...] = (
    ("out of range", 3, IndexRangeError),
    ("array out of range", np.array([0, 3]), IndexRangeError),
    ("too many", (0, 0, 0), IndexRangeError),
    ("two ellipses", (..., ...), IndexRangeError),
    ("mask shape", np.array([True, False]), IndexRangeError),
    ("arrays do not broadcast", (np.zeros(2, int), np.zeros(3, int)), IndexRangeError),
    ("float", 1.0, DTypeError),
    ("float array", np.array([0.0]), DTypeError),
    ("uint8 array", np.array([0], np.uint8), DTypeError),
    ("string", "a", DTypeError),
    ("step 0", slice(None, None, 0), ArgumentError),
)


def _bad_index(name: str, index: Any, error: type[Exception], *value: float) -> BadInput:
    return BadInput(name, lambda: ((_f32(3, 4), *value), {"index": index}), error)


getitem: OpSpec = op(
    name="getitem",
    family="shape",
    signature="x; index -> y",
    shape=_getitem_shape,
    reference=reference.getitem,
    vjp=_getitem_vjp,
    cost=_no_cost,
    bound=exact,
    samples=tuple(Sample(n, (s,), {"index": i}) for n, (s, i) in _INDICES.items()),
    bad_inputs=tuple(_bad_index(*case) for case in _INDEX_BAD),
    dtypes=NUMERIC,
    view=True,
)


def _getitem_backward_shape(g: Any, input_shape: Any, index: Any) -> Plan:
    name = "getitem_backward"
    shape = as_ints(name, "input_shape", input_shape)
    canonical = canonical_index(name, index, shape)
    wanted = _indexed_shape(name, shape, canonical)
    if g.shape != wanted:
        raise ShapeError(f"{name}: g has shape {g.shape}, want {wanted}")
    return Plan((Out(shape, g.dtype),), (g,), {"input_shape": shape, "index": canonical})


def _duplicates(g: Any, input_shape: tuple[int, ...], index: Any) -> int:
    """How many elements of g meet in one element of the result, at most."""
    ones = np.ones(g.shape, np.int64)
    hits = reference.getitem_backward(ones, input_shape=input_shape, index=index)
    return int(hits.max(initial=1))


getitem_backward: OpSpec = op(
    name="getitem_backward",
    family="shape",
    signature="g; input_shape, index -> dx",
    shape=_getitem_backward_shape,
    reference=reference.getitem_backward,
    vjp=lambda saved, v: (getitem(v, index=saved.options["index"]),),
    cost=lambda g, input_shape, index: Cost(
        g.size, 2 * g.nbytes + math.prod(input_shape) * g.itemsize
    ),
    terms=_duplicates,
    bound=accumulated,
    samples=(
        *(
            Sample(
                n, (_indexed_shape(n, s, canonical_index(n, i, s)),), {"input_shape": s, "index": i}
            )
            for n, (s, i) in _INDICES.items()
        ),
        Sample(
            "half", ((512, 1024),), {"input_shape": (1024, 1024), "index": slice(512)}, bench=True
        ),
    ),
    bad_inputs=(
        BadInput(
            "shape", lambda: ((_f32(4),), {"input_shape": (5,), "index": slice(3)}), ShapeError
        ),
        BadInput(
            "out of range", lambda: ((_f32(),), {"input_shape": (5,), "index": 5}), IndexRangeError
        ),
    ),
    dtypes=NUMERIC,
)


def _setitem_shape(x: Any, value: Any, index: Any) -> Plan:
    if not isinstance(x, np.ndarray):
        raise DTypeError(f"setitem: x: got {type(x).__name__}, want an array")
    canonical = canonical_index("setitem", index, x.shape)
    place = _indexed_shape("setitem", x.shape, canonical)
    source = promoted("setitem", value, x.dtype)
    trimmed = source.shape[max(source.ndim - len(place), 0) :]
    if source.size != math.prod(trimmed) or broadcast("setitem", trimmed, place) != place:
        raise ShapeError(f"setitem: value has shape {source.shape}, want one that fills {place}")
    out = Out(x.shape, x.dtype, is_channels_last(x))
    return Plan((out,), (x, source.reshape(trimmed)), {"index": canonical})


def _setitem_vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    index = saved.options["index"]
    return (
        setitem(g, 0, index=index) if saved.needs[0] else None,
        sum_to_shape(getitem(g, index=index), saved.inputs[1].shape) if saved.needs[1] else None,
    )


setitem = op(
    name="setitem",
    family="shape",
    signature="x, value; index -> y",
    shape=_setitem_shape,
    reference=reference.setitem,
    vjp=_setitem_vjp,
    cost=lambda x, value, index: Cost(0, 2 * x.nbytes + value.nbytes),
    bound=exact,
    samples=(
        *(Sample(n, (s, 1.5), {"index": i}) for n, (s, i) in _INDICES.items()),
        Sample("row", ((5, 4), (4,)), {"index": 3}),
        Sample("leading ones", ((5, 4), (1, 1, 4)), {"index": slice(1, 3)}),
        Sample("half", ((1024, 1024), (512, 1024)), {"index": slice(512)}, bench=True),
    ),
    bad_inputs=(
        *(_bad_index(*case, 1.0) for case in _INDEX_BAD),
        BadInput("value shape", lambda: ((_f32(3, 4), _f32(3)), {"index": 0}), ShapeError),
        BadInput("value too big", lambda: ((_f32(3, 4), _f32(2, 4)), {"index": 0}), ShapeError),
        BadInput("scalar x", lambda: ((1.0, 2.0), {"index": 0}), DTypeError),
    ),
    dtypes=NUMERIC,
    scalars=True,
)


# --- joining -----------------------------------------------------------------------------------


def _cat_shape(*tensors: Any, dim: Any = 0) -> Plan:
    dtype = tensors[0].dtype
    for t in tensors[1:]:
        dtype = promote(dtype, t.dtype)
    kept = [t for t in tensors if t.shape != (0,)] or list(tensors[:1])  # torch lets those fit
    first = kept[0]
    if first.ndim == 0:
        raise ShapeError("cat: got a 0-d array, want at least 1 dim")
    dim = normalize_dim("cat", dim, first.ndim)
    for i, t in enumerate(tensors):
        same = t.ndim == first.ndim and all(
            t.shape[d] == first.shape[d] for d in range(t.ndim) if d != dim
        )
        if not same and t.shape != (0,):
            raise ShapeError(
                f"cat: tensors[{i}] has shape {t.shape}, want {first.shape} but for dim {dim}"
            )
    total = sum(t.shape[dim] for t in kept)
    shape = (*first.shape[:dim], total, *first.shape[dim + 1 :])
    out = Out(shape, dtype, all(is_channels_last(t) for t in kept))
    return Plan((out,), tuple(promoted("cat", t, dtype) for t in tensors), {"dim": dim})


def _cat_vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    dim, start, gradients = saved.options["dim"], 0, []
    for meta, needed in zip(saved.inputs, saved.needs, strict=True):
        if meta.shape == (0,) and g.ndim > 1:
            gradients.append(reshape(getitem(g, index=slice(0)), shape=(0,)) if needed else None)
            continue
        stop = start + meta.shape[dim]
        index = (*[slice(None)] * dim, slice(start, stop))
        gradients.append(getitem(g, index=index) if needed else None)
        start = stop
    return tuple(gradients)


cat = op(
    name="cat",
    family="shape",
    signature="*tensors; dim -> y",
    shape=_cat_shape,
    reference=reference.cat,
    vjp=_cat_vjp,
    cost=lambda *tensors, dim: Cost(0, 2 * sum(t.nbytes for t in tensors)),
    bound=exact,
    samples=(
        Sample("rows", ((2, 5), (3, 5)), {"dim": 0}),
        Sample("columns", ((3, 2), (3, 1), (3, 17)), {"dim": -1}),
        Sample("channels last", ((2, 3, 5, 7), (2, 4, 5, 7)), {"dim": 1}, channels_last=True),
        Sample("one", ((4,),), {"dim": 0}),
        Sample("empty", ((0, 3), (2, 3)), {"dim": 0}),
        Sample("empty vector", ((0,), (2, 3)), {"dim": 1}),
        Sample("promotes", (Ints((3, 4), -9, 9), (3, 4)), {"dim": 1}),
        Sample("skip connection", ((8, 64, 56, 56), (8, 64, 56, 56)), {"dim": 1}, bench=True),
    ),
    bad_inputs=(
        BadInput("nothing", lambda: ((), {"dim": 0}), ArgumentError),
        BadInput("sizes", lambda: ((_f32(2, 3), _f32(2, 4)), {"dim": 0}), ShapeError),
        BadInput("ranks", lambda: ((_f32(2, 3), _f32(3)), {"dim": 0}), ShapeError),
        BadInput("scalar array", lambda: ((_f32(), _f32()), {"dim": 0}), ShapeError),
        BadInput("dim", lambda: ((_f32(2, 3),), {"dim": 2}), IndexRangeError),
        BadInput("list", lambda: (([1.0], _f32(2)), {"dim": 0}), DTypeError),
    ),
    dtypes=NUMERIC,
)
