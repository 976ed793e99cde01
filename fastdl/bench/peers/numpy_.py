"""NumPy doing the same job in its usual idiom: OpenBLAS as shipped, and told to use AVX-512."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ... import _native

NAMES: dict[str, dict[str, str]] = {"numpy": {}}
if "avx512" in _native.runnable_isas():
    NAMES["numpy-skylakex"] = {"OPENBLAS_CORETYPE": "SkylakeX"}
_UFUNCS: dict[str, Callable[..., Any]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "neg": np.negative,
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater,
    "ge": np.greater_equal, "where": np.where, "exp": np.exp, "log": np.log, "tanh": np.tanh,
}  # fmt: skip


def version() -> str:
    """NumPy's version."""
    return np.__version__


def contestant(
    name: str, op: str, arrays: tuple[Any, ...], options: dict[str, Any], channels_last: bool
) -> Callable[[], Any] | None:
    """The NumPy expression a user would write; BLAS ops only for the SkylakeX variant."""
    if name == "numpy-skylakex" and op not in ("matmul", "linear", "conv2d"):
        return None
    if op == "matmul" and arrays[0].dtype.name == "bfloat16":
        return None  # a Python-level loop over objects of ml_dtypes
    if op in _UFUNCS:
        return lambda: _UFUNCS[op](*arrays)
    function = globals().get(f"_{op}")
    return None if function is None else lambda: function(*arrays, **options)


def _matmul(a: Any, b: Any) -> Any:
    return a @ b


def _linear(x: Any, w: Any, b: Any = None) -> Any:
    return x @ w.T if b is None else x @ w.T + b


def _relu(x: Any) -> Any:
    return np.maximum(x, 0)


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def _relu_backward(g: Any, y: Any) -> Any:
    return g * (y > 0)


def _tanh_backward(g: Any, y: Any) -> Any:
    return g * (1 - y * y)


def _sigmoid_backward(g: Any, y: Any) -> Any:
    return g * (1 - y) * y


def _cast(x: Any, dtype: str) -> Any:
    return x.astype(dtype)


def _copy(x: Any, channels_last: bool = False) -> Any:
    if channels_last:
        return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    return x.copy(order="C")


def _sum(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    return x.sum(axis=dim, keepdims=keepdim)


def _mean(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    return x.mean(axis=dim, keepdims=keepdim)


def _amax(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    return x.max(axis=dim, keepdims=keepdim)


def _argmax(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    return x.argmax(axis=dim, keepdims=keepdim)


def _max(x: Any, dim: int, keepdim: bool = False) -> Any:
    return x.max(axis=dim, keepdims=keepdim), x.argmax(axis=dim, keepdims=keepdim)


def _cat(*arrays: Any, dim: int = 0) -> Any:
    return np.concatenate(arrays, axis=dim)


def _log_softmax(x: Any, dim: int = -1) -> Any:
    shifted = x - x.max(axis=dim, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=dim, keepdims=True))


def _log_softmax_backward(g: Any, y: Any, dim: int = -1) -> Any:
    return g - np.exp(y) * g.sum(axis=dim, keepdims=True)


def _cross_entropy(x: Any, target: Any, weight: Any = None) -> Any:
    if weight is not None or x.ndim != 2:
        raise NotImplementedError
    return -_log_softmax(x)[np.arange(len(x)), target].mean()


def _conv2d(
    x: Any,
    w: Any,
    b: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """Windows as a view, then one tensordot: im2col with BLAS."""
    if groups != 1 or dilation not in (1, (1, 1)) or not isinstance(padding, int):
        raise NotImplementedError
    s = (stride, stride) if isinstance(stride, int) else stride
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    windows = sliding_window_view(padded, w.shape[2:], axis=(2, 3))[:, :, :: s[0], :: s[1]]
    y = np.tensordot(windows, w, axes=((1, 4, 5), (1, 2, 3))).transpose(0, 3, 1, 2)
    return y if b is None else y + b[:, None, None]


def _max_pool2d(x: Any, kernel_size: Any, stride: Any = None, padding: int = 0) -> Any:
    return _windows(x, kernel_size, stride, padding, -np.inf).max(axis=(-2, -1))


def _avg_pool2d(x: Any, kernel_size: Any, stride: Any = None, padding: int = 0) -> Any:
    return _windows(x, kernel_size, stride, padding, 0).mean(axis=(-2, -1))


def _windows(x: Any, kernel_size: Any, stride: Any, padding: int, fill: float) -> Any:
    k = (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size
    s = k if stride is None else (stride, stride) if isinstance(stride, int) else stride
    if padding:
        pad = ((0, 0), (0, 0), (padding, padding), (padding, padding))
        x = np.pad(x, pad, constant_values=fill)
    return sliding_window_view(x, k, axis=(2, 3))[:, :, :: s[0], :: s[1]]
