"""Convolution and its two gradients as products of register tiles (_tile.py), group by group.

With x̂ the zero-padded input's elements [C·R·S, P·Q] that the taps (c, r, s) meet, one an output:
y = w x̂, dw = Σ_n g x̂ᵀ, and dx is where wᵀ g is added back to. x̂ is never stored: `_gather` writes
the part that a panel needs, `_scatter` adds a tile to dx. The outputs are the work items: 128 bytes
of pixels of y; eight channels of dx; 128 bytes of taps of dw, summed over all pixels and images.

Images are flat arrays with strides, so both memory formats run in the same code. A geometry is the
tuple (H, W, R, S, P, Q, sh, sw, dh, dw, top, left).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.memory import empty
from ...core.shapes import is_channels_last
from ...core.windows import Pair, conv_size, plane
from ...spec import kernel
from ._jit import jit, split
from ._layout import dense
from ._tile import ROWS, columns_of, nanoseconds, pack, store, tile

_CHUNK = 256  # pixels gathered at a time for dw: a panel that the first-level cache holds


# --- loops -------------------------------------------------------------------------------------


@jit
def _segment(pixel, count, r, s, geometry):
    """What tap (r, s) meets of the outputs [pixel, pixel + count), up to the end of their row.

    The number of outputs; the [low, high) of them that meet the image; its row, and the column met
    by the first output.
    """
    height, width, _, _, _, across, sh, sw, dh, dw, top, left = geometry
    p, q = pixel // across, pixel % across
    length = min(across - q, count)
    row, column = p * sh - top + r * dh, q * sw - left + s * dw
    low = 0 if column >= 0 else min(length, (-column + sw - 1) // sw)
    high = 0 if column >= width else min(length, (width - column + sw - 1) // sw)
    if row < 0 or row >= height:
        high = low
    return length, low, max(low, high), row, column


@jit
def _gather(x, start, strides, channels, pixel, count, r, s, geometry, out, at, apart, step):
    """out[at + i * apart + j * step] = x̂[tap, pixel + j] of channel i from x[start] on."""
    done, along = 0, geometry[7] * strides[3]
    while done < count:
        length, low, high, row, column = _segment(pixel + done, count - done, r, s, geometry)
        for i in range(channels):
            to = at + i * apart + done * step
            first = start + i * strides[1] + row * strides[2] + column * strides[3]
            for j in range(low):
                out[to + j * step] = 0
            if along == 1 and step == 1:
                for j in range(low, high):
                    out[to + j] = x[first + j]
            else:
                for j in range(low, high):
                    out[to + j * step] = x[first + j * along]
            for j in range(high, length):
                out[to + j * step] = 0
        done += length


@jit
def _scatter(c, width, channels, pixel, count, r, s, geometry, dx, start, strides):
    """x̂[tap, pixel + j] of channel i from dx[start] on += c[i * width + j]."""
    done, along = 0, geometry[7] * strides[3]
    while done < count:
        length, low, high, row, column = _segment(pixel + done, count - done, r, s, geometry)
        for i in range(channels):
            first = start + i * strides[1] + row * strides[2] + column * strides[3]
            if along == 1:
                for j in range(low, high):
                    dx[first + j] += c[i * width + done + j]
            else:
                for j in range(low, high):
                    dx[first + j * along] += c[i * width + done + j]
        done += length


@jit
def _outputs(first, last, x, w, bias, y, x_strides, y_strides, geometry, sizes):
    groups, channels, filters, width = sizes
    taps, pixels = geometry[2] * geometry[3], geometry[4] * geometry[5]
    panels, tiles = (pixels + width - 1) // width, (filters + ROWS - 1) // ROWS
    depth = channels * taps
    patch, c = np.zeros(depth * width, x.dtype), np.empty(ROWS * width, x.dtype)
    for item in range(first, last):
        pixel, group = item % panels * width, item // panels % groups
        n = item // (panels * groups)
        count = min(width, pixels - pixel)
        start = n * x_strides[0] + group * channels * x_strides[1]
        for tap in range(taps):
            r, s = tap // geometry[3], tap % geometry[3]
            _gather(x, start, x_strides, channels, pixel, count, r, s, geometry,
                    patch, tap * width, taps * width, 1)  # fmt: skip
        for t in range(tiles):
            rows = min(ROWS, filters - t * ROWS)
            k = group * filters + t * ROWS
            for i in range(ROWS):
                c[i * width : (i + 1) * width] = bias[k + i] if i < rows else 0
            tile(w, (group * tiles + t) * depth * ROWS, patch, 0, c, 0, depth)
            start = n * y_strides[0] + k * y_strides[1] + pixel * y_strides[3]
            store(c, 0, width, y, start, y_strides[1], y_strides[3], rows, count)


@jit
def _input_grads(first, last, g, w, dx, strides, geometry, sizes):
    """An item is ROWS channels of an image; a tile is what one tap sends there."""
    groups, channels, filters, width = sizes
    taps, pixels = geometry[2] * geometry[3], geometry[4] * geometry[5]
    panels, blocks = (pixels + width - 1) // width, (channels + ROWS - 1) // ROWS
    c = np.empty(ROWS * width, g.dtype)
    for item in range(first, last):
        block, batch = item % blocks, item // blocks  # batch = n * groups + group
        n, group = batch // groups, batch % groups
        rows = min(ROWS, channels - block * ROWS)
        start = n * strides[0] + (group * channels + block * ROWS) * strides[1]
        for i in range(rows):
            for h in range(geometry[0]):
                for v in range(geometry[1]):
                    dx[start + i * strides[1] + h * strides[2] + v * strides[3]] = 0
        for panel in range(panels):
            count = min(width, pixels - panel * width)
            at_g = (batch * panels + panel) * filters * width
            for tap in range(taps):
                r, s = tap // geometry[3], tap % geometry[3]
                c[:] = 0
                at_w = ((group * taps + tap) * blocks + block) * filters * ROWS
                tile(w, at_w, g, at_g, c, 0, filters)
                _scatter(c, width, rows, panel * width, count, r, s, geometry, dx, start, strides)


@jit
def _weight_grads(first, last, x, g, dw, strides, geometry, sizes, images):
    groups, channels, filters, width = sizes
    taps, pixels = geometry[2] * geometry[3], geometry[4] * geometry[5]
    depth = channels * taps  # of y = w x̂; here the columns
    panels, tiles = (depth + width - 1) // width, (filters + ROWS - 1) // ROWS
    patch, c = np.zeros(_CHUNK * width, x.dtype), np.empty(tiles * ROWS * width, x.dtype)
    for item in range(first, last):
        begin, group = item % panels * width, item // panels
        columns = min(width, depth - begin)
        c[:] = 0
        for n in range(images):
            for pixel in range(0, pixels, _CHUNK):
                count = min(_CHUNK, pixels - pixel)
                for j in range(columns):
                    k = begin + j
                    channel, r, s = k // taps, k % taps // geometry[3], k % geometry[3]
                    start = n * strides[0] + (group * channels + channel) * strides[1]
                    _gather(x, start, strides, 1, pixel, count, r, s, geometry,
                            patch, j, 0, width)  # fmt: skip
                for t in range(tiles):
                    at = (((n * groups + group) * tiles + t) * pixels + pixel) * ROWS
                    tile(g, at, patch, 0, c, t * ROWS * width, count)
        for t in range(tiles):
            start = (group * filters + t * ROWS) * depth + begin
            rows = min(ROWS, filters - t * ROWS)
            store(c, t * ROWS * width, width, dw, start, depth, 1, rows, columns)


# --- kernels -----------------------------------------------------------------------------------


def _flat(a: np.ndarray) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    """The elements of a in its memory format, and the strides of N, C, H and W there."""
    last = is_channels_last(a)
    _, c, h, w = a.shape
    strides = (c * h * w, 1, w * c, c) if last else (c * h * w, h * w, w, 1)
    return dense(a, last).reshape(-1), strides


def _geometry(
    size: Pair, kernel_size: Pair, outputs: tuple[int, ...], options: dict[str, Any]
) -> Any:
    (top, _), (left, _) = options["padding"]
    return (*size, *kernel_size, *outputs, *options["stride"], *options["dilation"], top, left)


@kernel("conv2d", backend="numba")
def conv2d(
    x: np.ndarray, w: np.ndarray, bias: np.ndarray | None, *, groups: int, **options: Any
) -> np.ndarray:
    """x[N,C,H,W], w[K,C/g,R,S], bias?[K] -> y[N,K,P,Q]."""
    size = conv_size("conv2d", plane(x), plane(w), **options)
    filters, channels = w.shape[0] // groups, w.shape[1]
    y = empty((x.shape[0], w.shape[0] if channels else 0, *size), x.dtype, is_channels_last(x))
    if not y.size:
        return y
    depth, width = w[0].size, columns_of(x.dtype)
    strides = (filters * depth, 0, depth, 1)
    packed = pack(np.ascontiguousarray(w).reshape(-1), strides, (groups, 1), filters, depth, ROWS)
    bias = np.zeros(w.shape[0], x.dtype) if bias is None else np.ascontiguousarray(bias)
    (flat, x_strides), (result, y_strides) = _flat(x), _flat(y)
    items = x.shape[0] * groups * -(-size[0] * size[1] // width)
    split(_outputs, items, nanoseconds(y.size * depth), flat, packed, bias, result,
          x_strides, y_strides, _geometry(plane(x), plane(w), size, options),
          (groups, channels, filters, width))  # fmt: skip
    return y


@kernel("conv2d_input_grad", backend="numba")
def conv2d_input_grad(
    g: np.ndarray, w: np.ndarray, *,
    input_size: Pair, groups: int, channels_last: bool, **options: Any,
) -> np.ndarray:  # fmt: skip
    """g[N,K,P,Q], w[K,C/g,R,S] -> dx[N,C,H,W]."""
    filters, channels, images = w.shape[0] // groups, w.shape[1], g.shape[0]
    dx = empty((images, groups * channels, *input_size), g.dtype, channels_last)
    if not dx.size:
        return dx
    depth, width, pixels = w[0].size, columns_of(g.dtype), g.shape[2] * g.shape[3]
    taps = w.shape[2] * w.shape[3]
    strides = (filters * depth, 1, taps, depth)
    packed = pack(
        np.ascontiguousarray(w).reshape(-1), strides, (groups, taps), channels, filters, ROWS
    )
    flat, of_g = _flat(g)
    strides = (of_g[0], filters * of_g[1], of_g[3], of_g[1])
    upstream = pack(flat, strides, (images, groups), pixels, filters, width)
    result, of_dx = _flat(dx)
    items = images * groups * -(-channels // ROWS)
    split(_input_grads, items, nanoseconds(g.size * depth), upstream, packed, result, of_dx,
          _geometry(input_size, plane(w), plane(g), options),
          (groups, channels, filters, width))  # fmt: skip
    return dx


@kernel("conv_transpose2d", backend="numba")
def conv_transpose2d(
    x: np.ndarray, w: np.ndarray, bias: np.ndarray | None, *,
    padding: Pair, output_padding: Pair, groups: int, **options: Any,
) -> np.ndarray:  # fmt: skip
    """x[N,C,H,W], w[C,K/g,R,S], bias?[K] -> y[N,K,P,Q]: conv2d_input_grad, then the bias."""
    axes = zip(plane(x), plane(w), options["stride"], padding, output_padding, options["dilation"],
               strict=True)  # fmt: skip
    size = [(n - 1) * s - 2 * p + d * (k - 1) + more + 1 for n, k, s, p, more, d in axes]
    sides = ((padding[0], padding[0]), (padding[1], padding[1]))
    y = conv2d_input_grad(
        x, w, input_size=(size[0], size[1]), padding=sides, groups=groups,
        channels_last=is_channels_last(x), **options,
    )  # fmt: skip
    if bias is not None:
        np.add(y, bias[:, None, None], out=y)
    return y


@kernel("conv2d_weight_grad", backend="numba")
def conv2d_weight_grad(
    x: np.ndarray, g: np.ndarray, *,
    kernel_size: Pair, groups: int, channels_last: bool, **options: Any,
) -> np.ndarray:  # fmt: skip
    """x[N,C,H,W], g[N,K,P,Q] -> dw[K,C/g,R,S]."""
    filters, channels, images = g.shape[1] // groups, x.shape[1] // groups, g.shape[0]
    dw = empty((g.shape[1], channels, *kernel_size), x.dtype)
    if dw.size:
        depth, width = dw[0].size, columns_of(x.dtype)
        (flat, of_x), (flat_g, of_g) = _flat(x), _flat(g)
        strides = (of_g[0], filters * of_g[1], of_g[1], of_g[3])
        upstream = pack(flat_g, strides, (images, groups), filters, g.shape[2] * g.shape[3], ROWS)
        split(_weight_grads, groups * -(-depth // width), nanoseconds(g.size * depth),
              flat, upstream, dw.reshape(-1), of_x,
              _geometry(plane(x), kernel_size, plane(g), options),
              (groups, channels, filters, width), images)  # fmt: skip
    if channels_last:
        dw, plain = empty(dw.shape, dw.dtype, True), dw
        dw[...] = plain
    return dw
