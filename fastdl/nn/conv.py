"""Convolution layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import functional as F
from ..core.dtypes import as_dtype
from ..core.errors import ArgumentError
from ..core.windows import conv_options, pair
from ..tensor import Parameter
from . import init
from .module import Module

__all__ = ["Conv2d"]


class Conv2d(Module):
    """2-D convolution (cross-correlation) of x[N, C, H, W]; see functional.conv2d.

    weight (out_channels, in_channels / groups, *kernel_size), bias (out_channels). A padding_mode
    other than 'zeros' is not there yet and raises ArgumentError.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: Any = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if padding_mode != "zeros":
            raise ArgumentError(f"Conv2d: padding_mode: got {padding_mode!r}, want 'zeros'")
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise ArgumentError(
                f"Conv2d: groups: got {groups}, want a divisor of in_channels={in_channels} and"
                f" out_channels={out_channels}"
            )
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size = pair("Conv2d", "kernel_size", kernel_size, 1)
        self.stride = pair("Conv2d", "stride", stride, 1)
        self.dilation = pair("Conv2d", "dilation", dilation, 1)
        self.padding, self.groups = padding, groups
        conv_options("Conv2d", self.kernel_size, stride, padding, dilation)  # or its error, now
        if isinstance(padding, int):
            self.padding = (padding, padding)
        dtype = as_dtype(dtype or np.float32)
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        self.weight = Parameter(np.empty(shape, dtype))
        self.bias = Parameter(np.empty(out_channels, dtype)) if bias else None
        if not bias:
            self.register_parameter("bias", None)
        self.reset_parameters()
        if device is not None:
            self.to(device)

    def reset_parameters(self) -> None:
        """Draws new initial values."""
        init.default_(self.weight, self.bias)

    def forward(self, x: Any) -> Any:
        """x[N, C, H, W] -> [N, out_channels, P, Q]."""
        return F.conv2d(
            x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups
        )

    def extra_repr(self) -> str:
        """Sizes and options, as torch prints them."""
        text = (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size},"
            f" stride={self.stride}"
        )
        for name, default in (("padding", (0, 0)), ("dilation", (1, 1)), ("groups", 1)):
            value = getattr(self, name)
            text += "" if value == default else f", {name}={value}"
        return text if self.bias is not None else f"{text}, bias=False"
