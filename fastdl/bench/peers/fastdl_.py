"""fastdl itself, through the op's public call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...spec import OPS
from ...version import __version__

# "fastdl-packed" is a product whose right-hand side was packed beforehand.
NAMES: dict[str, dict[str, str]] = {"fastdl": {}, "fastdl-packed": {}}


def version() -> str:
    """fastdl's version."""
    return __version__


def contestant(
    name: str, op: str, arrays: tuple[Any, ...], options: dict[str, Any], channels_last: bool
) -> Callable[[], Any] | None:
    """The op on whatever backend dispatch chooses (native, unless forced)."""
    spec = OPS[op]
    if name == "fastdl-packed":
        if op != "matmul" or arrays[1].ndim != 2 or arrays[1].dtype.kind != "f":
            return None
        from ...functional import matmul, pack

        left, packed = arrays[0], pack("matmul", arrays[1])
        return lambda: matmul(left, packed)
    return lambda: spec(*arrays, **options)
