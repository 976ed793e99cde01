"""`fastdl demo`: what the library is, whether it is right, how fast it is, and a CNN that learns.

The CNN learns the 4000 training digits of the MNIST-5k file in a minute or so and is tested on the
1000 others. Every array of it goes through fastdl's own kernels; torch, where installed, only runs
the same steps beside it for comparison.
"""

from __future__ import annotations

import importlib
import os
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

import fastdl
from fastdl import nn, optim
from fastdl.data.images import mnist5k, split

EPOCHS, BATCH, HELD_OUT = 16, 64, 1000
WANTED = 0.97  # held-out accuracy; less means that something is broken, and is a failure
console = Console()


def model() -> nn.Sequential:
    """Two convolutions with max-pooling and two linear layers: 421,642 parameters."""
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


def as_input(images: np.ndarray) -> np.ndarray:
    """uint8[N, 28, 28] -> float32[N, 1, 28, 28], MNIST's mean and deviation taken out."""
    return ((images[:, None] / np.float32(255) - np.float32(0.1307)) / np.float32(0.3081)).astype(
        np.float32
    )


def shifted(images: np.ndarray, rng: np.random.Generator, most: int = 2) -> np.ndarray:
    """Each image moved by up to `most` pixels, so that 4000 digits teach more than 4000."""
    padded = np.pad(images, ((0, 0), (most, most), (most, most)))
    moved = np.empty_like(images)
    for i, (dy, dx) in enumerate(rng.integers(0, 2 * most + 1, (len(images), 2))):
        moved[i] = padded[i, dy : dy + 28, dx : dx + 28]
    return moved


def train_step(net: nn.Module, optimizer: optim.Optimizer, x: Any, y: Any) -> float:
    """Forward, backward, update; returns the loss."""
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(net(fastdl.Tensor(x)), y)
    loss.backward()
    optimizer.step()
    return loss.item()


def train(train_set: Any, test_set: Any, seed: int) -> tuple[nn.Sequential, np.ndarray, float]:
    """Trains with SGD and a cosine schedule; returns net, predictions, median seconds a step."""
    fastdl.manual_seed(seed)
    rng = np.random.default_rng(seed)
    net = model()
    optimizer = optim.SGD(net.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4, nesterov=True)
    images, labels = train_set
    steps = EPOCHS * (len(images) // BATCH)
    times: list[float] = []
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("training", total=steps)
        for epoch in range(EPOCHS):
            order = rng.permutation(len(images))
            losses = []
            for start in range(0, len(order) - BATCH + 1, BATCH):
                batch = order[start : start + BATCH]
                x = as_input(shifted(images[batch], rng))
                optimizer.param_groups[0]["lr"] = (
                    0.05 * (1 + np.cos(np.pi * len(times) / steps)) / 2
                )
                begin = time.perf_counter()
                losses.append(train_step(net, optimizer, x, labels[batch]))
                times.append(time.perf_counter() - begin)
                progress.advance(bar)
            progress.update(
                bar, description=f"epoch {epoch + 1}/{EPOCHS}, loss {np.mean(losses):.3f}"
            )
    return net, predict(net, test_set[0]), statistics.median(times)


def predict(net: nn.Module, images: np.ndarray) -> np.ndarray:
    """The most likely class of each image."""
    net.eval()
    with fastdl.no_grad():
        parts = [
            net(fastdl.Tensor(as_input(images[i : i + 250]))).argmax(1).numpy()
            for i in range(0, len(images), 250)
        ]
    net.train()
    return np.concatenate(parts)


def race_torch(
    images: np.ndarray, labels: np.ndarray, turns: int = 5
) -> tuple[float, float] | None:
    """Median seconds of a training step, fastdl's and torch's, in turns; None without torch."""
    try:
        import torch
    except ImportError:
        return None
    torch.set_num_threads(fastdl.get_num_threads())
    net = model()
    theirs = torch.nn.Sequential(*(_torch_layer(torch, layer) for layer in net))
    theirs.load_state_dict({k: torch.tensor(v.numpy()) for k, v in net.state_dict().items()})
    options: dict[str, Any] = {"lr": 0.01, "momentum": 0.9, "weight_decay": 5e-4, "nesterov": True}
    ours_optimizer = optim.SGD(net.parameters(), **options)
    their_optimizer = torch.optim.SGD(theirs.parameters(), **options)
    x, y = as_input(images[:BATCH]), labels[:BATCH]
    x_torch, y_torch = torch.from_numpy(x), torch.from_numpy(y)

    def torch_step() -> None:
        their_optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(theirs(x_torch), y_torch)
        loss.backward()
        their_optimizer.step()
        loss.item()

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
        ours += timed(lambda: train_step(net, ours_optimizer, x, y))
        others += timed(torch_step)
    return statistics.median(ours), statistics.median(others)


def _torch_layer(torch: Any, layer: nn.Module) -> Any:
    if isinstance(layer, nn.Conv2d):
        return torch.nn.Conv2d(layer.in_channels, layer.out_channels, 3, padding=1)
    if isinstance(layer, nn.Linear):
        return torch.nn.Linear(layer.in_features, layer.out_features)
    if isinstance(layer, nn.MaxPool2d):
        return torch.nn.MaxPool2d(layer.kernel_size)
    return getattr(torch.nn, type(layer).__name__)()


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
    console.rule("a short check of the kernels the CNN uses")
    ops = ["conv2d", "max_pool2d", "linear", "relu", "cross_entropy"]
    failed = check.main(ops, None, "quick", seed, None, seconds=10)
    console.rule("a short bench")
    threads = min(fastdl.get_num_threads(), len(os.sched_getaffinity(0)))
    bench.main(["matmul", "conv2d", "max_pool2d"], None, [threads], True, None)
    console.rule("a CNN learns handwritten digits (MNIST-5k)")
    net, predicted, seconds = train(train_set, test_set, seed)
    accuracy = float((predicted == test_set[1]).mean())
    size = sum(p.numel() for p in net.parameters())
    console.print(
        f"parameters {size:,}; held-out accuracy [bold]{accuracy:.1%}[/] ({HELD_OUT} digits)"
    )
    console.print(f"median training step while training: {seconds * 1e3:.1f} ms (batch {BATCH})")
    raced = race_torch(*train_set)
    if raced is None:
        console.print("torch is not installed, so there is no step of torch's to compare with")
    else:
        ours, theirs = (s * 1e3 for s in raced)
        console.print(
            f"in turns: fastdl {ours:.1f} ms, torch {theirs:.1f} ms, ratio {theirs / ours:.2f}"
        )
    picture = Path(output) / "misclassified.png"
    draw_mistakes(*test_set, predicted, picture)
    console.print(f"the digits it gets wrong: {picture}")
    console.print(f"all in {time.perf_counter() - begin:.0f} s")
    if accuracy < WANTED:
        console.print(f"accuracy below {WANTED:.0%}: something is wrong", style="red")
    return 1 if failed or accuracy < WANTED else 0
