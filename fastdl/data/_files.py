"""Where real data lies on this machine: in a package's files, or in the cache folder."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path


def cache_folder() -> Path:
    """FASTDL_DATA, else fastdl/ in the user's cache folder: where files put by hand are found."""
    named = os.environ.get("FASTDL_DATA")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(named) if named else Path(base) / "fastdl"


def package_folder(package: str) -> Path | None:
    """The folder of an installed package, which is not imported; None if there is none."""
    spec = importlib.util.find_spec(package)
    folders = (spec and spec.submodule_search_locations) or []
    return Path(folders[0]) if folders else None


def locate(loader: str, places: list[Path | None], cached: str, command: str) -> Path:
    """The first of `places` that exists, else `cached` in the cache folder.

    Raises FileNotFoundError naming the command that installs it.
    """
    for place in (*places, cache_folder() / cached):
        if place is not None and place.exists():
            return place
    raise FileNotFoundError(
        f"{loader}: the data is not on this machine; run: {command}"
        f" (or put {cached} into {cache_folder()})"
    )


def within(package: str, path: str) -> Path | None:
    """A file in a package's folder; None without the package."""
    folder = package_folder(package)
    return folder / path if folder else None
