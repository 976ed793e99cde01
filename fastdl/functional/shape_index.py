"""Elements and slices where an index or a mask says: read, written, added to, found."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.errors import ArgumentError, DTypeError, ShapeError
from ..core.shapes import as_bool, as_float, normalize_dim
from ..ops import elementwise
from ..ops import shape as ops
from ..ops import shape_index as indexed
from ..tensor import Tensor
from ._face import method, shape_of

__all__ = [
    "argwhere", "bincount", "bucketize", "gather", "index_add", "index_copy", "index_fill",
    "index_select", "masked_fill", "masked_scatter", "masked_select", "nonzero", "scatter",
    "scatter_add", "searchsorted", "take", "take_along_dim", "unique",
]  # fmt: skip


def _plain(name: str, x: Any) -> np.ndarray:
    """The array of an argument."""
    shape_of(name, x)
    array: np.ndarray = x._array if isinstance(x, Tensor) else x
    return array


def _as(x: Any, array: np.ndarray) -> Any:
    """A result of the kind the argument is."""
    return Tensor._wrap(array) if isinstance(x, Tensor) else array


# --- along one dim -----------------------------------------------------------------------------


@method
def gather(input: Any, dim: int, index: Any, *, sparse_grad: bool = False, out: Any = None) -> Any:
    """y[i, j, k] = input[index[i, j, k], j, k] (for dim 0), of the index's shape.

    The index is int64 of the input's rank, no larger off the dim; IndexRangeError for a place
    outside. `sparse_grad` is torch's choice; the gradient is dense here. As torch.gather.
    """
    return indexed.gather(input, index, dim=dim, out=out)


@method(in_place=True)
def scatter(
    input: Any, dim: int, index: Any, src: Any = None, *, value: Any = None,
    reduce: str | None = None,
) -> Any:  # fmt: skip
    """A copy with y[index[i, j, k], j, k] = src[i, j, k] (for dim 0); `src` may be a number.

    Of several written to one place the last stays. `reduce` 'add' adds instead; torch's 'multiply'
    is an ArgumentError. Otherwise as torch.scatter.
    """
    if (src is None) == (value is None):
        raise ArgumentError("scatter: want src or value, one of them")
    if reduce not in (None, "add"):
        raise ArgumentError(f"scatter: reduce: got {reduce!r}, want 'add' or None")
    run = indexed.scatter_add if reduce else indexed.scatter
    return run(input, index, value if src is None else src, dim=dim)


@method(in_place=True)
def scatter_add(input: Any, dim: int, index: Any, src: Any) -> Any:
    """A copy with y[index[i, j, k], j, k] += src[i, j, k] (for dim 0), in the order of the index.

    As torch.scatter_add.
    """
    return indexed.scatter_add(input, index, src, dim=dim)


@method
def take_along_dim(input: Any, indices: Any, dim: int | None = None, *, out: Any = None) -> Any:
    """`gather` with input and indices broadcast off the dim; without dim, both flat.

    As torch.take_along_dim.
    """
    name = "take_along_dim"
    shape, index_shape = shape_of(name, input), shape_of(name, indices)
    if dim is None:
        x, index = (ops.reshape(a, shape=(-1,)) for a in (input, indices))
        return indexed.gather(x, index, dim=0, out=out)
    axis = normalize_dim(name, dim, len(shape))
    if len(index_shape) != len(shape):
        raise ShapeError(f"{name}: indices have {len(index_shape)} dims, want {len(shape)}")
    rest = [tuple(1 if d == axis else n for d, n in enumerate(s)) for s in (shape, index_shape)]
    try:
        common = np.broadcast_shapes(*rest)
    except ValueError:
        raise ShapeError(f"{name}: shapes {shape} and {index_shape} do not broadcast") from None

    def along(n: int) -> tuple[int, ...]:
        return tuple(n if d == axis else m for d, m in enumerate(common))

    x = ops.expand(input, shape=along(shape[axis])) if shape else input
    index = ops.expand(indices, shape=along(index_shape[axis])) if shape else indices
    return indexed.gather(x, index, dim=axis, out=out)


@method
def take(input: Any, index: Any) -> Any:
    """Elements of the flat input; negative places count from its end. As torch.take."""
    flat = ops.reshape(input, shape=(-1,))
    places = _plain("take", index)
    if places.dtype != np.int64:
        raise DTypeError(f"take: index has dtype {places.dtype}, want int64")
    n = flat.shape[0]
    found = indexed.index_select(flat, np.where(places < 0, places + n, places).reshape(-1), dim=0)
    return ops.reshape(found, shape=places.shape)


@method
def index_select(input: Any, dim: int, index: Any, *, out: Any = None) -> Any:
    """The slices along dim that a vector of int64 (or int32) names.

    Raises IndexRangeError for a place outside. As torch.index_select.
    """
    return indexed.index_select(input, index, dim=dim, out=out)


@method(in_place=True)
def index_add(input: Any, dim: int, index: Any, source: Any, *, alpha: Any = 1) -> Any:
    """A copy with alpha times the slices of source added to those that index names, in its order.

    As torch.index_add.
    """
    as_float("index_add", "alpha", alpha)
    scaled = source if alpha == 1 else elementwise.mul(source, alpha)
    return indexed.index_add(input, index, scaled, dim=dim)


def _row_index(name: str, input: Any, dim: int, index: Any) -> tuple[tuple[Any, ...], int]:
    """What selects the slices of a vector of places."""
    axis = normalize_dim(name, dim, len(shape_of(name, input)))
    places = _plain(name, index).reshape(-1)
    if places.dtype != np.int64:
        raise DTypeError(f"{name}: index has dtype {places.dtype}, want int64")
    return (*[slice(None)] * axis, places), axis


@method(in_place=True)
def index_fill(input: Any, dim: int, index: Any, value: Any) -> Any:
    """A copy with a number in all elements of the slices that index names. As torch.index_fill."""
    where, _ = _row_index("index_fill", input, dim, index)
    fill = ops.reshape(value, shape=()) if hasattr(value, "shape") else value
    return ops.setitem(input, fill, index=where)


@method(in_place=True)
def index_copy(input: Any, dim: int, index: Any, source: Any) -> Any:
    """A copy with the slices of source in the place of those that index names.

    Raises ShapeError for a source of other slices. As torch.index_copy.
    """
    where, axis = _row_index("index_copy", input, dim, index)
    shape = shape_of("index_copy", input)
    wanted = (*shape[:axis], where[-1].size, *shape[axis + 1 :])
    if shape_of("index_copy", source) != wanted:
        raise ShapeError(f"index_copy: source has shape {source.shape}, want {wanted}")
    return ops.setitem(input, source, index=where)


# --- masks -------------------------------------------------------------------------------------


def _mask(name: str, mask: Any) -> None:
    shape_of(name, mask)
    if mask.dtype != bool:
        raise DTypeError(f"{name}: mask has dtype {mask.dtype}, want bool")


@method(in_place=True)
def masked_fill(input: Any, mask: Any, value: Any) -> Any:
    """`value`, a number or a 0-d array, where the mask holds, else the input; broadcast.

    The value is cast to the input's dtype; DTypeError for a float and integers, or a mask that is
    not bool. As torch.masked_fill.
    """
    shape_of("masked_fill", input)
    _mask("masked_fill", mask)
    if hasattr(value, "shape"):
        if value.shape != ():
            raise ShapeError(f"masked_fill: value has shape {value.shape}, want a number")
        if value.dtype != input.dtype:
            value = elementwise.cast(value, dtype=input.dtype.name)
    else:
        as_float("masked_fill", "value", float(value))
        if isinstance(value, float) and input.dtype.kind in "iub" and value % 1:
            raise DTypeError(f"masked_fill: value: got {value} for {input.dtype}, want an integer")
        value = np.asarray(value).astype(input.dtype)
    return elementwise.where(mask, value, input)


@method
def masked_select(input: Any, mask: Any, *, out: Any = None) -> Any:
    """A vector of the elements where the mask holds; both broadcast. As torch.masked_select."""
    _mask("masked_select", mask)
    try:
        shape = np.broadcast_shapes(shape_of("masked_select", input), mask.shape)
    except ValueError:
        raise ShapeError(
            f"masked_select: shapes {input.shape} and {mask.shape} do not broadcast"
        ) from None
    chosen = np.broadcast_to(_plain("masked_select", mask), shape)
    found = ops.getitem(ops.expand(input, shape=shape), index=chosen)
    if out is None:
        return found
    return elementwise.copy(found, channels_last=False, out=out)


@method(in_place=True)
def masked_scatter(input: Any, mask: Any, source: Any) -> Any:
    """A copy with the first elements of source, in order, where the mask holds.

    Raises ShapeError if they do not suffice. As torch.masked_scatter.
    """
    _mask("masked_scatter", mask)
    chosen = np.broadcast_to(_plain("masked_scatter", mask), shape_of("masked_scatter", input))
    count = int(chosen.sum())
    flat = ops.reshape(source, shape=(-1,))
    if flat.shape[0] < count:
        raise ShapeError(f"masked_scatter: source has {flat.shape[0]} elements, want {count}")
    return ops.setitem(input, ops.getitem(flat, index=slice(count)), index=chosen)


# --- found and counted (no gradients) ----------------------------------------------------------


@method
def nonzero(input: Any, *, as_tuple: bool = False) -> Any:
    """Where the elements that are not zero are: [count, dims] int64, or a vector for each dim.

    As torch.nonzero.
    """
    places = np.nonzero(np.atleast_1d(_plain("nonzero", input)))
    if as_bool("nonzero", "as_tuple", as_tuple):
        return tuple(_as(input, p) for p in places)
    if not input.shape:
        return _as(input, np.zeros((places[0].size, 0), np.int64))
    return _as(input, np.stack(places, 1))


@method
def argwhere(input: Any) -> Any:
    """As `nonzero`. As torch.argwhere."""
    return nonzero(input)


@method
def bincount(input: Any, weights: Any = None, minlength: int = 0) -> Any:
    """How often each number occurs in a vector of them, or the sum of its weights.

    Raises ShapeError for more dims, DTypeError for floats, ArgumentError for negative numbers or
    another number of weights. As torch.bincount.
    """
    numbers = _plain("bincount", input)
    if numbers.ndim != 1:
        raise ShapeError(f"bincount: input has shape {numbers.shape}, want one dim")
    if numbers.dtype.kind not in "iu":
        raise DTypeError(f"bincount: input has dtype {numbers.dtype}, want integers")
    if numbers.size and numbers.min() < 0:
        raise ArgumentError("bincount: input: got a negative number, want numbers >= 0")
    if weights is None:
        return _as(input, np.bincount(numbers, minlength=minlength))
    given = _plain("bincount", weights)
    if given.shape != numbers.shape:
        raise ArgumentError(f"bincount: weights have shape {given.shape}, want {numbers.shape}")
    found = np.bincount(numbers, given, minlength)  # in float64
    return _as(input, found.astype(given.dtype if given.dtype == np.float32 else np.float64))


@method
def unique(
    input: Any, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False,
    dim: int | None = None,
) -> Any:  # fmt: skip
    """The different elements (or slices along dim), in order.

    With `return_inverse` also where each element is among them, with `return_counts` also how often
    each occurs. Always sorted, as torch's are. As torch.unique.
    """
    x = _plain("unique", input)
    axis = None if dim is None else normalize_dim("unique", dim, x.ndim)
    options: Any = {"return_inverse": return_inverse, "return_counts": return_counts}
    found = np.unique(x, **options, axis=axis, equal_nan=False)
    if not (return_inverse or return_counts):
        return _as(input, found)
    values, *others = found
    if return_inverse:
        others[0] = others[0].reshape(x.shape if axis is None else (-1,))
    return tuple(_as(input, a) for a in (values, *others))


def searchsorted(
    sorted_sequence: Any, values: Any, *, out_int32: bool = False, right: bool = False,
    side: str | None = None,
) -> Any:  # fmt: skip
    """Where each value belongs in a sequence in order: before its equals, or (`right`) behind them.

    A sequence of more dims has one for each row of values. Raises ShapeError if their leading dims
    differ. As torch.searchsorted.
    """
    name = "searchsorted"
    if side not in (None, "left", "right"):
        raise ArgumentError(f"{name}: side: got {side!r}, want 'left' or 'right'")
    sequence = _plain(name, sorted_sequence)
    given = _plain(name, values) if hasattr(values, "shape") else np.asarray(values)
    behind: Any = "right" if right or side == "right" else "left"
    if sequence.ndim <= 1:
        found = np.asarray(np.searchsorted(sequence, given, behind))
    else:
        if given.shape[:-1] != sequence.shape[:-1]:
            raise ShapeError(
                f"{name}: values have shape {given.shape}, want the leading dims of"
                f" {sequence.shape}"
            )
        rows, wanted = (a.reshape(-1, a.shape[-1]) for a in (sequence, given))
        found = np.empty(given.shape, np.int64)
        for row, value, place in zip(rows, wanted, found.reshape(wanted.shape), strict=True):
            place[:] = np.searchsorted(row, value, behind)
    return _as(sorted_sequence, found.astype(np.int32 if out_int32 else np.int64))


def bucketize(input: Any, boundaries: Any, *, out_int32: bool = False, right: bool = False) -> Any:
    """Which of the intervals between boundaries each element lies in. As torch.bucketize."""
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)
