"""Matrix products: csrc/matmul.cpp, kernels/cpu/matmul.inc."""

from __future__ import annotations

from ... import _native
from ...spec import kernel


def _depth(terms: int) -> int:
    """Chains of at most 1024 terms, added up in order; linear's bias is one of the terms."""
    return min(terms, 1025 + terms // 1024)


kernel("matmul", backend="native", depth=_depth, out=True, direct=True)(_native.matmul)
kernel("linear", backend="native", depth=_depth, out=True, direct=True)(_native.linear)
