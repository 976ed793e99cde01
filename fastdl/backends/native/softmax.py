"""softmax and log_softmax: csrc/softmax.cpp, kernels/cpu/softmax.inc."""

from __future__ import annotations

from typing import Any

from ... import _native
from ...spec import kernel


def class_depth(terms: int) -> int:
    """Rows: 32 or more accumulators, blocks of 4096. Columns: runs of 32, runs of 32 runs."""
    rows = min(terms, 4096) // 32 + 7 + terms // 4096
    columns = min(terms, 32) + min(terms, 1024) // 32 + terms // 1024
    return min(max(terms - 1, 0), max(rows, columns))


@kernel("log_softmax", backend="native", depth=class_depth, out=True, direct=True)
def log_softmax(x: Any, *more: Any, dim: Any = None, out: Any = None, **unknown: Any) -> Any:
    """Over any dim, any strides."""
    return NotImplemented if more or unknown else _native.log_softmax(x, dim, out)


@kernel("log_softmax_backward", backend="native", depth=class_depth, out=True, direct=True)
def log_softmax_backward(
    g: Any, y: Any = None, *more: Any, dim: Any = None, out: Any = None, **unknown: Any
) -> Any:
    """From the gradient and the result of log_softmax."""
    return NotImplemented if more or unknown else _native.log_softmax_backward(g, y, dim, out)


@kernel("softmax", backend="native", depth=class_depth, out=True, direct=True)
def softmax(x: Any, *more: Any, dim: Any = None, out: Any = None, **unknown: Any) -> Any:
    """Over any dim, any strides."""
    return NotImplemented if more or unknown else _native.softmax(x, dim, out)


@kernel("softmax_backward", backend="native", depth=class_depth, out=True, direct=True)
def softmax_backward(
    g: Any, y: Any = None, *more: Any, dim: Any = None, out: Any = None, **unknown: Any
) -> Any:
    """From the gradient and the result of softmax."""
    return NotImplemented if more or unknown else _native.softmax_backward(g, y, dim, out)
