"""The ops: one module a family, which declares the family's OpSpecs."""

from . import elementwise, loss, optim, reduce, shape, softmax

__all__ = ["elementwise", "loss", "optim", "reduce", "shape", "softmax"]
