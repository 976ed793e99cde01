"""Thin calls into the extension module, one file a family."""

from . import elementwise, matmul, shape

__all__ = ["elementwise", "matmul", "shape"]
