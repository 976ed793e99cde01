"""`DataLoader`: batches in order, made ahead of time by threads if asked."""

from __future__ import annotations

import contextvars
import functools
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..core.errors import ArgumentError, DTypeError, ShapeError
from ..functional import cat
from ..tensor import Tensor
from .dataset import IterableDataset, batch_maker, size_of
from .random import kept, scoped, stream_of
from .sampler import BatchSampler, RandomSampler, SequentialSampler

__all__ = ["DataLoader", "default_collate", "default_convert", "get_worker_info"]

_END = object()  # what a stream's last batch is followed by


def default_collate(batch: Sequence[Any]) -> Any:
    """Samples as one batch: what is a Tensor, an array or a number gets a new first dimension.

    Numbers become int64 and float64 tensors, strings stay strings; tuples and lists become lists,
    and mappings and named tuples themselves, of collated parts. Raises DTypeError for other types,
    ShapeError for samples of different lengths or shapes. As torch's.
    """
    first = batch[0]
    if isinstance(first, (Tensor, np.ndarray, np.generic)) and not isinstance(first, str):
        return _stacked(batch)
    if isinstance(first, (bool, int, float)):
        return Tensor(np.asarray(batch, type(first)))
    if isinstance(first, (str, bytes)):
        return batch
    if isinstance(first, Mapping):
        return _like(first, {key: default_collate([d[key] for d in batch]) for key in first})
    if not isinstance(first, Sequence):
        raise DTypeError(
            f"default_collate: got {type(first).__name__}, want arrays, numbers, dicts"
        )
    if len({len(sample) for sample in batch}) > 1:
        raise ShapeError("default_collate: the samples of a batch differ in length")
    return _like(first, [default_collate(parts) for parts in zip(*batch, strict=True)])


def default_convert(data: Any) -> Any:
    """NumPy arrays, wherever they are in it, as Tensors; the rest unchanged. As torch's."""
    if isinstance(data, (np.ndarray, np.generic)):
        return data if isinstance(data, str) or data.dtype.kind in "SUO" else Tensor(data)
    if isinstance(data, Mapping):
        return _like(data, {key: default_convert(value) for key, value in data.items()})
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return _like(data, [default_convert(value) for value in data])
    return data


def _stacked(batch: Sequence[Any]) -> Tensor:
    shapes = {x.shape for x in batch}
    if len(shapes) > 1:
        raise ShapeError(f"default_collate: a batch of shapes {sorted(shapes)}, want one for all")
    if any(isinstance(x, Tensor) and x.requires_grad for x in batch):
        return cat([x[None] for x in batch])
    arrays = [x._array if isinstance(x, Tensor) else x for x in batch]
    (shape,) = shapes  # np.stack would make a view of each first, at a microsecond a sample
    return Tensor(np.concatenate(arrays).reshape(len(batch), *shape) if shape else np.array(arrays))


def _like(example: Any, parts: Any) -> Any:
    """`parts` in the type of `example`; in a dict or a list where that type has its own mind."""
    kind = type(example)
    if hasattr(example, "_fields"):
        return kind(*parts)
    if isinstance(example, tuple) or kind in (dict, list):
        return parts
    try:
        return kind(parts)
    except TypeError:
        return parts


def get_worker_info() -> None:
    """None: workers are threads that share the data set, so none has a part of it to itself."""
    return


class DataLoader:
    """Batches of a data set, in the sampler's order, whatever the number of workers.

    Args:
        dataset: a Dataset, an IterableDataset, or anything with [] and len().
        batch_size: samples a batch; None gives single samples.
        shuffle: a new random order in each epoch.
        sampler: indices in another order; batch_sampler: lists of them.
        num_workers: threads that make batches ahead of time (one is enough for a stream). Arrays
            are shared with them, not copied.
        collate_fn: makes a batch of a list of samples (`default_collate`).
        drop_last: leave out a last batch that is not full.
        timeout: most seconds to wait for a batch of a worker, then TimeoutError; 0 waits for ever.
        worker_init_fn: called with the number of each worker when an epoch starts.
        generator: a Generator or a seed for the order and for all that is drawn while samples are
            made; the library's generator if left out.
        prefetch_factor: batches made ahead, a worker (2).
        pin_memory, multiprocessing_context, persistent_workers: accepted, without effect.

    What a sample draws from `fastdl.data.rng()`, as the transforms do, depends only on the seed,
    the epoch and the number of its batch. An exception in a worker is raised where the
    loader is iterated, with its own traceback. Leaving the loop early ends the workers.
    Raises ArgumentError for options that exclude each other. As torch.utils.data.DataLoader.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[int] | None = None,
        batch_sampler: Iterable[Sequence[int]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,
        generator: Any = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
    ) -> None:
        self._streams = isinstance(dataset, IterableDataset)
        if self._streams and (shuffle or sampler is not None or batch_sampler is not None):
            raise _error("an IterableDataset has an order of its own: no shuffle, no sampler")
        if sampler is not None and shuffle:
            raise _error("sampler excludes shuffle")
        if batch_sampler is not None and (
            batch_size != 1 or shuffle or sampler is not None or drop_last
        ):
            raise _error("batch_sampler excludes batch_size, shuffle, sampler and drop_last")
        if batch_size is None and drop_last:
            raise _error("drop_last needs a batch_size")
        if not isinstance(num_workers, int) or num_workers < 0:
            raise _error(f"num_workers: got {num_workers!r}, want an int >= 0")
        if timeout < 0:
            raise _error(f"timeout: got {timeout}, want seconds >= 0")
        if prefetch_factor is not None and (num_workers == 0 or prefetch_factor < 1):
            raise _error(f"prefetch_factor: got {prefetch_factor}, want >= 1, with num_workers")
        self.dataset, self.num_workers, self.drop_last = dataset, num_workers, drop_last
        self.timeout, self.worker_init_fn, self.pin_memory = timeout, worker_init_fn, pin_memory
        self.prefetch_factor = prefetch_factor or (2 if num_workers else None)
        self.generator = kept(generator, "DataLoader: generator")
        self.batch_size = None if batch_sampler is not None else batch_size
        self._batches = batch_size is not None
        if sampler is None and not self._streams:
            sampler = (
                RandomSampler(dataset, generator=self.generator)
                if shuffle and size_of(dataset)
                else SequentialSampler(dataset)
            )
        if batch_sampler is None and sampler is not None and batch_size is not None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.sampler, self.batch_sampler = sampler, batch_sampler
        self.collate_fn = collate_fn or (default_collate if self._batches else default_convert)

    def __len__(self) -> int:
        if not self._streams:
            return size_of(self._order())
        n, size = size_of(self.dataset), self.batch_size or 1
        return n // size if self.drop_last else -(-n // size)

    def __iter__(self) -> Iterator[Any]:
        seed = int(stream_of(self.generator, "DataLoader: generator").integers(2**63))
        calls: Iterator[Callable[[], Any]]
        if self._streams:
            stream = _Stream(iter(self.dataset), self.batch_size, self.drop_last, self.collate_fn)
            calls = (functools.partial(_seeded, seed, i, stream) for i in itertools.count())
        else:
            calls = (
                functools.partial(_seeded, seed, i, self._fetch, index)
                for i, index in enumerate(self._order())
            )
        if not self.num_workers:
            return itertools.takewhile(lambda batch: batch is not _END, (call() for call in calls))
        return self._prefetched(calls)

    def _order(self) -> Any:
        return self.batch_sampler if self._batches else self.sampler

    def _fetch(self, index: Any) -> Any:
        """The batch of a list of indices, or one sample."""
        if not self._batches:
            return self.collate_fn(self.dataset[index])
        if self.collate_fn is default_collate and (whole := batch_maker(self.dataset)):
            parts = whole(index)
            if parts is not None:
                return list(parts)
        many = getattr(self.dataset, "__getitems__", None)
        return self.collate_fn(many(index) if many else [self.dataset[i] for i in index])

    def _prefetched(self, calls: Iterator[Callable[[], Any]]) -> Iterator[Any]:
        """The calls' results in order, made by threads a bounded number of calls ahead."""
        from concurrent.futures import Future, ThreadPoolExecutor, wait

        workers = 1 if self._streams else self.num_workers
        if self.worker_init_fn:
            for number in range(workers):
                self.worker_init_fn(number)
        waiting: deque[Future[Any]] = deque()
        pool, late = ThreadPoolExecutor(workers, "fastdl-loader"), False
        try:
            while True:
                ahead = workers * (self.prefetch_factor or 1) - len(waiting)
                for call in itertools.islice(calls, ahead):
                    # A context of its own: no_grad and use_backend hold in workers as outside.
                    waiting.append(pool.submit(contextvars.copy_context().run, call))
                if not waiting:
                    return
                future = waiting.popleft()
                if not wait([future], self.timeout or None).done:
                    late = True
                    raise TimeoutError(f"DataLoader: no batch within {self.timeout} seconds")
                batch = future.result()
                if batch is _END:
                    return
                yield batch
        finally:  # also when the loop around us is left early, or by Ctrl-C
            pool.shutdown(wait=not late, cancel_futures=True)


class _Stream:
    """Calls give the batches of an iterator, then `_END` for ever."""

    def __init__(
        self, samples: Iterator[Any], size: int | None, drop_last: bool, collate: Any
    ) -> None:
        self.samples, self.size, self.drop_last, self.collate = samples, size, drop_last, collate

    def __call__(self) -> Any:
        batch = list(itertools.islice(self.samples, self.size or 1))
        if not batch or (self.drop_last and len(batch) < (self.size or 1)):
            self.samples = iter(())
            return _END
        return self.collate(batch[0] if self.size is None else batch)


def _seeded(seed: int, number: int, call: Callable[..., Any], *args: Any) -> Any:
    """A call with a random generator that depends on the epoch's seed and the batch's number."""
    with scoped(np.random.default_rng((seed, number))):
        return call(*args)


def _error(message: str) -> ArgumentError:
    return ArgumentError(f"DataLoader: {message}")
