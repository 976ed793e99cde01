"""Softmax."""

from __future__ import annotations

from typing import Any

from ..core.dtypes import is_float
from ..core.errors import ArgumentError
from ..core.shapes import normalize_dim
from ..ops import softmax as ops
from ..ops.elementwise import copy, neg
from ..spec import OpSpec
from ._face import cast_to, method

__all__ = ["log_softmax", "softmax", "softmin"]


@method
def log_softmax(
    input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None, *, out: Any = None
) -> Any:
    """input − log Σ exp(input) along dim, without overflow.

    `dtype` casts the input first. Raises ArgumentError without dim (torch guesses one and warns),
    IndexRangeError for a dim out of range, DTypeError for integers (an array of none of them is
    its own result). As torch.nn.functional.log_softmax.
    """
    return _run("log_softmax", ops.log_softmax, input, dim, dtype, out)


@method
def softmax(
    input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None, *, out: Any = None
) -> Any:
    """exp(input) / Σ exp(input) along dim, without overflow.

    `dtype` casts the input first. Raises ArgumentError without dim (torch guesses one and warns),
    IndexRangeError for a dim out of range. As torch.nn.functional.softmax.
    """
    return _run("softmax", ops.softmax, input, dim, dtype, out)


def softmin(
    input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None, *, out: Any = None
) -> Any:
    """Softmax of −input. As torch.nn.functional.softmin."""
    return _run("softmin", ops.softmax, neg(cast_to(input, dtype)), dim, None, out)


def _run(name: str, op: OpSpec, input: Any, dim: Any, dtype: Any, out: Any) -> Any:
    if dim is None:
        raise ArgumentError(f"{name}: dim: got None, want an int")
    x = cast_to(input, dtype)
    if out is None and 0 in getattr(x, "shape", ()) and not is_float(x.dtype):
        normalize_dim(name, dim, len(x.shape))
        return copy(x)
    return op(x, dim=dim, out=out)
