"""Power-average pooling of planes x[N · C, D, H, W], as plain loops in float64."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...core.memory import empty
from ...core.shapes import is_channels_last
from ...spec import kernel
from ._jit import jit, split
from ._layout import dense
from .norm import _finished

Sizes = tuple[int, ...]
_NANOSECONDS = 5.0  # an element of a window


@jit
def _power(x: float, p: float) -> float:
    return x if p == 1 else x * x if p == 2 else x**p


@jit
def _pool(
    first: int, last: int, x: Any, y: Any, p: float, root: float, kernel_size: Any, stride: Any
) -> None:
    taps = kernel_size[0] * kernel_size[1] * kernel_size[2]
    for i in range(first, last):
        for a in range(y.shape[1]):
            d0, d1 = a * stride[0], min(a * stride[0] + kernel_size[0], x.shape[1])
            for b in range(y.shape[2]):
                h0, h1 = b * stride[1], min(b * stride[1] + kernel_size[1], x.shape[2])
                for c in range(y.shape[3]):
                    w0, w1 = c * stride[2], min(c * stride[2] + kernel_size[2], x.shape[3])
                    total = 0.0
                    for d in range(d0, d1):
                        for h in range(h0, h1):
                            for w in range(w0, w1):
                                total += _power(np.float64(x[i, d, h, w]), p)
                    total = total / ((d1 - d0) * (h1 - h0) * (w1 - w0)) * taps
                    y[i, a, b, c] = total if p == 1 else total**root


@jit
def _back(
    first: int, last: int, g: Any, x: Any, y: Any, dx: Any, p: float, kernel_size: Any, stride: Any
) -> None:
    taps = kernel_size[0] * kernel_size[1] * kernel_size[2]
    for i in range(first, last):
        sums = np.zeros(x.shape[1:])
        for a in range(y.shape[1]):
            d0, d1 = a * stride[0], min(a * stride[0] + kernel_size[0], x.shape[1])
            for b in range(y.shape[2]):
                h0, h1 = b * stride[1], min(b * stride[1] + kernel_size[1], x.shape[2])
                for c in range(y.shape[3]):
                    w0, w1 = c * stride[2], min(c * stride[2] + kernel_size[2], x.shape[3])
                    if y[i, a, b, c] == 0:
                        continue
                    q = np.float64(g[i, a, b, c])
                    if p == 2:
                        q /= y[i, a, b, c]
                    elif p != 1:
                        q *= np.float64(y[i, a, b, c]) ** (1 - p)
                    q = q * taps / ((d1 - d0) * (h1 - h0) * (w1 - w0))
                    sums[d0:d1, h0:h1, w0:w1] += q
        for d in range(x.shape[1]):
            for h in range(x.shape[2]):
                for w in range(x.shape[3]):
                    slope = 1.0 if p == 1 else _power(np.float64(x[i, d, h, w]), p - 1)
                    dx[i, d, h, w] = sums[d, h, w] * slope


def _planes(x: np.ndarray) -> np.ndarray:
    depth = (1,) if x.ndim == 4 else ()
    return dense(x, False).reshape(x.shape[0] * x.shape[1], *depth, *x.shape[2:])


def _three(sizes: Sizes) -> Sizes:
    return (1,) * (3 - len(sizes)) + sizes


def _output(n: int, k: int, s: int, ceil_mode: bool) -> int:
    m = (n - k + (s - 1 if ceil_mode else 0)) // s + 1
    return m - 1 if (m - 1) * s >= n else m


def _forward(
    x: np.ndarray, *, norm_type: float, kernel_size: Sizes, stride: Sizes, ceil_mode: bool
) -> np.ndarray:
    axes = zip(x.shape[2:], kernel_size, stride, strict=True)
    y = np.empty((*x.shape[:2], *(_output(*axis, ceil_mode) for axis in axes)), x.dtype)
    if y.size:
        work = y.size * math.prod(kernel_size) * _NANOSECONDS
        split(_pool, x.shape[0] * x.shape[1], work, _planes(x), _planes(y), norm_type,
              1 / norm_type, _three(kernel_size), _three(stride))  # fmt: skip
    if not is_channels_last(x):
        return y
    out = empty(y.shape, y.dtype, True)
    out[...] = y
    return out


def _backward(
    g: np.ndarray, x: np.ndarray, y: np.ndarray, *, norm_type: float, kernel_size: Sizes,
    stride: Sizes, ceil_mode: bool,
) -> np.ndarray:  # fmt: skip
    dx = np.empty(x.shape, x.dtype)
    if dx.size:
        work = y.size * math.prod(kernel_size) * _NANOSECONDS
        split(_back, x.shape[0] * x.shape[1], work, *map(_planes, (g, x, y, dx)), norm_type,
              _three(kernel_size), _three(stride))  # fmt: skip
    return _finished(dx, x)


def _attach(name: str, function: Callable[..., Any]) -> None:
    @kernel(name, backend="numba", name=name)
    def run(*arrays: Any, **options: Any) -> Any:
        return function(*arrays, **options)


for _axes in (2, 3):
    _attach(f"lp_pool{_axes}d", _forward)
    _attach(f"lp_pool{_axes}d_backward", _backward)
