"""Pooling layers."""

from __future__ import annotations

from typing import Any

from .. import functional as F
from ..core.errors import ArgumentError
from ..core.windows import numbers
from .module import Module

__all__ = [
    "AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveAvgPool3d", "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d", "AdaptiveMaxPool3d", "AvgPool1d", "AvgPool2d", "AvgPool3d", "LPPool1d",
    "LPPool2d", "LPPool3d", "MaxPool1d", "MaxPool2d", "MaxPool3d", "MaxUnpool1d", "MaxUnpool2d",
    "MaxUnpool3d",
]  # fmt: skip


class _MaxPool(Module):
    """MaxPool1d to MaxPool3d."""

    axes: int

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size, self.padding = kernel_size, padding
        self.stride = kernel_size if stride is None else stride
        self.dilation, self.return_indices, self.ceil_mode = dilation, return_indices, ceil_mode

    def forward(self, x: Any) -> Any:
        """x[N, C, spatial...] -> the maxima (with the indices, if asked for)."""
        pool = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[self.axes - 1]
        return pool(
            x, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode,
            self.return_indices,
        )  # fmt: skip

    def extra_repr(self) -> str:
        """Options, as torch prints them."""
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding},"
            f" dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool):
    """Maximum over windows of x[N, C, L]; see functional.max_pool1d."""

    axes = 1


class MaxPool2d(_MaxPool):
    """Maximum over windows of x[N, C, H, W]; see functional.max_pool2d."""

    axes = 2


class MaxPool3d(_MaxPool):
    """Maximum over windows of x[N, C, D, H, W]; see functional.max_pool3d."""

    axes = 3


class AvgPool1d(Module):
    """Mean over windows of x[N, C, L]; see functional.avg_pool1d."""

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        self.kernel_size = numbers("AvgPool1d", "kernel_size", kernel_size, 1, 1)
        self.stride = (
            self.kernel_size if stride is None else numbers("AvgPool1d", "stride", stride, 1, 1)
        )
        self.padding = numbers("AvgPool1d", "padding", padding, 0, 1)
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad

    def forward(self, x: Any) -> Any:
        """x[N, C, L] -> [N, C, Q]."""
        return F.avg_pool1d(
            x, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad
        )

    def extra_repr(self) -> str:
        """Options, as torch prints them."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class _AvgPool(Module):
    """AvgPool2d and AvgPool3d."""

    axes: int

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size, self.padding = kernel_size, padding
        self.stride = kernel_size if stride is None else stride
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad
        self.divisor_override = divisor_override

    def forward(self, x: Any) -> Any:
        """x[N, C, spatial...] -> the means."""
        pool = F.avg_pool2d if self.axes == 2 else F.avg_pool3d
        return pool(
            x, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad,
            self.divisor_override,
        )  # fmt: skip

    def extra_repr(self) -> str:
        """Options, as torch prints them."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool2d(_AvgPool):
    """Mean over windows of x[N, C, H, W]; see functional.avg_pool2d."""

    axes = 2


class AvgPool3d(_AvgPool):
    """Mean over windows of x[N, C, D, H, W]; see functional.avg_pool3d."""

    axes = 3


class _Adaptive(Module):
    """Pools whose windows follow from the output's size."""

    axes: int

    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self.output_size = output_size

    def extra_repr(self) -> str:
        """The output's size, as torch prints it."""
        return f"output_size={self.output_size}"


class _AdaptiveAvg(_Adaptive):
    def forward(self, x: Any) -> Any:
        """x[N, C, spatial...] -> [N, C, *output_size]."""
        pools = (F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d)
        return pools[self.axes - 1](x, self.output_size)


class _AdaptiveMax(_Adaptive):
    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__(output_size)
        self.return_indices = return_indices

    def forward(self, x: Any) -> Any:
        """x[N, C, spatial...] -> [N, C, *output_size] (with the indices, if asked for)."""
        pools = (F.adaptive_max_pool1d, F.adaptive_max_pool2d, F.adaptive_max_pool3d)
        return pools[self.axes - 1](x, self.output_size, self.return_indices)


class AdaptiveAvgPool1d(_AdaptiveAvg):
    """Means of x[N, C, L]; see functional.adaptive_avg_pool1d."""

    axes = 1


class AdaptiveAvgPool2d(_AdaptiveAvg):
    """Means of x[N, C, H, W]; see functional.adaptive_avg_pool2d."""

    axes = 2


class AdaptiveAvgPool3d(_AdaptiveAvg):
    """Means of x[N, C, D, H, W]; see functional.adaptive_avg_pool3d."""

    axes = 3


class AdaptiveMaxPool1d(_AdaptiveMax):
    """Maxima of x[N, C, L]; see functional.adaptive_max_pool1d."""

    axes = 1


class AdaptiveMaxPool2d(_AdaptiveMax):
    """Maxima of x[N, C, H, W]; see functional.adaptive_max_pool2d."""

    axes = 2


class AdaptiveMaxPool3d(_AdaptiveMax):
    """Maxima of x[N, C, D, H, W]; see functional.adaptive_max_pool3d."""

    axes = 3


class _MaxUnpool(Module):
    """MaxUnpool1d to MaxUnpool3d."""

    axes: int

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0) -> None:
        super().__init__()
        name = type(self).__name__
        self.kernel_size = numbers(name, "kernel_size", kernel_size, 1, self.axes)
        self.stride = (
            self.kernel_size if stride is None else numbers(name, "stride", stride, 1, self.axes)
        )
        self.padding = numbers(name, "padding", padding, 0, self.axes)

    def forward(self, x: Any, indices: Any, output_size: Any = None) -> Any:
        """The values x at the indices of a max-pool, in zeros."""
        unpool = (F.max_unpool1d, F.max_unpool2d, F.max_unpool3d)[self.axes - 1]
        return unpool(x, indices, self.kernel_size, self.stride, self.padding, output_size)

    def extra_repr(self) -> str:
        """Options, as torch prints them."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpool):
    """Undoes MaxPool1d; see functional.max_unpool1d."""

    axes = 1


class MaxUnpool2d(_MaxUnpool):
    """Undoes MaxPool2d; see functional.max_unpool2d."""

    axes = 2


class MaxUnpool3d(_MaxUnpool):
    """Undoes MaxPool3d; see functional.max_unpool3d."""

    axes = 3


class _LPPool(Module):
    """LPPool1d to LPPool3d."""

    axes: int

    def __init__(
        self, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
    ) -> None:
        super().__init__()
        if not norm_type:
            raise ArgumentError(f"{type(self).__name__}: norm_type: got {norm_type}, want not 0")
        self.norm_type, self.kernel_size = norm_type, kernel_size
        self.stride, self.ceil_mode = stride, ceil_mode

    def forward(self, x: Any) -> Any:
        """x[N, C, spatial...] -> the norms of its windows."""
        pool = (F.lp_pool1d, F.lp_pool2d, F.lp_pool3d)[self.axes - 1]
        return pool(x, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)

    def extra_repr(self) -> str:
        """Options, as torch prints them."""
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride},"
            f" ceil_mode={self.ceil_mode}"
        )


class LPPool1d(_LPPool):
    """Norms of windows of x[N, C, L]; see functional.lp_pool1d."""

    axes = 1


class LPPool2d(_LPPool):
    """Norms of windows of x[N, C, H, W]; see functional.lp_pool2d."""

    axes = 2


class LPPool3d(_LPPool):
    """Norms of windows of x[N, C, D, H, W]; see functional.lp_pool3d."""

    axes = 3
