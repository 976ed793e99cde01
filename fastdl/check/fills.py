"""What the judge fills float arrays with: the families of inputs where errors hide."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import numpy as np

from ..core.dtypes import as_dtype, finfo

Fill = Callable[[np.random.Generator, tuple[int, ...], np.dtype], np.ndarray]


def seeded(*parts: object) -> np.random.Generator:
    """A generator that depends on the parts only, so any single case can be replayed."""
    return np.random.default_rng([zlib.crc32(str(part).encode()) for part in parts])


def _of(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.asarray(values).astype(dtype, order="C")


def _exact(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray | None:
    """Integer dtypes have one filling: small numbers of all signs, or booleans."""
    if dtype.kind == "b":
        return rng.random(shape) < 0.5
    if dtype.kind in "iu":
        low = 0 if dtype.kind == "u" else -100
        return rng.integers(low, 101, shape).astype(dtype)
    return None


def normal(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Standard normal with full mantissas: shows a silent loss of precision."""
    exact = _exact(rng, shape, dtype)
    return exact if exact is not None else _of(rng.standard_normal(shape), dtype)


def moderate(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Magnitudes in [0.5, 2), no two alike: far from poles, kinks and ties of maxima."""
    exact = _exact(rng, shape, dtype)
    if exact is not None:
        return exact
    size = int(np.prod(shape))
    # Where the grid begins is drawn too, so that two arrays have no element in common either.
    grid = 0.5 + 1.5 * (rng.permutation(size).reshape(shape) + rng.random()) / max(size, 1)
    return _of(grid * rng.choice((-1.0, 1.0), shape), dtype)


def integers(terms: int, most_bits: int | None = None, sums: str | None = None) -> Fill:
    """Non-zero integers whose products sum exactly, of as many bits as that, or a kernel, has.

    `sums`: the dtype of the sums, if wider than the array's: most of them are rounded in the end.
    """

    def fill(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        exact = _exact(rng, shape, dtype)
        if exact is not None:
            return exact
        digits = finfo(dtype).nmant + 1
        bits = min(finfo(as_dtype(sums)).nmant + 1, finfo(dtype).maxexp - 1) if sums else digits
        most = int(np.sqrt(2.0**bits / max(terms, 1)))
        most = max(1, min(most, 2 ** min((bits - 1) // 2, digits, most_bits or bits)))
        return _of(rng.integers(1, most + 1, shape) * rng.choice((-1, 1), shape), dtype)

    return fill


def near_constant(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """A mean of 1, 100 or 1000 with deviation 3e-3: cancellation in variances and differences."""
    mean = rng.choice((1.0, 100.0, 1000.0))
    return _of(mean + 3e-3 * rng.standard_normal(shape), dtype)


def cancelling(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Every second element almost cancels the one before it."""
    x = rng.standard_normal(shape).reshape(-1)
    x[1::2] = -x[: len(x) - 1 : 2] * (1 + 1e-5 * rng.standard_normal(len(x[1::2])))
    return _of(x.reshape(shape), dtype)


def mixed_scales(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Magnitudes from 2^-30 to 2^30 side by side."""
    return _of(np.ldexp(rng.standard_normal(shape), rng.integers(-30, 31, shape)), dtype)


def denormals(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Denormal numbers among ordinary ones: flush-to-zero shows."""
    small = rng.standard_normal(shape).astype(dtype) * finfo(dtype).tiny
    return np.where(rng.random(shape) < 0.7, small, _of(rng.standard_normal(shape), dtype))


def zeros(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Zeros of both signs among ordinary numbers."""
    zero = rng.choice((0.0, -0.0), shape)
    return _of(np.where(rng.random(shape) < 0.7, zero, rng.standard_normal(shape)), dtype)


def specials(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """A few NaN and infinities, one always in the last place: tails and lanes must carry them."""
    x = _of(rng.standard_normal(shape), dtype).reshape(-1)
    if x.size:
        where = rng.random(x.size) < 0.02
        where[-1] = True
        x[where] = rng.choice((np.nan, np.inf, -np.inf), int(where.sum()))
    return x.reshape(shape)


def bit_patterns(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Any bit pattern at all: every exponent, denormals, infinities and NaN."""
    words = rng.integers(0, 256, (*shape, dtype.itemsize), dtype=np.uint8)
    return words.view(dtype).reshape(shape)


def hard_places(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Within four numbers of where functions of one variable turn, overflow, underflow or saturate.

    Multiples of π/2 up to 2^24, halves of whole numbers, 1, 2^digits, and for exp, exp2, tanh, erf
    and their kin the arguments from which on the result is another (denormal, 0, 1, infinity).
    """
    if dtype.kind != "f":
        return normal(rng, shape, dtype)
    info = finfo(dtype)
    digits = info.nmant + 1
    log2s = [info.maxexp, info.minexp, info.minexp - info.nmant, info.minexp - digits, -digits]
    places = np.concatenate([
        [1, 2.0**info.nmant, 2.0**digits, float(info.max), float(info.tiny)], log2s,
        np.log(2) * np.array(log2s), np.log10(2) * np.array(log2s),
        np.sqrt(np.log(2) * np.abs(log2s)), np.log(2) / 2 * np.array(log2s),
    ])  # fmt: skip
    whole = np.floor(2.0 ** rng.uniform(0, min(24, info.maxexp - 1), shape))
    chosen = np.choose(
        rng.integers(0, 3, shape), [rng.choice(places, shape), whole * np.pi / 2, whole - 0.5]
    )
    x = _of(chosen * rng.choice((-1, 1), shape), dtype)
    words = np.dtype(f"i{dtype.itemsize}")
    x = _of((x.view(words) + rng.integers(-4, 5, shape).astype(words)).view(dtype), dtype)
    # No infinities: one times a sigmoid that underflows is NaN in the kernel's dtype alone.
    return np.where(np.isfinite(x), x, info.max).astype(dtype)


HARD: dict[str, Fill] = {
    "near-constant": near_constant,
    "cancelling": cancelling,
    "mixed scales": mixed_scales,
    "denormals": denormals,
    "zeros": zeros,
    "specials": specials,
}
