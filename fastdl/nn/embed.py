"""Embedding layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import functional as F
from ..core.dtypes import as_dtype
from ..core.errors import IndexRangeError, UnsupportedError
from ..tensor import Parameter, Tensor
from . import init
from .module import Module

__all__ = ["Embedding"]


class Embedding(Module):
    """A table of `num_embeddings` rows of `embedding_dim`, picked by index; functional.embedding.

    Initialised as torch's: standard normal, the row of padding_idx zero.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if padding_idx is not None:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise IndexRangeError(
                    f"Embedding: padding_idx: got {padding_idx}, want one of {num_embeddings} rows"
                )
            padding_idx %= num_embeddings
        if sparse:
            raise UnsupportedError("Embedding: sparse: got True; gradients are dense here")
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx, self.max_norm, self.norm_type = padding_idx, max_norm, norm_type
        self.scale_grad_by_freq, self.sparse = scale_grad_by_freq, sparse
        if _weight is None:
            shape = num_embeddings, embedding_dim
            self.weight = Parameter(np.empty(shape, as_dtype(dtype or np.float32)))
            self.reset_parameters()
        else:
            self.weight = Parameter(_weight)
        self.weight.requires_grad_(not _freeze)
        if device is not None:
            self.to(device)

    def reset_parameters(self) -> None:
        """Draws new initial values."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            self.weight._written()[self.padding_idx] = 0

    def forward(self, index: Any) -> Any:
        """index[...] -> [..., embedding_dim]."""
        return F.embedding(
            index, self.weight, self.padding_idx, self.max_norm, self.norm_type,
            self.scale_grad_by_freq,
        )  # fmt: skip

    @classmethod
    def from_pretrained(
        cls, embeddings: Any, freeze: bool = True, padding_idx: int | None = None, **options: Any
    ) -> Embedding:
        """A layer around a given table [rows, width]."""
        rows, width = embeddings.shape
        return cls(rows, width, padding_idx, _weight=embeddings, _freeze=freeze, **options)

    def extra_repr(self) -> str:
        """As torch prints it."""
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"
