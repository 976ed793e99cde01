"""Order along one dim. NaN is the largest number; equal elements keep their order."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..core.shapes import as_bool
from ..ops import shape_sort as ops
from ._face import method

__all__ = ["SortResult", "TopKResult", "argsort", "kthvalue", "msort", "sort", "topk"]


class SortResult(NamedTuple):
    """What `sort` returns."""

    values: Any
    indices: Any


class TopKResult(NamedTuple):
    """What `topk` returns."""

    values: Any
    indices: Any


@method
def sort(
    input: Any, dim: int = -1, descending: bool = False, stable: bool = False, *, out: Any = None
) -> SortResult:
    """(values, indices) in order along dim; the gradient goes back to where the values were.

    Equal elements always keep their order, as torch's do with `stable`. As torch.sort.
    """
    as_bool("sort", "stable", stable)
    return SortResult(*ops.sort(input, dim=dim, descending=descending, out=out))


@method
def argsort(input: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
    """Where the elements in order along dim come from. As torch.argsort."""
    return sort(input, dim, descending, stable).indices


def msort(input: Any) -> Any:
    """The elements in order along the first dim. As torch.msort."""
    return sort(input, 0).values


@method
def topk(
    input: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True, *, out: Any = None
) -> TopKResult:
    """(values, indices) of the k largest (or smallest) elements along dim, in order.

    Of equal ones the first come first. They are in order without `sorted` too. ArgumentError for
    k > the size of dim. As torch.topk.
    """
    as_bool("topk", "sorted", sorted)
    return TopKResult(*ops.topk(input, k=k, dim=dim, largest=largest, out=out))


@method
def kthvalue(input: Any, k: int, dim: int = -1, keepdim: bool = False) -> SortResult:
    """(value, index) of the k-th smallest element along dim, k from 1. As torch.kthvalue."""
    from .shape_view import narrow, squeeze

    values, indices = ops.topk(input, k=k, dim=dim, largest=False)
    if not values.shape:
        return SortResult(values, indices)
    last = (narrow(a, dim, k - 1, 1) for a in (values, indices))
    return SortResult(*(a if keepdim else squeeze(a, dim) for a in last))
