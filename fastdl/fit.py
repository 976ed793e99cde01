"""`fit`: an ordinary training loop in one call, no bigger than a page."""

from __future__ import annotations

import contextlib
import inspect
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .autograd import no_grad
from .core.errors import ArgumentError
from .history import History, progress_bar
from .serialization import save

Metric = Callable[[Any, Any], Any]


def fit(
    model: Any,
    loader: Iterable[Any],
    loss: Metric,
    optimizer: Any,
    *,
    epochs: int,
    validation: Iterable[Any] | None = None,
    metrics: Mapping[str, Metric] | None = None,
    scheduler: Any = None,
    early_stopping: int | None = None,
    checkpoint: Any = None,
    progress: bool = True,
) -> History:
    """Trains a model: for each batch (*inputs, target), `loss(model(*inputs), target)` goes down.

    Args:
        loader: gives the batches of an epoch each time it is iterated, as `validation` does, which
            is measured after each epoch in eval mode.
        metrics: functions of (output, target) by name; each batch counts by its size.
        scheduler: its `step()` is called after each epoch, with the watched loss if it takes one.
        early_stopping: stop after this many epochs without a smaller watched loss, which is the
            validation's, or the training's if there is none.
        checkpoint: a path; the state_dict of the best epoch is saved there by `fastdl.save`.
        progress: show a bar if rich is installed, and a line an epoch.

    Returns a History, also after Ctrl-C, then of the epochs that were finished.
    """
    if epochs < 1 or (early_stopping is not None and early_stopping < 1):
        raise ArgumentError(f"fit: epochs {epochs}, early_stopping {early_stopping}: want >= 1")
    functions = {"loss": loss, **(metrics or {})}
    history = History()
    history.watched = "loss" if validation is None else "validation_loss"
    with (
        contextlib.suppress(KeyboardInterrupt),
        progress_bar(progress, epochs, loader) as (advance, say),
    ):
        history.interrupted = True  # unless the last line is reached
        for epoch in range(epochs):
            begin = time.perf_counter()
            row = _epoch(model, loader, functions, optimizer, advance)
            if validation is not None:
                with no_grad():
                    measured = _epoch(model, validation, functions, None, lambda: None)
                row |= {f"validation_{name}": value for name, value in measured.items()}
            row["seconds"] = time.perf_counter() - begin
            if scheduler is not None:
                takes_loss = "metrics" in inspect.signature(scheduler.step).parameters
                scheduler.step(*(row[history.watched],) if takes_loss else ())
            if history.add(row) and checkpoint is not None:
                save(model.state_dict(), checkpoint)
            shown = ", ".join(f"{name} {value:.4g}" for name, value in row.items())
            say(f"epoch {epoch + 1}/{epochs}: {shown}")
            if early_stopping and epoch - history.best_epoch >= early_stopping:
                break
        history.interrupted = False
    return history


def _epoch(
    model: Any, loader: Any, functions: dict[str, Metric], optimizer: Any, advance: Any
) -> dict[str, float]:
    """Each function's mean over the samples; trains if there is an optimizer."""
    model.train(optimizer is not None)
    sums, count = dict.fromkeys(functions, 0.0), 0
    for *inputs, target in loader:
        output = model(*inputs)
        loss = functions["loss"](output, target)
        if optimizer is not None:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        output = output.detach() if hasattr(output, "detach") else output
        for name, function in functions.items():
            value = loss if name == "loss" else function(output, target)
            sums[name] += float(value) * len(target)
        count += len(target)
        advance()
    if not count:
        raise ArgumentError("fit: a loader gave no batches")
    model.train()
    return {name: value / count for name, value in sums.items()}
