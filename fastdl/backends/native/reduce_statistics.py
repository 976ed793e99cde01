"""Variances, norms and log-sum-exp from passes of csrc/reduce.cpp and csrc/elementwise.cpp.

A pass over what the one before wrote is read from the caches; torch makes the same passes for
logsumexp and a slower single one for var.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ... import _native
from ...core.memory import empty
from ...core.shapes import reduced
from ...spec import kernel
from .elementwise import FLOATS
from .reduce import sum_depth

Dims = tuple[int, ...]


def _count(x: np.ndarray, dim: Dims) -> int:
    return math.prod(x.shape[d] for d in dim)


@kernel("var", backend="native", depth=sum_depth)
def var(x: np.ndarray, *, dim: Dims, correction: float, keepdim: bool) -> Any:
    """The mean, the differences from it, and the sum of their squares."""
    centred = _native.sub(x, _native.mean(x, dim, True))
    total = _native.sum_squares(centred, dim, keepdim)
    return _native.div(total, float(max(_count(x, dim) - correction, 0)), total)


@kernel("std", backend="native", depth=sum_depth)
def std(x: np.ndarray, *, dim: Dims, correction: float, keepdim: bool) -> Any:
    """√ var."""
    y = var(x, dim=dim, correction=correction, keepdim=keepdim)
    return _native.sqrt(y, out=y)


@kernel("norm", backend="native", depth=sum_depth, out=True, direct=True)
def norm(
    x: Any,
    *more: Any,
    p: Any = 2.0,
    dim: Any = None,
    keepdim: Any = False,
    out: Any = None,
    **unknown: Any,
) -> Any:
    """One pass for p = 1 and 2, which read raw arguments too; two for the others."""
    if more or unknown or type(p) not in (int, float):
        return NotImplemented
    if p == 2:
        y = _native.sum_squares(x, dim, keepdim, out)
        return y if y is NotImplemented else _native.sqrt(y, out=y)
    if p == 1:
        return _native.sum_abs(x, dim, keepdim, out)
    if type(dim) is not tuple or out is not None or type(x) is not np.ndarray:
        return NotImplemented
    if x.dtype.name not in FLOATS or _count(x, dim) == 0:
        return NotImplemented
    if p == 0:
        counted = _native.sum(_native.ne(x, 0.0), dim, keepdim)
        return counted if counted is NotImplemented else _native.cast(counted, x.dtype.name)
    size = _native.abs(x)
    if math.isinf(p):
        return (_native.amax if p > 0 else _native.amin)(size, dim, keepdim)
    y = _native.sum(_native.pow(size, p, out=size), dim, keepdim)
    return y if y is NotImplemented else _native.pow(y, 1 / p, out=y)


@kernel("logsumexp", backend="native", depth=sum_depth)
def logsumexp(x: np.ndarray, *, dim: Dims, keepdim: bool) -> Any:
    """ln Σ e^(x − top) + top, where a top of ±∞ is taken for 0."""
    if _count(x, dim) == 0:
        return _filled(x, dim, keepdim, -np.inf)
    top = _native.amax(x, dim, True)
    top = _native.where(_native.isfinite(top), top, 0.0)
    powers = _native.sub(x, top)
    y = _native.sum(_native.exp(powers, powers), dim, keepdim)
    return _native.add(_native.log(y, y), top.reshape(y.shape), y)


def _filled(x: np.ndarray, dim: Dims, keepdim: bool, value: float) -> np.ndarray:
    y = empty(reduced(x.shape, dim, keepdim), x.dtype)
    y.fill(value)
    return y


def _attach(name: str) -> None:
    function: Callable[..., Any] = getattr(_native, name)

    @kernel(
        name, backend="native", dtypes=("int64", "float32", "float64"), out=True, direct=True,
        name=name,
    )  # fmt: skip
    def run(
        x: Any, *more: Any, dim: Any = None, reverse: Any = False, out: Any = None, **unknown: Any
    ) -> Any:
        return NotImplemented if more or unknown else function(x, dim, reverse, out)


for _name in ("cumsum", "cumprod"):
    _attach(_name)
