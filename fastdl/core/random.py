"""The library's random generator, for initial weights and shuffling."""

from __future__ import annotations

import numpy as np

_generator = np.random.default_rng()


def manual_seed(seed: int) -> None:
    """Starts the library's random generator from a seed (weights and shuffling repeat exactly)."""
    global _generator  # noqa: PLW0603 (one generator for the library is the point)
    _generator = np.random.default_rng(seed)


def generator() -> np.random.Generator:
    """The library's random generator."""
    return _generator
