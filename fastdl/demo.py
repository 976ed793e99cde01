"""`fastdl demo`: what the library is, whether it is right, how fast it is, and nets that learn.

A CNN, and an LSTM that reads row by row, learn the 4000 training digits of the MNIST-5k file in a
minute or so and are tested on the 1000 others. Every array goes through fastdl's own kernels;
torch, where installed, only runs the same steps beside it for comparison.
"""

from __future__ import annotations

import importlib
import os
import statistics
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

import fastdl
from fastdl import optim
from fastdl.data import DataLoader, TensorDataset, TransformDataset, transforms
from fastdl.data.images import mnist5k, split

BATCH, HELD_OUT = 64, 1000
SGD: dict[str, Any] = {"momentum": 0.9, "weight_decay": 5e-4, "nesterov": True}
console = Console()
as_input = transforms.Compose(
    [transforms.ToDtype(np.float32, scale=True), transforms.Normalize(0.1307, 0.3081)]
)


def cnn(nn: Any) -> Any:
    """Two convolutions with max-pooling and two linear layers, of fastdl.nn or of torch.nn."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * 7 * 7, 128),
        nn.ReLU(),
        nn.Linear(128, 10),
    )


def row_lstm(nn: Any) -> Any:
    """An LSTM that is shown the 28 rows one after the other, of fastdl.nn or of torch.nn."""

    class RowLSTM(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(28, 128, batch_first=True)
            self.head = nn.Linear(128, 10)

        def forward(self, images: Any) -> Any:
            _, (h, _) = self.lstm(images[:, 0])
            return self.head(h[-1])

    return RowLSTM()


class Task(NamedTuple):
    """A net, how it is trained, and what it has to reach."""

    name: str
    build: Any
    lr: float
    epochs: int
    wanted: float  # held-out accuracy; less means that something is broken, and is a failure


TASKS = (Task("CNN", cnn, 0.05, 16, 0.97), Task("row-by-row LSTM", row_lstm, 0.3, 20, 0.93))


def train_step(net: Any, optimizer: Any, x: Any, y: Any, library: Any = fastdl) -> float:
    """Forward, backward, update, in fastdl or in torch; returns the loss."""
    optimizer.zero_grad()
    loss = library.nn.functional.cross_entropy(net(x), y)
    loss.backward()
    optimizer.step()
    return loss.item()


def train(task: Task, images: np.ndarray, labels: np.ndarray, seed: int) -> tuple[Any, float]:
    """Trains with SGD and a cosine schedule; returns the net and the median seconds a step.

    Each image is moved by up to 2 pixels, so that 4000 digits teach more than 4000.
    """
    fastdl.manual_seed(seed)
    net = task.build(fastdl.nn)
    optimizer = optim.SGD(net.parameters(), lr=task.lr, **SGD)
    moved = transforms.Compose([transforms.RandomShift(2), as_input])
    digits = TransformDataset(TensorDataset(images[:, None], labels), moved)
    loader = DataLoader(digits, BATCH, shuffle=True, drop_last=True, generator=seed)
    steps = task.epochs * len(loader)
    times: list[float] = []
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("training", total=steps)
        for epoch in range(task.epochs):
            losses = []
            for x, y in loader:
                optimizer.param_groups[0]["lr"] = (
                    task.lr * (1 + np.cos(np.pi * len(times) / steps)) / 2
                )
                begin = time.perf_counter()
                losses.append(train_step(net, optimizer, x, y))
                times.append(time.perf_counter() - begin)
                progress.advance(bar)
            progress.update(
                bar, description=f"epoch {epoch + 1}/{task.epochs}, loss {np.mean(losses):.3f}"
            )
    return net, statistics.median(times)


def predict(net: Any, images: np.ndarray) -> np.ndarray:
    """The most likely class of each image."""
    net.eval()
    with fastdl.no_grad():
        parts = [
            net(fastdl.Tensor(as_input(images[i : i + 250, None]))).argmax(1).numpy()
            for i in range(0, len(images), 250)
        ]
    net.train()
    return np.concatenate(parts)


def race_torch(
    task: Task, images: np.ndarray, labels: np.ndarray, turns: int = 5
) -> tuple[float, float] | None:
    """Median seconds of a training step, fastdl's and torch's, in turns; None without torch."""
    try:
        import torch
    except ImportError:
        return None
    torch.set_num_threads(fastdl.get_num_threads())
    net, theirs = task.build(fastdl.nn), task.build(torch.nn)
    theirs.load_state_dict({k: torch.tensor(v.numpy()) for k, v in net.state_dict().items()})
    ours_optimizer = optim.SGD(net.parameters(), lr=0.01, **SGD)
    their_optimizer = torch.optim.SGD(theirs.parameters(), lr=0.01, **SGD)
    x, y = as_input(images[:BATCH, None]), labels[:BATCH]
    ours_in = fastdl.Tensor(x), fastdl.Tensor(y)
    theirs_in = torch.from_numpy(x), torch.from_numpy(y)

    def timed(step: Any) -> list[float]:
        time.sleep(0.1)  # the other library's workers may still be spinning
        step()
        seconds = []
        for _ in range(10):
            begin = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - begin)
        return seconds

    ours: list[float] = []
    others: list[float] = []
    for _ in range(turns):
        ours += timed(lambda: train_step(net, ours_optimizer, *ours_in))
        others += timed(lambda: train_step(theirs, their_optimizer, *theirs_in, torch))
    return statistics.median(ours), statistics.median(others)


def draw_mistakes(images: Any, labels: Any, predicted: Any, path: Path) -> None:
    """A picture of the held-out digits the net gets wrong."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    wrong = np.flatnonzero(predicted != labels)
    columns = 8
    rows = max(1, -(-len(wrong) // columns))
    figure, axes = plt.subplots(rows, columns, figsize=(columns * 1.1, rows * 1.35), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for axis, i in zip(axes.flat, wrong, strict=False):
        axis.imshow(images[i], cmap="gray_r")
        axis.set_title(f"{labels[i]}, read as {predicted[i]}", fontsize=7)
    figure.suptitle(f"{len(wrong)} of {len(labels)} held-out digits misread", fontsize=10)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def learn(task: Task, train_set: Any, test_set: Any, seed: int) -> tuple[np.ndarray, float]:
    """Trains, tests and races one net, telling about it; returns its predictions and accuracy."""
    console.rule(f"a {task.name} learns handwritten digits (MNIST-5k)")
    images, labels = train_set
    net, seconds = train(task, images, labels, seed)
    predicted = predict(net, test_set[0])
    accuracy = float((predicted == test_set[1]).mean())
    size = sum(p.numel() for p in net.parameters())
    console.print(
        f"parameters {size:,}; held-out accuracy [bold]{accuracy:.1%}[/] ({HELD_OUT} digits)"
    )
    console.print(f"median training step while training: {seconds * 1e3:.1f} ms (batch {BATCH})")
    raced = race_torch(task, images, labels)
    if raced is None:
        console.print("torch is not installed, so there is no step of torch's to compare with")
    else:
        ours, theirs = (s * 1e3 for s in raced)
        console.print(
            f"in turns: fastdl {ours:.1f} ms, torch {theirs:.1f} ms, ratio {theirs / ours:.2f}"
        )
    if accuracy < task.wanted:
        console.print(f"accuracy below {task.wanted:.0%}: something is wrong", style="red")
    return predicted, accuracy


def main(output: str, seed: int = 0) -> int:
    """Runs the demo; the pictures go to the folder `output`. Returns the exit status."""
    from . import bench, check

    begin = time.perf_counter()
    train_set, test_set = split(*mnist5k(), held_out=HELD_OUT, seed=seed)
    # What the pictures need, before the minutes of work that they show.
    importlib.import_module("matplotlib")
    Path(output).mkdir(parents=True, exist_ok=True)
    console.rule("fastdl info")
    fastdl.show_config()
    console.rule("a short check of the kernels the nets use")
    ops = ["conv2d", "max_pool2d", "linear", "relu", "cross_entropy", "lstm_layer"]
    failed = check.main(check.Request(tuple(ops), "quick", seed), seconds=12)
    console.rule("a short bench")
    threads = min(fastdl.get_num_threads(), len(os.sched_getaffinity(0)))
    bench.main(["matmul", "conv2d", "max_pool2d"], None, [threads], True, None)
    results = [learn(task, train_set, test_set, seed) for task in TASKS]
    picture = Path(output) / "misclassified.png"
    draw_mistakes(*test_set, results[0][0], picture)
    console.print(f"the digits that the CNN gets wrong: {picture}")
    for task, (_, accuracy) in zip(TASKS, results, strict=True):
        console.print(f"{task.name}: [bold]{accuracy:.1%}[/] of {HELD_OUT} held-out digits")
    console.print(f"all in {time.perf_counter() - begin:.0f} s")
    reached = all(a >= task.wanted for task, (_, a) in zip(TASKS, results, strict=True))
    return 1 if failed or not reached else 0
