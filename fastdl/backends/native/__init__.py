"""Thin calls into the extension module, one file a family."""

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
