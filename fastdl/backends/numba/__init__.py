"""Numba kernels, one file a family; Numba itself is imported when the first of them runs."""

from . import (
    conv,
    conv_3d,
    elementwise,
    interpolate,
    loss,
    matmul,
    optim,
    pool,
    pool_adaptive,
    reduce,
    shape,
    shape_pad,
    softmax,
)

__all__ = [
    "conv",
    "conv_3d",
    "elementwise",
    "interpolate",
    "loss",
    "matmul",
    "optim",
    "pool",
    "pool_adaptive",
    "reduce",
    "shape",
    "shape_pad",
    "softmax",
]
