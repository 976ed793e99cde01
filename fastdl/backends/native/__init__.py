"""Thin calls into the extension module, one file a family."""

from . import conv, elementwise, shape

__all__ = ["conv", "elementwise", "shape"]
