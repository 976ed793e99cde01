"""Distances of rows: csrc/loss_distance.cpp, kernels/cpu/loss_distance.inc."""

from __future__ import annotations

from typing import Any

from ... import _native
from ...spec import kernel
from .softmax import class_depth


@kernel("pairwise_distance", backend="native", depth=class_depth, out=True, direct=True)
def pairwise_distance(*arrays: Any, eps: Any = 1e-6, out: Any = None, **unknown: Any) -> Any:
    """a[..., D], b[..., D] -> y[...]."""
    if len(arrays) != 2 or unknown:
        return NotImplemented
    return _native.pairwise_distance(*arrays, eps, out)


@kernel("pairwise_distance_backward", backend="native", out=True, direct=True)
def pairwise_distance_backward(
    *arrays: Any, eps: Any = 1e-6, out: Any = None, **unknown: Any
) -> Any:
    """g[...], a, b, y[...] -> da."""
    if len(arrays) != 4 or unknown:
        return NotImplemented
    return _native.pairwise_distance_backward(*arrays, eps, out)
