"""Data sets: what has samples by number, what streams them, and ways to put them together.

Names and semantics are torch.utils.data's. A data set that can make a whole batch at once says so
with `_batch(indices)`, a tuple of stacked Tensors, which the loader prefers to collating samples.
"""

from __future__ import annotations

import bisect
import itertools
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

import numpy as np

from ..core.errors import ArgumentError, DTypeError, IndexRangeError, ShapeError
from ..tensor import Tensor
from .random import stream_of
from .transforms import Transform

__all__ = [
    "ChainDataset", "ConcatDataset", "Dataset", "IterableDataset", "StackDataset", "Subset",
    "TensorDataset", "TransformDataset", "random_split",
]  # fmt: skip

T_co = TypeVar("T_co", covariant=True)


class Dataset(Generic[T_co]):
    """Samples by number: a subclass has `__getitem__(index)` and, for most uses, `__len__`.

    With `__getitems__(indices)`, a list of samples, it may also fetch those of a batch together.
    """

    def __getitem__(self, index: Any) -> T_co:
        raise NotImplementedError(f"{type(self).__name__} has no __getitem__")

    def __add__(self, other: Dataset[Any]) -> Any:
        return ConcatDataset([self, other])


class IterableDataset(Dataset[T_co]):
    """A stream of samples: a subclass has `__iter__`."""

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError(f"{type(self).__name__} has no __iter__")

    def __add__(self, other: Dataset[Any]) -> Any:
        return ChainDataset([self, other])  # type: ignore[list-item]


def size_of(dataset: Any) -> int:
    """len(dataset); DTypeError for one that has none."""
    try:
        return len(dataset)
    except TypeError as error:
        raise DTypeError(f"{type(dataset).__name__}: the data set has no len()") from error


class TensorDataset(Dataset[tuple[Tensor, ...]]):
    """Tensors (or NumPy arrays) of one length; sample i is the tuple of their i-th rows.

    Raises ShapeError if their first sizes differ.
    """

    def __init__(self, *tensors: Any) -> None:
        self.tensors = tuple(t if isinstance(t, Tensor) else Tensor(t) for t in tensors)
        sizes = [t.shape[:1] for t in self.tensors]
        if not sizes or () in sizes or len(set(sizes)) > 1:
            raise ShapeError(f"TensorDataset: tensors: got first sizes {sizes}, want one for all")

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(t[index] for t in self.tensors)

    def __len__(self) -> int:
        return len(self.tensors[0])

    def _batch(self, indices: Sequence[int]) -> tuple[Tensor, ...] | None:
        """The rows of `indices` by one gather a tensor; None if a tensor wants gradients."""
        if any(t.requires_grad for t in self.tensors):
            return None
        rows = np.asarray(indices)
        return tuple(Tensor._wrap(t._array[rows]) for t in self.tensors)


class StackDataset(Dataset[Any]):
    """Data sets of one length side by side: samples are tuples, or dicts for named data sets."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if bool(args) == bool(kwargs):
            raise ArgumentError("StackDataset: want data sets either by position or by name")
        self.datasets: Any = args or kwargs
        sizes = {size_of(d) for d in args or kwargs.values()}
        if len(sizes) > 1:
            raise ArgumentError(f"StackDataset: got sizes {sorted(sizes)}, want one for all")
        self._size = sizes.pop()

    def __getitem__(self, index: Any) -> Any:
        if isinstance(self.datasets, dict):
            return {name: d[index] for name, d in self.datasets.items()}
        return tuple(d[index] for d in self.datasets)

    def __len__(self) -> int:
        return self._size


class ConcatDataset(Dataset[T_co]):
    """Data sets one after the other. Raises ArgumentError for none, DTypeError for a stream."""

    def __init__(self, datasets: Iterable[Dataset[T_co]]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise ArgumentError("ConcatDataset: datasets: got none")
        if any(isinstance(d, IterableDataset) for d in self.datasets):
            raise DTypeError("ConcatDataset: datasets: got an IterableDataset; use ChainDataset")
        self.cumulative_sizes = list(itertools.accumulate(size_of(d) for d in self.datasets))

    def __getitem__(self, index: Any) -> T_co:
        size, i = len(self), int(index)
        if not -size <= i < size:
            raise IndexRangeError(f"ConcatDataset: index: got {i}, want less than {size}")
        i %= size
        which = bisect.bisect_right(self.cumulative_sizes, i)
        return self.datasets[which][i - (self.cumulative_sizes[which - 1] if which else 0)]

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]


class ChainDataset(IterableDataset[T_co]):
    """Streams one after the other."""

    def __init__(self, datasets: Iterable[IterableDataset[T_co]]) -> None:
        self.datasets = list(datasets)
        if not all(isinstance(d, IterableDataset) for d in self.datasets):
            raise DTypeError("ChainDataset: datasets: want IterableDatasets only")

    def __iter__(self) -> Iterator[T_co]:
        return itertools.chain.from_iterable(self.datasets)

    def __len__(self) -> int:
        return sum(size_of(d) for d in self.datasets)


class Subset(Dataset[T_co]):
    """The samples of a data set at `indices`, in their order."""

    def __init__(self, dataset: Dataset[T_co], indices: Sequence[int]) -> None:
        self.dataset, self.indices = dataset, indices

    def __getitem__(self, index: Any) -> T_co:
        return self.dataset[self.indices[index]]

    def __getitems__(self, indices: Sequence[int]) -> list[T_co]:
        chosen = [self.indices[i] for i in indices]
        many = getattr(self.dataset, "__getitems__", None)
        return many(chosen) if many else [self.dataset[i] for i in chosen]

    def __len__(self) -> int:
        return len(self.indices)

    def _batch(self, indices: Sequence[int]) -> Any:
        """As the whole data set's batch; None if it has none."""
        whole = batch_maker(self.dataset)
        return whole([self.indices[i] for i in indices]) if whole else None


class TransformDataset(Dataset[Any]):
    """A data set whose samples (or only their first part, for tuples) go through `transform`.

    Transforms of `fastdl.data.transforms` are applied to whole batches at once where the data set
    can make these. `target_transform` is applied to the second part of each sample.
    """

    def __init__(
        self,
        dataset: Any,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
    ) -> None:
        self.dataset, self.transform, self.target_transform = dataset, transform, target_transform

    def __getitem__(self, index: Any) -> Any:
        sample = self.dataset[index]
        if not isinstance(sample, tuple):
            return self.transform(sample) if self.transform else sample
        functions = (self.transform, self.target_transform)
        changed = (f(part) if f else part for f, part in zip(functions, sample, strict=False))
        return (*changed, *sample[2:])

    def __len__(self) -> int:
        return size_of(self.dataset)

    def _batch(self, indices: Sequence[int]) -> Any:
        """The transformed batch; None unless everything here works on batches."""
        whole = batch_maker(self.dataset)
        if whole is None or self.target_transform or not isinstance(self.transform, Transform):
            return None
        parts = whole(indices)
        return parts and (self.transform.batch(parts[0]), *parts[1:])


def batch_maker(dataset: Any) -> Callable[[Sequence[int]], Any] | None:
    """The data set's own `_batch`, unless a subclass has changed what a sample is since."""
    for kind in type(dataset).__mro__:
        if "_batch" in vars(kind):
            make: Callable[[Sequence[int]], Any] = dataset._batch
            return make
        if "__getitem__" in vars(kind) or "__getitems__" in vars(kind):
            return None
    return None


def random_split(
    dataset: Any, lengths: Sequence[int | float], generator: Any = None
) -> list[Subset[Any]]:
    """Subsets of a data set at random, without overlap.

    Args:
        dataset: what is split.
        lengths: the sizes of the parts, or fractions that add up to 1 (sizes are rounded down, and
            what remains is dealt out one by one).
        generator: a Generator or a seed; the library's generator if left out.

    Raises ArgumentError unless the sizes add up to the data set's. As torch's.
    """
    total, sizes = size_of(dataset), list(lengths)
    if math.isclose(sum(sizes), 1) and sum(sizes) <= 1:
        if any(not 0 <= fraction <= 1 for fraction in sizes):
            raise ArgumentError(f"random_split: lengths: got {sizes}, want fractions from 0 to 1")
        sizes = [math.floor(total * fraction) for fraction in sizes]
        for i in range(total - int(sum(sizes))):
            sizes[i % len(sizes)] += 1
        if 0 in sizes:
            warnings.warn(f"random_split: part {sizes.index(0)} is empty", stacklevel=2)
    if sum(sizes) != total:
        raise ArgumentError(f"random_split: lengths: got {sizes}, which do not add up to {total}")
    order = stream_of(generator, "random_split: generator").permutation(total).tolist()
    ends = list(itertools.accumulate(int(n) for n in sizes))
    return [Subset(dataset, order[end - int(n) : end]) for end, n in zip(ends, sizes, strict=True)]
