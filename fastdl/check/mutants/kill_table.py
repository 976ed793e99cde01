"""What `fastdl check --self-test` prints: kills by family and rule, beside other harnesses."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from ...version import __version__
from . import build
from .harnesses import HARNESSES
from .patch import Patch
from .selftest import Result, everything, judge_all


def main(seed: int = 0, jobs: int | None = None, json_file: str | None = None) -> int:
    """Builds, judges every mutant and prints the table; 0 if all were killed, else 1."""
    console = Console()
    jobs = jobs or len(os.sched_getaffinity(0))
    begin = time.perf_counter()
    mutants = everything()
    names, library, missing = list(mutants), "", ""
    with console.status("building the patched sources"):
        try:
            library = str(build.build(jobs))
        except build.NotBuiltError as error:
            missing = str(error)
            names = [name for name, m in mutants.items() if not isinstance(m, Patch)]
    built = time.perf_counter() - begin
    with Progress(console=console, transient=True) as progress:
        bar = progress.add_task("mutants", total=len(names))
        results = judge_all(
            names, library, seed, jobs, lambda done: progress.update(bar, completed=done)
        )
    took = time.perf_counter() - begin
    show(console, results)
    if missing:
        left = len(mutants) - len(names)
        console.print(f"{left} patches of the C++ sources: not tested, {missing}", markup=False)
    console.print(f"{took:.0f} s, {built:.0f} of them to build (fastdl check --self-test)")
    if json_file:
        record = {
            "fastdl": __version__, "seed": seed, "seconds": round(took, 1),
            "seconds_to_build": round(built, 1), "isa": build.isa(),
            "patches_not_tested": missing, "mutants": [asdict(r) for r in results],
        }  # fmt: skip
        Path(json_file).write_text(json.dumps(record, indent=1) + "\n")
    if not all(r.killed and not r.false_alarm for r in results):
        return 1
    return 2 if missing else 0


def _shares(results: Sequence[Result]) -> list[str]:
    """How many of some mutants each of the other harnesses caught."""
    counts = Counter(name for r in results for name in r.others)
    return [str(counts[h.name]) for h in HARNESSES]


def show(console: Console, results: Sequence[Result]) -> None:
    """Prints the table, and every mutant that lives or was killed by another rule than its own."""
    names = [h.name for h in HARNESSES]
    for title, key in (("family", "family"), ("rule that must kill it", "rule")):
        table = Table(box=None, header_style="bold")
        table.add_column(title)
        for name in ("mutants", "patches", "fastdl", *names):
            table.add_column(name, justify="right")
        groups: dict[str, list[Result]] = {}
        for r in results:
            groups.setdefault(getattr(r, key), []).append(r)
        for group, mine in sorted(groups.items(), key=lambda pair: -len(pair[1])):
            table.add_row(group, *_row(mine))
        table.add_row("all", *_row(results), style="bold")
        console.print(table)
        console.print()
    alone = sum(r.killed and not r.others for r in results)
    console.print(f"{alone} were found by no other harness.")
    alarms = [r for r in results if r.false_alarm]
    console.print(f"{len(alarms)} right kernels failed where a mutant did.")
    for r in results:
        if not r.killed:
            how = f"killed by {r.instead}" if r.instead else "ALIVE"
            line = f"{r.name}: {how}, want {r.rule}"
            console.print(line, style="red", markup=False, highlight=False)
    for r in alarms:
        console.print(f"FALSE ALARM {r.name}: {r.false_alarm}", style="red", markup=False)


def _row(results: Sequence[Result]) -> list[Any]:
    killed = sum(r.killed for r in results)
    style = "green" if killed == len(results) else "red"
    patches = sum(r.kind == "patch" for r in results)
    return [str(len(results)), str(patches), f"[{style}]{killed}[/]", *_shares(results)]
