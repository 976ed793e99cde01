"""The steps of a recurrent layer over a batch of sequences, of equal or of different lengths.

Equal lengths: x[T, B, ...], time first. Different lengths: packed x[N, ...], the rows of the first
step, then those of the second, ..., with `batch_sizes[t]` rows at step t. Sequences are sorted by
length, longest first, so the sizes never rise and row b of a step is always sequence b. x[B, ...]
without sizes is a single step, as a cell takes it.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np


class Step(NamedTuple):
    """Rows [first, first + count) of the flattened input; they belong to sequences [0, count)."""

    first: int
    active: int

    @property
    def rows(self) -> slice:
        """The step's rows of a flattened array."""
        return slice(self.first, self.first + self.active)


def steps(shape: tuple[int, ...], batch_sizes: np.ndarray | None, reverse: bool) -> list[Step]:
    """The steps in the order in which the layer takes them; `shape` is the input's."""
    if batch_sizes is not None:
        sizes = [int(n) for n in batch_sizes]
    else:
        sizes = [shape[0]] if len(shape) == 2 else [shape[1]] * shape[0]
    first, found = 0, []
    for active in sizes:
        found.append(Step(first, active))
        first += active
    return found[::-1] if reverse else found


def flat(a: Any) -> Any:
    """[T, B, C] or packed [N, C] as [N, C]."""
    return a.reshape(math.prod(a.shape[:-1]), a.shape[-1])


def previous_rows(
    shape: tuple[int, ...], batch: int, batch_sizes: np.ndarray | None, reverse: bool
) -> np.ndarray:
    """For each row, the row of [initial state; outputs] that its sequence came from.

    Rows [0, batch) are the initial states, row batch + i is output row i.
    """
    taken = steps(shape, batch_sizes, reverse)
    source = np.empty(sum(s.active for s in taken), np.int64)
    state = np.arange(batch)
    for step in taken:
        source[step.rows] = state[: step.active]
        state[: step.active] = batch + np.arange(step.first, step.first + step.active)
    return source
