"""3-D convolution: the 2-D kernels on planes put side by side (core/volumes.py)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core import volumes
from ...core.memory import empty
from ...core.windows import conv_size
from ...spec import kernel
from . import conv


def _copy(source: np.ndarray, target: np.ndarray) -> None:
    np.copyto(target, source)


def _conv2d(x: Any, w: Any, bias: Any, out: Any, **options: Any) -> np.ndarray:
    y = conv.conv2d(x, w, bias, **options)
    if out is None:
        return y
    np.copyto(out, y)
    return out


def _weight_grad(x: Any, g: Any, **options: Any) -> np.ndarray:
    return conv.conv2d_weight_grad(x, g, channels_last=False, **options)


@kernel("conv3d", backend="numba")
def conv3d(x: np.ndarray, w: np.ndarray, bias: Any, *, groups: int, **options: Any) -> np.ndarray:
    """x[N,C,D,H,W], w[K,C/g,T,R,S], bias?[K] -> y[N,K,O,P,Q]."""
    size = conv_size("conv3d", x.shape[2:], w.shape[2:], **options)
    y = empty((x.shape[0], w.shape[0], *size), x.dtype)
    if y.size:
        x, w = np.ascontiguousarray(x), np.ascontiguousarray(w)
        volumes.conv3d(_conv2d, _copy, x, w, bias, y, groups, options)
    return y


@kernel("conv3d_input_grad", backend="numba")
def conv3d_input_grad(
    g: np.ndarray, w: np.ndarray, *, input_size: Any, groups: int, **options: Any
) -> np.ndarray:
    """g[N,K,O,P,Q], w[K,C/g,T,R,S] -> dx[N,C,D,H,W].

    One tap in depth after the other, where it meets a plane: no padding is multiplied with, and
    so infinite weights are taken too.
    """
    n, k, planes = g.shape[:3]
    dx = empty((n, w.shape[1] * groups, *input_size), g.dtype)
    dx.fill(0)
    plane = {name: options[name][1:] for name in ("stride", "padding", "dilation")}
    step, front, gap = options["stride"][0], options["padding"][0][0], options["dilation"][0]
    for t in range(w.shape[2]):
        shift = t * gap - front  # plane o of g goes to plane o · step + shift
        low = min(max(-(shift // step), 0), planes)
        high = max(min((input_size[0] - 1 - shift) // step + 1, planes), low)
        if low == high or not dx.size:
            continue
        part = np.ascontiguousarray(g[:, :, low:high].swapaxes(1, 2))
        part = part.reshape(n * (high - low), k, *g.shape[3:])
        sent = conv.conv2d_input_grad(
            part, w[:, :, t], input_size=input_size[1:], groups=groups, channels_last=False, **plane
        )
        first = low * step + shift
        target = dx[:, :, first : first + (high - low - 1) * step + 1 : step]
        target += sent.reshape(n, high - low, *dx.shape[1:2], *input_size[1:]).swapaxes(1, 2)
    return dx


@kernel("conv3d_weight_grad", backend="numba")
def conv3d_weight_grad(
    x: np.ndarray, g: np.ndarray, *, kernel_size: Any, groups: int, **options: Any
) -> np.ndarray:
    """x[N,C,D,H,W], g[N,K,O,P,Q] -> dw[K,C/g,T,R,S]."""
    if not g.size:
        dw = empty((g.shape[1], x.shape[1] // groups, *kernel_size), x.dtype)
        dw.fill(0)
        return dw
    return volumes.conv3d_weight_grad(_weight_grad, _copy, x, g, kernel_size, groups, options)
