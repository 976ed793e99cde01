"""Normalisations."""

from __future__ import annotations

import math
from typing import Any

from ..core.errors import ArgumentError, ShapeError
from ..core.shapes import broadcast, normalize_dims
from ..ops import norm as rows
from ..ops import norm_batch as ops
from ..ops import norm_instance as instances
from ..ops import norm_length as lengths
from ..ops import norm_response as responses
from ..ops.elementwise import mul
from ..ops.shape import expand, permute, reshape
from ..tensor import Tensor
from ._face import shape_of

__all__ = [
    "batch_norm", "cosine_similarity", "group_norm", "instance_norm", "layer_norm",
    "local_response_norm", "normalize", "rms_norm",
]  # fmt: skip


def layer_norm(
    input: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5,
    *, out: Any = None,
) -> Any:  # fmt: skip
    """(input − mean) / √(variance + eps) · weight + bias, moments over the last dims.

    `normalized_shape` is the shape of those dims, of weight and of bias. Raises ShapeError if they
    do not fit. As torch.nn.functional.layer_norm.
    """
    return rows.layer_norm(input, weight, bias, out=out, normalized_shape=normalized_shape, eps=eps)


def rms_norm(
    input: Any, normalized_shape: Any, weight: Any = None, eps: float | None = None,
    *, out: Any = None,
) -> Any:  # fmt: skip
    """input / √(mean(input²) + eps) · weight over the last dims; eps is the dtype's unless given.

    As torch.nn.functional.rms_norm.
    """
    return rows.rms_norm(input, weight, out=out, normalized_shape=normalized_shape, eps=eps)


def group_norm(
    input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5,
    *, out: Any = None,
) -> Any:  # fmt: skip
    """Layer norm of the channels of each of `num_groups` groups of input[N, C, ...].

    weight and bias are [C]. Raises ArgumentError unless num_groups divides C. As
    torch.nn.functional.group_norm.
    """
    return ops.group_norm(input, weight, bias, out=out, num_groups=num_groups, eps=eps)


def batch_norm(
    input: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """(input − mean) / √(variance + eps) · weight + bias for each channel of input[N, C, ...].

    In training the moments are those of the batch, and running_mean and running_var (None, or [C])
    are moved towards them by `momentum`, in place, the variance by the unbiased one. Otherwise the
    running moments are used.

    Raises ShapeError for sizes that do not fit, or in training for a single value per channel;
    ArgumentError without running moments outside training. As torch.nn.functional.batch_norm.
    """
    if not training:
        if running_mean is None or running_var is None:
            raise ArgumentError("batch_norm: want running_mean and running_var outside training")
        return ops.batch_norm_eval(input, running_mean, running_var, weight, bias, eps=eps)
    shape = shape_of("batch_norm", input)
    places = math.prod(shape) // max(shape[1], 1) if len(shape) > 1 else 0
    if places == 1:
        raise ShapeError(
            f"batch_norm: input has shape {shape}, want more than 1 value per channel in training"
        )
    for name, running in (("running_mean", running_mean), ("running_var", running_var)):
        if running is not None and running.shape != shape[1:2]:
            raise ShapeError(f"batch_norm: {name} has shape {running.shape}, want {shape[1:2]}")
    y, mean, variance, _ = ops.batch_norm(input, weight, bias, eps=eps)
    if places:
        _move(running_mean, mean, momentum, 1.0)
        _move(running_var, variance, momentum, places / (places - 1))
    return y


def _move(running: Any, batch: Any, momentum: float, factor: float) -> None:
    if running is None:
        return
    target = running._written() if isinstance(running, Tensor) else running
    value = batch._array if isinstance(batch, Tensor) else batch
    target *= 1 - momentum
    target += (momentum * factor) * value


def instance_norm(
    input: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Batch norm of every sample of input[N, C, ...] for itself; running moments are their mean.

    Raises ShapeError for sizes that do not fit, or a single value per channel, ArgumentError
    without running moments where they are to be used. As torch.nn.functional.instance_norm.
    """
    shape = shape_of("instance_norm", input)
    if not use_input_stats:
        if running_mean is None or running_var is None:
            raise ArgumentError("instance_norm: want running_mean and running_var")
        return ops.batch_norm_eval(input, running_mean, running_var, weight, bias, eps=eps)
    if len(shape) < 3 or math.prod(shape[2:]) == 1:
        raise ShapeError(
            f"instance_norm: input has shape {shape}, want more than 1 place of [N, C, ...]"
        )
    if running_mean is not None or running_var is not None:
        flat = getattr(input, "_array", input).reshape(1, shape[0] * shape[1], -1)
        _, mean, variance, _ = ops.batch_norm(flat, eps=eps)
        if flat.size:
            places = flat.shape[2]
            for running, moment, factor in (
                (running_mean, mean, 1.0),
                (running_var, variance, places / (places - 1)),
            ):
                _move(running, moment.reshape(shape[:2]).mean(0), momentum, factor)
    return instances.instance_norm(input, weight, bias, eps=eps)


def local_response_norm(
    input: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Any:
    """input / (k + alpha · mean of input² over `size` channels around)^beta.

    input is [N, C, ...] with at least 3 dims; channels beyond the ends count as 0. As
    torch.nn.functional.local_response_norm (Krizhevsky et al., 2012).
    """
    return responses.local_response_norm(input, size=size, alpha=alpha, beta=beta, k=k)


def normalize(
    input: Any, p: float = 2.0, dim: Any = 1, eps: float = 1e-12, *, out: Any = None
) -> Any:
    """input / max(‖input‖_p, eps) along dim, or along several as one.

    Raises IndexRangeError for a dim out of range. As torch.nn.functional.normalize.
    """
    if isinstance(dim, (tuple, list)) and len(dim) == 1:
        dim = dim[0]
    if not isinstance(dim, (tuple, list)):
        return lengths.normalize(input, p=p, dim=dim, eps=eps, out=out)
    shape = shape_of("normalize", input)
    dims = normalize_dims("normalize", dim, len(shape))
    order = (*(d for d in range(len(shape)) if d not in dims), *dims)
    moved = permute(input, dims=order)
    rows = reshape(moved, shape=(*moved.shape[: len(shape) - len(dims)], -1))
    y = reshape(lengths.normalize(rows, p=p, dim=-1, eps=eps), shape=moved.shape)
    y = permute(y, dims=tuple(map(order.index, range(len(shape)))))
    return y if out is None else mul(y, 1.0, out=out)


def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    """Σ x1·x2 / (max(‖x1‖, eps)·max(‖x2‖, eps)) along dim, x1 and x2 broadcast.

    A length below eps is taken for a constant, by the gradient too (torch's gives it its slope).
    Raises ShapeError for shapes that do not broadcast, IndexRangeError for a dim out of range. As
    torch.nn.functional.cosine_similarity.
    """
    name = "cosine_similarity"
    shape = broadcast(name, shape_of(name, x1), shape_of(name, x2))
    a, b = (x if x.shape == shape else expand(x, shape=shape) for x in (x1, x2))
    return lengths.cosine_similarity(a, b, dim=dim, eps=eps)
