"""Random fills and dropout: csrc/random.cpp, kernels/cpu/random.inc."""

from __future__ import annotations

from typing import Any

from ... import _native
from ...spec import kernel


@kernel("uniform", backend="native", out=True)
def uniform(
    x: Any, *, low: float, high: float, seed: int, offset: int, dtype: str, out: Any = None
) -> Any:
    """Uniform in [low, high)."""
    return _native.uniform(x, low, high, seed, offset, out)


@kernel("normal", backend="native", out=True)
def normal(
    x: Any, *, mean: float, std: float, seed: int, offset: int, dtype: str, out: Any = None
) -> Any:
    """Normal by Box and Muller."""
    return _native.normal(x, mean, std, seed, offset, out)


@kernel("bernoulli", backend="native", out=True)
def bernoulli(p: Any, *, seed: int, offset: int, dtype: str, out: Any = None) -> Any:
    """1 with probability p."""
    return _native.bernoulli(p, seed, offset, out)


@kernel("dropout", backend="native", out=True, direct=True)
def dropout(
    x: Any, *more: Any, p: Any = 0.5, seed: Any = 0, offset: Any = 0, channels_last: Any = None,
    out: Any = None, **unknown: Any,
) -> Any:  # fmt: skip
    """x / (1 − p), or nothing."""
    if more or unknown or not _is_word(seed) or not _is_word(offset):
        return NotImplemented
    return _native.dropout(x, p, seed, offset, channels_last, out)


def _is_word(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 64
