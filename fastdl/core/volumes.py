"""3-D convolution by way of 2-D kernels: the taps in depth become channels.

Plane o of the output sees planes o·s − front + t·d of the input, t < T. Copied side by side, as
[images · planes, C · T, H, W], they make it a 2-D convolution with the very same weights, seen as
[K, C · T, R, S]: one large product a block of images, nothing added up afterwards. The copy is T
times the input at the speed of memory, against 2·K·R·S operations for each number copied; a block
keeps it near the caches. The input's gradient is the same with the taps beside the K channels
of g, for each residue of the plane modulo the stride.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from .memory import empty

Copy = Callable[[np.ndarray, np.ndarray], Any]  # copies the first into the second
BLOCK = 8 << 20  # bytes of copied planes


def beside(copy: Copy, x: np.ndarray, planes: int, starts: list[int], stride: int) -> np.ndarray:
    """[N · planes, C · T, H, W]: plane o of tap t is x[:, :, starts[t] + o · stride], or zeros."""
    n, c, depth, *size = x.shape
    if planes == 1 and stride == 1 and len(starts) == 1 and 0 <= starts[0] < depth:
        return x[:, :, starts[0]]
    out = empty((n, planes, c, len(starts), *size), x.dtype)
    for tap, start in enumerate(starts):
        low = min(max(-(start // stride), 0), planes)
        high = max(min((depth - 1 - start) // stride + 1, planes), low)
        out[:, :low, :, tap] = 0
        out[:, high:, :, tap] = 0
        if low < high:
            first = start + low * stride
            source = x[:, :, first : first + (high - low - 1) * stride + 1 : stride]
            copy(source.swapaxes(1, 2), out[:, low:high, :, tap])
    return out.reshape(n * planes, c * len(starts), *size)


def _blocks(images: int, image_bytes: int, most: int) -> Iterator[slice]:
    """Runs of images, at most `most` of them."""
    each = max(BLOCK // max(image_bytes, 1), -(-images // most), 1)
    for n in range(0, images, each):
        yield slice(n, min(n + each, images))


def _plane_options(options: dict[str, Any]) -> dict[str, Any]:
    """The options of the 2-D convolution."""
    return {name: options[name][1:] for name in ("stride", "padding", "dilation")}


def _into(copy: Copy, run: Callable[[Any], np.ndarray], y: np.ndarray) -> None:
    """Runs a 2-D kernel for y [N, K, planes, P, Q]: in place for one image, else through a copy."""
    if len(y) == 1:
        target = y[0].swapaxes(0, 1)
        result = run(target)
        if result is not target:
            copy(result, target)
        return
    n, k, planes = y.shape[:3]
    copy(run(None).reshape(n, planes, k, *y.shape[3:]), y.swapaxes(1, 2))


def conv3d(
    conv2d: Callable[..., Any], copy: Copy, x: np.ndarray, w: np.ndarray, bias: Any,
    y: np.ndarray, groups: int, options: dict[str, Any],
) -> np.ndarray:  # fmt: skip
    """y[N,K,O,P,Q] of x[N,C,D,H,W], w[K,C/g,T,R,S], bias?[K], by conv2d(x, w, bias, out, ...)."""
    k, c, taps = w.shape[:3]
    plane = _plane_options(options)
    if w.shape[2:] == (1, 1, 1) and options["stride"] == (1, 1, 1) and y.shape[2:] == x.shape[2:]:
        # A product of channels at each place: a volume is a tall image.
        tall = (x.shape[2] * x.shape[3], x.shape[4])
        target = y.reshape(*y.shape[:2], *tall)
        conv2d(x.reshape(*x.shape[:2], *tall), w[:, :, 0], bias, target, groups=groups, **plane)
        return y
    step, front, gap = options["stride"][0], options["padding"][0][0], options["dilation"][0]
    starts = [t * gap - front for t in range(taps)]
    merged = w.reshape(k, c * taps, *w.shape[3:])
    planes = y.shape[2]
    for block in _blocks(len(x), x[0].nbytes * taps * planes // x.shape[2], len(x)):
        part = beside(copy, x[block], planes, starts, step)
        _into(copy, partial(conv2d, part, merged, bias, groups=groups, **plane), y[block])
    return y


def conv3d_input_grad(
    input_grad: Callable[..., Any], copy: Copy, g: np.ndarray, w: np.ndarray, dx: np.ndarray,
    groups: int, options: dict[str, Any],
) -> np.ndarray:  # fmt: skip
    """dx[N,C,D,H,W] of g[N,K,O,P,Q], w[K,C/g,T,R,S], by input_grad(g, w, out, input_size=...)."""
    k, c, taps = w.shape[:3]
    plane = _plane_options(options)
    step, front, gap = options["stride"][0], options["padding"][0][0], options["dilation"][0]
    for residue in range(min(step, dx.shape[2])):
        target = dx[:, :, residue::step]
        met = [t for t in range(taps) if (residue + front - t * gap) % step == 0]
        if not met:
            target[...] = 0
            continue
        starts = [(residue + front - t * gap) // step for t in met]
        weights = np.ascontiguousarray(w[:, :, met].swapaxes(1, 2))
        merged = weights.reshape(k * len(met), c, *w.shape[3:])
        planes = target.shape[2]
        for block in _blocks(len(g), g[0].nbytes * len(met) * planes // g.shape[2], len(g)):
            part = beside(copy, g[block], planes, starts, 1)
            run = partial(input_grad, part, merged, input_size=dx.shape[3:], groups=groups, **plane)
            _into(copy, run, target[block])
    return dx


def conv3d_weight_grad(
    weight_grad: Callable[..., Any], copy: Copy, x: np.ndarray, g: np.ndarray,
    kernel_size: tuple[int, ...], groups: int, options: dict[str, Any],
) -> np.ndarray:  # fmt: skip
    """dw[K,C/g,T,R,S] of x[N,C,D,H,W], g[N,K,O,P,Q], by weight_grad(x, g, kernel_size=...).

    The sums of at most WEIGHT_BLOCKS blocks of images are added in order.
    """
    plane = _plane_options(options)
    step, front, gap = options["stride"][0], options["padding"][0][0], options["dilation"][0]
    taps, planes = kernel_size[0], g.shape[2]
    starts = [t * gap - front for t in range(taps)]
    total: Any = None
    for block in _blocks(len(x), x[0].nbytes * taps * planes // x.shape[2], WEIGHT_BLOCKS):
        part = beside(copy, x[block], planes, starts, step)
        upstream = beside(copy, g[block], planes, [0], 1)
        dw = weight_grad(part, upstream, kernel_size=kernel_size[1:], groups=groups, **plane)
        total = dw if total is None else np.add(total, dw, out=total)
    return total.reshape(g.shape[1], x.shape[1] // groups, *kernel_size)


WEIGHT_BLOCKS = 64
