"""Thin calls into the extension module, one file a family."""

from . import elementwise, loss, matmul, optim, reduce, shape, softmax

__all__ = ["elementwise", "loss", "matmul", "optim", "reduce", "shape", "softmax"]
