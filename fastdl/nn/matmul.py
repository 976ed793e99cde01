"""Layers made of matrix multiplication."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import functional as F
from ..core.dtypes import as_dtype
from ..tensor import Parameter
from . import init
from .module import Module

__all__ = ["Linear"]


class Linear(Module):
    """y = x·Wᵀ + b on the last dimension; weight (out_features, in_features), bias (out_features).

    Initialised as torch's: uniform in ±1/√in_features.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        dtype = as_dtype(dtype or np.float32)
        self.weight = Parameter(np.empty((out_features, in_features), dtype))
        self.bias = Parameter(np.empty(out_features, dtype)) if bias else None
        if not bias:
            self.register_parameter("bias", None)
        self.reset_parameters()
        if device is not None:
            self.to(device)

    def reset_parameters(self) -> None:
        """Draws new initial values."""
        init.default_(self.weight, self.bias)

    def forward(self, x: Any) -> Any:
        """x[..., in_features] -> [..., out_features]."""
        return F.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        """Sizes, as torch prints them."""
        bias = self.bias is not None
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={bias}"
