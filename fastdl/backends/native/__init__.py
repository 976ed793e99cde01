"""Thin calls into the extension module, one file a family."""

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
