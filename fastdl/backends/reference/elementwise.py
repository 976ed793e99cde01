"""Elementwise ops, with NumPy's broadcasting (which is torch's)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.errorbound import carries

Array = Any  # np.ndarray; NumPy scalars come out of 0-d arithmetic


def add(a: Array, b: Array) -> Array:
    """a + b; `or` of bools."""
    return a + b


def sub(a: Array, b: Array) -> Array:
    """a - b."""
    return a - b


def mul(a: Array, b: Array) -> Array:
    """a · b; `and` of bools."""
    return a * b


def div(a: Array, b: Array) -> Array:
    """a / b."""
    return a / b


def eq(a: Array, b: Array) -> Array:
    """a = b."""
    return a == b


def ne(a: Array, b: Array) -> Array:
    """a ≠ b."""
    return a != b


def lt(a: Array, b: Array) -> Array:
    """a < b."""
    return a < b


def le(a: Array, b: Array) -> Array:
    """a ≤ b."""
    return a <= b


def gt(a: Array, b: Array) -> Array:
    """a > b."""
    return a > b


def ge(a: Array, b: Array) -> Array:
    """a ≥ b."""
    return a >= b


def where(cond: Array, a: Array, b: Array) -> Array:
    """A where cond holds, else b."""
    return np.where(cond, a, b)


def neg(x: Array) -> Array:
    """-x."""
    return -x


def relu(x: Array) -> Array:
    """max(x, 0); NaN and −0 pass."""
    return np.where(x < 0, np.zeros_like(x), x)


def exp(x: Array) -> Array:
    """e^x."""
    return np.exp(x)


def log(x: Array) -> Array:
    """ln x; −inf at 0, NaN below."""
    return np.log(x)


def tanh(x: Array) -> Array:
    """(e^x − e^−x) / (e^x + e^−x)."""
    return np.tanh(x)


@carries(0.25)
def sigmoid(x: Array) -> Array:
    """1 / (1 + e^−x), written so that no exponential overflows."""
    z = np.exp(-np.abs(x))
    return np.where(x >= 0, np.ones_like(z), z) / (1 + z)


@carries(1.13)  # 2/√π
def erf(x: Array) -> Array:
    """2/√π ∫₀ˣ e^(−t²) dt = 2/√π e^(−x²) Σ_n 2ⁿ x^(2n+1) / (2n+1)!!   (Abramowitz, Stegun 7.1.6).

    All terms have one sign, so the sum is as accurate as the arithmetic; some 100 terms cost a few
    bits, which longdouble has to spare. Past |x| = 7 even its erf rounds to 1.
    """
    x = np.asarray(x)
    inside = np.abs(x) < 7
    v = np.where(inside, x, 0).astype(np.longdouble)
    term, total, n = v, v, 0
    while np.any(np.abs(term) > np.finfo(v.dtype).eps / 4 * np.abs(total)):
        n += 1
        term = term * (2 * v * v / (2 * n + 1))
        total = total + term
    two_over_root_pi = 1 / np.sqrt(np.arctan(np.longdouble(1)))
    series = (two_over_root_pi * np.exp(-v * v) * total).astype(x.dtype)
    return np.where(inside, series, np.where(np.isnan(x), x, np.sign(x)))


def cast(x: Array, *, dtype: str) -> Array:
    """X in another dtype: rounded to nearest even, truncated to an integer, or compared with 0."""
    if dtype == "bfloat16":
        import ml_dtypes

        return np.asarray(x).astype(ml_dtypes.bfloat16)
    x = np.asarray(x)
    if x.dtype.kind not in "biu" and np.dtype(dtype).kind in "iu":
        # NaN and what is out of range become the lowest integer, as on x86; NumPy leaves it to the
        # machine. A byte goes by way of int32.
        through = np.promote_types(dtype, np.int32)
        lowest = float(np.iinfo(through).min)
        wide = x.astype(np.promote_types(x.dtype, np.float32))
        x = np.where((wide >= lowest) & (wide < -lowest), wide, lowest).astype(through)
    return x.astype(dtype)


def copy(x: Array, *, channels_last: bool) -> Array:
    """X in fresh contiguous memory, NHWC inside if asked."""
    if channels_last:
        return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    return np.array(x, order="C")


def relu_backward(g: Array, y: Array) -> Array:
    """G where y = relu(x) is positive (or NaN), else 0."""
    return np.where(y <= 0, np.zeros_like(g), g)


def tanh_backward(g: Array, y: Array) -> Array:
    """g · (1 − y²) with y = tanh(x)."""
    return g * (1 - y * y)


def sigmoid_backward(g: Array, y: Array) -> Array:
    """g · y · (1 − y) with y = sigmoid(x)."""
    return g * y * (1 - y)
