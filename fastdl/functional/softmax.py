"""Softmax."""

from __future__ import annotations

from typing import Any

from ..core.errors import ArgumentError
from ..ops import softmax as ops
from ._face import cast_to, method

__all__ = ["log_softmax"]


@method
def log_softmax(
    input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None, *, out: Any = None
) -> Any:
    """input − log Σ exp(input) along dim, without overflow.

    `dtype` casts the input first. Raises ArgumentError without dim (torch guesses one and warns),
    IndexRangeError for a dim out of range. As torch.nn.functional.log_softmax.
    """
    if dim is None:
        raise ArgumentError("log_softmax: dim: got None, want an int")
    return ops.log_softmax(cast_to(input, dtype), dim=dim, out=out)
