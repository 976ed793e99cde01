"""The ops: one module a family, which declares the family's OpSpecs."""

from ..spec import OPS
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
    "OPS",
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
