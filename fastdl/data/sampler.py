"""Samplers: the order in which a loader asks a data set for samples. As torch.utils.data's."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

import numpy as np

from ..core.errors import ArgumentError
from .dataset import size_of
from .random import kept, stream_of

__all__ = [
    "BatchSampler", "RandomSampler", "Sampler", "SequentialSampler", "SubsetRandomSampler",
    "WeightedRandomSampler",
]  # fmt: skip

T_co = TypeVar("T_co", covariant=True)


class Sampler(Generic[T_co]):
    """Base class: `__iter__` gives indices (or, in a batch sampler, lists of them)."""

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError(f"{type(self).__name__} has no __iter__")


class SequentialSampler(Sampler[int]):
    """0, 1, 2, ..."""

    def __init__(self, data_source: Any) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(size_of(self.data_source)))

    def __len__(self) -> int:
        return size_of(self.data_source)


class RandomSampler(Sampler[int]):
    """Indices in random order, another one in each iteration.

    Args:
        data_source: anything with a len().
        replacement: draw each index independently of the others.
        num_samples: how many to draw (the size of the data by default; more begin anew).
        generator: a Generator or a seed; the library's generator if left out.
    """

    def __init__(
        self,
        data_source: Any,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Any = None,
    ) -> None:
        self.data_source, self.replacement = data_source, replacement
        self.generator = kept(generator, "RandomSampler: generator")
        self._num_samples = num_samples
        if not isinstance(self.num_samples, int) or self.num_samples <= 0:
            raise ArgumentError(f"RandomSampler: num_samples: got {self.num_samples}, want >= 1")

    @property
    def num_samples(self) -> int:
        """How many indices an iteration gives."""
        return size_of(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self) -> Iterator[int]:
        n, wanted = size_of(self.data_source), self.num_samples
        rng = stream_of(self.generator, "RandomSampler: generator")
        if self.replacement:
            return iter(rng.integers(0, n, wanted).tolist())
        orders = (rng.permutation(n).tolist() for _ in range(-(-wanted // n)))
        return itertools.islice(itertools.chain.from_iterable(orders), wanted)

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler[int]):
    """The given indices in random order."""

    def __init__(self, indices: Sequence[int], generator: Any = None) -> None:
        self.indices = indices
        self.generator = kept(generator, "SubsetRandomSampler: generator")

    def __iter__(self) -> Iterator[int]:
        rng = stream_of(self.generator, "SubsetRandomSampler: generator")
        return (self.indices[i] for i in rng.permutation(len(self.indices)).tolist())

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler[int]):
    """Indices with probabilities in proportion to `weights`, with replacement unless told not to.

    Raises ArgumentError for negative weights, or fewer weights than are to be drawn without
    replacement.
    """

    def __init__(
        self,
        weights: Sequence[float],
        num_samples: int,
        replacement: bool = True,
        generator: Any = None,
    ) -> None:
        self.weights = np.asarray(weights, np.float64)
        self.num_samples, self.replacement = num_samples, replacement
        self.generator = kept(generator, "WeightedRandomSampler: generator")
        if not isinstance(num_samples, int) or num_samples <= 0:
            raise ArgumentError(f"WeightedRandomSampler: num_samples: got {num_samples}, want >= 1")
        if self.weights.ndim != 1 or not (self.weights >= 0).all() or not self.weights.any():
            raise ArgumentError("WeightedRandomSampler: weights: want a list of numbers >= 0")
        if not replacement and np.count_nonzero(self.weights) < num_samples:
            raise ArgumentError(
                f"WeightedRandomSampler: num_samples: got {num_samples} without replacement, of"
                f" {np.count_nonzero(self.weights)} with a weight"
            )

    def __iter__(self) -> Iterator[int]:
        rng = stream_of(self.generator, "WeightedRandomSampler: generator")
        p = self.weights / self.weights.sum()
        return iter(rng.choice(len(p), self.num_samples, self.replacement, p).tolist())

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler[list[int]]):
    """Lists of `batch_size` indices of another sampler; `drop_last` leaves out a shorter last."""

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool) -> None:
        if not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size <= 0:
            raise ArgumentError(f"BatchSampler: batch_size: got {batch_size!r}, want an int >= 1")
        if not isinstance(drop_last, bool):
            raise ArgumentError(f"BatchSampler: drop_last: got {drop_last!r}, want a bool")
        self.sampler, self.batch_size, self.drop_last = sampler, batch_size, drop_last

    def __iter__(self) -> Iterator[list[int]]:
        indices = iter(self.sampler)
        while batch := list(itertools.islice(indices, self.batch_size)):
            if len(batch) == self.batch_size or not self.drop_last:
                yield batch

    def __len__(self) -> int:
        n = size_of(self.sampler)
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)
