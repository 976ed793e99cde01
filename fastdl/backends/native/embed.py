"""embedding, its gradient, and one_hot: csrc/embed.cpp, kernels/cpu/embed.inc."""

from __future__ import annotations

from typing import Any

from ... import _native
from ...spec import kernel

_DTYPES = ("float32", "float64", "int64")


@kernel("embedding", backend="native", dtypes=_DTYPES, out=True)
def embedding(weight: Any, index: Any, *, out: Any = None, **options: Any) -> Any:
    """Rows copied."""
    return _native.embedding(weight, index, out)


@kernel("embedding_backward", backend="native", dtypes=_DTYPES, out=True)
def embedding_backward(
    g: Any, index: Any, *, num_embeddings: int, padding_idx: int, scale_grad_by_freq: bool,
    out: Any = None,
) -> Any:  # fmt: skip
    """Every row adds up its own gradients, in the order of the index."""
    return _native.embedding_backward(
        g, index, num_embeddings, padding_idx, scale_grad_by_freq, out
    )


@kernel("one_hot", backend="native", dtypes=("int64",), out=True, direct=True)
def one_hot(index: Any, *more: Any, num_classes: Any = -1, out: Any = None, **unknown: Any) -> Any:
    """Of int64, where the number of classes is given."""
    return NotImplemented if more or unknown else _native.one_hot(index, num_classes, out)
