"""embedding and its gradient, which adds to each row in the order of the index."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.memory import empty
from ...spec import kernel
from ._jit import jit, split
from ._layout import dense

_DTYPES = ("float32", "float64", "int64")


@jit
def _gather(first: int, last: int, weight: Any, index: Any, y: Any) -> None:
    for i in range(first, last):
        y[i] = weight[index[i]]


@jit
def _scatter(first: int, last: int, g: Any, index: Any, dw: Any, padding: int) -> None:
    """Columns [first, last) of all rows."""
    for i in range(index.size):
        if index[i] != padding:
            row, upstream = dw[index[i]], g[i]
            for j in range(first, last):
                row[j] += upstream[j]


@kernel("embedding", backend="numba", dtypes=_DTYPES)
def embedding(weight: Any, index: Any, **options: Any) -> np.ndarray:
    """Rows copied."""
    y = empty((*index.shape, weight.shape[1]), weight.dtype)
    if y.size:
        rows, flat = dense(weight, False), dense(index, False).reshape(-1)
        split(_gather, flat.size, 0.2 * y.size, rows, flat, y.reshape(flat.size, -1))
    return y


@kernel("embedding_backward", backend="numba", dtypes=_DTYPES)
def embedding_backward(
    g: Any, index: Any, *, num_embeddings: int, padding_idx: int, scale_grad_by_freq: bool
) -> np.ndarray:
    """Sums in float64."""
    width = g.shape[-1]
    dw, flat = np.zeros((num_embeddings, width)), dense(index, False).reshape(-1)
    if flat.size and width:
        split(_scatter, width, 0.5 * g.size, dense(g, False).reshape(flat.size, width), flat, dw,
              padding_idx)  # fmt: skip
    if scale_grad_by_freq:
        dw /= np.maximum(np.bincount(flat, minlength=num_embeddings), 1)[:, None]
    with np.errstate(all="ignore"):
        return dw.astype(g.dtype)


@jit
def _one_hot(first, last, index, y):
    for i in range(first, last):
        for j in range(y.shape[1]):
            y[i, j] = index[i] == j


@kernel("one_hot", backend="numba", dtypes=("int64",))
def one_hot(index: np.ndarray, *, num_classes: int) -> np.ndarray:
    """Row by row."""
    y = empty((*index.shape, num_classes), index.dtype)
    split(_one_hot, index.size, float(y.size), np.ascontiguousarray(index).reshape(-1),
          y.reshape(index.size, num_classes))  # fmt: skip
    return y
