"""fastdl itself, through the op's public call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...spec import OPS
from ...version import __version__

NAMES: dict[str, dict[str, str]] = {"fastdl": {}}


def version() -> str:
    """fastdl's version."""
    return __version__


def contestant(
    name: str, op: str, arrays: tuple[Any, ...], options: dict[str, Any], channels_last: bool
) -> Callable[[], Any]:
    """The op on whatever backend dispatch chooses (native, unless forced)."""
    spec = OPS[op]
    return lambda: spec(*arrays, **options)
