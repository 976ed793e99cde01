"""More elementwise arithmetic, rounding, functions, decisions and bits, as torch computes them."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = Any


def abs(x: Array) -> Array:
    """|x|; the lowest integer stays."""
    return np.abs(x)


def sign(x: Array) -> Array:
    """1, −1, or 0 for zeros and NaN."""
    if x.dtype.kind == "b":
        return x
    one = x.dtype.type(1)
    return np.where(x > 0, one, np.where(x < 0, np.negative(one), one * 0))


def square(x: Array) -> Array:
    """x²."""
    return x * x


def sqrt(x: Array) -> Array:
    """√x; NaN below 0."""
    return np.sqrt(x)


def rsqrt(x: Array) -> Array:
    """1 / √x."""
    return 1 / np.sqrt(x)


def reciprocal(x: Array) -> Array:
    """1 / x."""
    return 1 / x


def floor(x: Array) -> Array:
    """The largest whole number not above x."""
    return np.floor(x) if x.dtype.kind == "f" else x


def ceil(x: Array) -> Array:
    """The smallest whole number not below x."""
    return np.ceil(x) if x.dtype.kind == "f" else x


def trunc(x: Array) -> Array:
    """The whole part of x."""
    return np.trunc(x) if x.dtype.kind == "f" else x


def round(x: Array) -> Array:
    """The nearest whole number, of two the even one."""
    return np.rint(x) if x.dtype.kind == "f" else x


def sin(x: Array) -> Array:
    """The sine of x radians."""
    return np.sin(x)


def cos(x: Array) -> Array:
    """The cosine of x radians."""
    return np.cos(x)


def log1p(x: Array) -> Array:
    """ln(1 + x)."""
    return np.log1p(x)


def expm1(x: Array) -> Array:
    """e^x − 1."""
    return np.expm1(x)


def exp2(x: Array) -> Array:
    """2^x."""
    return np.exp2(x)


def log2(x: Array) -> Array:
    """The logarithm to base 2."""
    return np.log2(x)


def log10(x: Array) -> Array:
    """The logarithm to base 10."""
    return np.log10(x)


def isnan(x: Array) -> Array:
    """Is it NaN?"""
    return np.isnan(x)


def isinf(x: Array) -> Array:
    """Is it an infinity?"""
    return np.isinf(x)


def isfinite(x: Array) -> Array:
    """Is it neither an infinity nor NaN?"""
    return np.isfinite(x)


def logical_not(x: Array) -> Array:
    """Is it zero?"""
    return x == 0


def bitwise_not(x: Array) -> Array:
    """Every bit turned; `not` of bools."""
    return ~x


def maximum(a: Array, b: Array) -> Array:
    """The larger; NaN if either is."""
    return np.maximum(a, b)


def minimum(a: Array, b: Array) -> Array:
    """The smaller; NaN if either is."""
    return np.minimum(a, b)


def pow(a: Array, b: Array) -> Array:
    """a^b, C's pow; of integers to a negative power the truncated reciprocal, 0 of 0."""
    if np.asarray(a).dtype.kind == "f":
        return np.power(a, b)
    below = np.where(a == 1, 1, np.where(a == -1, np.where(b % 2 == 0, 1, -1), 0))
    power = np.power(a, np.maximum(b, 0))
    return np.where(b < 0, below, power).astype(np.asarray(a).dtype)


def floor_divide(a: Array, b: Array) -> Array:
    """⌊a / b⌋, from the exact remainder."""
    return np.floor_divide(a, b)


def remainder(a: Array, b: Array) -> Array:
    """A − b·⌊a / b⌋: Python's %, of the sign of b."""
    return np.remainder(a, b)


def trunc_divide(a: Array, b: Array) -> Array:
    """The integer quotient, towards zero."""
    q = np.floor_divide(a, b)
    return (q + ((q * b != a) & ((a < 0) != (b < 0)))).astype(q.dtype)


def logical_and(a: Array, b: Array) -> Array:
    """Are both non-zero?"""
    return np.logical_and(a, b)


def logical_or(a: Array, b: Array) -> Array:
    """Is either non-zero?"""
    return np.logical_or(a, b)


def logical_xor(a: Array, b: Array) -> Array:
    """Is one of them, not both, non-zero?"""
    return np.logical_xor(a, b)


def bitwise_and(a: Array, b: Array) -> Array:
    """The bits both have."""
    return a & b


def bitwise_or(a: Array, b: Array) -> Array:
    """The bits either has."""
    return a | b


def bitwise_xor(a: Array, b: Array) -> Array:
    """The bits one of them has."""
    return a ^ b


def clamp(x: Array, low: Array, high: Array) -> Array:
    """min(max(x, low), high); NaN if any is."""
    return np.minimum(np.maximum(x, low), high)


def addcmul(x: Array, a: Array, b: Array, *, value: float) -> Array:
    """X + value · a · b."""
    return x + a * value * b


def addcdiv(x: Array, a: Array, b: Array, *, value: float) -> Array:
    """X + value · a / b."""
    return x + a * value / b


def lerp(a: Array, b: Array, w: Array) -> Array:
    """A + w · (b − a), from the nearer end."""
    return np.where(np.abs(w) < 0.5, a + w * (b - a), b - (b - a) * (1 - w))
