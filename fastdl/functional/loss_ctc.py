"""CTC."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.errors import ArgumentError, DTypeError, ShapeError
from ..ops import loss_ctc as ops
from ..ops.shape import reshape
from ..tensor import Tensor
from ._face import shape_of

__all__ = ["ctc_loss"]


def _integers(name: str, value: Any) -> np.ndarray:
    """Lengths or classes as int64: an array, a Tensor, or a sequence or number of ints."""
    array = value._array if isinstance(value, Tensor) else np.asarray(value)
    if array.dtype.kind not in "iu" and array.size:
        raise DTypeError(f"ctc_loss: {name}: got dtype {array.dtype}, want integers")
    return array.astype(np.int64)


def ctc_loss(
    log_probs: Any,
    targets: Any,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Any:
    """Connectionist temporal classification: −log of the probability that a sequence of labels,
    without its repeats and blanks, spells the target (Graves et al. 2006).

    Args:
        log_probs: [T, N, C], or [T, C] for one sequence: logarithms of probabilities, as of
            log_softmax over the last dim.
        targets: classes, integers: [N, S], or all targets end to end in one [sum of lengths].
        input_lengths, target_lengths: of each sequence, at most T and S; arrays or sequences.
        blank: the class of no label.
        reduction: 'none' (a loss for each sequence), 'sum', or 'mean': each loss is divided by its
            target's length, then the batch is averaged.
        zero_infinity: a target too long for its sequence costs 0, instead of infinity with NaN for
            the gradient.

    The gradient is the derivative by `log_probs`, −P(label k at t). torch's adds e^log_probs, the
    derivative by the logits in front of a log_softmax; behind one both give the same.

    Raises ShapeError or ArgumentError for lengths that do not fit, IndexRangeError for a class out
    of range, DTypeError for targets or lengths that are no integers. As
    torch.nn.functional.ctc_loss.
    """
    shape = shape_of("ctc_loss", log_probs)
    if len(shape) not in (2, 3):
        raise ShapeError(f"ctc_loss: log_probs has shape {shape}, want [T, N, C] or [T, C]")
    times = _integers("input_lengths", input_lengths).reshape(-1)
    lengths = _integers("target_lengths", target_lengths).reshape(-1)
    labels = _integers("targets", targets)
    single = len(shape) == 2
    if single:
        log_probs = reshape(log_probs, shape=(shape[0], 1, shape[1]))
        labels = labels.reshape(1, -1)
    elif labels.ndim == 1:
        labels = _apart(labels, lengths)
    y = ops.ctc_loss(
        log_probs, labels, times, lengths,
        blank=blank, reduction=reduction, zero_infinity=zero_infinity,
    )  # fmt: skip
    return reshape(y, shape=()) if single and reduction == "none" else y


def _apart(labels: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Targets given end to end, as rows."""
    if lengths.min(initial=0) < 0 or lengths.sum() != len(labels):
        raise ArgumentError(
            f"ctc_loss: target_lengths: got a sum of {lengths.sum()}, want the {len(labels)} of"
            " targets"
        )
    rows = np.zeros((len(lengths), lengths.max(initial=0)), np.int64)
    rows[np.arange(rows.shape[1]) < lengths[:, None]] = labels
    return rows
