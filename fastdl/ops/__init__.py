"""The ops: one module a family, which declares the family's OpSpecs."""

from ..spec import OPS
from . import (
    attention,
    conv,
    elementwise,
    embed,
    loss,
    matmul,
    norm,
    norm_batch,
    optim,
    pool,
    random,
    reduce,
    shape,
    softmax,
)

__all__ = [
    "OPS",
    "attention",
    "conv",
    "elementwise",
    "embed",
    "loss",
    "matmul",
    "norm",
    "norm_batch",
    "optim",
    "pool",
    "random",
    "reduce",
    "shape",
    "softmax",
]
