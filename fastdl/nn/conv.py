"""Convolution layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import functional as F
from ..core.dtypes import as_dtype
from ..core.errors import ArgumentError
from ..core.shapes import as_ints
from ..core.windows import conv_options, numbers
from ..tensor import Parameter
from . import init
from .module import Module

__all__ = [
    "Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d",
]  # fmt: skip


class _Conv(Module):
    """What all convolutions share: sizes, options, parameters, and how they print.

    weight (out_channels, in_channels / groups, *kernel_size), with the channels exchanged for
    transposed ones; bias (out_channels).
    """

    axes: int
    transposed = False

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any, padding: Any,
        output_padding: Any, dilation: Any, groups: int, bias: bool, padding_mode: str,
        device: Any, dtype: Any,
    ) -> None:  # fmt: skip
        super().__init__()
        name, axes = type(self).__name__, self.axes
        modes = ("zeros",) if self.transposed else ("zeros", "reflect", "replicate", "circular")
        if padding_mode not in modes:
            raise ArgumentError(
                f"{name}: padding_mode: got {padding_mode!r}, want {' or '.join(map(repr, modes))}"
            )
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise ArgumentError(
                f"{name}: groups: got {groups}, want a divisor of in_channels={in_channels} and"
                f" out_channels={out_channels}"
            )
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size = numbers(name, "kernel_size", kernel_size, 1, axes)
        self.stride = numbers(name, "stride", stride, 1, axes)
        self.dilation = numbers(name, "dilation", dilation, 1, axes)
        self.output_padding = numbers(name, "output_padding", output_padding, 0, axes)
        self.padding, self.groups, self.padding_mode = padding, groups, padding_mode
        options = conv_options(name, self.kernel_size, stride, padding, dilation)
        if isinstance(padding, (int, np.integer)):
            self.padding = (int(padding),) * axes
        # As F.pad takes it: the last dimension first.
        self._around = tuple(n for side in reversed(options["padding"]) for n in side)
        dtype = as_dtype(dtype or np.float32)
        channels = (in_channels, out_channels) if self.transposed else (out_channels, in_channels)
        shape = (channels[0], channels[1] // groups, *self.kernel_size)
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

    def extra_repr(self) -> str:
        """Sizes and options, as torch prints them."""
        text = (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size},"
            f" stride={self.stride}"
        )
        none = (0,) * self.axes
        for name, default in (
            ("padding", none), ("dilation", (1,) * self.axes), ("output_padding", none),
            ("groups", 1),
        ):  # fmt: skip
            value = getattr(self, name)
            text += "" if value == default else f", {name}={value}"
        text += "" if self.bias is not None else ", bias=False"
        mode = self.padding_mode
        return text if mode == "zeros" else f"{text}, padding_mode={mode}"


class _Forward(_Conv):
    """Conv1d to Conv3d."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: Any = 0,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, 0, dilation, groups, bias,
            padding_mode, device, dtype,
        )  # fmt: skip

    def forward(self, x: Any) -> Any:
        """x[N, C, spatial...] -> [N, out_channels, ...]."""
        padding = self.padding
        if self.padding_mode != "zeros":
            x, padding = F.pad(x, self._around, self.padding_mode), 0
        convolve = (F.conv1d, F.conv2d, F.conv3d)[self.axes - 1]
        return convolve(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class Conv1d(_Forward):
    """1-D convolution of x[N, C, L]; see functional.conv1d.

    weight (out_channels, in_channels / groups, kernel_size), bias (out_channels). `padding_mode`
    is 'zeros', 'reflect', 'replicate' or 'circular' (functional.pad).
    """

    axes = 1


class Conv2d(_Forward):
    """2-D convolution (cross-correlation) of x[N, C, H, W]; see functional.conv2d.

    weight (out_channels, in_channels / groups, *kernel_size), bias (out_channels). `padding_mode`
    is 'zeros', 'reflect', 'replicate' or 'circular' (functional.pad).
    """

    axes = 2


class Conv3d(_Forward):
    """3-D convolution of x[N, C, D, H, W]; see functional.conv3d.

    weight (out_channels, in_channels / groups, *kernel_size), bias (out_channels). `padding_mode`
    is 'zeros', 'reflect', 'replicate' or 'circular' (functional.pad).
    """

    axes = 3


class _Transposed(_Conv):
    """ConvTranspose1d to ConvTranspose3d."""

    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: int | Sequence[int] = 0,
        output_padding: int | Sequence[int] = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: int | Sequence[int] = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        sides = numbers(type(self).__name__, "padding", padding, 0, self.axes)
        super().__init__(
            in_channels, out_channels, kernel_size, stride, sides, output_padding, dilation, groups,
            bias, padding_mode, device, dtype,
        )  # fmt: skip

    def forward(self, x: Any, output_size: Any = None) -> Any:
        """x[N, C, spatial...] -> [N, out_channels, ...], of the spatial size asked for, if any."""
        more = self.output_padding if output_size is None else self._more(x, output_size)
        convolve = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[self.axes - 1]
        return convolve(
            x, self.weight, self.bias, self.stride, self.padding, more, self.groups, self.dilation
        )

    def _more(self, x: Any, output_size: Any) -> tuple[int, ...]:
        """The output padding that makes the output as large as asked for."""
        name = type(self).__name__
        wanted = as_ints(name, "output_size", output_size)
        if len(wanted) not in (self.axes, x.ndim):
            raise ArgumentError(f"{name}: output_size: got {wanted}, want {self.axes} sizes")
        axes = zip(
            x.shape[-self.axes :], self.kernel_size, self.stride, self.padding, self.dilation,
            strict=True,
        )  # fmt: skip
        least = [(n - 1) * s - 2 * p + d * (k - 1) + 1 for n, k, s, p, d in axes]
        wanted = wanted[-self.axes :]
        more = tuple(n - m for n, m in zip(wanted, least, strict=True))
        if any(not 0 <= m < s for m, s in zip(more, self.stride, strict=True)):
            raise ArgumentError(
                f"{name}: output_size: got {wanted}, want {tuple(least)} or less than a stride more"
            )
        return more


class ConvTranspose1d(_Transposed):
    """Transposed 1-D convolution of x[N, C, L]; see functional.conv_transpose1d.

    weight (in_channels, out_channels / groups, kernel_size), bias (out_channels).
    """

    axes = 1


class ConvTranspose2d(_Transposed):
    """Transposed 2-D convolution of x[N, C, H, W]; see functional.conv_transpose2d.

    weight (in_channels, out_channels / groups, *kernel_size), bias (out_channels).
    """

    axes = 2


class ConvTranspose3d(_Transposed):
    """Transposed 3-D convolution of x[N, C, D, H, W]; see functional.conv_transpose3d.

    weight (in_channels, out_channels / groups, *kernel_size), bias (out_channels).
    """

    axes = 3
