"""Cross-entropy and nll_loss: csrc/loss.cpp, kernels/cpu/loss.inc."""

from __future__ import annotations

from typing import Any

from ... import _native
from ...spec import kernel
from .reduce import sum_depth
from .softmax import class_depth


def _depth(terms: int) -> int:
    """Of the sum over classes, and of the one over positions."""
    return max(class_depth(terms), sum_depth(terms))


@kernel(
    "cross_entropy", backend="native", dtypes=("float32", "float64", "int64"), depth=_depth,
    out=True, direct=True,
)  # fmt: skip
def cross_entropy(
    x: Any, target: Any = None, weight: Any = None, *more: Any,
    ignore_index: Any = -100, reduction: Any = "mean", label_smoothing: Any = 0.0,
    out: Any = None, **unknown: Any,
) -> Any:  # fmt: skip
    """Targets are int64 class numbers, or probabilities of x's dtype."""
    if more or unknown:
        return NotImplemented
    return _native.cross_entropy(x, target, weight, ignore_index, reduction, label_smoothing, out)


@kernel(
    "cross_entropy_backward", backend="native", dtypes=("float32", "float64", "int64"),
    depth=_depth, out=True, direct=True,
)  # fmt: skip
def cross_entropy_backward(
    g: Any, x: Any = None, target: Any = None, weight: Any = None, *more: Any,
    ignore_index: Any = -100, reduction: Any = "mean", label_smoothing: Any = 0.0,
    out: Any = None, **unknown: Any,
) -> Any:  # fmt: skip
    """The gradient of the logits."""
    if more or unknown:
        return NotImplemented
    return _native.cross_entropy_backward(
        g, x, target, weight, ignore_index, reduction, label_smoothing, out
    )


@kernel("nll_loss", backend="native", dtypes=("float32", "float64", "int64"), depth=sum_depth,
        out=True, direct=True)  # fmt: skip
def nll_loss(
    x: Any, target: Any = None, weight: Any = None, *more: Any,
    ignore_index: Any = -100, reduction: Any = "mean", out: Any = None, **unknown: Any,
) -> Any:  # fmt: skip
    """Targets are int64 class numbers."""
    if more or unknown:
        return NotImplemented
    return _native.nll_loss(x, target, weight, ignore_index, reduction, out)


@kernel("nll_loss_backward", backend="native", dtypes=("float32", "float64", "int64"),
        depth=sum_depth, out=True, direct=True)  # fmt: skip
def nll_loss_backward(
    g: Any, x: Any = None, target: Any = None, weight: Any = None, *more: Any,
    ignore_index: Any = -100, reduction: Any = "mean", out: Any = None, **unknown: Any,
) -> Any:  # fmt: skip
    """The gradient of the log-probabilities."""
    if more or unknown:
        return NotImplemented
    return _native.nll_loss_backward(g, x, target, weight, ignore_index, reduction, out)
