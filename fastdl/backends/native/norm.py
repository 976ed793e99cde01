"""Normalisations: csrc/norm.cpp, kernels/cpu/norm.inc."""

from __future__ import annotations

import math
from typing import Any

from ... import _native
from ...spec import kernel


def _shaped(result: Any, shape: tuple[int, ...]) -> Any:
    """dx, and the gradients of the parameters in their shape."""
    if result is NotImplemented:
        return result
    return result[0], *(d.reshape(shape) for d in result[1:])


@kernel("layer_norm", backend="native", out=True)
def layer_norm(
    x: Any, weight: Any, bias: Any, *, normalized_shape: Any, eps: float, out: Any = None
) -> Any:
    """Over the last dims."""
    n = math.prod(normalized_shape)
    return _native.norm_rows(x, weight, bias, n, 1, 1, eps, True, out)


@kernel("layer_norm_backward", backend="native")
def layer_norm_backward(g: Any, x: Any, weight: Any, *, normalized_shape: Any, eps: float) -> Any:
    """The gradients of x, weight and bias."""
    n = math.prod(normalized_shape)
    result = _native.norm_rows_backward(g, x, weight, n, 1, 1, eps, True, None)
    return _shaped(result, normalized_shape)


@kernel("rms_norm", backend="native", out=True)
def rms_norm(x: Any, weight: Any, *, normalized_shape: Any, eps: float, out: Any = None) -> Any:
    """Over the last dims."""
    n = math.prod(normalized_shape)
    return _native.norm_rows(x, weight, None, n, 1, 1, eps, False, out)


@kernel("rms_norm_backward", backend="native")
def rms_norm_backward(g: Any, x: Any, weight: Any, *, normalized_shape: Any, eps: float) -> Any:
    """The gradients of x and weight."""
    n = math.prod(normalized_shape)
    result = _native.norm_rows_backward(g, x, weight, n, 1, 1, eps, False, None)
    return result if result is NotImplemented else _shaped(result[:2], normalized_shape)


@kernel("group_norm", backend="native", out=True)
def group_norm(
    x: Any, weight: Any, bias: Any, *, num_groups: int, eps: float, out: Any = None
) -> Any:
    """Over groups of channels."""
    width, inner = x.shape[1] // num_groups, math.prod(x.shape[2:])
    return _native.norm_rows(x, weight, bias, width, num_groups, inner, eps, True, out)


@kernel("group_norm_backward", backend="native")
def group_norm_backward(g: Any, x: Any, weight: Any, *, num_groups: int, eps: float) -> Any:
    """The gradients of x, weight and bias."""
    width, inner = x.shape[1] // num_groups, math.prod(x.shape[2:])
    return _native.norm_rows_backward(g, x, weight, width, num_groups, inner, eps, True, None)


@kernel("instance_norm", backend="native", out=True)
def instance_norm(x: Any, weight: Any, bias: Any, *, eps: float, out: Any = None) -> Any:
    """Every channel a group."""
    return _native.norm_rows(x, weight, bias, 1, x.shape[1], math.prod(x.shape[2:]), eps, True, out)


@kernel("instance_norm_backward", backend="native")
def instance_norm_backward(g: Any, x: Any, weight: Any, *, eps: float) -> Any:
    """The gradients of x, weight and bias."""
    inner = math.prod(x.shape[2:])
    return _native.norm_rows_backward(g, x, weight, 1, x.shape[1], inner, eps, True, None)


@kernel("batch_norm", backend="native")
def batch_norm(x: Any, weight: Any, bias: Any, *, eps: float) -> Any:
    """(y, mean, variance, rstd)."""
    return _native.batch_norm(x, weight, bias, None, None, eps, None)


@kernel("batch_norm_eval", backend="native", out=True)
def batch_norm_eval(
    x: Any, mean: Any, variance: Any, weight: Any, bias: Any, *, eps: float, out: Any = None
) -> Any:
    """With moments that are given."""
    return _native.batch_norm(x, weight, bias, mean, variance, eps, out)


@kernel("batch_norm_backward", backend="native")
def batch_norm_backward(
    g: Any, x: Any, mean: Any, rstd: Any, weight: Any, *, training: bool
) -> Any:
    """The gradients of x, weight and bias."""
    return _native.batch_norm_backward(g, x, mean, rstd, weight, training)
