"""All defects that are put around kernels in Python."""

from . import wrappers_arrays, wrappers_layers
from .wrapping import Wrapper

WRAPPERS: tuple[Wrapper, ...] = (*wrappers_arrays.WRAPPERS, *wrappers_layers.WRAPPERS)
