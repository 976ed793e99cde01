"""The library's random generator, for initial weights, shuffling and augmentation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from .errors import DTypeError

_generator = np.random.default_rng()
_scoped: ContextVar[np.random.Generator | None] = ContextVar("fastdl_random", default=None)


def manual_seed(seed: int) -> None:
    """Starts the library's random generator from a seed (weights and shuffling repeat exactly)."""
    global _generator  # noqa: PLW0603 (one generator for the library is the point)
    _generator = np.random.default_rng(seed)


def generator() -> np.random.Generator:
    """The random generator in force: that of the `scoped` block we are in, else the library's."""
    return _scoped.get() or _generator


@contextmanager
def scoped(rng: np.random.Generator) -> Iterator[None]:
    """Within it, in this thread, `generator()` is `rng`: what is drawn depends on nobody else."""
    token = _scoped.set(rng)
    try:
        yield
    finally:
        _scoped.reset(token)


class Generator:
    """A random stream of its own, seeded by the system until `manual_seed`, as torch.Generator."""

    def __init__(self, device: Any = None) -> None:
        self.seed()

    def manual_seed(self, seed: int) -> Generator:
        """Starts the stream from a seed; returns the generator itself."""
        self._seed = int(seed)
        self.stream = np.random.default_rng(self._seed)
        return self

    def initial_seed(self) -> int:
        """The seed that the stream started from."""
        return self._seed

    def seed(self) -> int:
        """Starts the stream from a seed of the system's, and returns that."""
        return self.manual_seed(int(np.random.SeedSequence().generate_state(1, np.uint64)[0]))._seed


def stream_of(generator_: Any, argument: str) -> np.random.Generator:
    """The NumPy generator meant by a Generator, a NumPy one, a seed, or None (the library's)."""
    if generator_ is None:
        return generator()
    if isinstance(generator_, Generator):
        return generator_.stream
    if isinstance(generator_, np.random.Generator):
        return generator_
    if isinstance(generator_, (int, np.integer)):
        return np.random.default_rng(int(generator_))
    raise DTypeError(f"{argument}: got {type(generator_).__name__}, want a Generator or a seed")
