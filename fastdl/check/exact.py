"""Sums of products in more than longdouble: what float64 kernels are judged against.

Every operand is cut into slices on grids of powers of two, coarse enough that all products of two
slices, and their sums in any order, are exact in longdouble (Ozaki, Ogita, Oishi, Rump: Error-free
transformations of matrix multiplication, 2012). So the op's own reference, run on each pair of
slices, rounds nothing, which the floating-point unit itself confirms by its inexact flag. The
results are added up in two longdoubles, without error but for some u² (Ogita, Rump, Oishi:
Accurate sum and dot product, 2005).
"""

from __future__ import annotations

import ctypes
import math
import platform
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..spec import OpSpec, gamma

MOST_SLICES = 3  # of an operand; what they do not hold is multiplied and summed in longdouble
MOST_ELEMENTS = 1 << 16  # of all operands and results together; larger cases take too long
UNIT = float(np.finfo(np.longdouble).eps) / 2
_DIGITS = int(np.finfo(np.longdouble).nmant) + 1
_LIBM = ctypes.CDLL(None)
_INEXACT = 0x10 if platform.machine() == "aarch64" else 0x20

Arrays = tuple[Any, ...]


class Sums(NamedTuple):
    """high + low is the exact result, but for `error`; a tuple of outputs each."""

    high: Arrays
    low: Arrays
    error: Arrays


def exact_sums(
    spec: OpSpec, wide: Sequence[Any], options: Mapping[str, Any], terms: int
) -> Sums | None:
    """The op's result on longdouble operands that hold float64 numbers.

    None where it has no such result: special values, an op that is not made of plain sums and
    products of two operands, or a reference that rounds (the division of a mean).
    """
    floats = [i for i, a in enumerate(wide) if isinstance(a, np.ndarray) and a.dtype.kind == "f"]
    if not floats or not all(np.isfinite(wide[i]).all() for i in floats):
        return None

    def reference(values: dict[int, np.ndarray]) -> Arrays:
        arrays = [values.get(i, np.zeros_like(a)) if i in floats else a for i, a in enumerate(wide)]
        return tuple(map(np.asarray, spec.run_reference(arrays, options)))

    alone = [i for i in floats if any(y.any() for y in reference({i: np.ones_like(wide[i])}))]
    pair = [i for i in floats if i not in alone]
    if len(pair) not in (0, 2):
        return None
    room = _DIGITS - math.ceil(math.log2(max(terms, 1)))
    parts: list[Arrays] = []
    errors: list[Arrays] = []

    def inexact(values: dict[int, np.ndarray]) -> None:
        parts.append(reference(values))
        magnitudes = reference({i: np.abs(a) for i, a in values.items()})
        errors.append(tuple(gamma(terms, UNIT) * np.abs(y) for y in magnitudes))

    for i in alone:
        *slices, rest = _sliced(wide[i], room)
        _LIBM.feclearexcept(_INEXACT)
        parts += [reference({i: a}) for a in slices]
        if _rounded():
            return None
        if rest.any():
            inexact({i: rest})
    if pair:
        a, b = pair
        *first, rest_a = _sliced(wide[a], room // 2)
        *second, rest_b = _sliced(wide[b], room // 2)
        _LIBM.feclearexcept(_INEXACT)
        parts += [reference({a: x, b: y}) for x in first for y in second]
        if _rounded():
            return None
        if rest_a.any():
            inexact({a: rest_a, b: wide[b]})
        if rest_b.any():
            inexact({a: wide[a] - rest_a, b: rest_b})
    sums = [_added(list(column)) for column in zip(*parts, strict=True)]
    high, low, own = (tuple(column) for column in zip(*sums, strict=True))
    return Sums(high, low, tuple(sum(column) for column in zip(own, *errors, strict=True)))


def _rounded() -> bool:
    return bool(_LIBM.fetestexcept(_INEXACT))


def _sliced(a: np.ndarray, bits: int) -> Iterator[np.ndarray]:
    """Slices of so many bits, each on a finer grid than the one before, and the rest."""
    rest = a
    exponent = int(np.frexp(np.abs(a).max(initial=0))[1])
    for _ in range(MOST_SLICES):
        exponent -= bits
        part = np.ldexp(np.rint(np.ldexp(rest, -exponent)), exponent)
        yield part
        rest = rest - part
        if not rest.any():
            break
    yield rest


def _added(parts: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The sum of some arrays in two longdoubles, and a bound of its error: γ² of the magnitudes."""
    total, lost = parts[0], np.zeros_like(parts[0])
    magnitude = np.abs(parts[0])
    for part in parts[1:]:
        total, error = _two_sum(total, part)
        lost = lost + error
        magnitude = magnitude + np.abs(part)
    high, low = _two_sum(total, lost)
    return high, low, gamma(len(parts) + 1, UNIT) ** 2 * magnitude


def _two_sum(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rounded sum and, exactly, what the rounding took (Knuth)."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)
