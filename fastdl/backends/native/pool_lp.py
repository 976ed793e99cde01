"""Power-average pooling: elementwise powers around average pooling, whose kernels are native.

A window that cannot reach beyond the end is summed as it is; others are means, times the number of
taps. Volumes are pooled plane by plane and then across the planes, as images of one row.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ... import _native
from ...core.dtypes import float32, float64
from ...core.shapes import is_channels_last
from ...spec import kernel

Sizes = tuple[int, ...]


def _power(x: Any, p: float) -> Any:
    return _native.square(x) if p == 2 else _native.pow(x, p)


def _divisor(ceil_mode: bool) -> int | None:
    return None if ceil_mode else 1


def _pooled(x: Any, kernel_size: Sizes, stride: Sizes, ceil_mode: bool) -> Any:
    """Sums of windows, or with ceil_mode their means."""

    if x.ndim == 4:
        divisor = _divisor(ceil_mode)
        return _native.avg_pool2d(x, kernel_size, stride, 0, ceil_mode, False, divisor, None)

    def pool(x: Any, axes: slice, one: Sizes = ()) -> Any:
        sizes = (*kernel_size[axes], *one), (*stride[axes], *one)
        return _native.avg_pool2d(x, *sizes, 0, ceil_mode, False, _divisor(ceil_mode), None)

    n, c, d, h, w = x.shape
    flat = pool(np.ascontiguousarray(x).reshape(n, c * d, h, w), slice(1, None))
    size = flat.shape[2:]
    y = pool(flat.reshape(n, c, d, math.prod(size)), slice(1), (1,))
    return y.reshape(n, c, y.shape[2], *size)


def _spread(q: Any, like: Any, kernel_size: Sizes, stride: Sizes, ceil_mode: bool) -> Any:
    """What every element of an array of this shape gets of its windows' q."""

    def back(q: Any, size: Sizes, axes: slice, last: bool, one: Sizes = ()) -> Any:
        sizes = (*kernel_size[axes], *one), (*stride[axes], *one)
        divisor = _divisor(ceil_mode)
        return _native.avg_pool2d_backward(
            q, size, *sizes, 0, ceil_mode, False, divisor, last, None
        )

    if q.ndim == 4:
        return back(q, like.shape[2:], slice(None), is_channels_last(like))
    n, c, m, *size = q.shape
    d, h, w = like.shape[2:]
    plane = math.prod(size)
    across = back(np.ascontiguousarray(q).reshape(n, c, m, plane), (d, plane), slice(1), False,
                  (1,))  # fmt: skip
    return back(across.reshape(n, c * d, *size), (h, w), slice(1, None), False).reshape(like.shape)


def _forward(
    x: Any, *, norm_type: float, kernel_size: Sizes, stride: Sizes, ceil_mode: bool
) -> Any:
    p = norm_type
    y = _pooled(x if p == 1 else _power(x, p), kernel_size, stride, ceil_mode)
    if y is NotImplemented:
        return y
    if ceil_mode:
        _native.mul(y, float(math.prod(kernel_size)), out=y)
    if p == 1:
        return y
    return _native.sqrt(y, out=y) if p == 2 else _native.pow(y, 1 / p, out=y)


def _backward(
    g: Any, x: Any, y: Any, *, norm_type: float, kernel_size: Sizes, stride: Sizes,
    ceil_mode: bool,
) -> Any:  # fmt: skip
    p = norm_type
    q = _native.div(g, y) if p == 2 else g if p == 1 else _native.mul(g, _native.pow(y, 1 - p))
    q = _native.where(_native.eq(y, 0.0), np.zeros((), x.dtype), q)
    if ceil_mode:
        _native.mul(q, float(math.prod(kernel_size)), out=q)
    dx = _spread(q, x, kernel_size, stride, ceil_mode)
    if p == 1:
        return dx
    return _native.mul(dx, x if p == 2 else _native.pow(x, p - 1), out=dx)


def _attach(name: str, function: Callable[..., Any]) -> None:
    @kernel(name, backend="native", name=name)
    def run(*arrays: Any, **options: Any) -> Any:
        aligned = all(a.flags.aligned for a in arrays)  # native functions take no others
        return function(*arrays, **options) if aligned else NotImplemented


_attach("lp_pool2d_backward", _backward)
_attach("lp_pool3d", _forward)
_attach("lp_pool3d_backward", _backward)


@kernel("lp_pool2d", backend="native", direct=True)
def lp_pool2d(
    x: Any, *more: Any, norm_type: Any = None, kernel_size: Any = None, stride: Any = None,
    ceil_mode: Any = False, **unknown: Any,
) -> Any:  # fmt: skip
    """Of images; average pooling checks the options of the windows."""
    if more or unknown or type(x) is not np.ndarray or x.ndim != 4 or not x.flags.aligned:
        return NotImplemented
    if x.dtype not in (float32, float64) or type(norm_type) not in (int, float):
        return NotImplemented
    if norm_type == 0 or not math.isfinite(norm_type) or type(kernel_size) not in (int, tuple):
        return NotImplemented
    kernel = (kernel_size,) * 2 if type(kernel_size) is int else kernel_size
    return _forward(x, norm_type=norm_type, kernel_size=kernel, stride=stride, ceil_mode=ceil_mode)
