"""Numba kernels, one file a family; Numba itself is imported when the first of them runs."""

from . import pool

__all__ = ["pool"]
