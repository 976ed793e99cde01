"""Random fills and dropout, of the words of Philox 4x32-10 (Salmon et al., 2011)."""

from __future__ import annotations

from typing import Any

import numpy as np

_LOW = np.uint64(0xFFFFFFFF)
_MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL = 0x9E3779B9, 0xBB67AE85


def philox(counters: np.ndarray, seed: int) -> list[np.ndarray]:
    """The four 32-bit words of each 64-bit counter, under a 64-bit key."""
    half = np.uint64(32)
    a, b = counters & _LOW, counters >> half
    c = d = np.zeros_like(counters)
    key = [seed & 0xFFFFFFFF, seed >> 32]
    for _ in range(10):
        p, q = a * _MULTIPLIERS[0], c * _MULTIPLIERS[1]
        a, b, c, d = ((q >> half) ^ b ^ np.uint64(key[0]), q & _LOW,
                      (p >> half) ^ d ^ np.uint64(key[1]), p & _LOW)  # fmt: skip
        key = [(k + w) & 0xFFFFFFFF for k, w in zip(key, _WEYL, strict=True)]
    return [a, b, c, d]


def _groups(count: int, numbers: int, seed: int, offset: int) -> np.ndarray:
    """words[group, 4, 16] of as many groups of 16 counters as `count` numbers need."""
    groups = -(-count // numbers)
    counters = np.arange(groups * 16, dtype=np.uint64) + np.uint64(offset)
    return np.stack(philox(counters, seed)).reshape(4, groups, 16).transpose(1, 0, 2)


def words(count: int, seed: int, offset: int) -> np.ndarray:
    """Numbers of 32 bits: word 0 of 16 counters, word 1 of them, ..., then the next 16."""
    return _groups(count, 64, seed, offset).reshape(-1)[:count]


def pairs(count: int, seed: int, offset: int) -> np.ndarray:
    """Numbers of 64 bits: words 0 and 1 of 16 counters, words 2 and 3, then the next 16."""
    w = _groups(count, 32, seed, offset).reshape(-1, 2, 2, 16)
    return ((w[:, :, 0] << np.uint64(32)) | w[:, :, 1]).reshape(-1)[:count]


def _units(count: int, seed: int, offset: int, dtype: str, compute: Any) -> Any:
    """Numbers of [0, 1) in steps of 2^-24, or 2^-52 for float64, exact in `compute`."""
    if dtype == "float64":
        bits = pairs(count, seed, offset) >> np.uint64(12)
        return bits.astype(compute) * compute.type(2.0**-52)
    return (words(count, seed, offset) >> np.uint64(8)).astype(compute) * compute.type(2.0**-24)


def uniform(x: Any, *, low: float, high: float, seed: int, offset: int, dtype: str) -> Any:
    """y = low + (high − low)·u; of x only the shape counts."""
    u = _units(x.size, seed, offset, dtype, x.dtype).reshape(x.shape)
    wide = x.dtype.type
    return wide(low) + (wide(high) - wide(low)) * u


def deviates(shape: tuple[int, ...], compute: Any, seed: int, offset: int, dtype: str) -> Any:
    """Standard normal numbers √(−2 ln u)·(cos, sin)(2πv) (Box and Muller, 1958)."""
    count = int(np.prod(shape))
    numbers = 32 if dtype == "float64" else 64
    units = _units(-(-count // numbers) * numbers, seed, offset, dtype, compute)
    u, v = np.moveaxis(units.reshape(-1, 2, 16), 1, 0)
    step = compute.type(2.0**-52 if dtype == "float64" else 2.0**-24)
    radius = np.sqrt(-2 * np.log(u + step))
    quarters = np.round(4 * v)  # taken off exactly, so that 0 and 1 are met
    angle = (4 * v - quarters) * (2 * np.arctan(compute.type(1)))
    sines, cosines = np.sin(angle), np.cos(angle)
    turned = np.choose(quarters.astype(int) % 4, [cosines, -sines, -cosines, sines])
    along = np.choose(quarters.astype(int) % 4, [sines, cosines, -sines, -cosines])
    z = np.stack([radius * turned, radius * along], 1)
    return z.reshape(-1)[:count].reshape(shape)


def normal(x: Any, *, mean: float, std: float, seed: int, offset: int, dtype: str) -> Any:
    """y = mean + std·z; of x only the shape counts."""
    return mean + std * deviates(x.shape, x.dtype, seed, offset, dtype)


def bernoulli(p: Any, *, seed: int, offset: int, dtype: str) -> Any:
    """y = 1 with probability p."""
    w = words(p.size, seed, offset).reshape(p.shape)
    bits = 32 if dtype == "float64" else 24
    u = (w >> np.uint64(32 - bits)).astype(p.dtype) * p.dtype.type(2.0**-bits)
    return (u < p).astype(p.dtype)


def kept(shape: tuple[int, ...], p: float, seed: int, offset: int, channels_last: bool) -> Any:
    """Which elements dropout keeps: those whose word is at least p·2^32, in order of memory."""
    if channels_last:
        n, c, h, w = shape
        return kept((n, h, w, c), p, seed, offset, False).transpose(0, 3, 1, 2)
    return (words(int(np.prod(shape)), seed, offset) >= int(p * 2.0**32)).reshape(shape)


def dropout(x: Any, *, p: float, seed: int, offset: int, channels_last: bool) -> Any:
    """y = x / (1 − p) where kept, x·0 elsewhere."""
    factor = kept(x.shape, p, seed, offset, channels_last).astype(x.dtype)
    return x * (factor / (1 - x.dtype.type(p)) if p < 1 else factor * 0)
