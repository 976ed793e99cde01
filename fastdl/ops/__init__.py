"""The ops: one module a family, which declares the family's OpSpecs."""

from ..spec import OPS
from . import conv, conv_transpose, elementwise, loss, matmul, optim, pool, reduce, shape, softmax

__all__ = [
    "OPS",
    "conv",
    "conv_transpose",
    "elementwise",
    "loss",
    "matmul",
    "optim",
    "pool",
    "reduce",
    "shape",
    "softmax",
]
