"""Where data takes its random numbers from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from ..core import random
from ..core.errors import DTypeError

__all__ = ["rng"]

_scoped: ContextVar[np.random.Generator | None] = ContextVar("fastdl_data_rng", default=None)


def rng() -> np.random.Generator:
    """The NumPy generator for what is random in a sample, such as its augmentation.

    While a DataLoader makes a batch it is that batch's own, which depends on the loader's seed, the
    epoch and the batch's number; elsewhere it is the library's (`fastdl.manual_seed`).
    """
    return _scoped.get() or random.generator()


@contextmanager
def scoped(own: np.random.Generator) -> Iterator[None]:
    """Within it, in this thread, `rng()` is `own`."""
    token = _scoped.set(own)
    try:
        yield
    finally:
        _scoped.reset(token)


def stream_of(generator: Any, argument: str) -> np.random.Generator:
    """The NumPy generator meant by a NumPy or fastdl Generator, a seed, or None (the library's)."""
    if generator is None:
        return random.generator()
    if isinstance(generator, np.random.Generator):
        return generator
    if isinstance(generator, (int, np.integer)):
        return np.random.default_rng(int(generator))
    if not hasattr(generator, "manual_seed"):
        raise DTypeError(f"{argument}: got {type(generator).__name__}, want a Generator or a seed")
    return generator.numpy()


def kept(generator: Any, argument: str) -> Any:
    """The generator for many epochs: a seed must not begin the same order anew in each."""
    return generator if hasattr(generator, "manual_seed") or generator is None else (
        stream_of(generator, argument)
    )  # fmt: skip
