"""What the `fastdl` command says when the package itself cannot be imported.

`python -m fastdl` and the console script import the package before any code of the command runs, so
a FASTDL_ISA this machine cannot run would end in a traceback. Imports nothing of the package.
"""

from __future__ import annotations

import sys
from pathlib import Path


def is_command() -> bool:
    """Was this process started as `fastdl ...` or `python -m fastdl ...`?"""
    if sys.argv[:1] == ["-m"]:  # while -m looks for its module
        flag = sys.orig_argv.index("-m") if "-m" in sys.orig_argv else len(sys.orig_argv)
        return sys.orig_argv[flag + 1 : flag + 2] in (["fastdl"], ["fastdl.__main__"])
    return bool(sys.argv) and Path(sys.argv[0]).name == "fastdl"


def refuse(error: ImportError) -> None:
    """Ends the command with one line and status 2; returns in any other process."""
    if is_command():
        print(f"fastdl: {error}", file=sys.stderr)
        raise SystemExit(2)
