"""Layers made of matrix multiplication."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import functional as F
from ..autograd import is_grad_enabled
from ..core.dtypes import as_dtype
from ..tensor import Parameter
from . import init
from .module import Module

__all__ = ["Linear"]

_FEW = 8  # rows or columns that are multiplied without packing anything, in another order of sums
_LARGE = 1 << 16  # numbers in a weight, from which not packing it saves more than the 3 us it takes


class Linear(Module):
    """y = x·Wᵀ + b on the last dimension; weight (out_features, in_features), bias (out_features).

    Initialised as torch's: uniform in ±1/√in_features.

    Where the weight needs no gradient (under no_grad, or frozen) a second call with it as it is
    packs it (`functional.pack`), if it is large, for products of more than 8 rows; the copy is
    dropped when the weight is written to. It takes the weight's memory once more, and is no part
    of state_dict.
    """

    _seen: tuple[Any, int] | None = None  # the weight of the last call, and its version
    _packed: F.PackedWeight | None = None

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
        return F.linear(x, self._packed_for(x) or self.weight, self.bias)

    def _packed_for(self, x: Any) -> F.PackedWeight | None:
        """The packed weight, if a product with x is to use it."""
        if self.in_features * self.out_features < _LARGE or self.out_features <= _FEW:
            return None
        weight = self.weight
        if weight.requires_grad and is_grad_enabled():
            return None
        if math.prod(getattr(x, "shape", ())[:-1]) <= _FEW:
            return None
        packed = self._packed
        if packed is not None and packed.source is weight and packed.is_fresh():
            return packed
        now = (weight, weight._counter.value)
        seen, self._seen, self._packed = self._seen, now, None
        if seen is None or seen[0] is not weight or seen[1] != now[1]:
            return None
        if weight.dtype not in (np.float32, np.float64):
            return None
        self._packed = packed = F.pack("linear", weight)
        return packed

    def __getstate__(self) -> dict[str, Any]:
        return {name: v for name, v in self.__dict__.items() if name not in ("_seen", "_packed")}

    def extra_repr(self) -> str:
        """Sizes, as torch prints them."""
        bias = self.bias is not None
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={bias}"
