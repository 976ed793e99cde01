"""Thin calls into the extension module, one file a family."""

from . import conv, elementwise, loss, matmul, optim, pool, reduce, rnn, shape, softmax

__all__ = [
    "conv",
    "elementwise",
    "loss",
    "matmul",
    "optim",
    "pool",
    "reduce",
    "rnn",
    "shape",
    "softmax",
]
