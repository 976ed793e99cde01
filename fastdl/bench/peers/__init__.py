"""Whom fastdl races: one file a peer, each with

NAMES       contestant name -> environment variables it is started with
version()   the peer's version; raises ImportError when it is not installed
contestant(name, op, arrays, options, channels_last)
            a function of no arguments that does the op's job on these arrays in the peer's own best
            form (converted before the clock starts), or None where the peer has no such op

Each contestant lives in a process of its own (`fastdl.bench.worker`), so one library's spinning
threads and environment never touch another's time.
"""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

from ...core.errors import ArgumentError


def modules() -> dict[str, ModuleType]:
    """Contestant name -> the module that provides it, fastdl's own first."""
    names = sorted((m.name for m in pkgutil.iter_modules(__path__)), key=lambda n: n != "fastdl_")
    found = [importlib.import_module(f"{__name__}.{name}") for name in names]
    return {contestant: module for module in found for contestant in module.NAMES}


def installed() -> dict[str, str]:
    """Contestant name -> version, for those that can run here."""
    result = {}
    for name, module in modules().items():
        try:
            result[name] = module.version()
        except ImportError:
            continue
    return result


def choose(wanted: list[str] | None) -> dict[str, str]:
    """The contestants asked for ('torch' means all of torch's), fastdl in front.

    Raises ArgumentError for an unknown peer, and for one that is not installed.
    """
    known, present = modules(), installed()
    if wanted is None:
        return present
    families = {name: name.split("-")[0] for name in known}
    chosen = ["fastdl"]
    for w in wanted:
        matches = [n for n in known if w in (n, families[n])]
        if not matches:
            raise ArgumentError(f"unknown peer {w!r}; the peers are: {', '.join(known)}")
        missing = [n for n in matches if n not in present]
        if missing:
            raise ArgumentError(f"peer {missing[0]} is not installed")
        chosen += [n for n in matches if n not in chosen]
    return {name: present[name] for name in chosen}
