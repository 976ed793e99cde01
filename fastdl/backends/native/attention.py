"""Scaled dot-product attention: csrc/attention.cpp, kernels/cpu/attention.inc."""

from __future__ import annotations

from typing import Any

from ... import _native
from ...spec import kernel

_DTYPES = ("float32", "float64", "bool")


@kernel("scaled_dot_product_attention", backend="native", dtypes=_DTYPES)
def scaled_dot_product_attention(
    q: Any, k: Any, v: Any, mask: Any, *, is_causal: bool, scale: float, p: float, seed: int,
    offset: int,
) -> Any:  # fmt: skip
    """In tiles that stay in cache."""
    return _native.attention(q, k, v, mask, is_causal, scale, p, seed, offset)


@kernel("scaled_dot_product_attention_backward", backend="native", dtypes=_DTYPES)
def scaled_dot_product_attention_backward(
    g: Any, q: Any, k: Any, v: Any, y: Any, lse: Any, mask: Any, *, is_causal: bool, scale: float,
    p: float, seed: int, offset: int,
) -> Any:  # fmt: skip
    """The gradients of q, k and v."""
    return _native.attention_backward(g, q, k, v, y, lse, mask, is_causal, scale, p, seed, offset)
