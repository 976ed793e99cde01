"""Resampling along one axis as a table of weights: interpolation and adaptive averages.

Output o is Σ_k weight[k] · input[source[k]] over k in [first[o], first[o + 1]). Places are torch's:
the nearest ones are computed in float32, as there; the others in float64.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np


class Table(NamedTuple):
    """The rows of a sparse matrix [outputs, inputs]."""

    first: np.ndarray  # int64 [outputs + 1]
    source: np.ndarray  # int64, the input of each term
    weight: np.ndarray

    @property
    def most_terms(self) -> int:
        """Terms of the longest sum."""
        return int(np.diff(self.first).max(initial=0))

    def of_dtype(self, dtype: np.dtype) -> Table:
        """The same with weights rounded to a dtype."""
        return self._replace(weight=self.weight.astype(dtype))


def _from_taps(index: np.ndarray, weight: np.ndarray) -> Table:
    """A table of equally many terms for each output, given as [outputs, terms]."""
    outputs, terms = index.shape
    first = np.arange(outputs + 1, dtype=np.int64) * terms
    return Table(first, index.reshape(-1).astype(np.int64), weight.reshape(-1).astype(np.float64))


def _nearest(inputs: int, outputs: int, exact: bool, scale: float | None) -> Table:
    output = np.arange(outputs).astype(np.float32)
    step = np.float32(1 / scale) if scale else np.float32(inputs) / np.float32(outputs)
    place = np.floor((output + np.float32(0.5 if exact else 0)) * step)
    index = np.minimum(place.astype(np.int64), inputs - 1)
    return _from_taps(index[:, None], np.ones((outputs, 1)))


def _places(inputs: int, outputs: int, align_corners: bool, scale: float | None) -> np.ndarray:
    output = np.arange(outputs)
    if align_corners:
        return output * ((inputs - 1) / (outputs - 1) if outputs > 1 else 0.0)
    return (output + 0.5) * (1 / scale if scale else inputs / outputs) - 0.5


def _linear(places: np.ndarray, inputs: int) -> Table:
    places = np.maximum(places, 0)
    low = np.minimum(places.astype(np.int64), inputs - 1)
    part = np.clip(places - low, 0, 1)
    index = np.stack([low, np.minimum(low + 1, inputs - 1)], axis=1)
    return _from_taps(index, np.stack([1 - part, part], axis=1))


def _cubic(places: np.ndarray, inputs: int) -> Table:
    """Keys' cubic convolution with a = −3/4 (IEEE ASSP 29, 1981)."""
    a = -0.75
    low = np.floor(places).astype(np.int64)
    t = (places - low)[:, None] + np.array([1, 0, -1, -2])  # distances to the four inputs
    t = np.abs(t)
    near = ((a + 2) * t - (a + 3)) * t * t + 1
    far = ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
    index = np.clip(low[:, None] + np.arange(-1, 3), 0, inputs - 1)
    return _from_taps(index, np.where(t <= 1, near, far))


def adaptive_windows(inputs: int, outputs: int) -> tuple[np.ndarray, np.ndarray]:
    """[start, end) of each output's window in adaptive pooling."""
    output = np.arange(outputs, dtype=np.int64)
    return output * inputs // max(outputs, 1), -(-(output + 1) * inputs // max(outputs, 1))


def _area(inputs: int, outputs: int) -> Table:
    start, end = adaptive_windows(inputs, outputs)
    count = end - start
    first = np.concatenate([[0], np.cumsum(count)]).astype(np.int64)
    index = np.arange(first[-1], dtype=np.int64) - np.repeat(first[:-1] - start, count)
    return Table(first, index, np.repeat(1 / count, count))


@lru_cache(256)
def axis_table(
    inputs: int, outputs: int, mode: str, align_corners: bool, scale: float | None
) -> Table | None:
    """The table of an axis; None where every output is its input.

    Modes: 'nearest', 'nearest-exact', 'linear', 'cubic', 'area'. `scale` is the given factor of
    sizes, which need not be exactly outputs / inputs; it places samples unless align_corners.
    """
    if mode.startswith("nearest"):
        table = _nearest(inputs, outputs, mode == "nearest-exact", scale)
    elif mode == "area":
        table = _area(inputs, outputs)
    else:
        places = _places(inputs, outputs, align_corners, scale)
        table = (_linear if mode == "linear" else _cubic)(places, inputs)
    kept = table.weight != 0
    if inputs == outputs and kept.sum() == inputs:
        same = np.array_equal(table.source[kept], np.arange(inputs))
        if same and np.all(table.weight[kept] == 1):
            return None
    return table


@lru_cache(256)
def transposed_table(
    inputs: int, outputs: int, mode: str, align_corners: bool, scale: float | None
) -> Table | None:
    """The transpose of `axis_table`, which is the table of the gradient."""
    table = axis_table(inputs, outputs, mode, align_corners, scale)
    if table is None:
        return None
    return _transposed(table, inputs)


def _transposed(table: Table, inputs: int) -> Table:
    order = np.argsort(table.source, kind="stable")
    row = np.repeat(np.arange(len(table.first) - 1, dtype=np.int64), np.diff(table.first))
    count = np.bincount(table.source, minlength=inputs)
    first = np.concatenate([[0], np.cumsum(count)]).astype(np.int64)
    return Table(first, row[order], table.weight[order])


@lru_cache(256)
def padded_source(inputs: int, before: int, after: int, mode: str) -> np.ndarray:
    """For each element of an axis padded by 'reflect', 'replicate' or 'circular', its input's
    place."""
    place = np.arange(-before, inputs + after, dtype=np.int64)
    if mode == "replicate":
        return np.clip(place, 0, inputs - 1)
    if mode == "circular":
        return place % inputs
    return inputs - 1 - np.abs(inputs - 1 - np.abs(place))


def padded_tables(
    input_size: tuple[int, ...], padding: tuple[tuple[int, int], ...], mode: str, backward: bool
) -> list[Table | None]:
    """The tables of spatial axes padded so, or of the gradient: sums of what came of each input."""
    tables: list[Table | None] = []
    for inputs, (before, after) in zip(input_size, padding, strict=True):
        source = padded_source(inputs, before, after, mode)
        table = _from_taps(source[:, None], np.ones((len(source), 1)))
        if not (before or after):
            tables.append(None)
        else:
            tables.append(_transposed(table, inputs) if backward else table)
    return tables
