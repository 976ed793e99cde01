"""The ops: one module a family, which declares the family's OpSpecs."""

from . import conv, elementwise, loss, matmul, optim, pool, reduce, shape, softmax

__all__ = [
    "conv", "elementwise", "loss", "matmul", "optim", "pool", "reduce", "shape", "softmax"
]  # fmt: skip
