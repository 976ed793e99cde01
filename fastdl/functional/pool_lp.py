"""Power-average pooling."""

from __future__ import annotations

import math
from typing import Any

from ..core.errors import ArgumentError
from ..core.shapes import as_float
from ..core.windows import numbers
from ..ops.elementwise import mul, relu
from ..ops.elementwise_math import absolute, pow, sign
from .pool import avg_pool1d, avg_pool2d, avg_pool3d

__all__ = ["lp_pool1d", "lp_pool2d", "lp_pool3d"]


def lp_pool1d(
    input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Any:
    """(Σ x^p)^(1/p) of every window of input[N, C, L], or [C, L]; see `lp_pool2d`."""
    return _norms("lp_pool1d", avg_pool1d, input, norm_type, kernel_size, stride, ceil_mode, 1)


def lp_pool2d(
    input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Any:
    """(Σ x^p)^(1/p) of every window of input[N, C, H, W], or [C, H, W], p being `norm_type`.

    As in torch it is the mean of x^p times the size of the kernel, also where a window reaches
    beyond the end (`ceil_mode`), and x is not made positive first: an odd p of negative sums gives
    NaN. Raises what `avg_pool2d` does, and ArgumentError for p = 0. As
    torch.nn.functional.lp_pool2d.
    """
    return _norms("lp_pool2d", avg_pool2d, input, norm_type, kernel_size, stride, ceil_mode, 2)


def lp_pool3d(
    input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Any:
    """(Σ x^p)^(1/p) of every window of input[N, C, D, H, W], or without N; see `lp_pool2d`."""
    return _norms("lp_pool3d", avg_pool3d, input, norm_type, kernel_size, stride, ceil_mode, 3)


def _norms(
    name: str, pool: Any, input: Any, norm_type: Any, kernel_size: Any, stride: Any,
    ceil_mode: bool, axes: int,
) -> Any:  # fmt: skip
    p = as_float(name, "norm_type", norm_type)
    if p == 0:
        raise ArgumentError(f"{name}: norm_type: got 0, want another number")
    kernel = numbers(name, "kernel_size", kernel_size, 1, axes)
    means = pool(pow(input, p), kernel, stride, 0, ceil_mode)
    # sign · |.| passes values on, and gives a window of zeros the gradient that torch gives it.
    kept = mul(sign(means), relu(absolute(means)))
    return pow(mul(kept, float(math.prod(kernel))), 1 / p)
