"""Windows as columns and back: strided copies and additions (core/columns.py)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core import columns
from ...core.memory import empty
from ...core.windows import fold_size
from ...spec import kernel
from .elementwise import copy_into


def _copy(source: np.ndarray, target: np.ndarray) -> None:
    copy_into(target, source)


@kernel("unfold", backend="numba")
def unfold(x: np.ndarray, *, kernel_size: Any, **options: Any) -> np.ndarray:
    """x[N,C,H,W] -> y[N,C·R·S,L]."""
    n, c = x.shape[:2]
    size = fold_size("unfold", (x.shape[2], x.shape[3]), kernel_size, **options)
    y = empty((n, c, *kernel_size, *size), x.dtype)
    columns.unfold(_copy, x, y, {"kernel_size": kernel_size, **options})
    return y.reshape(n, c * kernel_size[0] * kernel_size[1], size[0] * size[1])


@kernel("fold", backend="numba")
def fold(
    x: np.ndarray, *, output_size: Any, kernel_size: Any, channels_last: bool, **options: Any
) -> np.ndarray:
    """x[N,C·R·S,L] -> y[N,C,H,W]."""
    size = fold_size("fold", output_size, kernel_size, **options)
    c = x.shape[1] // (kernel_size[0] * kernel_size[1])
    y = empty((x.shape[0], c, *output_size), x.dtype, channels_last)
    y.fill(0)
    parts = x.reshape(x.shape[0], c, *kernel_size, *size)
    columns.fold(np.add, parts, y, {"kernel_size": kernel_size, **options})
    return y
