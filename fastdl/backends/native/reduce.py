"""Reductions: csrc/reduce.cpp, kernels/cpu/reduce.inc."""

from __future__ import annotations

import math
from typing import Any

from ... import _native
from ...spec import kernel
from .elementwise import ALL, FLOATS, NUMBERS


def sum_depth(terms: int) -> int:
    """At most 4 log2 n, in however many dims the n terms lie.

    A step over m terms is a tree of depth min(m − 1, m/128 + 12) along rows of up to 4096 and of
    m/8 + 5 down up to 128 rows (fewer where narrow columns are folded), each below 4 log2 m; the
    steps' logarithms add up to log2 n.
    """
    return min(terms - 1, int(4 * math.log2(terms))) if terms > 1 else 0


@kernel("sum", backend="native", dtypes=ALL, depth=sum_depth, out=True, direct=True)
def sum(
    x: Any, *more: Any, dim: Any = None, keepdim: Any = False, out: Any = None, **unknown: Any
) -> Any:
    """Integers and bools are summed in int64."""
    return NotImplemented if more or unknown else _native.sum(x, dim, keepdim, out)


@kernel("mean", backend="native", dtypes=FLOATS, depth=sum_depth, out=True, direct=True)
def mean(
    x: Any, *more: Any, dim: Any = None, keepdim: Any = False, out: Any = None, **unknown: Any
) -> Any:
    """The sum, divided once."""
    return NotImplemented if more or unknown else _native.mean(x, dim, keepdim, out)


@kernel("amax", backend="native", dtypes=ALL, out=True, direct=True)
def amax(
    x: Any, *more: Any, dim: Any = None, keepdim: Any = False, out: Any = None, **unknown: Any
) -> Any:
    """NaN wins."""
    return NotImplemented if more or unknown else _native.amax(x, dim, keepdim, out)


@kernel("max", backend="native", dtypes=ALL, out=True, direct=True)
def max(
    x: Any, *more: Any, dim: Any = None, keepdim: Any = False, out: Any = None, **unknown: Any
) -> Any:
    """Values and the places of the first of equals."""
    return NotImplemented if more or unknown else _native.max(x, dim, keepdim, out)


@kernel("argmax", backend="native", dtypes=NUMBERS, out=True, direct=True)
def argmax(
    x: Any, *more: Any, dim: Any = None, keepdim: Any = False, out: Any = None, **unknown: Any
) -> Any:
    """The place of the first of equals, in C order for dim=None."""
    return NotImplemented if more or unknown else _native.argmax(x, dim, keepdim, out)
