"""The ops: one module a family, which declares the family's OpSpecs."""

from ..spec import OPS
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
    "OPS",
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
