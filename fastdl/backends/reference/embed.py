"""Rows of a table picked by index, and the gradient that goes back to them."""

from __future__ import annotations

from typing import Any

import numpy as np


def embedding(weight: Any, index: Any, *, padding_idx: int, scale_grad_by_freq: bool) -> Any:
    """y[..., :] = weight[index[...], :]."""
    return weight[index]


def embedding_backward(
    g: Any, index: Any, *, num_embeddings: int, padding_idx: int, scale_grad_by_freq: bool
) -> Any:
    """dweight[i] = Σ g over the places where index = i, over their number if asked; not padding."""
    dw = np.zeros((num_embeddings, g.shape[-1]), g.dtype)
    np.add.at(dw, index, g)
    if scale_grad_by_freq:
        dw /= np.maximum(np.bincount(index.reshape(-1), minlength=num_embeddings), 1)[:, None]
    if padding_idx >= 0:
        dw[padding_idx] = 0
    return dw


def one_hot(index: Any, *, num_classes: int) -> Any:
    """1 at [..., index[...]], 0 elsewhere: int64 [..., num_classes]."""
    return (index[..., None] == np.arange(num_classes)).astype(np.int64)
