"""The triplet margin loss: csrc/loss_triplet.cpp, kernels/cpu/loss_triplet.inc."""

from __future__ import annotations

from typing import Any

from ... import _native
from ...spec import kernel
from .reduce import sum_depth
from .softmax import class_depth


def _depth(terms: int) -> int:
    """Of a row's distances, and of the sum over the rows: neither has more terms than given."""
    return max(class_depth(terms), sum_depth(terms))


@kernel("triplet_margin_loss", backend="native", depth=_depth, out=True, direct=True)
def triplet_margin_loss(
    *arrays: Any, margin: Any = 1.0, p: Any = 2.0, eps: Any = 1e-6, swap: Any = False,
    reduction: Any = "mean", out: Any = None, **unknown: Any,
) -> Any:  # fmt: skip
    """a, b, c of one shape -> y."""
    if len(arrays) != 3 or unknown:
        return NotImplemented
    return _native.triplet_margin_loss(*arrays, margin, p, eps, swap, reduction, out)


@kernel("triplet_margin_loss_backward", backend="native", depth=_depth, direct=True)
def triplet_margin_loss_backward(
    *arrays: Any, margin: Any = 1.0, p: Any = 2.0, eps: Any = 1e-6, swap: Any = False,
    reduction: Any = "mean", **unknown: Any,
) -> Any:  # fmt: skip
    """g, a, b, c -> da, db, dc."""
    if len(arrays) != 4 or unknown:
        return NotImplemented
    return _native.triplet_margin_loss_backward(*arrays, margin, p, eps, swap, reduction)
