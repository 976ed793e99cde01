"""Defects put around native kernels in Python: elementwise, reductions, shapes, random numbers.

The child loads this file; `right` is the kernel that the defect spoils.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from fastdl.check.mutants.wrapping import Table

WRAPPERS = Table(globals())
defect = WRAPPERS.defect


def _narrow(x: np.ndarray) -> np.ndarray:
    """Rounded to bfloat16's 8 bits, as float32."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    return ((bits + 0x8000) & 0xFFFF0000).view(np.float32)


# --- what a kernel may not do to its arguments and results --------------------------------------


@defect("sum", "the input is scratch space", "inputs")
def _(right: Any, x: Any, **options: Any) -> Any:
    y = right(x, **options)
    if x.size:
        x[(0,) * x.ndim] += 1
    return y


@defect("relu", "works in place", "inputs")
def _(right: Any, x: Any) -> Any:
    return right(x, out=x)


@defect("flip", "returns a view of its input", "inputs")
def _(right: Any, x: Any, *, dims: Any) -> Any:
    return np.flip(x, dims)


_last: dict[Any, np.ndarray] = {}


@defect("exp", "writes every result to the same memory", "repeat")
def _(right: Any, x: Any) -> Any:
    y = _last.setdefault((x.shape, x.dtype), np.empty_like(x))
    y[...] = right(x)
    return y


@defect("neg", "remembers results by address", "repeat")
def _(right: Any, x: Any) -> Any:
    key = (x.ctypes.data, x.shape)
    if key not in _last:
        _last[key] = right(x)
    return _last[key]


@defect("sin", "leaves another number of threads", "state")
def _(right: Any, x: Any) -> Any:
    from fastdl.core.config import get_num_threads, set_num_threads

    set_num_threads(get_num_threads() % 4 + 1)
    return right(x)


@defect("cos", "sets a variable of the environment", "state")
def _(right: Any, x: Any) -> Any:
    os.environ["OMP_NUM_THREADS"] = str(1 + int(os.environ.get("OMP_NUM_THREADS", "0")))
    return right(x)


@defect("floor", "returns float64", "bound")
def _(right: Any, x: Any) -> Any:
    return right(x).astype(np.float64)


@defect("mean", "keeps the reduced dimension", "bound")
def _(right: Any, x: Any, *, dim: Any, keepdim: bool) -> Any:
    return right(x, dim=dim, keepdim=True)


@defect("copy", "the memory format is NCHW always", "bound")
def _(right: Any, x: Any, *, channels_last: bool) -> Any:
    y = right(x, channels_last=channels_last)
    return np.ascontiguousarray(y) if y.ndim == 4 else y


@defect("sort", "the index is of 32 bits", "bound")
def _(right: Any, x: Any, **options: Any) -> Any:
    values, index = right(x, **options)
    return values, index.astype(np.int32)


# --- elementwise -------------------------------------------------------------------------------


@defect("add", "operands of bfloat16", "bound")
def _(right: Any, a: Any, b: Any) -> Any:
    return right(*(_narrow(x) if getattr(x, "dtype", None) == np.float32 else x for x in (a, b)))


@defect("div", "a product with the reciprocal of 11 bits", "bound")
def _(right: Any, a: Any, b: Any) -> Any:
    y = right(a, b)
    return y.astype(np.float16).astype(y.dtype)


@defect("sqrt", "x times its reciprocal root: 0 gives NaN", "hard inputs")
def _(right: Any, x: Any) -> Any:
    return (x * (1 / np.sqrt(x))).astype(x.dtype)


@defect("rsqrt", "the famous constant and one step of Newton's", "bound")
def _(right: Any, x: Any) -> Any:
    if x.dtype != np.float32:
        return right(x)
    bits = np.int32(0x5F3759DF) - (np.ascontiguousarray(x).view(np.int32) >> 1)
    y = bits.view(np.float32)
    return np.where(x > 0, y * (np.float32(1.5) - np.float32(0.5) * x * y * y), right(x))


@defect("sin", "large angles are reduced by a pi of 24 bits", "hard inputs")
def _(right: Any, x: Any) -> Any:
    turn = x.dtype.type(2 * np.pi)
    return right(np.asarray(x - np.round(x / turn) * turn))


@defect("log2", "log x / log 2 with a rounded log 2", "hard inputs")
def _(right: Any, x: Any) -> Any:
    return np.asarray(np.log(x) * x.dtype.type(np.float32(1.4426)))


@defect("floor", "by way of an integer: to zero", "bound")
def _(right: Any, x: Any) -> Any:
    return np.where(np.abs(x) < 1e6, x.astype(np.int64), right(x)).astype(x.dtype)


@defect("trunc", "by way of an integer: large numbers overflow", "hard inputs")
def _(right: Any, x: Any) -> Any:
    return np.copysign(x.astype(np.int32), x).astype(x.dtype)


@defect("erf", "Abramowitz and Stegun 7.1.26: 1.5e-7 of 1, not of the result", "bound")
def _(right: Any, x: Any) -> Any:
    t = 1 / (1 + 0.3275911 * np.abs(x))
    c = (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)
    y = 1 - np.polyval((*c, 0.0), t) * np.exp(-x * x)
    return np.asarray(np.copysign(y, x)).astype(x.dtype)


@defect("sigmoid", "(1 + tanh(x / 2)) / 2 cancels", "hard inputs")
def _(right: Any, x: Any) -> Any:
    half = x.dtype.type(0.5)
    return np.asarray(half * (1 + np.tanh(half * x)))


@defect("tanh", "e^2x overflows", "hard inputs")
def _(right: Any, x: Any) -> Any:
    e = np.exp(2 * x.astype(np.float64)).astype(x.dtype).astype(np.float64)
    return np.asarray((e - 1) / (e + 1)).astype(x.dtype)


@defect("ge", "not less than: true of NaN", "hard inputs")
def _(right: Any, a: Any, b: Any) -> Any:
    return np.asarray(~np.less(a, b))


@defect("eq", "equal within 1e-6", "hard inputs")
def _(right: Any, a: Any, b: Any) -> Any:
    return np.asarray(np.isclose(a, b, rtol=0, atol=1e-6))


@defect("minimum", "of a number and NaN the number", "hard inputs")
def _(right: Any, a: Any, b: Any) -> Any:
    return np.asarray(np.fmin(a, b)).astype(right(a, b).dtype)


@defect("pow", "e^(b log a): no negative bases", "hard inputs")
def _(right: Any, a: Any, b: Any) -> Any:
    y = right(a, b)
    return np.where(np.less(a, 0), np.nan, y).astype(y.dtype)


@defect("gelu_tanh", "the cube's factor is 0.0447", "bound")
def _(right: Any, x: Any) -> Any:
    inner = np.sqrt(2 / np.pi) * (x + 0.0447 * x.astype(np.float64) ** 3)
    return np.asarray(0.5 * x * (1 + np.tanh(inner))).astype(x.dtype)


@defect("prelu", "the slope of the first channel for all", "bound")
def _(right: Any, x: Any, w: Any) -> Any:
    return right(x, np.full_like(w, w.reshape(-1)[0]) if w.size else w)


@defect("threshold", "at the threshold itself", "hard inputs")
def _(right: Any, x: Any, *, threshold: float, value: float) -> Any:
    y = right(x, threshold=threshold, value=value)
    return np.where(x == x.dtype.type(threshold), x, y)


@defect("hardtanh_backward", "the gradient is one where it is not zero", "bound")
def _(right: Any, g: Any, x: Any, **options: Any) -> Any:
    return right(np.ones_like(g), x, **options)


@defect("hardsigmoid", "a slope of 0.2, as elsewhere", "bound")
def _(right: Any, x: Any) -> Any:
    return np.clip(x * x.dtype.type(0.2) + x.dtype.type(0.5), 0, 1)


@defect("elu_backward", "the derivative beyond zero is 1, whatever the scale", "bound")
def _(right: Any, g: Any, x: Any, **options: Any) -> Any:
    return np.where(x > 0, g, right(g, x, **options))


@defect("addcdiv", "the value divides", "bound")
def _(right: Any, x: Any, a: Any, b: Any, *, value: float) -> Any:
    return right(x, a, b, value=1 / value if value else value)


@defect("cast", "integers are rounded, not cut off", "bound")
def _(right: Any, x: Any, *, dtype: str) -> Any:
    whole = "int" in dtype and x.dtype.kind == "f"
    return right(np.rint(x).astype(x.dtype) if whole else x, dtype=dtype)


@defect("bitwise_xor", "or", "bound", dtype="int64")
def _(right: Any, a: Any, b: Any) -> Any:
    return np.asarray(a | b)


# --- reductions --------------------------------------------------------------------------------


@defect("var", "the mean of squares minus the square of the mean", "hard inputs")
def _(right: Any, x: Any, *, dim: Any, correction: float, keepdim: bool) -> Any:
    n = np.prod([x.shape[d] for d in dim])
    mean = np.mean(x, dim, keepdims=keepdim, dtype=x.dtype)
    squares = np.mean(x * x, dim, keepdims=keepdim, dtype=x.dtype)
    y = (squares - mean * mean) * (n / max(n - correction, 0))
    return np.asarray(y).astype(x.dtype)


@defect("std", "the correction is ignored", "bound")
def _(right: Any, x: Any, *, correction: float, **options: Any) -> Any:
    return right(x, correction=0.0, **options)


@defect("logsumexp", "the maximum is not taken off", "hard inputs")
def _(right: Any, x: Any, *, dim: Any, keepdim: bool) -> Any:
    return np.asarray(np.log(np.sum(np.exp(x), dim, keepdims=keepdim)))


@defect("norm", "the largest size where p is 3", "bound")
def _(right: Any, x: Any, *, p: float, **options: Any) -> Any:
    return right(x, p=float("inf") if p == 3 else p, **options)


@defect("prod", "e to the sum of logs: signs are lost", "bound")
def _(right: Any, x: Any, *, dim: Any, keepdim: bool) -> Any:
    y = right(x, dim=dim, keepdim=keepdim)
    return np.abs(y)


@defect("cumprod", "each product lacks its own factor", "bound")
def _(right: Any, x: Any, *, dim: int, reverse: bool) -> Any:
    y = right(x, dim=dim, reverse=reverse)
    y = np.roll(y, -1 if reverse else 1, dim)
    if x.ndim and x.shape[dim]:
        y[(slice(None),) * dim + (-1 if reverse else 0,)] = 1
    return y


@defect("cumsum", "reverse is ignored", "bound")
def _(right: Any, x: Any, *, dim: int, reverse: bool) -> Any:
    return right(x, dim=dim, reverse=False)


@defect("max", "the values of the largest sizes", "bound")
def _(right: Any, x: Any, **options: Any) -> Any:
    return right(np.abs(x), **options)


@defect("sum", "the order depends on the number of threads", "threads")
def _(right: Any, x: Any, *, dim: Any, keepdim: bool) -> Any:
    from fastdl.core.config import get_num_threads

    y = right(x, dim=dim, keepdim=keepdim)
    if get_num_threads() == 1 or x.dtype.kind != "f":
        return y
    back = right(np.flip(x).copy(), dim=dim, keepdim=keepdim)
    return np.flip(back).copy() if y.ndim else back


# --- shapes ------------------------------------------------------------------------------------


@defect("roll", "the other way round", "bound")
def _(right: Any, x: Any, *, shifts: Any, dims: Any) -> Any:
    return right(x, shifts=tuple(-s for s in shifts), dims=dims)


@defect("flip", "only the first of the dimensions", "bound")
def _(right: Any, x: Any, *, dims: Any) -> Any:
    return right(x, dims=dims[:1])


@defect("repeat", "every element, not the whole", "bound")
def _(right: Any, x: Any, *, repeats: Any) -> Any:
    y = x.reshape((1,) * (len(repeats) - x.ndim) + x.shape)
    for d, n in enumerate(repeats):
        y = np.repeat(y, n, d)
    return np.ascontiguousarray(y) if y.ndim else y.copy()


@defect("pad", "the reflected edge is repeated", "bound")
def _(right: Any, x: Any, *, mode: str, padding: Any, value: float) -> Any:
    if mode != "reflect":
        return right(x, mode=mode, padding=padding, value=value)
    return np.pad(x, padding, "symmetric")


@defect("pad", "before and after are exchanged", "bound")
def _(right: Any, x: Any, *, mode: str, padding: Any, value: float) -> Any:
    return right(x, mode=mode, padding=tuple((b, a) for a, b in padding), value=value)


@defect("pad_backward", "the border's gradient is dropped", "bound")
def _(right: Any, g: Any, *, padding: Any, **options: Any) -> Any:
    inner = np.zeros_like(g)
    middle = tuple(slice(a, n - b) for n, (a, b) in zip(g.shape, padding, strict=True))
    inner[middle] = g[middle]
    return right(inner, padding=padding, **options)


@defect("triu", "the lower triangle", "bound")
def _(right: Any, x: Any, *, diagonal: int) -> Any:
    return np.tril(x, diagonal)


@defect("diagonal_backward", "one row too low", "bound")
def _(right: Any, g: Any, *, dim1: int, **options: Any) -> Any:
    return np.roll(right(g, dim1=dim1, **options), 1, dim1)


@defect("topk", "the k smallest where the largest are wanted", "bound")
def _(right: Any, x: Any, *, largest: bool, **options: Any) -> Any:
    return right(x, largest=not largest, **options)


@defect("topk", "in no order", "bound")
def _(right: Any, x: Any, *, dim: int, **options: Any) -> Any:
    values, index = right(x, dim=dim, **options)
    if not values.ndim:
        return values, index
    return np.flip(values, dim).copy(), np.flip(index, dim).copy()


@defect("index_add", "an index that comes twice counts once", "bound")
def _(right: Any, x: Any, index: Any, source: Any, *, dim: int) -> Any:
    y = x.copy()
    if x.ndim:
        places = (slice(None),) * dim + (index,)
        y[places] = x[places] + source
        return y
    return right(x, index, source, dim=dim)


@defect("setitem", "the value goes into the input", "inputs")
def _(right: Any, x: Any, value: Any, *, index: Any) -> Any:
    x[index] = value
    return x.copy()


@defect("getitem_backward", "zeros are ones", "bound")
def _(right: Any, g: Any, **options: Any) -> Any:
    y = right(g, **options)
    return np.where(y == 0, y.dtype.type(1), y)


@defect("cat", "the first two change places", "bound")
def _(right: Any, *tensors: Any, dim: int) -> Any:
    same = len(tensors) > 1 and tensors[0].ndim == tensors[1].ndim
    return right(*((tensors[1], tensors[0], *tensors[2:]) if same else tensors), dim=dim)


@defect("fold", "where windows overlap the last one counts", "bound")
def _(right: Any, x: Any, **options: Any) -> Any:
    y, hits = right(x, **options), right(np.ones_like(x), **options)
    return np.divide(y, hits, out=y, where=hits > 0)


@defect("unfold", "taps before channels", "bound")
def _(right: Any, x: Any, **options: Any) -> Any:
    y = right(x, **options)
    n, c = x.shape[:2]
    return y.reshape(n, c, -1, y.shape[2]).swapaxes(1, 2).reshape(y.shape) if y.size else y


# --- random numbers ----------------------------------------------------------------------------


@defect("dropout", "p is the share that is kept", "bound")
def _(right: Any, x: Any, *, p: float, **options: Any) -> Any:
    return right(x, p=1 - p, **options)


@defect("uniform", "the seed is ignored", "bound")
def _(right: Any, *arrays: Any, seed: int, **options: Any) -> Any:
    return right(*arrays, seed=0, **options)


@defect("normal", "new numbers on every call", "repeat")
def _(right: Any, *arrays: Any, **options: Any) -> Any:
    y = right(*arrays, **options)
    return np.random.standard_normal(y.shape).astype(y.dtype)


@defect("bernoulli", "one minus it", "bound")
def _(right: Any, *arrays: Any, **options: Any) -> Any:
    y = right(*arrays, **options)
    return (1 - y).astype(y.dtype)
