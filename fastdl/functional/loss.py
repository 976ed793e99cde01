"""Losses."""

from __future__ import annotations

import warnings
from typing import Any

from ..ops import loss as ops
from ..ops import loss_nll as ops_nll

__all__ = ["cross_entropy", "nll_loss"]


def reduction_of(size_average: bool | None, reduce: bool | None, reduction: str) -> str:
    """The reduction meant by torch's two deprecated flags, with its warning, or `reduction`."""
    if size_average is None and reduce is None:
        return reduction
    summed = "mean" if size_average is None or size_average else "sum"
    meant = summed if reduce is None or reduce else "none"
    warnings.warn(
        f"size_average and reduce are deprecated, please use reduction={meant!r} instead",
        stacklevel=3,
    )
    return meant


def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """Cross entropy −w_t log softmax(input)_t of logits and class numbers t (or probabilities).

    Args:
        input: [N, C] or [N, C, d1, ...], or [C] for one position.
        target: classes 0 ≤ t < C, int64, of input's shape without C; `ignore_index` entries do not
            count. Or probabilities of the classes, a float array of input's shape.
        weight: [C], of the classes; ones unless given.
        reduction: 'mean' (over the weights of the targets that count; with probabilities, over
            the positions), 'sum' or 'none'.
        label_smoothing: in [0, 1]; mixes the target with the uniform distribution.
        size_average, reduce: torch's deprecated forms of `reduction`, which override it.

    Raises ShapeError for shapes that do not fit, IndexRangeError for a class out of range,
    DTypeError for other targets. As torch.nn.functional.cross_entropy.
    """
    reduction = reduction_of(size_average, reduce, reduction)
    return ops.cross_entropy(
        input, target, weight,
        ignore_index=ignore_index, reduction=reduction, label_smoothing=label_smoothing,
    )  # fmt: skip


def nll_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """Negative log-likelihood −w_t input_t of log-probabilities and class numbers t.

    `cross_entropy` is this of `log_softmax(input, 1)`, in one pass; the arguments and errors are
    the same, but for targets of probabilities and label smoothing. As torch.nn.functional.nll_loss.
    """
    reduction = reduction_of(size_average, reduce, reduction)
    return ops_nll.nll_loss(input, target, weight, ignore_index=ignore_index, reduction=reduction)
