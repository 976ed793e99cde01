"""Pooling as plain loops over the taps of a window, tap by tap in the order of the rows.

Each plane [H, W] is one iteration of `split`. The innermost loop runs over the outputs of a row, so
that it has no branches and LLVM turns it into vectors. A window is the tuple
(kh, kw, sh, sw, ph, pw, dh, dw).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.dtypes import FLOATS
from ...core.memory import empty
from ...core.shapes import is_channels_last
from ...core.windows import Pair, plane, pool_size
from ...spec import kernel
from ._jit import jit, split

NUMBERS = ("uint8", "int32", "int64", *FLOATS)
Window = tuple[int, int, int, int, int, int, int, int]


# --- loops -------------------------------------------------------------------------------------


@jit
def _outputs(offset, stride, outputs, size):
    """The outputs [low, high) whose tap at j * stride + offset lies in [0, size)."""
    low = 0 if offset >= 0 else (-offset + stride - 1) // stride
    high = 0 if offset >= size else (size - offset + stride - 1) // stride
    return low, max(low, min(high, outputs))


@jit
def _first_inside(start, dilation):
    """The first tap of a window, starting here, that is not before the image."""
    return start + max(0, (dilation - 1 - start) // dilation) * dilation


@jit
def _max_planes(first, last, x, y, window, lowest):
    kh, kw, sh, sw, ph, pw, dh, dw = window
    channels, height, width = x.shape[1:]
    for p in range(first, last):
        image = x[p // channels, p % channels]
        result = y[p // channels, p % channels]
        for i in range(y.shape[2]):
            best = result[i]
            best[:] = lowest
            for k in range(kh):
                r = i * sh - ph + k * dh
                if r < 0 or r >= height:
                    continue
                row = image[r]
                for tap in range(kw):
                    offset = tap * dw - pw
                    low, high = _outputs(offset, sw, y.shape[3], width)
                    for j in range(low, high):
                        v = row[j * sw + offset]
                        best[j] = v if v > best[j] or np.isnan(v) else best[j]


@jit
def _maxima(image, i, window, lowest, best, place):
    """The maxima of row i of outputs and their places h * W + w: the first of equals, NaN wins."""
    kh, kw, sh, sw, ph, pw, dh, dw = window
    height, width = image.shape
    top = _first_inside(i * sh - ph, dh)
    best[:] = lowest
    for j in range(best.shape[0]):
        place[j] = top * width + _first_inside(j * sw - pw, dw)
    for k in range(kh):
        r = i * sh - ph + k * dh
        if r < 0 or r >= height:
            continue
        row = image[r]
        for tap in range(kw):
            offset = tap * dw - pw
            low, high = _outputs(offset, sw, best.shape[0], width)
            for j in range(low, high):
                c = j * sw + offset
                v = row[c]
                better = v > best[j] or np.isnan(v)
                best[j] = v if better else best[j]
                place[j] = r * width + c if better else place[j]


@jit
def _max_index_planes(first, last, x, y, index, window, lowest):
    channels = x.shape[1]
    for p in range(first, last):
        n, c = p // channels, p % channels
        for i in range(y.shape[2]):
            _maxima(x[n, c], i, window, lowest, y[n, c, i], index[n, c, i])


@jit
def _max_backward_planes(first, last, g, x, dx, window, lowest):
    _, _, sh, sw, ph, pw, dh, dw = window
    channels, width = x.shape[1], x.shape[3]
    best = np.empty(g.shape[3], x.dtype)
    place = np.empty(g.shape[3], np.int64)
    for p in range(first, last):
        n, c = p // channels, p % channels
        dx[n, c] = 0
        for i in range(g.shape[2]):
            if _first_inside(i * sh - ph, dh) >= x.shape[2]:  # no window of the row has elements
                continue
            _maxima(x[n, c], i, window, lowest, best, place)
            for j in range(g.shape[3]):
                if _first_inside(j * sw - pw, dw) < width:
                    dx[n, c, place[j] // width, place[j] % width] += g[n, c, i, j]


@jit
def _avg_planes(first, last, x, y, window, rows, columns):
    kh, kw, sh, sw, ph, pw, _, _ = window
    channels, height, width = x.shape[1:]
    for p in range(first, last):
        image = x[p // channels, p % channels]
        result = y[p // channels, p % channels]
        for i in range(y.shape[2]):
            mean = result[i]
            mean[:] = 0
            for k in range(kh):
                r = i * sh - ph + k
                if r < 0 or r >= height:
                    continue
                row = image[r]
                for tap in range(kw):
                    low, high = _outputs(tap - pw, sw, y.shape[3], width)
                    for j in range(low, high):
                        mean[j] += row[j * sw + tap - pw]
            for j in range(y.shape[3]):
                mean[j] /= rows[i] * columns[j]


@jit
def _avg_backward_planes(first, last, g, dx, window, rows, columns):
    kh, kw, sh, sw, ph, pw, _, _ = window
    channels, height, width = dx.shape[1:]
    share = np.empty(g.shape[3], g.dtype)
    for p in range(first, last):
        gradient = g[p // channels, p % channels]
        image = dx[p // channels, p % channels]
        image[:] = 0
        for i in range(g.shape[2]):
            for j in range(g.shape[3]):
                share[j] = gradient[i, j] / (rows[i] * columns[j])
            for k in range(kh):
                r = i * sh - ph + k
                if r < 0 or r >= height:
                    continue
                row = image[r]
                for tap in range(kw):
                    low, high = _outputs(tap - pw, sw, g.shape[3], width)
                    for j in range(low, high):
                        row[j * sw + tap - pw] += share[j]


# --- kernels -----------------------------------------------------------------------------------


def _window(
    size: Pair, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair = (1, 1)
) -> Window:
    """The options in one tuple, without the taps that lie behind the image for every output."""
    inside = (
        min(k, (n - 1 + p) // d + 1)
        for n, k, p, d in zip(size, kernel_size, padding, dilation, strict=True)
    )
    kh, kw = inside
    return kh, kw, *stride, *padding, *dilation


def _lowest(dtype: np.dtype) -> Any:
    return dtype.type(-np.inf) if dtype.kind == "f" else np.iinfo(dtype).min


def _nanoseconds(x: np.ndarray, y: np.ndarray, window: Window) -> float:
    return 0.2 * (x.size + y.size * window[0] * window[1])


def _divisors(
    size: Pair, outputs: Pair, options: dict[str, Any], dtype: np.dtype
) -> tuple[np.ndarray, np.ndarray]:
    """The divisor of output (i, j) is rows[i] * columns[j]."""
    if options["divisor_override"] is not None:
        return np.full(outputs[0], options["divisor_override"], dtype), np.ones(outputs[1], dtype)
    counts = []
    window = (options["kernel_size"], options["stride"], options["padding"])
    for n, m, k, s, p in zip(size, outputs, *window, strict=True):
        start = np.arange(m) * s - p
        around = p if options["count_include_pad"] else 0
        ends = np.minimum(start + k, n + around)
        counts.append((ends - np.maximum(start, -around)).astype(dtype))
    rows, columns = counts
    return rows, columns


@kernel("max_pool2d", backend="numba", dtypes=NUMBERS, out=True)
def max_pool2d(x: np.ndarray, *, out: np.ndarray | None = None, **options: Any) -> np.ndarray:
    """x[N,C,H,W] -> y[N,C,P,Q]."""
    shape = (*x.shape[:2], *pool_size("max_pool2d", plane(x), **options))
    y = empty(shape, x.dtype, is_channels_last(x)) if out is None else out
    del options["ceil_mode"]
    window = _window(plane(x), **options)
    planes = x.shape[0] * x.shape[1]
    split(_max_planes, planes, _nanoseconds(x, y, window), x, y, window, _lowest(x.dtype))
    return y


@kernel("max_pool2d_with_indices", backend="numba", dtypes=NUMBERS)
def max_pool2d_with_indices(x: np.ndarray, **options: Any) -> tuple[np.ndarray, np.ndarray]:
    """x[N,C,H,W] -> y and the places of the maxima."""
    shape = (*x.shape[:2], *pool_size("max_pool2d", plane(x), **options))
    y = empty(shape, x.dtype, is_channels_last(x))
    index = empty(shape, np.dtype(np.int64), is_channels_last(x))
    del options["ceil_mode"]
    window = _window(plane(x), **options)
    planes, cost = x.shape[0] * x.shape[1], 2 * _nanoseconds(x, y, window)
    split(_max_index_planes, planes, cost, x, y, index, window, _lowest(x.dtype))
    return y, index


@kernel("max_pool2d_backward", backend="numba", out=True)
def max_pool2d_backward(
    g: np.ndarray, x: np.ndarray, *, out: np.ndarray | None = None, **options: Any
) -> np.ndarray:
    """g[N,C,P,Q], x[N,C,H,W] -> dx[N,C,H,W], from the maxima found again in x."""
    dx = empty(x.shape, x.dtype, is_channels_last(x)) if out is None else out
    del options["ceil_mode"]
    window = _window(plane(x), **options)
    planes, cost = x.shape[0] * x.shape[1], 2 * _nanoseconds(x, g, window)
    split(_max_backward_planes, planes, cost, g, x, dx, window, _lowest(x.dtype))
    return dx


@kernel("avg_pool2d", backend="numba", out=True)
def avg_pool2d(x: np.ndarray, *, out: np.ndarray | None = None, **options: Any) -> np.ndarray:
    """x[N,C,H,W] -> y[N,C,P,Q]."""
    parts = {name: options[name] for name in ("kernel_size", "stride", "padding")}
    size = pool_size(
        "avg_pool2d", plane(x), **parts, dilation=(1, 1), ceil_mode=options["ceil_mode"]
    )
    y = empty((*x.shape[:2], *size), x.dtype, is_channels_last(x)) if out is None else out
    window = _window(plane(x), **parts)
    divisors = _divisors(plane(x), size, options, x.dtype)
    planes = x.shape[0] * x.shape[1]
    split(_avg_planes, planes, _nanoseconds(x, y, window), x, y, window, *divisors)
    return y


@kernel("avg_pool2d_backward", backend="numba", out=True)
def avg_pool2d_backward(
    g: np.ndarray,
    *,
    input_size: Pair,
    channels_last: bool,
    out: np.ndarray | None = None,
    **options: Any,
) -> np.ndarray:
    """g[N,C,P,Q] -> dx[N,C,H,W]."""
    shape = (*g.shape[:2], *input_size)
    dx = empty(shape, g.dtype, channels_last) if out is None else out
    parts = {name: options[name] for name in ("kernel_size", "stride", "padding")}
    window, divisors = (
        _window(input_size, **parts),
        _divisors(input_size, plane(g), options, g.dtype),
    )
    planes = g.shape[0] * g.shape[1]
    split(_avg_backward_planes, planes, _nanoseconds(dx, g, window), g, dx, window, *divisors)
    return dx
