"""3-D convolution: the 2-D kernels on planes put side by side (core/volumes.py)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import _native
from ...core import volumes
from ...core.memory import empty
from ...core.windows import conv_size
from ...spec import kernel
from .conv import _depth, _input_grad_declines, _weight_grad_depth


def _conv2d(x: Any, w: Any, bias: Any, out: Any, *, groups: int, **plane: Any) -> Any:
    return _native.conv2d(
        x, w, bias, plane["stride"], plane["padding"], plane["dilation"], groups, out
    )


def _input_grad(g: Any, w: Any, out: Any, *, input_size: Any, groups: int, **plane: Any) -> Any:
    return _native.conv2d_input_grad(
        g, w, input_size, plane["stride"], plane["padding"], plane["dilation"], groups, False, out
    )


def _weight_grad(x: Any, g: Any, *, kernel_size: Any, groups: int, **plane: Any) -> Any:
    return _native.conv2d_weight_grad(
        x, g, kernel_size, plane["stride"], plane["padding"], plane["dilation"], groups, False, None
    )


def _dense(a: np.ndarray) -> np.ndarray:
    return a if a.flags.c_contiguous else _native.copy(a, empty(a.shape, a.dtype))


@kernel("conv3d", backend="native", depth=_depth)
def conv3d(x: np.ndarray, w: np.ndarray, bias: Any, *, groups: int, **options: Any) -> np.ndarray:
    """x[N,C,D,H,W], w[K,C/g,T,R,S], bias?[K] -> y[N,K,O,P,Q]."""
    size = conv_size("conv3d", x.shape[2:], w.shape[2:], **options)
    y = empty((x.shape[0], w.shape[0], *size), x.dtype)
    if y.size:
        volumes.conv3d(_conv2d, _native.copy, _dense(x), _dense(w), bias, y, groups, options)
    return y


@kernel("conv3d_input_grad", backend="native", depth=_depth, declines=_input_grad_declines)
def conv3d_input_grad(
    g: np.ndarray, w: np.ndarray, *, input_size: Any, groups: int, **options: Any
) -> np.ndarray:
    """g[N,K,O,P,Q], w[K,C/g,T,R,S] -> dx[N,C,D,H,W]."""
    dx = empty((g.shape[0], w.shape[1] * groups, *input_size), g.dtype)
    if dx.size:
        volumes.conv3d_input_grad(_input_grad, _native.copy, g, w, dx, groups, options)
    return dx


def _depth_of_blocks(terms: int) -> int:
    return _weight_grad_depth(terms) + min(terms, volumes.WEIGHT_BLOCKS)


@kernel("conv3d_weight_grad", backend="native", depth=_depth_of_blocks)
def conv3d_weight_grad(
    x: np.ndarray, g: np.ndarray, *, kernel_size: Any, groups: int, **options: Any
) -> np.ndarray:
    """x[N,C,D,H,W], g[N,K,O,P,Q] -> dw[K,C/g,T,R,S]."""
    if not g.size:
        dw = empty((g.shape[1], x.shape[1] // groups, *kernel_size), x.dtype)
        dw.fill(0)
        return dw
    return volumes.conv3d_weight_grad(
        _weight_grad, _native.copy, x, g, kernel_size, groups, options
    )
