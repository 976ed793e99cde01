"""docs/check-your-kernel.md does what it says: its files are written, its commands are run."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "check-your-kernel.md"
BLOCK = re.compile(r"^```(\w+) ?(\S*)\n(.*?)^```$", re.M | re.S)


def shown(line, output):
    """Is a line of the page one of the output's? `...` stands for anything."""
    pattern = ".*".join(map(re.escape, line.rstrip().split("...")))
    return any(re.fullmatch(pattern, other.rstrip()) for other in output.splitlines())


def test_the_tutorial_runs_as_it_is_written(tmp_path):
    commands = tmp_path / "bin"
    commands.mkdir()
    for name, start in (("fastdl", "-m fastdl"), ("python", "")):
        (commands / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {start} "$@"\n')
        (commands / name).chmod(0o755)
    environment = {
        **os.environ, "PATH": f"{commands}:{os.environ['PATH']}", "COLUMNS": "200",
        "PYTHONPATH": str(ROOT), "PYTEST_PLUGINS": "pytest_fastdl",
    }  # fmt: skip
    output = None
    for language, name, text in BLOCK.findall(PAGE.read_text()):
        if name:
            (tmp_path / name).write_text(text)
        elif language == "sh":
            run = subprocess.run(
                ["bash", "-c", text], cwd=tmp_path, env=environment, text=True, check=False,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
            output = run.stdout
        else:
            assert language == "text" and output is not None
            for line in text.splitlines():
                assert shown(line, output), f"{line!r} is not in\n{output}"
            output = None
    assert output is None, "a block of commands without what they print"
