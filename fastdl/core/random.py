"""The library's random generators: a seed and how far its stream of numbers has been used.

Every random number is a function of a seed and a counter (Philox 4x32-10), so a generator holds
nothing else, numbers do not depend on the number of threads, and an op that used some can make
them again (dropout, in its backward pass).
"""

from __future__ import annotations

import secrets
import threading
from typing import Any

import numpy as np

from .errors import ArgumentError, DTypeError

_LIMIT = 1 << 64


class Generator:
    """A stream of random numbers, as torch.Generator (the numbers are not torch's).

    Without a seed it starts from one of the operating system's.
    """

    def __init__(self, device: Any = "cpu") -> None:
        self._lock = threading.Lock()
        self._seed, self._offset = secrets.randbits(63), 0

    def manual_seed(self, seed: int) -> Generator:
        """Starts the stream of a seed, an int that fits in 64 bits."""
        try:
            value = int(seed)
        except (TypeError, ValueError):
            raise DTypeError(f"manual_seed: got {type(seed).__name__}, want an int") from None
        if not -_LIMIT // 2 <= value < _LIMIT:
            raise ArgumentError(f"manual_seed: got {seed}, want an int of 64 bits")
        with self._lock:
            self._seed, self._offset = value % _LIMIT, 0
        return self

    def seed(self) -> int:
        """Starts the stream of a seed that nobody can foretell, and returns it."""
        seed = secrets.randbits(63)
        self.manual_seed(seed)
        return seed

    def initial_seed(self) -> int:
        """The seed of the stream."""
        return self._seed

    def get_state(self) -> np.ndarray:
        """The seed and the place in its stream, as 16 bytes."""
        with self._lock:
            return np.array([self._seed, self._offset], np.uint64).view(np.uint8)

    def set_state(self, new_state: Any) -> Generator:
        """Goes to a place that `get_state` returned; ArgumentError for anything else."""
        state = np.asarray(getattr(new_state, "_array", new_state))
        if state.dtype != np.uint8 or state.shape != (16,):
            raise ArgumentError("set_state: want the 16 bytes that get_state returned")
        with self._lock:
            self._seed, self._offset = map(int, np.ascontiguousarray(state).view(np.uint64))
        return self

    def __getstate__(self) -> tuple[int, int]:
        return self._seed, self._offset

    def __setstate__(self, state: tuple[int, int]) -> None:
        self._lock = threading.Lock()
        self._seed, self._offset = state

    def take(self, numbers: int) -> tuple[int, int]:
        """The seed, and the first counter of enough of them for so many numbers of 64 bits.

        A group of 16 counters makes 32 of these, or 64 of 32 bits.
        """
        with self._lock:
            offset = self._offset
            self._offset = (offset + -(-numbers // 32) * 16) % _LIMIT
            return self._seed, offset

    def numpy(self) -> np.random.Generator:
        """A NumPy generator that starts from the next counter."""
        return np.random.default_rng(self.take(1))


default_generator = Generator()


def manual_seed(seed: int) -> Generator:
    """Starts the library's random generator from a seed: all that is random repeats exactly."""
    return default_generator.manual_seed(seed)


def generator() -> np.random.Generator:
    """A NumPy generator that takes its seed from the library's, for what has no kernel."""
    return default_generator.numpy()
