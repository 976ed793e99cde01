"""Normalisation layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import functional as F
from ..core.dtypes import as_dtype
from ..core.errors import ArgumentError, ShapeError
from ..tensor import Parameter, Tensor
from . import init
from .module import Module

__all__ = [
    "BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "CosineSimilarity", "GroupNorm",
    "InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d", "LayerNorm", "LocalResponseNorm",
    "RMSNorm",
]  # fmt: skip


def _parameter(module: Module, name: str, shape: Any, dtype: Any, wanted: bool) -> None:
    if wanted:
        setattr(module, name, Parameter(np.empty(shape, as_dtype(dtype or np.float32))))
    else:
        module.register_parameter(name, None)


def _reset(module: Module) -> None:
    for name, fill in (("weight", init.ones_), ("bias", init.zeros_)):
        if getattr(module, name, None) is not None:
            fill(getattr(module, name))


class _ChannelNorm(Module):
    """What batch and instance norm share: parameters, and moments that follow the batches'."""

    _dims: tuple[int, ...]  # the numbers of dims an input may have

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        _parameter(self, "weight", num_features, dtype, affine)
        _parameter(self, "bias", num_features, dtype, affine and bias)
        running = as_dtype(dtype or np.float32)
        for name in ("running_mean", "running_var"):
            moment = Tensor(np.empty(num_features, running)) if track_running_stats else None
            self.register_buffer(name, moment)
        count = Tensor(np.zeros((), np.int64)) if track_running_stats else None
        self.register_buffer("num_batches_tracked", count)
        self.reset_parameters()
        if device is not None:
            self.to(device)

    def reset_running_stats(self) -> None:
        """Mean 0, variance 1, no batch seen."""
        if self.track_running_stats:
            init.zeros_(self.running_mean)
            init.ones_(self.running_var)
            init.zeros_(self.num_batches_tracked)

    def reset_parameters(self) -> None:
        """Weight 1, bias 0, and the running moments of no batch."""
        self.reset_running_stats()
        _reset(self)

    def _check(self, x: Any) -> None:
        if len(x.shape) not in self._dims:
            raise ShapeError(
                f"{type(self).__name__}: got shape {tuple(x.shape)}, want"
                f" {' or '.join(map(str, self._dims))} dims"
            )

    def extra_repr(self) -> str:
        """As torch prints it."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine},"
            f" bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class _BatchNorm(_ChannelNorm):
    def forward(self, x: Any) -> Any:
        """The same shape as x[N, C, ...]; in training moves the running moments."""
        self._check(x)
        momentum = 0.0 if self.momentum is None else self.momentum
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked._written()[...] += 1
            if self.momentum is None:  # the plain average of all batches
                momentum = 1 / float(self.num_batches_tracked)
        of_batch = self.training or self.running_mean is None
        follow = not self.training or self.track_running_stats
        return F.batch_norm(
            x,
            self.running_mean if follow else None,
            self.running_var if follow else None,
            self.weight,
            self.bias,
            of_batch,
            momentum,
            self.eps,
        )


class BatchNorm1d(_BatchNorm):
    """Batch norm of x[N, C] or x[N, C, L]; see functional.batch_norm.

    Buffers running_mean, running_var and num_batches_tracked, parameters weight and bias [C].
    """

    _dims = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Batch norm of x[N, C, H, W]; see BatchNorm1d."""

    _dims = (4,)


class BatchNorm3d(_BatchNorm):
    """Batch norm of x[N, C, D, H, W]; see BatchNorm1d."""

    _dims = (5,)


class _InstanceNorm(_ChannelNorm):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias
        )

    def forward(self, x: Any) -> Any:
        """The same shape as x[N, C, ...] or x[C, ...]."""
        self._check(x)
        single = len(x.shape) == self._dims[0]
        if single:
            x = x.reshape(1, *x.shape)
        y = F.instance_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias,
            self.training or not self.track_running_stats, self.momentum or 0.0, self.eps,
        )  # fmt: skip
        return y.reshape(*y.shape[1:]) if single else y


class InstanceNorm1d(_InstanceNorm):
    """Norm of every channel of every sample of x[N, C, L] or x[C, L]."""

    _dims = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """Norm of every channel of every sample of x[N, C, H, W] or x[C, H, W]."""

    _dims = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    """Norm of every channel of every sample of x[N, C, D, H, W] or x[C, D, H, W]."""

    _dims = (4, 5)


def _as_tuple(shape: Any) -> tuple[int, ...]:
    return tuple(shape) if isinstance(shape, Sequence) else (shape,)


class LayerNorm(Module):
    """Norm over the last dims, those of `normalized_shape`; see functional.layer_norm."""

    def __init__(
        self,
        normalized_shape: Any,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape, self.eps = _as_tuple(normalized_shape), eps
        self.elementwise_affine = elementwise_affine
        _parameter(self, "weight", self.normalized_shape, dtype, elementwise_affine)
        _parameter(self, "bias", self.normalized_shape, dtype, elementwise_affine and bias)
        self.reset_parameters()
        if device is not None:
            self.to(device)

    def reset_parameters(self) -> None:
        """Weight 1, bias 0."""
        _reset(self)

    def forward(self, x: Any) -> Any:
        """The same shape as x[..., *normalized_shape]."""
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """As torch prints it."""
        return (
            f"{self.normalized_shape}, eps={self.eps},"
            f" elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        )


class RMSNorm(Module):
    """x / √(mean(x²) + eps) · weight over the last dims; see functional.rms_norm."""

    def __init__(
        self,
        normalized_shape: Any,
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape, self.eps = _as_tuple(normalized_shape), eps
        self.elementwise_affine = elementwise_affine
        _parameter(self, "weight", self.normalized_shape, dtype, elementwise_affine)
        self.reset_parameters()
        if device is not None:
            self.to(device)

    def reset_parameters(self) -> None:
        """Weight 1."""
        _reset(self)

    def forward(self, x: Any) -> Any:
        """The same shape as x[..., *normalized_shape]."""
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        """As torch prints it."""
        affine = self.elementwise_affine
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={affine}"


class GroupNorm(Module):
    """Norm over the channels of each of `num_groups` groups of x[N, C, ...], and their places."""

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if num_groups < 1 or num_channels % num_groups:
            raise ArgumentError(
                f"GroupNorm: num_groups: got {num_groups}, want a divisor of the {num_channels}"
                " channels"
            )
        self.num_groups, self.num_channels = num_groups, num_channels
        self.eps, self.affine = eps, affine
        _parameter(self, "weight", num_channels, dtype, affine)
        _parameter(self, "bias", num_channels, dtype, affine and bias)
        self.reset_parameters()
        if device is not None:
            self.to(device)

    def reset_parameters(self) -> None:
        """Weight 1, bias 0."""
        _reset(self)

    def forward(self, x: Any) -> Any:
        """The same shape as x[N, C, ...]."""
        return F.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """As torch prints it."""
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine},"
            f" bias={self.bias is not None}"
        )


class LocalResponseNorm(Module):
    """Norm by the channels around; see functional.local_response_norm."""

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, x: Any) -> Any:
        """The same shape as x[N, C, ...]."""
        return F.local_response_norm(x, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        """As torch prints it."""
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


class CosineSimilarity(Module):
    """Cosine of the angle between x1 and x2 along dim; see functional.cosine_similarity."""

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        super().__init__()
        self.dim, self.eps = dim, eps

    def forward(self, x1: Any, x2: Any) -> Any:
        """The broadcast shape without dim."""
        return F.cosine_similarity(x1, x2, self.dim, self.eps)
