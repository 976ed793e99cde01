"""The ops: one module a family, which declares the family's OpSpecs."""

from ..spec import OPS
from . import (
    conv,
    conv_3d,
    conv_transpose,
    elementwise,
    interpolate,
    loss,
    matmul,
    optim,
    pool,
    pool_adaptive,
    reduce,
    shape,
    shape_pad,
    softmax,
)

__all__ = [
    "OPS",
    "conv",
    "conv_3d",
    "conv_transpose",
    "elementwise",
    "interpolate",
    "loss",
    "matmul",
    "optim",
    "pool",
    "pool_adaptive",
    "reduce",
    "shape",
    "shape_pad",
    "softmax",
]
