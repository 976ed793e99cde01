"""embedding and one_hot."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.errors import UnsupportedError
from ..core.shapes import as_float
from ..ops import embed as ops
from ..tensor import Tensor

__all__ = ["embedding", "one_hot"]


def embedding(
    input: Any,
    weight: Any,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Any:
    """The rows weight[input[...], :] of a table weight[V, D].

    Args:
        input: integers 0 ≤ i < V.
        padding_idx: a row that gets no gradient; may be counted from the end.
        max_norm: rows that are used and whose `norm_type` norm is larger are scaled to it first, in
            the weight itself.
        scale_grad_by_freq: divide a row's gradient by the number of times it is used.
        sparse: must be False; gradients are dense here.

    Raises IndexRangeError for an index out of range. As torch.nn.functional.embedding.
    """
    if sparse:
        raise UnsupportedError("embedding: sparse: got True; gradients are dense here")
    if max_norm is not None:
        _limit_norms(weight, input, as_float("embedding", "max_norm", max_norm), norm_type)
    # The index first in torch's face, the table first in the op: it is what has a gradient.
    return ops.embedding(
        weight, input, padding_idx=padding_idx, scale_grad_by_freq=scale_grad_by_freq
    )


def _limit_norms(weight: Any, index: Any, most: float, norm_type: float) -> None:
    table = weight._array if isinstance(weight, Tensor) else weight
    used = np.unique(getattr(index, "_array", index))
    norms = np.linalg.norm(table[used], norm_type, axis=1)
    large = norms > most
    if large.any():
        scale = most / (norms[large] + 1e-7)  # torch's guard against a quotient above the limit
        table[used[large]] *= scale[:, None].astype(table.dtype)
        if isinstance(weight, Tensor):
            weight._written()


def one_hot(input: Any, num_classes: int = -1) -> Any:
    """int64 [..., num_classes]: 1 at the class that input[...] names, 0 elsewhere.

    Without `num_classes` it is the largest class plus 1. Raises IndexRangeError for a class out of
    range. As torch.nn.functional.one_hot.
    """
    return ops.one_hot(input, num_classes=num_classes)
