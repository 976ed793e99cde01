"""Thin calls into the extension module, one file a family."""

from . import conv, elementwise, loss, loss_pointwise, matmul, optim, pool, reduce, shape, softmax

__all__ = [
    "conv",
    "elementwise",
    "loss",
    "loss_pointwise",
    "matmul",
    "optim",
    "pool",
    "reduce",
    "shape",
    "softmax",
]
