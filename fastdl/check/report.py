"""What the judge prints: a live table while it works, then a line a kernel and every failure."""

from __future__ import annotations

import os
from collections import Counter
from typing import Any
from xml.etree import ElementTree

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from .running import Outcome, Tally
from .tasks import Request, Task

MOST_KERNELS, MOST_OF_ONE = 12, 3  # failures printed
MOST_LINES = 8  # of the live table
WIDE = 160  # columns of a file or a pipe
SLACK = 1 / 64  # a worst error / bound below this says that the declared depth is too generous


class Report:
    """A live table while the judges work, then all that they found."""

    def __init__(self, request: Request):
        self.console = Console()
        if not self.console.is_terminal and "COLUMNS" not in os.environ:
            self.console.width = WIDE
        self.request = request
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        self._progress = Progress(*columns, console=self.console)
        self._bar = self._progress.add_task("starting", total=None)
        self._live = Live(console=self.console, transient=True, refresh_per_second=4)
        self._total = self._done = self._failed = 0
        self._recent: dict[str, int] = {}

    def __enter__(self) -> Report:
        self._live.start()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._live.stop()

    def progress(self, count: int, task: Task | None, number: int) -> None:
        """Hears of one judge in this process: work to do, or a task done."""
        if task is None:
            self.tell("work", number)
        else:
            self.tell("done", count, f"{task.op} {task.kernel} {task.isa}", number)

    def tell(self, kind: str, *told: Any) -> None:
        """Hears of a judge."""
        if kind == "work":
            self._total += told[0]
        else:
            count, name, failures = told
            self._done += count
            self._failed = max(self._failed, failures)  # of the judge that found the most
            self._recent[name] = self._recent.pop(name, 0) + count
            while len(self._recent) > MOST_LINES:
                del self._recent[next(iter(self._recent))]
        failed = f", [red]{self._failed} failed[/]" if self._failed else ""
        text = f"{self._done}/{self._total} tasks{failed}"
        self._progress.update(self._bar, completed=self._done, total=self._total, description=text)
        table = Table(box=None, show_header=False)
        for name, done in self._recent.items():
            table.add_row(escape(name), f"{done} tasks")
        self._live.update(Group(table, self._progress))

    def finish(self, outcome: Outcome, took: float) -> None:
        """Prints the table, the certificate and the failures."""
        say = self.console.print
        say(self._table(outcome))
        for line in certificate(outcome):
            say(line, highlight=False)
        for t in outcome.tallies.values():
            for why, count in t.declined.most_common(3) if self.request.kernel else []:
                line = f"{t.op}, {t.kernel} declined {count} cases: {why}"
                say(line, markup=False, highlight=False)
            if t.took:
                line = f"{t.op}, {t.kernel} took {t.took}"
                say(line, markup=False, highlight=False)
            if t.skipped:
                say(
                    f"{t.op}, {t.kernel}: {t.skipped} tasks not asked after {t.crashes or t.failed}"
                    f" {'crashes' if t.crashes else 'failures'}"
                )
        self._failures(outcome)
        rest = f"; {outcome.left} tasks left at the deadline" if outcome.left else ""
        rounds = f" in {outcome.rounds} rounds" if outcome.rounds > 1 else ""
        say(
            f"{outcome.cases} cases{rounds} in {took:.1f} s, {len(outcome.failures)} failed{rest}"
            f" (mode {self.request.mode}, fastdl check --seed {self.request.seed})",
            soft_wrap=True,
        )

    def _failures(self, outcome: Outcome) -> None:
        """A few failures of each kernel, how to see each again, and how many there are more."""
        printed: Counter[tuple[str, str, str]] = Counter()
        for failure in sorted(outcome.failures, key=lambda failure: not failure.shrunk):
            key = (failure.op, failure.kernel, failure.isa)
            printed[key] += 1
            if printed[key] > MOST_OF_ONE or len(printed) > MOST_KERNELS:
                continue
            lines = [f"FAILED {failure}", *(f"    {s}" for s in failure.reproducer(self.request))]
            for line, style in zip(lines, ("red", None, None, None), strict=False):
                self.console.print(line, style=style, markup=False, highlight=False, soft_wrap=True)
        for (op, kernel, isa), count in printed.items():
            if count > MOST_OF_ONE:
                line = f"{op}, kernel {kernel} ({isa}): {count - MOST_OF_ONE} more failures"
                self.console.print(line, style="red", markup=False, highlight=False)

    def _table(self, outcome: Outcome) -> Table:
        """A row a kernel: its ISAs, cases, worst error/bound and the depth that goes with it."""
        table = Table(box=None, header_style="bold")
        for name in ("op", "kernel", "ISAs"):
            table.add_column(name, overflow="fold")
        for name in ("cases", "declined", "failed", "worst error/bound", "depth of terms"):
            table.add_column(name, justify="right")
        rows: dict[tuple[str, str], list[Tally]] = {}
        for t in outcome.tallies.values():
            rows.setdefault((t.op, t.kernel), []).append(t)
        for (op, kernel), tallies in rows.items():
            failed = sum(t.failed for t in tallies)
            worst = max(tallies, key=lambda t: t.ratio)
            sums = worst.terms > 1
            slack = "  slack" if sums and 0 < worst.ratio < SLACK else ""
            table.add_row(
                op, escape(kernel), " ".join(t.isa for t in tallies),
                str(sum(t.cases for t in tallies)),
                str(sum(sum(t.declined.values()) for t in tallies) or ""),
                f"[{'red' if failed else 'green'}]{failed}[/]", f"{worst.ratio:.3g}{slack}",
                f"{worst.depth} of {worst.terms}" if sums else "",
            )  # fmt: skip
        return table


def certificate(outcome: Outcome) -> list[str]:
    """Which instruction set's code ran where one was forced; those that cannot run: not tested."""
    lines: list[str] = []
    if not any(t.isa != "-" for t in outcome.tallies.values()):
        return lines
    for isa in ("baseline", "avx2", "avx512", "avx512_bf16"):
        mine = [t for t in outcome.tallies.values() if t.isa == isa]
        if not mine:
            lines.append(f"{isa}: not tested")
            continue
        ran = sum((t.ran for t in mine), start=type(mine[0].ran)())
        plain = sum(t.cases for t in mine) - sum(ran.values())
        told = [f"{count} calls ran {name} code" for name, count in ran.most_common()]
        lines.append(
            f"{isa} forced on {len(mine)} kernels: {', '.join(told) or 'no vector code'}"
            f", {plain} none of any instruction set (copies, comparisons of bits, empty arrays)"
        )
    return lines


def write_junit(path: str, request: Request, outcome: Outcome, took: float) -> None:
    """JUnit's XML: a test case a kernel and ISA."""
    suite = ElementTree.Element(
        "testsuite", name="fastdl check", tests=str(len(outcome.tallies)), time=f"{took:.1f}",
        failures=str(sum(t.failed > 0 for t in outcome.tallies.values())),
    )  # fmt: skip
    for (op, kernel, isa), tally in outcome.tallies.items():
        case = ElementTree.SubElement(suite, "testcase", classname=op, name=f"{kernel} {isa}")
        if not tally.cases and tally.declined:
            why = tally.declined.most_common(1)[0][0]
            ElementTree.SubElement(case, "skipped", message=f"declined every case: {why}")
        for failure in outcome.failures:
            if (failure.op, failure.kernel, failure.isa) == (op, kernel, isa):
                element = ElementTree.SubElement(case, "failure", message=str(failure))
                element.text = "\n".join(failure.reproducer(request))
    ElementTree.ElementTree(suite).write(path, encoding="utf-8", xml_declaration=True)
