"""Numba kernels, one file a family; Numba itself is imported when the first of them runs."""

from . import elementwise, loss, optim, pool, reduce, shape, softmax

__all__ = ["elementwise", "loss", "optim", "pool", "reduce", "shape", "softmax"]
