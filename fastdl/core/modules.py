"""Packages whose modules register what they declare when they are imported."""

from __future__ import annotations

import importlib
import pkgutil
import sys


def import_modules(package: str) -> None:
    """Imports every module of a package, in the order of their names."""
    for module in pkgutil.iter_modules(sys.modules[package].__path__):
        importlib.import_module(f"{package}.{module.name}")
