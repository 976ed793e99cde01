"""Random fills and dropout, a group of 16 counters of Philox 4x32-10 at a time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...spec import kernel
from ._jit import inline, jit, split
from ._layout import dense

_NANOSECONDS = 3.0  # a number


@inline
def _philox(counter: Any, key: Any, words: Any, c: Any) -> None:
    """words[j, c] = word j of a counter."""
    low = np.uint64(0xFFFFFFFF)
    half = np.uint64(32)
    a, b = counter & low, counter >> half
    x, y = np.uint64(0), np.uint64(0)
    k, m = key & low, key >> half
    for _ in range(10):
        p, q = a * np.uint64(0xD2511F53), x * np.uint64(0xCD9E8D57)
        a, b, x, y = (q >> half) ^ b ^ k, q & low, (p >> half) ^ y ^ m, p & low
        k = (k + np.uint64(0x9E3779B9)) & low
        m = (m + np.uint64(0xBB67AE85)) & low
    words[0, c], words[1, c], words[2, c], words[3, c] = a, b, x, y


@jit
def _group(group: int, key: Any, offset: Any, words: Any) -> None:
    for c in range(16):
        _philox(offset + np.uint64(group * 16 + c), key, words, c)


@inline
def _unit32(word: Any) -> Any:
    return np.float64(word >> np.uint64(8)) * 2.0**-24


@inline
def _unit64(high: Any, low: Any) -> Any:
    return np.float64(((high << np.uint64(32)) | low) >> np.uint64(12)) * 2.0**-52


@jit
def _uniform(
    first: int, last: int, y: Any, key: Any, offset: Any, wide: bool, low: float, high: float
) -> None:
    words = np.empty((4, 16), np.uint64)
    for group in range(first, last):
        _group(group, key, offset, words)
        per = 32 if wide else 64
        for i in range(min(per, y.size - group * per)):
            j, c = i // 16, i % 16
            u = _unit64(words[2 * j, c], words[2 * j + 1, c]) if wide else _unit32(words[j, c])
            y[group * per + i] = low + (high - low) * u


@jit
def _normal(
    first: int, last: int, y: Any, key: Any, offset: Any, wide: bool, mean: float, std: float
) -> None:
    words = np.empty((4, 16), np.uint64)
    for group in range(first, last):
        _group(group, key, offset, words)
        per = 32 if wide else 64
        for i in range(min(per, y.size - group * per)):
            j, c = i // 32 * 2, i % 16
            if wide:
                u = _unit64(words[0, c], words[1, c]) + 2.0**-52
                v = _unit64(words[2, c], words[3, c])
            else:
                u, v = _unit32(words[j, c]) + 2.0**-24, _unit32(words[j + 1, c])
            quarters = np.floor(4 * v + 0.5)
            angle = (4 * v - quarters) * (math.pi / 2)
            place = (int(quarters) + (3 if i % 32 >= 16 else 0)) % 4  # sin t = cos(t − π/2)
            z = math.cos(angle) if place % 2 == 0 else math.sin(angle)
            z = -z if place in (1, 2) else z
            y[group * per + i] = mean + std * (math.sqrt(-2 * math.log(u)) * z)


@jit
def _bernoulli(first: int, last: int, p: Any, y: Any, key: Any, offset: Any, wide: bool) -> None:
    words = np.empty((4, 16), np.uint64)
    for group in range(first, last):
        _group(group, key, offset, words)
        for i in range(min(64, y.size - group * 64)):
            w = words[i // 16, i % 16]
            u = np.float64(w) * 2.0**-32 if wide else _unit32(w)
            at = group * 64 + i
            y[at] = 1 if u < p[at] else 0


@jit
def _dropout(
    first: int, last: int, x: Any, y: Any, key: Any, offset: Any, threshold: Any, scale: float
) -> None:
    words = np.empty((4, 16), np.uint64)
    for group in range(first, last):
        _group(group, key, offset, words)
        for i in range(min(64, y.size - group * 64)):
            at = group * 64 + i
            y[at] = x[at] * (scale if words[i // 16, i % 16] >= threshold else 0.0)


def _run(loop: Any, y: np.ndarray, per: int, *args: Any) -> np.ndarray:
    if y.size:
        split(loop, -(-y.size // per), y.size * _NANOSECONDS, *args)
    return y


@kernel("uniform", backend="numba")
def uniform(
    x: np.ndarray, *, low: float, high: float, seed: int, offset: int, dtype: str
) -> np.ndarray:
    """Uniform in [low, high)."""
    y, wide = np.empty(x.shape, x.dtype), dtype == "float64"
    flat = y.reshape(-1)
    words = np.uint64(seed), np.uint64(offset)
    _run(_uniform, flat, 32 if wide else 64, flat, *words, wide, low, high)
    return y


@kernel("normal", backend="numba")
def normal(
    x: np.ndarray, *, mean: float, std: float, seed: int, offset: int, dtype: str
) -> np.ndarray:
    """Normal by Box and Muller."""
    y, wide = np.empty(x.shape, x.dtype), dtype == "float64"
    flat = y.reshape(-1)
    words = np.uint64(seed), np.uint64(offset)
    _run(_normal, flat, 32 if wide else 64, flat, *words, wide, mean, std)
    return y


@kernel("bernoulli", backend="numba")
def bernoulli(p: np.ndarray, *, seed: int, offset: int, dtype: str) -> np.ndarray:
    """1 with probability p."""
    y = np.empty(p.shape, p.dtype)
    flat, words = y.reshape(-1), (np.uint64(seed), np.uint64(offset))
    _run(_bernoulli, flat, 64, dense(p, False).reshape(-1), flat, *words, dtype == "float64")
    return y


@kernel("dropout", backend="numba")
def dropout(x: np.ndarray, *, p: float, seed: int, offset: int, channels_last: bool) -> np.ndarray:
    """x / (1 − p), or nothing."""
    y = np.empty(x.shape, x.dtype)
    if channels_last:
        n, c, h, w = x.shape
        y = np.empty((n, h, w, c), x.dtype).transpose(0, 3, 1, 2)
    flat_x, flat_y = dense(x, channels_last).reshape(-1), dense(y, channels_last).reshape(-1)
    threshold, scale = np.uint64(0 if p == 1 else int(p * 2.0**32)), 1 / (1 - p) if p < 1 else 0.0
    words = np.uint64(seed), np.uint64(offset)
    _run(_dropout, flat_y, 64, flat_x, flat_y, *words, threshold, float(scale))
    return y
