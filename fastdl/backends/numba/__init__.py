"""Numba kernels, one file a family; Numba itself is imported when the first of them runs."""

from ...core.modules import import_modules

import_modules(__name__)
