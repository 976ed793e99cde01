"""Reductions: csrc/reduce.cpp, kernels/cpu/reduce.inc."""

from __future__ import annotations

import math
from collections.abc import Callable
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


def _attach(
    name: str, dtypes: tuple[str, ...], depth: Callable[[int], int] = lambda terms: terms
) -> None:
    function = getattr(_native, name)

    @kernel(name, backend="native", dtypes=dtypes, depth=depth, out=True, direct=True, name=name)
    def run(
        x: Any, *more: Any, dim: Any = None, keepdim: Any = False, out: Any = None, **unknown: Any
    ) -> Any:
        return NotImplemented if more or unknown else function(x, dim, keepdim, out)


_attach("sum", ALL, sum_depth)  # integers and bools in int64
_attach("mean", FLOATS, sum_depth)  # the sum, divided once
_attach("prod", ALL, sum_depth)  # integers and bools in int64
for _name in ("amax", "amin", "max", "min"):  # NaN wins; the places of the first of equals
    _attach(_name, ALL)
for _name in ("argmax", "argmin"):  # in C order for dim=None
    _attach(_name, NUMBERS)
