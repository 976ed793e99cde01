"""Thin calls into the extension module, one file a family."""

from . import conv, elementwise, matmul, shape

__all__ = ["conv", "elementwise", "matmul", "shape"]
