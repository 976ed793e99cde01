"""Distances of rows, and the losses made of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..core.errors import ArgumentError, ShapeError
from ..core.shapes import as_float, broadcast
from ..ops import OPS
from ..ops.elementwise import add, cast, div, eq, mul, ne, relu, sub, where
from ..ops.reduce import amax, mean, sum
from ..ops.shape import expand, reshape
from ._face import shape_of
from .loss import reduction_of

__all__ = ["cosine_embedding_loss", "pairwise_distance", "triplet_margin_loss"]

_abs, _pow, _sqrt = OPS["abs"], OPS["pow"], OPS["sqrt"]


def pairwise_distance(
    x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Any:
    """The p-norm of x1 − x2 + eps over the last dim.

    Args:
        x1, x2: [N, D] or [D]; shapes are broadcast.
        p: of the norm; inf for the largest, 0 for the number that are not 0.
        eps: added to each difference.
        keepdim: keep the last dim, of size 1.

    p = 2 is one pass over the rows; others are made of elementwise ops. Raises ShapeError for
    shapes that do not broadcast. As torch.nn.functional.pairwise_distance.
    """
    name = "pairwise_distance"
    p = as_float(name, "p", p)
    shape = broadcast(name, shape_of(name, x1), shape_of(name, x2))
    a, b = (x if x.shape == shape else expand(x, shape=shape) for x in (x1, x2))
    if p == 2:
        y = OPS[name](a, b, eps=eps)
    else:
        d = add(sub(a, b), as_float(name, "eps", eps))
        if p == 1:
            y = sum(_abs(d), dim=-1)
        elif p == math.inf:
            y = amax(_abs(d), dim=-1)
        elif p == 0:
            y = sum(cast(ne(d, 0), dtype=d.dtype.name), dim=-1)
        else:
            y = _pow(sum(_pow(_abs(d), p), dim=-1), 1 / p)
    return reshape(y, shape=(*y.shape, 1)) if keepdim else y


def triplet_margin_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """max(margin + |anchor − positive| − |anchor − negative|, 0), distances by `pairwise_distance`.

    Args:
        anchor, positive, negative: [N, D] or [D]; shapes are broadcast.
        margin: above 0.
        p, eps: of the distance.
        swap: take the smaller of the negative's distances from anchor and positive.
        reduction: 'mean', 'sum' or 'none' (one loss a row).
        size_average, reduce: torch's deprecated forms of `reduction`, which override it.

    Raises ShapeError for arrays of different ranks, ArgumentError for another margin or reduction.
    As torch.nn.functional.triplet_margin_loss (Balntas et al. 2016).
    """
    reduction = reduction_of(size_average, reduce, reduction)
    name = "triplet_margin_loss"
    shapes = [shape_of(name, a) for a in (anchor, positive, negative)]
    ranks = list(map(len, shapes))
    if len(set(ranks)) > 1:
        raise ShapeError(f"{name}: got arrays of {ranks} dimensions, want as many of each")
    shape = broadcast(name, *shapes)
    arrays = (x if x.shape == shape else expand(x, shape=shape)
              for x in (anchor, positive, negative))  # fmt: skip
    return OPS[name](*arrays, margin=margin, p=p, eps=eps, swap=swap, reduction=reduction)


def cosine_embedding_loss(
    input1: Any,
    input2: Any,
    target: Any,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """1 − cos(input1, input2) where target is 1, max(cos − margin, 0) where it is −1.

    Args:
        input1, input2: [N, D] with target [N], or [D] with a 0-d target.
        target: 1 or −1; others cost 0.
        margin: from −1 to 1.
        reduction, size_average, reduce: as in `triplet_margin_loss`.

    Raises ShapeError for other ranks. As torch.nn.functional.cosine_embedding_loss.
    """
    reduction = reduction_of(size_average, reduce, reduction)
    name = "cosine_embedding_loss"
    rank = len(shape_of(name, target))
    if rank > 1 or not len(shape_of(name, input1)) == len(shape_of(name, input2)) == rank + 1:
        raise ShapeError(
            f"{name}: got shapes {input1.shape}, {input2.shape} and {target.shape}, want [N, D],"
            " [N, D] and [N], or [D], [D] and []"
        )
    if reduction not in ("mean", "sum", "none"):
        raise ArgumentError(f"{name}: reduction: got {reduction!r}, want 'mean', 'sum' or 'none'")
    tiny = 1e-12  # torch's, so that nothing is divided by 0
    squares = mul(*(add(sum(mul(x, x), dim=-1), tiny) for x in (input1, input2)))
    cosine = div(sum(mul(input1, input2), dim=-1), _sqrt(squares))
    zero = np.zeros((), cosine.dtype)
    alike = where(eq(target, 1), sub(1, cosine), zero)
    y = add(alike, where(eq(target, -1), relu(sub(cosine, margin)), zero))
    return y if reduction == "none" else (mean if reduction == "mean" else sum)(y)
