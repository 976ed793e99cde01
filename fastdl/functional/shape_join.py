"""Arrays put together."""

from __future__ import annotations

from typing import Any

from ..core.errors import ArgumentError, DTypeError, ShapeError
from ..core.shapes import normalize_dim
from ..ops import shape as ops
from ._face import shape_of
from .shape import cat
from .shape_view import numel, raised, swapaxes, unsqueeze

__all__ = ["column_stack", "dstack", "hstack", "meshgrid", "stack", "vstack"]


def _listed(name: str, tensors: Any) -> list[Any]:
    if not isinstance(tensors, (tuple, list)):
        raise DTypeError(f"{name}: tensors: got {type(tensors).__name__}, want a list or a tuple")
    if not tensors:
        raise ArgumentError(f"{name}: tensors: got none, want at least one")
    return list(tensors)


def stack(tensors: Any, dim: int = 0, *, out: Any = None) -> Any:
    """Arrays of one shape side by side along a new dim; ShapeError if theirs differ.

    As torch.stack.
    """
    given = _listed("stack", tensors)
    shapes = [shape_of("stack", x) for x in given]
    if any(shape != shapes[0] for shape in shapes):
        raise ShapeError(f"stack: got shapes {shapes}, want all alike")
    axis = normalize_dim("stack", dim, len(shapes[0]) + 1)
    return cat([unsqueeze(x, axis) for x in given], axis, out=out)


def vstack(tensors: Any, *, out: Any = None) -> Any:
    """Rows one below the other (`cat` along dim 0 of at least 2-D ones). As torch.vstack."""
    return cat([raised("vstack", x, 2) for x in _listed("vstack", tensors)], 0, out=out)


def hstack(tensors: Any, *, out: Any = None) -> Any:
    """Arrays side by side: along dim 1, or dim 0 for vectors. As torch.hstack."""
    given = [raised("hstack", x, 1) for x in _listed("hstack", tensors)]
    return cat(given, 0 if len(given[0].shape) == 1 else 1, out=out)


def dstack(tensors: Any, *, out: Any = None) -> Any:
    """Arrays behind each other (`cat` along dim 2 of at least 3-D ones). As torch.dstack."""
    return cat([raised("dstack", x, 3) for x in _listed("dstack", tensors)], 2, out=out)


def column_stack(tensors: Any, *, out: Any = None) -> Any:
    """As `hstack`, but vectors are columns. As torch.column_stack."""
    given = _listed("column_stack", tensors)
    columns = [x if len(shape_of("column_stack", x)) > 1 else ops.reshape(x, shape=(numel(x), 1))
               for x in given]  # fmt: skip
    return cat(columns, 1, out=out)


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Any, ...]:
    """Views of vectors, each along a dim of its own and expanded along the others.

    Nothing is computed or copied: every grid is a `reshape` and an `expand` of its vector, and has
    their gradients.

    `indexing` 'xy' exchanges the first two dims, as images have them. Raises ArgumentError for
    another; ShapeError for more than one dim. As torch.meshgrid.
    """
    given = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)) else tensors
    if indexing not in ("ij", "xy"):
        raise ArgumentError(f"meshgrid: indexing: got {indexing!r}, want 'ij' or 'xy'")
    if not given or any(len(shape_of("meshgrid", x)) > 1 for x in given):
        raise ShapeError("meshgrid: want at least one vector, and no more than one dim of each")
    shape = tuple(numel(x) for x in given)
    ones = [1] * len(shape)
    found = []
    for d, x in enumerate(given):
        place = tuple([*ones[:d], shape[d], *ones[d + 1 :]])
        grid = ops.expand(ops.reshape(x, shape=place), shape=shape)
        found.append(swapaxes(grid, 0, 1) if indexing == "xy" and len(shape) > 1 else grid)
    return tuple(found)
