"""Shapes: dims added and taken away, parts, and arrays repeated.

What can be a view is one, as in torch: it shares its storage.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..core.errors import ArgumentError, DTypeError, ShapeError
from ..core.shapes import as_int, as_ints, normalize_dim
from ..ops import shape as ops
from ..ops import shape_view as views
from ..ops.shape_index import index_select
from ..tensor import Tensor
from ._face import method, shape_of

__all__ = [
    "atleast_1d",
    "atleast_2d",
    "atleast_3d",
    "broadcast_tensors",
    "broadcast_to",
    "chunk",
    "diag",
    "diag_embed",
    "diagonal",
    "flip",
    "fliplr",
    "flipud",
    "moveaxis",
    "movedim",
    "narrow",
    "numel",
    "ravel",
    "repeat_interleave",
    "roll",
    "rot90",
    "select",
    "split",
    "squeeze",
    "swapaxes",
    "swapdims",
    "t",
    "tensor_split",
    "tile",
    "tril",
    "triu",
    "unbind",
    "unflatten",
    "unsqueeze",
]


# --- dims --------------------------------------------------------------------------------------


@method
def squeeze(input: Any, dim: Any = None) -> Any:
    """A view without dims of size 1: all of them, or those of `dim` (an int or several) that are.

    Raises IndexRangeError for a dim out of range. As torch.squeeze.
    """
    shape = shape_of("squeeze", input)
    if dim is None:
        return ops.reshape(input, shape=tuple(n for n in shape if n != 1))
    dims = {normalize_dim("squeeze", d, len(shape)) for d in as_ints("squeeze", "dim", dim)}
    kept = tuple(n for d, n in enumerate(shape) if n != 1 or d not in dims)
    return ops.reshape(input, shape=kept)


@method
def unsqueeze(input: Any, dim: int) -> Any:
    """A view with a new dim of size 1 before dim; IndexRangeError for one out of range.

    As torch.unsqueeze.
    """
    shape = shape_of("unsqueeze", input)
    axis = normalize_dim("unsqueeze", dim, len(shape) + 1)
    return ops.reshape(input, shape=(*shape[:axis], 1, *shape[axis:]))


@method
def unflatten(input: Any, dim: int, sizes: Any) -> Any:
    """One dim as several of these sizes, one of which may be −1.

    Raises ShapeError if they do not fit. As torch.unflatten.
    """
    shape = shape_of("unflatten", input)
    axis = normalize_dim("unflatten", dim, len(shape))
    wanted = as_ints("unflatten", "sizes", sizes)
    known = math.prod(n for n in wanted if n != -1)
    n = shape[axis] if shape else 1
    if wanted.count(-1) > 1 or any(w < -1 for w in wanted) or not wanted:
        raise ShapeError(f"unflatten: sizes: got {wanted}, want sizes, at most one of them −1")
    if -1 in wanted and known and n % known == 0:
        wanted = tuple(n // known if w == -1 else w for w in wanted)
    if math.prod(wanted) != n or -1 in wanted:
        raise ShapeError(f"unflatten: sizes: got {wanted} for dim {axis} of size {n}")
    return ops.reshape(input, shape=(*shape[:axis], *wanted, *shape[axis + 1 :]))


@method
def movedim(input: Any, source: Any, destination: Any) -> Any:
    """A view with the dims of `source` at the places of `destination` (ints or tuples of them).

    Raises ArgumentError unless both name as many dims, each once. As torch.movedim.
    """
    ndim = len(shape_of("movedim", input))
    start = [normalize_dim("movedim", d, ndim) for d in as_ints("movedim", "source", source)]
    end = [
        normalize_dim("movedim", d, ndim) for d in as_ints("movedim", "destination", destination)
    ]
    if len(start) != len(end) or len(set(start)) < len(start) or len(set(end)) < len(end):
        raise ArgumentError(f"movedim: got {source} to {destination}, want as many dims, each once")
    rest = iter(d for d in range(ndim) if d not in start)
    places = dict(zip(end, start, strict=True))
    return ops.permute(
        input, dims=tuple(places[d] if d in places else next(rest) for d in range(ndim))
    )


moveaxis = method(name="moveaxis")(movedim)


@method
def swapaxes(input: Any, axis0: int, axis1: int) -> Any:
    """A view with two dims exchanged; IndexRangeError for one out of range. As torch.swapaxes."""
    order = list(range(len(shape_of("swapaxes", input))))
    if order:
        first = normalize_dim("swapaxes", axis0, len(order), "axis0")
        second = normalize_dim("swapaxes", axis1, len(order), "axis1")
        order[first], order[second] = order[second], order[first]
    return ops.permute(input, dims=tuple(order))


swapdims = method(name="swapdims")(swapaxes)


def t(input: Any) -> Any:
    """The transpose of a matrix, as a view; ShapeError for more than 2 dims. As torch.t."""
    if len(shape_of("t", input)) > 2:
        raise ShapeError(f"t: got {len(input.shape)} dims, want at most 2")
    return ops.permute(input, dims=tuple(reversed(range(len(input.shape)))))


@method
def ravel(input: Any) -> Any:
    """All elements in one dim: a view where strides allow. As torch.ravel."""
    return ops.reshape(input, shape=(math.prod(shape_of("ravel", input)),))


def numel(input: Any) -> int:
    """The number of elements. As torch.numel."""
    return math.prod(shape_of("numel", input))


@method
def view_as(input: Any, other: Any) -> Any:
    """A view in the shape of another; ShapeError where none is possible. As Tensor.view_as."""
    return input.view(shape_of("view_as", other))


@method
def reshape_as(input: Any, other: Any) -> Any:
    """The elements in the shape of another. As Tensor.reshape_as."""
    return ops.reshape(input, shape=shape_of("reshape_as", other))


@method
def expand_as(input: Any, other: Any) -> Any:
    """A view broadcast to the shape of another. As Tensor.expand_as."""
    return ops.expand(input, shape=shape_of("expand_as", other))


@method(sizes=True)
def broadcast_to(input: Any, size: Any) -> Any:
    """A view broadcast to a shape; ShapeError for one that does not fit. As torch.broadcast_to."""
    return ops.expand(input, shape=size)


def broadcast_tensors(*tensors: Any) -> tuple[Any, ...]:
    """Views of all of them in their common shape. As torch.broadcast_tensors."""
    given = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)) else tensors
    try:
        shape = np.broadcast_shapes(*(shape_of("broadcast_tensors", x) for x in given))
    except ValueError:
        raise ShapeError(
            f"broadcast_tensors: shapes {[x.shape for x in given]} do not broadcast"
        ) from None
    return tuple(ops.expand(x, shape=shape) for x in given)


def _atleast(name: str, tensors: tuple[Any, ...], ndim: int) -> Any:
    if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)):
        return tuple(raised(name, x, ndim) for x in tensors[0])
    found = tuple(raised(name, x, ndim) for x in tensors)
    return found[0] if len(found) == 1 else found


def raised(name: str, x: Any, ndim: int) -> Any:
    """X with at least ndim dims, for `atleast_2d` and those who put arrays together."""
    shape = shape_of(name, x)
    while len(shape) < ndim:  # the third dim is the last one, the others come first
        shape = (*shape, 1) if len(shape) == 2 else (1, *shape)
    return ops.reshape(x, shape=shape)


def atleast_1d(*tensors: Any) -> Any:
    """Each with at least one dim; a tuple for several. As torch.atleast_1d."""
    return _atleast("atleast_1d", tensors, 1)


def atleast_2d(*tensors: Any) -> Any:
    """Each with at least two dims: a vector is a row. As torch.atleast_2d."""
    return _atleast("atleast_2d", tensors, 2)


def atleast_3d(*tensors: Any) -> Any:
    """Each with at least three dims: [1, n, 1] of a vector. As torch.atleast_3d."""
    return _atleast("atleast_3d", tensors, 3)


# --- parts -------------------------------------------------------------------------------------


@method
def split(tensor: Any, split_size_or_sections: Any, dim: int = 0) -> tuple[Any, ...]:
    """Views of parts along dim: of a size each (the last may be smaller), or of several sizes.

    Raises ShapeError for sizes that do not sum to that of dim, ArgumentError for a size of 0 of a
    dim that is not. As torch.split.
    """
    shape = shape_of("split", tensor)
    axis = normalize_dim("split", dim, len(shape))
    if isinstance(split_size_or_sections, (tuple, list)):
        sizes = as_ints("split", "split_size_or_sections", split_size_or_sections)
    else:
        size = as_int("split", "split_size_or_sections", split_size_or_sections)
        n = shape[axis] if shape else 1
        if size < 0 or (size == 0 and n):
            raise ArgumentError(f"split: split_size_or_sections: got {size}, want a size > 0")
        sizes = tuple(min(size, n - i) for i in range(0, n, size)) if n else (0,)
    return _parts(tensor, sizes, axis)


def _parts(tensor: Any, sizes: tuple[int, ...], dim: int) -> tuple[Any, ...]:
    found = views.split(tensor, sizes=sizes, dim=dim)
    return found if isinstance(found, tuple) else (found,)


@method
def chunk(input: Any, chunks: int, dim: int = 0) -> tuple[Any, ...]:
    """Views of at most `chunks` parts along dim, all but the last of one size. As torch.chunk."""
    shape = shape_of("chunk", input)
    axis, count = normalize_dim("chunk", dim, len(shape)), as_int("chunk", "chunks", chunks)
    if count < 1:
        raise ArgumentError(f"chunk: chunks: got {count}, want a number > 0")
    n = shape[axis] if shape else 1
    if n == 0:
        return _parts(input, (0,) * count, axis)
    return split(input, -(-n // count), axis)


@method
def tensor_split(input: Any, indices_or_sections: Any, dim: int = 0) -> tuple[Any, ...]:
    """Views of so many parts along dim, nearly equal, or cut at indices. As torch.tensor_split."""
    name = "tensor_split"
    shape = shape_of(name, input)
    axis = normalize_dim(name, dim, len(shape))
    if not shape:
        raise ShapeError(f"{name}: got a 0-d array, want at least 1 dim")
    n = shape[axis]
    if isinstance(indices_or_sections, (tuple, list)):
        cuts = as_ints(name, "indices_or_sections", indices_or_sections)
        windows = zip((0, *cuts), (*cuts, n), strict=True)
        return tuple(_window(input, axis, slice(a, b)) for a, b in windows)
    count = as_int(name, "indices_or_sections", indices_or_sections)
    if count < 1:
        raise ArgumentError(f"{name}: indices_or_sections: got {count}, want a number > 0")
    sizes = tuple(n // count + (i < n % count) for i in range(count))
    return _parts(input, sizes, axis)


def _window(x: Any, dim: int, window: Any) -> Any:
    return ops.getitem(x, index=(*[slice(None)] * dim, window))


@method
def unbind(input: Any, dim: int = 0) -> tuple[Any, ...]:
    """Views of all slices along dim, which they are without. As torch.unbind."""
    shape = shape_of("unbind", input)
    if not shape:
        raise ShapeError("unbind: got a 0-d array, want at least 1 dim")
    axis = normalize_dim("unbind", dim, len(shape))
    if shape[axis] == 0:
        return ()
    rest = (*shape[:axis], *shape[axis + 1 :])
    return tuple(ops.reshape(p, shape=rest) for p in _parts(input, (1,) * shape[axis], axis))


@method
def narrow(input: Any, dim: int, start: int, length: int) -> Any:
    """A view of `length` slices along dim from `start` on.

    Raises ShapeError for a window that leaves the dim. As torch.narrow.
    """
    shape = shape_of("narrow", input)
    if not shape:
        raise ShapeError("narrow: got a 0-d array, want at least 1 dim")
    axis = normalize_dim("narrow", dim, len(shape))
    n, count = shape[axis], as_int("narrow", "length", length)
    first = as_int("narrow", "start", start)
    begin = first + n if first < 0 else first
    if not (begin >= 0 and count >= 0 and begin + count <= n):
        raise ShapeError(f"narrow: start {first}, length {count}: want a window of dim size {n}")
    return _window(input, axis, slice(begin, begin + count))


@method
def select(input: Any, dim: int, index: int) -> Any:
    """A view of one slice along dim, which it is without; IndexRangeError for one out of range.

    As torch.select.
    """
    axis = normalize_dim("select", dim, len(shape_of("select", input)))
    return _window(input, axis, as_int("select", "index", index))


# --- repeated, moved ---------------------------------------------------------------------------


@method(sizes=True)
def repeat(input: Any, repeats: Any) -> Any:
    """Side by side with itself along every dim, of which there may be more. As Tensor.repeat."""
    return views.repeat(input, repeats=repeats)


@method(sizes=True)
def tile(input: Any, dims: Any) -> Any:
    """As `repeat`, with 1 for leading dims that are not named. As torch.tile."""
    times = as_ints("tile", "dims", dims)
    missing = len(shape_of("tile", input)) - len(times)
    return views.repeat(input, repeats=(1,) * missing + times)


@method
def repeat_interleave(
    input: Any, repeats: Any, dim: int | None = None, *, output_size: int | None = None
) -> Any:
    """Every slice along dim so many times in a row; without dim every element of the flat input.

    `repeats` is an int, or integers for each slice. Raises ArgumentError for negative ones,
    ShapeError for another number of them. As torch.repeat_interleave.
    """
    name = "repeat_interleave"
    x = ravel(input) if dim is None else input
    shape = shape_of(name, x)
    axis = normalize_dim(name, dim or 0, len(shape))
    counts = np.asarray(repeats._array if isinstance(repeats, Tensor) else repeats)
    if counts.dtype.kind not in "iu" or counts.ndim > 1:
        raise DTypeError(f"{name}: repeats: got {repeats!r}, want an int or a vector of them")
    if (counts < 0).any():
        raise ArgumentError(f"{name}: repeats: got a negative number, want numbers >= 0")
    if not shape:
        return repeat_interleave(ops.reshape(x, shape=(1,)), repeats, 0)
    if counts.size == 1:
        n = int(counts.reshape(()))
        flat = (*shape[:axis], shape[axis] * n, *shape[axis + 1 :])
        times = (*[1] * (axis + 1), n, *[1] * (len(shape) - axis - 1))
        return ops.reshape(views.repeat(unsqueeze(x, axis + 1), repeats=times), shape=flat)
    if counts.size != shape[axis]:
        raise ShapeError(f"{name}: repeats: got {counts.size}, want {shape[axis]}, one a slice")
    return index_select(x, np.repeat(np.arange(shape[axis]), counts), dim=axis)


@method(sizes=True)
def flip(input: Any, dims: Any) -> Any:
    """A copy with the elements along dims in reverse order.

    Raises IndexRangeError for a dim out of range, ArgumentError for one named twice. As torch.flip.
    """
    return views.flip(input, dims=dims)


@method
def fliplr(input: Any) -> Any:
    """`flip` along dim 1. As torch.fliplr."""
    return views.flip(input, dims=(1,))


@method
def flipud(input: Any) -> Any:
    """`flip` along dim 0. As torch.flipud."""
    return views.flip(input, dims=(0,))


@method
def rot90(input: Any, k: int = 1, dims: Any = (0, 1)) -> Any:
    """Turned k quarters from the first of two dims towards the second. As torch.rot90."""
    first, second = as_ints("rot90", "dims", dims)
    turns = as_int("rot90", "k", k) % 4
    if turns == 1:
        return swapaxes(views.flip(input, dims=(second,)), first, second)
    if turns == 3:
        return swapaxes(views.flip(input, dims=(first,)), first, second)
    return views.flip(input, dims=(first, second) if turns else ())


@method
def roll(input: Any, shifts: Any, dims: Any = None) -> Any:
    """A copy with the elements along dims moved on by shifts, those that fall off coming first.

    Without dims the flat input is rolled. Raises ArgumentError unless there are as many shifts as
    dims. As torch.roll.
    """
    if dims is None or (isinstance(dims, (tuple, list)) and not dims):
        flat = views.roll(ravel(input), shifts=shifts, dims=(0,))
        return ops.reshape(flat, shape=shape_of("roll", input))
    return views.roll(input, shifts=shifts, dims=dims)


# --- matrices ----------------------------------------------------------------------------------


@method(in_place=True)
def tril(input: Any, diagonal: int = 0, *, out: Any = None) -> Any:
    """The matrices in the last two dims, zero above a diagonal; ShapeError for fewer dims.

    As torch.tril.
    """
    return views.tril(input, diagonal=diagonal, out=out)


@method(in_place=True)
def triu(input: Any, diagonal: int = 0, *, out: Any = None) -> Any:
    """The matrices in the last two dims, zero below a diagonal; ShapeError for fewer dims.

    As torch.triu.
    """
    return views.triu(input, diagonal=diagonal, out=out)


@method
def diagonal(input: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """A view of the diagonals of the matrices in two dims, as a last dim.

    `offset` > 0 is above the main one. Raises ShapeError for fewer than 2 dims. As torch.diagonal.
    """
    return views.diagonal(input, offset=offset, dim1=dim1, dim2=dim2)


@method
def diag(input: Any, diagonal: int = 0) -> Any:
    """The diagonal of a matrix, or the matrix with a vector on its diagonal.

    Raises ShapeError for other numbers of dims. As torch.diag.
    """
    ndim = len(shape_of("diag", input))
    if ndim == 1:
        return diag_embed(input, diagonal)
    if ndim != 2:
        raise ShapeError(f"diag: got {ndim} dims, want 1 or 2")
    return views.diagonal(input, offset=diagonal, dim1=0, dim2=1)


@method
def diag_embed(input: Any, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """Matrices in two new dims with the last dim of the input on their diagonals.

    As torch.diag_embed.
    """
    shape = shape_of("diag_embed", input)
    if not shape:
        raise ShapeError("diag_embed: got a 0-d array, want at least 1 dim")
    far = as_int("diag_embed", "offset", offset)
    first = normalize_dim("diag_embed", dim1, len(shape) + 1, "dim1")
    second = normalize_dim("diag_embed", dim2, len(shape) + 1, "dim2")
    if first > second:  # rows and columns change places, and so do above and below
        first, second, far = second, first, -far
    n = shape[-1] + abs(far)
    sizes = list(shape[:-1])
    for d in sorted((first, second)):
        sizes.insert(d, n)
    return views.diagonal_backward(
        input, input_shape=tuple(sizes), offset=far, dim1=first, dim2=second
    )
