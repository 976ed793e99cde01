"""normalize and cosine_similarity: csrc/norm_length.cpp, kernels/cpu/norm_length.inc."""

from __future__ import annotations

from typing import Any

from ... import _native
from ...spec import kernel
from .softmax import class_depth


@kernel("normalize", backend="native", depth=class_depth, out=True, direct=True)
def normalize(
    *arrays: Any, p: Any = 2.0, dim: Any = 1, eps: Any = 1e-12, out: Any = None, **unknown: Any
) -> Any:
    """Along any dim, any strides."""
    if len(arrays) != 1 or unknown:
        return NotImplemented
    return _native.normalize(*arrays, p, dim, eps, out)


@kernel("normalize_backward", backend="native", depth=class_depth, out=True, direct=True)
def normalize_backward(
    *arrays: Any, p: Any = 2.0, dim: Any = 1, eps: Any = 1e-12, out: Any = None, **unknown: Any
) -> Any:
    """g, x -> dx."""
    if len(arrays) != 2 or unknown:
        return NotImplemented
    return _native.normalize_backward(*arrays, p, dim, eps, out)


@kernel("cosine_similarity", backend="native", depth=class_depth, out=True, direct=True)
def cosine_similarity(
    *arrays: Any, dim: Any = 1, eps: Any = 1e-8, out: Any = None, **unknown: Any
) -> Any:
    """a, b of one shape -> y."""
    if len(arrays) != 2 or unknown:
        return NotImplemented
    return _native.cosine_similarity(*arrays, dim, eps, out)


@kernel("cosine_similarity_backward", backend="native", depth=class_depth, direct=True)
def cosine_similarity_backward(*arrays: Any, dim: Any = 1, eps: Any = 1e-8, **unknown: Any) -> Any:
    """g, a, b -> da, db."""
    if len(arrays) != 3 or unknown:
        return NotImplemented
    return _native.cosine_similarity_backward(*arrays, dim, eps)
