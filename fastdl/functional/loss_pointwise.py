"""Losses that compare two arrays element by element."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from ..core.errors import ArgumentError, ShapeError
from ..core.shapes import broadcast
from ..ops import OPS
from ..ops.elementwise import div, mul, sub
from ..ops.reduce import sum
from ..ops.shape import expand
from ._face import shape_of
from .loss import reduction_of

__all__ = [
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "hinge_embedding_loss",
    "huber_loss", "kl_div", "l1_loss", "margin_ranking_loss", "mse_loss", "smooth_l1_loss",
    "soft_margin_loss",
]  # fmt: skip


def _broadcast(op: str, *arrays: Any) -> list[Any]:
    """The arrays in their common shape; None stays."""
    shape = broadcast(op, *(shape_of(op, a) for a in arrays if a is not None))
    return [a if a is None or a.shape == shape else expand(a, shape=shape) for a in arrays]


def _warn_of_sizes(op: str, input: Any, target: Any) -> None:
    wanted, given = shape_of(op, input), shape_of(op, target)
    if wanted != given:
        warnings.warn(
            f"{op}: target has shape {given} and input {wanted}: they are broadcast, which is"
            " seldom meant; give both the same shape",
            stacklevel=3,
        )


def _want_same_size(op: str, input: Any, target: Any, name: str = "target") -> None:
    if shape_of(op, input) != shape_of(op, target):
        raise ShapeError(
            f"{op}: {name} has shape {target.shape}, want that of input, {input.shape}"
        )


def _regression(
    op: str, input: Any, target: Any, weight: Any, reduction: str, **option: Any
) -> Any:
    """A loss of a difference; with weights the mean is over their sum, except for Huber's."""
    _warn_of_sizes(op, input, target)
    if weight is not None:
        _want_same_size(op, input, weight, "weight")
    x, t, w = _broadcast(op, input, target, weight)
    if weight is None or reduction != "mean" or op == "huber_loss":
        return OPS[op](x, t, w, reduction=reduction, **option)
    return div(OPS[op](x, t, w, reduction="sum", **option), sum(weight))


def mse_loss(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Any = None,
) -> Any:
    """Mean squared error: w (input − target)².

    Args:
        input, target: of one shape (others are broadcast, with a warning) and promoted.
        weight: of input's shape; 1 unless given. The mean is then over the sum of the weights.
        reduction: 'mean', 'sum' or 'none'.
        size_average, reduce: torch's deprecated forms of `reduction`, which override it.

    Raises ShapeError for shapes that do not fit, DTypeError for integers on both sides,
    ArgumentError for another reduction. As torch.nn.functional.mse_loss.
    """
    reduction = reduction_of(size_average, reduce, reduction)
    return _regression("mse_loss", input, target, weight, reduction)


def l1_loss(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Any = None,
) -> Any:
    """Mean absolute error: w |input − target|; the gradient is 0 where they are equal.

    Arguments and errors as `mse_loss`. As torch.nn.functional.l1_loss.
    """
    reduction = reduction_of(size_average, reduce, reduction)
    return _regression("l1_loss", input, target, weight, reduction)


def smooth_l1_loss(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Any:
    """d² / 2β where |d| < β, else |d| − β/2, for d = input − target.

    `beta` is at least 0, and 0 makes it `l1_loss`. Other arguments and errors as `mse_loss`.
    As torch.nn.functional.smooth_l1_loss (Girshick, Fast R-CNN, 2015).
    """
    reduction = reduction_of(size_average, reduce, reduction)
    if isinstance(beta, (int, float)) and beta == 0:
        return _regression("l1_loss", input, target, None, reduction)
    return _regression("smooth_l1_loss", input, target, None, reduction, beta=beta)


def huber_loss(
    input: Any, target: Any, reduction: str = "mean", delta: float = 1.0, weight: Any = None
) -> Any:
    """d²/2 where |d| ≤ δ, else δ (|d| − δ/2), for d = input − target.

    `delta` is above 0. The mean is over the elements, with weights too. Other arguments and errors
    as `mse_loss`. As torch.nn.functional.huber_loss (Huber 1964).
    """
    return _regression("huber_loss", input, target, weight, reduction, delta=delta)


def soft_margin_loss(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """log(1 + e^(−target · input)), for targets of 1 and −1; no overflow for large inputs.

    Reductions and errors as `mse_loss`; shapes are broadcast. As
    torch.nn.functional.soft_margin_loss.
    """
    reduction = reduction_of(size_average, reduce, reduction)
    x, t = _broadcast("soft_margin_loss", input, target)
    return OPS["soft_margin_loss"](x, t, reduction=reduction)


def hinge_embedding_loss(
    input: Any,
    target: Any,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """`input` where target is 1, max(margin − input, 0) where it is −1, else the sum of both.

    Reductions and errors as `mse_loss`; shapes are broadcast. As
    torch.nn.functional.hinge_embedding_loss.
    """
    reduction = reduction_of(size_average, reduce, reduction)
    x, t = _broadcast("hinge_embedding_loss", input, target)
    return OPS["hinge_embedding_loss"](x, t, margin=margin, reduction=reduction)


def margin_ranking_loss(
    input1: Any,
    input2: Any,
    target: Any,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """max(margin − target (input1 − input2), 0): target is 1 where input1 shall be larger, else −1.

    Reductions and errors as `mse_loss`; shapes of as many dimensions are broadcast. As
    torch.nn.functional.margin_ranking_loss.
    """
    reduction = reduction_of(size_average, reduce, reduction)
    name = "margin_ranking_loss"
    ranks = [len(shape_of(name, a)) for a in (input1, input2, target)]
    if len(set(ranks)) > 1:
        raise ShapeError(f"{name}: got arrays of {ranks} dimensions, want as many of each")
    return hinge(mul(target, sub(input1, input2)), margin, reduction)


def hinge(x: Any, margin: float, reduction: str) -> Any:
    """max(margin − x, 0): `hinge_embedding_loss` where every target is −1."""
    far = np.broadcast_to(np.full((), -1, x.dtype), x.shape)
    return OPS["hinge_embedding_loss"](x, far, margin=margin, reduction=reduction)


def binary_cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """−w (t log x + (1 − t) log(1 − x)) of probabilities x; each logarithm at least −100.

    Args:
        input: probabilities, 0 to 1: ArgumentError for others (NaN too).
        target: of input's shape, 0 to 1.
        weight: broadcast to their shape; 1 unless given. The mean is over the elements.
        reduction, size_average, reduce: as in `mse_loss`.

    Raises ShapeError for another target's shape. As torch.nn.functional.binary_cross_entropy.
    """
    reduction = reduction_of(size_average, reduce, reduction)
    name = "binary_cross_entropy"
    _want_same_size(name, input, target)
    x, t, w = _broadcast(name, input, target, weight)
    return OPS[name](x, t, w, reduction=reduction)


def binary_cross_entropy_with_logits(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Any = None,
) -> Any:
    """Binary cross entropy of sigmoid(input), without its overflow and cancellation:
    w ((1 − t) x + (1 + (q − 1) t) log(1 + e^−x)).

    Args:
        input: logits x.
        target: t, of input's shape, 0 to 1.
        weight, pos_weight: w and q, broadcast to their shape; 1 unless given.
        reduction, size_average, reduce: as in `mse_loss`; the mean is over the elements.

    Raises ShapeError for another target's shape.
    As torch.nn.functional.binary_cross_entropy_with_logits.
    """
    reduction = reduction_of(size_average, reduce, reduction)
    name = "binary_cross_entropy_with_logits"
    _want_same_size(name, input, target)
    x, t, w, q = _broadcast(name, input, target, weight, pos_weight)
    return OPS[name](x, t, w, q, reduction=reduction)


def kl_div(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Any:
    """Kullback-Leibler divergence, element by element: t (log t − input), 0 for t = 0.

    Args:
        input: log-probabilities.
        target: probabilities t, or their logarithms with `log_target`; shapes are broadcast.
        reduction: 'batchmean' (the sum over the size of input's first dim: the divergence as it is
            defined), 'mean' (over all elements; it warns, as torch does), 'sum' or 'none'.
        size_average, reduce: torch's deprecated forms of `reduction`, which override it.

    Raises the errors of `mse_loss`. As torch.nn.functional.kl_div.
    """
    if reduction == "mean" and size_average is None and reduce is None:
        warnings.warn(
            "kl_div: reduction='mean' divides by the number of elements; 'batchmean' divides by the"
            " batch size, as the divergence is defined",
            stacklevel=2,
        )
    reduction = reduction_of(size_average, reduce, reduction)
    if reduction not in ("batchmean", "mean", "sum", "none"):
        raise ArgumentError(
            f"kl_div: reduction: got {reduction!r}, want 'batchmean', 'mean', 'sum' or 'none'"
        )
    x, t = _broadcast("kl_div", input, target)
    batchmean = reduction == "batchmean"
    y = OPS["kl_div"](x, t, reduction="sum" if batchmean else reduction, log_target=log_target)
    return div(y, input.shape[0]) if batchmean and input.ndim else y
