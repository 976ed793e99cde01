"""Kernels by backend; importing this attaches all of them to their ops (none imports Numba)."""

from . import native, numba, reference

__all__ = ["native", "numba", "reference"]
