"""Thin calls into the extension module, one file a family."""

from . import (
    conv,
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
