"""All patches of the C++ sources."""

from .patch import Patch
from .patches_elements import ELEMENTS
from .patches_products import PRODUCTS
from .patches_recurrent import RECURRENT
from .patches_rows import ROWS
from .patches_windows import WINDOWS

PATCHES: tuple[Patch, ...] = (*PRODUCTS, *RECURRENT, *WINDOWS, *ROWS, *ELEMENTS)
