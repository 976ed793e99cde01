"""Numba kernels, one file a family; Numba itself is imported when the first of them runs."""

from . import (
    conv,
    elementwise,
    elementwise_activation,
    elementwise_math,
    loss,
    matmul,
    optim,
    pool,
    reduce,
    shape,
    softmax,
)

__all__ = [
    "conv",
    "elementwise",
    "elementwise_activation",
    "elementwise_math",
    "loss",
    "matmul",
    "optim",
    "pool",
    "reduce",
    "shape",
    "softmax",
]
