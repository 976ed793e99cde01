"""Windows as columns and back by strided copies and additions, one tap of the window at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .windows import Pair, met

Options = dict[str, Pair]  # kernel_size, dilation, padding, stride


def _parts(
    image: np.ndarray, columns: np.ndarray, options: Options
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """For each tap: what it meets of the image, its place in the columns, and all of it there."""
    for tap in np.ndindex(*options["kernel_size"]):
        windows, places = [], []
        for axis, t in enumerate(tap):
            shared = {name: options[name][axis] for name in ("dilation", "padding", "stride")}
            window, place = met(image.shape[2 + axis], columns.shape[4 + axis], tap=t, **shared)
            windows.append(window)
            places.append(place)
        whole = columns[:, :, tap[0], tap[1]]
        if any(window.stop == window.start for window in windows):
            yield image[:, :, :0, :0], whole[:, :, :0, :0], whole
        else:
            yield image[:, :, places[0], places[1]], whole[:, :, windows[0], windows[1]], whole


def unfold(
    copy: Callable[[np.ndarray, np.ndarray], Any], x: np.ndarray, y: np.ndarray, options: Options
) -> None:
    """Fills columns y[N, C, R, S, P, Q] from the image x[N, C, H, W]."""
    for source, target, whole in _parts(x, y, options):
        if target.shape != whole.shape:
            whole[...] = 0
        if target.size:
            copy(source, target)


def fold(
    add: Callable[[np.ndarray, np.ndarray, np.ndarray], Any], x: np.ndarray, y: np.ndarray,
    options: Options,
) -> None:  # fmt: skip
    """Adds columns x[N, C, R, S, P, Q] to the image y[N, C, H, W], by add(a, b, out)."""
    for target, source, _ in _parts(y, x, options):
        if target.size:
            add(target, source, target)
