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


def _input_grad(g: Any, w: Any, out: Any, **options: Any) -> np.ndarray:
    return conv.conv2d_input_grad(g, w, channels_last=False, **options)


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


def _declines(g: np.ndarray, w: np.ndarray, **options: Any) -> str | None:
    """Planes of zeros are put beside g, and 0 · inf is no term of this gradient."""
    return None if np.isfinite(w).all() else "w is not finite"


@kernel("conv3d_input_grad", backend="numba", declines=_declines)
def conv3d_input_grad(
    g: np.ndarray, w: np.ndarray, *, input_size: Any, groups: int, **options: Any
) -> np.ndarray:
    """g[N,K,O,P,Q], w[K,C/g,T,R,S] -> dx[N,C,D,H,W]."""
    dx = empty((g.shape[0], w.shape[1] * groups, *input_size), g.dtype)
    if dx.size:
        volumes.conv3d_input_grad(_input_grad, _copy, g, w, dx, groups, options)
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
