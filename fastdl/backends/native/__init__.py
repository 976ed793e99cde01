"""Thin calls into the extension module, one file a family."""

from . import elementwise, pool, shape

__all__ = ["elementwise", "pool", "shape"]
