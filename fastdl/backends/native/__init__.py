"""Thin calls into the extension module, one file a family."""

from ...core.modules import import_modules

import_modules(__name__)
