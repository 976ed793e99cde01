"""Numba kernels, one file a family; Numba itself is imported when the first of them runs."""

from . import (
    attention,
    conv,
    elementwise,
    embed,
    loss,
    matmul,
    norm,
    optim,
    pool,
    random,
    reduce,
    shape,
    softmax,
)

__all__ = [
    "attention",
    "conv",
    "elementwise",
    "embed",
    "loss",
    "matmul",
    "norm",
    "optim",
    "pool",
    "random",
    "reduce",
    "shape",
    "softmax",
]
