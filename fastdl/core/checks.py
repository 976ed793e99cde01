"""Checks of array arguments that several families make, and the errors they give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .dtypes import FLOATS, INTEGERS, name_of
from .errors import DTypeError, ShapeError

NUMBERS = (*FLOATS, *INTEGERS)


def same_dtype(op: str, allowed: Sequence[str], **arrays: Any) -> np.dtype:
    """The one dtype of some named arrays (None ones aside); DTypeError if they differ or it is not
    allowed."""
    found: np.dtype | None = None
    for name, a in arrays.items():
        if a is None:
            continue
        if name_of(a.dtype) not in allowed:
            raise DTypeError(
                f"{op}: argument {name} has dtype {a.dtype}, want one of {', '.join(allowed)}"
            )
        if found is not None and a.dtype != found:
            first = next(iter(arrays))
            raise DTypeError(
                f"{op}: argument {name} has dtype {a.dtype}, want {found}, the dtype of {first}"
            )
        found = a.dtype
    assert found is not None
    return found


def rank(op: str, name: str, a: np.ndarray, dims: str) -> None:
    """ShapeError unless the array has as many dimensions as `dims`, e.g. "N, C, H, W", names."""
    want = dims.count(",") + 1
    if a.ndim != want:
        raise ShapeError(f"{op}: argument {name} has shape {a.shape}, want {want}-D [{dims}]")


def shape(op: str, name: str, a: np.ndarray, want: tuple[int, ...]) -> None:
    """ShapeError unless the array has exactly this shape."""
    if a.shape != want:
        raise ShapeError(f"{op}: argument {name} has shape {a.shape}, want {want}")
