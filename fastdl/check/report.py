"""What the judge prints: progress, a line a kernel, every failure in full."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

if TYPE_CHECKING:
    from . import Failure, Tally

MOST_FAILURES = 40


class Report:
    """A progress bar while the judge works, then a table."""

    def __init__(self, mode: str, seed: int, work: int):
        self.console = Console()
        self.mode, self.seed = mode, seed
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        self._progress = Progress(*columns, console=self.console, transient=True)
        self._bar = self._progress.add_task("checking", total=work)

    def __enter__(self) -> Report:
        self._progress.start()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._progress.stop()

    def progress(self, done: int, total: int, failures: int) -> None:
        """Moves the bar."""
        note = f", {failures} failed" if failures else ""
        self._progress.update(self._bar, completed=done, description=f"{done}/{total} tasks{note}")

    def finish(self, tallies: list[Tally], failures: list[Failure], left: int, took: float) -> None:
        """Prints the table and the failures."""
        table = Table(box=None, header_style="bold")
        for name in ("op", "kernel", "ISA"):
            table.add_column(name)
        for name in ("cases", "failed", "worst error/bound"):
            table.add_column(name, justify="right")
        for t in tallies:
            colour = "red" if t.failed else "green"
            failed = f"[{colour}]{t.failed}[/]"
            table.add_row(t.op, t.kernel, t.isa, str(t.cases), failed, f"{t.ratio:.3g}")
        self.console.print(table)
        for failure in failures[:MOST_FAILURES]:
            self.console.print(
                f"FAILED {failure}", style="red", markup=False, highlight=False, soft_wrap=True
            )
        if len(failures) > MOST_FAILURES:
            self.console.print(f"... and {len(failures) - MOST_FAILURES} more failures")
        cases = sum(t.cases for t in tallies)
        rest = f"; {left} tasks left at the deadline" if left else ""
        replay = f"fastdl check --seed {self.seed}"
        self.console.print(
            f"{cases} cases in {took:.1f} s, {len(failures)} failed{rest}"
            f" (mode {self.mode}, {replay})"
        )
