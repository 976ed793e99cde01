"""Matrix products: csrc/matmul{,_bf16}.cpp, kernels/cpu/matmul{,_bf16}.inc."""

from __future__ import annotations

from typing import Any

from ... import _native
from ...spec import kernel


def _depth(terms: int) -> int:
    """Chains of at most 1024 terms, added up in order; linear's bias is one of the terms."""
    return min(terms, 1025 + terms // 1024)


def _depth_of_bfloat16(terms: int) -> int:
    """One term after the other, in float32."""
    return terms


def _declines_options(*arrays: Any, **options: Any) -> str | None:
    return f"takes no {next(iter(options))}" if options else None


_OF_BFLOAT16: dict[str, Any] = {
    "declines": _declines_options,
    "dtypes": ("bfloat16",),
    "depth": _depth_of_bfloat16,
    "accumulator": "float32",
    "out": True,
}
kernel("matmul", backend="native", **_OF_BFLOAT16)(_native.matmul_bf16)
kernel("linear", backend="native", **_OF_BFLOAT16)(_native.linear_bf16)

# Attached after those of bfloat16, so asked before them.
kernel("matmul", backend="native", depth=_depth, out=True, direct=True)(_native.matmul)
kernel("linear", backend="native", depth=_depth, out=True, direct=True)(_native.linear)
