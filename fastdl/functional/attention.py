"""Attention."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..core.errors import ShapeError, UnsupportedError
from ..core.random import default_generator
from ..ops import attention as ops
from ..ops.shape import expand, reshape
from ..tensor import Tensor
from ._face import shape_of
from .matmul import linear, matmul
from .random import dropout
from .softmax import softmax

__all__ = ["multi_head_attention", "multi_head_attention_forward", "scaled_dot_product_attention"]


def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """y[..., L, D] = softmax(query keyᵀ · scale + attn_mask) value, in tiles that stay in cache.

    Args:
        query, key, value: [..., L, E], [..., S, E] and [..., S, D]; leading dims broadcast.
        attn_mask: bool (True takes part) or of query's dtype (added), broadcast to [..., L, S].
            What it hides, by False or −inf, counts for nothing, NaN included; a query that sees no
            key gets zeros.
        dropout_p: probability to drop a weight; applied always, as in torch: pass 0 in evaluation.
        is_causal: query i sees keys 0 to i only (besides attn_mask).
        scale: 1 / √E unless given.
        enable_gqa: key and value may have fewer heads (the third dim from the end); each then
            serves several of the query's.

    Raises ShapeError for shapes that do not fit, DTypeError for other masks. As
    torch.nn.functional.scaled_dot_product_attention.
    """
    name = "scaled_dot_product_attention"
    shapes = [shape_of(name, a) for a in (query, key, value)]
    if min(map(len, shapes)) < 2:
        raise ShapeError(f"{name}: got shapes {shapes}, want at least 2 dims")
    if enable_gqa:
        key, value = (_repeated(name, a, shapes[0]) for a in (key, value))
        shapes = [a.shape for a in (query, key, value)]
    if not shapes[0][:-2] == shapes[1][:-2] == shapes[2][:-2]:
        try:
            lead = np.broadcast_shapes(*(s[:-2] for s in shapes))
        except ValueError:
            raise ShapeError(f"{name}: the leading dims of {shapes} do not broadcast") from None
        query, key, value = (expand(a, shape=(*lead, *a.shape[-2:])) for a in (query, key, value))
    options: dict[str, Any] = {"is_causal": is_causal, "scale": scale, "p": dropout_p}
    if dropout_p:
        # A row of weights begins a group of numbers of its own.
        rows, keys = math.prod(query.shape[:-1]), key.shape[-2]
        options["seed"], options["offset"] = default_generator.take(rows * (-(-keys // 64) * 64))
    return ops.scaled_dot_product_attention(query, key, value, attn_mask, **options)[0]


def _repeated(name: str, x: Any, query: tuple[int, ...]) -> Any:
    """Heads of keys or values, each as often as it serves a head of queries."""
    if len(query) < 3 or len(x.shape) < 3 or query[-3] % max(x.shape[-3], 1):
        raise ShapeError(f"{name}: heads of {query} are not a multiple of those of {x.shape}")
    times = query[-3] // max(x.shape[-3], 1)
    if times == 1:
        return x
    *lead, heads, n, e = x.shape
    spread = expand(reshape(x, shape=(*lead, heads, 1, n, e)), shape=(*lead, heads, times, n, e))
    return reshape(spread, shape=(*lead, heads * times, n, e))


def additive_mask(mask: Any, dtype: Any) -> Any:
    """A bool mask of torch's modules (True is hidden) as what is added to scores."""
    if mask is None:
        return None
    array = mask._array if isinstance(mask, Tensor) else mask
    if array.dtype != bool:
        return mask
    added = np.where(array, -np.inf, 0.0).astype(dtype)
    return Tensor._wrap(added) if isinstance(mask, Tensor) else added


def multi_head_attention_forward(
    query: Any,
    key: Any,
    value: Any,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Any,
    in_proj_bias: Any,
    bias_k: Any,
    bias_v: Any,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Any,
    out_proj_bias: Any,
    training: bool = True,
    key_padding_mask: Any = None,
    need_weights: bool = True,
    attn_mask: Any = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Any = None,
    k_proj_weight: Any = None,
    v_proj_weight: Any = None,
    static_k: Any = None,
    static_v: Any = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Any, Any]:
    """(y[L, N, E], weights) of torch.nn.MultiheadAttention on [L, N, E] or [L, E].

    bias_k, bias_v, add_zero_attn and static_k, static_v are refused. As
    torch.nn.functional.multi_head_attention_forward.
    """

    name = "multi_head_attention_forward"
    if any(a is not None for a in (bias_k, bias_v, static_k, static_v)) or add_zero_attn:
        raise UnsupportedError(f"{name}: bias_k, bias_v, static_k, static_v and add_zero_attn")
    if query.shape[-1] != embed_dim_to_check:
        raise ShapeError(f"{name}: query has shape {query.shape}, want [..., {embed_dim_to_check}]")
    separate = (q_proj_weight, k_proj_weight, v_proj_weight) if use_separate_proj_weight else None
    return multi_head_attention(
        query, key, value, num_heads, in_proj_weight, in_proj_bias, out_proj_weight, out_proj_bias,
        dropout_p if training else 0.0, key_padding_mask=key_padding_mask,
        need_weights=need_weights, attn_mask=attn_mask, average_attn_weights=average_attn_weights,
        is_causal=is_causal, batch_first=False, separate=separate,
    )  # fmt: skip


def multi_head_attention(
    query: Any, key: Any, value: Any, num_heads: int, in_weight: Any, in_bias: Any, out_weight: Any,
    out_bias: Any, dropout_p: float, *, key_padding_mask: Any, need_weights: bool, attn_mask: Any,
    average_attn_weights: bool, is_causal: bool, batch_first: bool, separate: Any,
) -> tuple[Any, Any]:  # fmt: skip
    """What torch.nn.MultiheadAttention computes, in the layout it is given: see there."""
    name = "multi_head_attention"
    same = query is key and key is value
    single = len(query.shape) == 2
    if single:
        batch_first = True
        query = query.reshape(1, *query.shape)
        key, value = (query, query) if same else (a.reshape(1, *a.shape) for a in (key, value))
        if key_padding_mask is not None:
            key_padding_mask = key_padding_mask.reshape(1, *key_padding_mask.shape)
    along = 1 if batch_first else 0
    if {len(a.shape) for a in (query, key, value)} != {3}:
        raise ShapeError(f"{name}: query has shape {query.shape}, want 2 or 3 dims, as key, value")
    n, m, batch, width = (
        query.shape[along],
        key.shape[along],
        query.shape[1 - along],
        query.shape[2],
    )
    if width % num_heads:
        raise ShapeError(f"{name}: {num_heads} heads do not divide the width {width}")
    size = width // num_heads
    order = (0, 2, 1, 3) if batch_first else (1, 2, 0, 3)  # -> [N, heads, length, size]

    def heads(x: Any) -> Any:
        return x.reshape(*x.shape[:2], num_heads, size).permute(*order)

    q, k, v = map(heads, _projected(query, key, value, in_weight, in_bias, separate))
    mask = additive_mask(attn_mask, query.dtype)
    if is_causal and not need_weights and key_padding_mask is None:
        mask = None  # the kernel knows it, and leaves out what it hides
    elif is_causal and mask is None:
        mask, is_causal = additive_mask(~np.tri(n, m, dtype=bool), query.dtype), False
    else:
        is_causal = False
    if mask is not None and len(mask.shape) == 3:
        mask = mask.reshape(batch, num_heads, n, m)
    if key_padding_mask is not None:
        padding = additive_mask(key_padding_mask, query.dtype).reshape(batch, 1, 1, m)
        mask = padding if mask is None else padding + mask
    weights = None
    if need_weights:
        scores = matmul(q, k.permute(0, 1, 3, 2)) * (1 / math.sqrt(size))
        weights = dropout(softmax(scores if mask is None else scores + mask, -1), dropout_p)
        y = matmul(weights, v)
        weights = weights.mean(1) if average_attn_weights else weights
    else:
        y = scaled_dot_product_attention(q, k, v, mask, dropout_p, is_causal)
    back = (0, 2, 1, 3) if batch_first else (2, 0, 1, 3)
    y = linear(y.permute(*back).reshape(*query.shape[:2], width), out_weight, out_bias)
    if single:
        y = y.reshape(n, width)
        weights = None if weights is None else weights.reshape(*weights.shape[1:])
    return y, weights


def _projected(
    query: Any, key: Any, value: Any, weight: Any, bias: Any, separate: Any
) -> tuple[Any, Any, Any]:
    """What queries, keys and values are made of: one product where they are the same."""
    width = query.shape[-1]
    if separate is None and query is key and key is value:
        joined = linear(query, weight, bias)
        return tuple(joined[..., i * width : (i + 1) * width] for i in range(3))  # type: ignore[return-value]
    biases = [None if bias is None else bias[i * width : (i + 1) * width] for i in range(3)]
    weights = separate or [weight[i * width : (i + 1) * width] for i in range(3)]
    q, k, v = (linear(*each) for each in zip((query, key, value), weights, biases, strict=True))
    return q, k, v
