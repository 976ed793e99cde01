"""Numba kernels, one file a family; Numba itself is imported when the first of them runs."""

from . import (
    conv,
    elementwise,
    loss,
    matmul,
    optim,
    optim_adaptive,
    pool,
    reduce,
    shape,
    softmax,
)

__all__ = [
    "conv",
    "elementwise",
    "loss",
    "matmul",
    "optim",
    "optim_adaptive",
    "pool",
    "reduce",
    "shape",
    "softmax",
]
