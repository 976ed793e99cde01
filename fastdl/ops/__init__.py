"""The ops: one module a family, or a topic of one, which declares the family's OpSpecs."""

from ..core.modules import import_modules
from ..spec import OPS

__all__ = ["OPS"]

import_modules(__name__)
