"""What `fit` records of a training and shows while it runs."""

from __future__ import annotations

import contextlib
import importlib.util
import math
from collections.abc import Iterator, Mapping
from typing import Any


class History(dict[str, list[float]]):
    """One number an epoch under each name: "loss", "seconds", the metrics, and "validation_..."."""

    watched = "loss"
    best_epoch = -1  # the epoch (from 0) whose watched loss was the least
    interrupted = False

    def add(self, row: Mapping[str, float]) -> bool:
        """Takes an epoch's numbers; True if its watched loss is the least so far (NaN never is)."""
        for name, value in row.items():
            self.setdefault(name, []).append(value)
        seen = self[self.watched]
        best = math.inf if self.best_epoch < 0 else seen[self.best_epoch]
        if not row[self.watched] < best:
            return False
        self.best_epoch = len(seen) - 1
        return True

    def plot(self, path: Any) -> None:
        """Writes a picture: losses on the left, metrics (if any) on the right. Needs matplotlib."""
        from matplotlib.figure import Figure

        names = [name.removeprefix("validation_") for name in self if name != "seconds"]
        panels = [["loss"], [n for n in dict.fromkeys(names) if n != "loss"]]
        panels = [panel for panel in panels if panel]
        figure = Figure(figsize=(5 * len(panels), 3.5), layout="constrained")
        for axes, panel in zip(
            figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True
        ):
            for name in (n for n in self if n.removeprefix("validation_") in panel):
                style = "-" if name.startswith("validation_") else "--"
                axes.plot(range(1, len(self[name]) + 1), self[name], style, label=name)
            axes.set_xlabel("epoch")
            axes.legend()
        figure.savefig(path, dpi=80)


@contextlib.contextmanager
def progress_bar(shown: bool, epochs: int, loader: Any) -> Iterator[tuple[Any, Any]]:
    """Two functions: one counts a batch, one writes a line. rich's bar, lines only, or silence."""
    if not shown or importlib.util.find_spec("rich") is None:
        yield lambda: None, print if shown else lambda line: None
        return
    from rich.progress import Progress

    with Progress(transient=True) as bar:
        steps = len(loader) * epochs if hasattr(loader, "__len__") else None
        task = bar.add_task("training", total=steps)
        yield lambda: bar.advance(task), lambda line: bar.console.print(line, highlight=False)
