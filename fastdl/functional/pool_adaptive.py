"""Adaptive pooling, whose windows follow from the output's size; and max-unpooling."""

from __future__ import annotations

import math
from typing import Any

from ..core.errors import ArgumentError, ShapeError
from ..core.shapes import as_int, as_ints
from ..core.windows import numbers
from ..ops import pool as windows
from ..ops import pool_adaptive as ops
from ..ops.interpolate import interpolate
from ..ops.reduce import mean
from ..ops.shape import reshape
from ._face import shape_of
from .pool import _places

__all__ = [
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d",
    "adaptive_max_pool2d", "adaptive_max_pool3d", "max_unpool1d", "max_unpool2d", "max_unpool3d",
]  # fmt: skip


def adaptive_avg_pool1d(input: Any, output_size: Any) -> Any:
    """Means y[N, C, Q] of input[N, C, L], or [C, L]; see `adaptive_avg_pool2d`."""
    return _average("adaptive_avg_pool1d", input, output_size, 1)


def adaptive_avg_pool2d(input: Any, output_size: Any) -> Any:
    """Means y[N, C, P, Q] of windows that cover input[N, C, H, W], or [C, H, W].

    Output (p, q) is the mean of the rows ⌊p·H/P⌋ to ⌈(p+1)·H/P⌉ − 1 and the columns likewise.
    `output_size` is an int or one for each dimension, None leaving it as it is. A size of 1 is
    the mean of everything, and one that divides the input's the mean of equal windows.

    Raises ShapeError for a wrong rank or a size 0 other than the batch's, ArgumentError for an
    output size below 1. As torch.nn.functional.adaptive_avg_pool2d.
    """
    return _average("adaptive_avg_pool2d", input, output_size, 2)


def adaptive_avg_pool3d(input: Any, output_size: Any) -> Any:
    """Means y[N, C, O, P, Q] of input[N, C, D, H, W], or [C, D, H, W]; see
    `adaptive_avg_pool2d`."""
    return _average("adaptive_avg_pool3d", input, output_size, 3)


def _sizes(name: str, input: Any, output_size: Any, axes: int) -> tuple[Any, tuple[int, ...]]:
    """The input with a batch, and the output's spatial sizes."""
    shape = shape_of(name, input)
    if len(shape) not in (axes + 1, axes + 2):
        raise ShapeError(f"{name}: argument input has shape {shape}, want {axes + 1}-D or one more")
    if 0 in shape[-axes - 1 :]:
        raise ShapeError(f"{name}: the input has shape {shape}, want no size 0 but the batch's")
    given = output_size if isinstance(output_size, (tuple, list)) else (output_size,)
    if len(given) == 1:
        given = tuple(given) * axes
    if len(given) != axes:
        raise ArgumentError(f"{name}: output_size: got {output_size!r}, want {axes} sizes")
    size = tuple(
        n if m is None else as_int(name, "output_size", m)
        for n, m in zip(shape[-axes:], given, strict=True)
    )
    if min(size) < 1:
        raise ArgumentError(f"{name}: output_size: got {output_size!r}, want sizes of at least 1")
    return reshape(input, shape=(1, *shape)) if len(shape) == axes + 1 else input, size


def _average(name: str, input: Any, output_size: Any, axes: int) -> Any:
    x, size = _sizes(name, input, output_size, axes)
    shape = (*input.shape[:-axes], *size)
    if all(m == 1 for m in size):
        y = mean(x, dim=tuple(range(2, 2 + axes)), keepdim=True)
    elif axes < 3 and all(n % m == 0 for n, m in zip(x.shape[2:], size, strict=True)):
        rows = _as_image(x)
        kernel = [n // m for n, m in zip(rows.shape[2:], (1, *size)[-2:], strict=True)]
        y = windows.avg_pool2d(rows, kernel_size=tuple(kernel))
    else:
        y = interpolate(x, size=size, mode="area")
    return y if tuple(y.shape) == shape else reshape(y, shape=shape)


def _as_image(x: Any) -> Any:
    """[N, C, L] as [N, C, 1, L]: a view."""
    return reshape(x, shape=(*x.shape[:2], 1, x.shape[2])) if len(x.shape) == 3 else x


def adaptive_max_pool1d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """Maxima y[N, C, Q] of input[N, C, L], or [C, L]; see `adaptive_max_pool2d`."""
    return _maximum("adaptive_max_pool1d", input, output_size, return_indices, 1)


def adaptive_max_pool2d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """Maxima y[N, C, P, Q] of the windows of `adaptive_avg_pool2d`, NaN if one of them is.

    With `return_indices` also the places h·W + w, int64, of the first of equal maxima. Errors as
    there. As torch.nn.functional.adaptive_max_pool2d.
    """
    return _maximum("adaptive_max_pool2d", input, output_size, return_indices, 2)


def adaptive_max_pool3d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """Maxima y[N, C, O, P, Q] of input[N, C, D, H, W], or [C, D, H, W], and their places
    (d·H + h)·W + w; see `adaptive_max_pool2d`."""
    return _maximum("adaptive_max_pool3d", input, output_size, return_indices, 3)


def _maximum(name: str, input: Any, output_size: Any, indices: bool, axes: int) -> Any:
    x, size = _sizes(name, input, output_size, axes)
    shape = (*input.shape[:-axes], *size)
    if axes < 3:
        y, index = _max_image(_as_image(x), (1, *size)[-2:], indices)
    else:
        n, c, d, h, w = x.shape
        flat, first = _max_image(reshape(x, shape=(n, c * d, h, w)), size[1:], indices)
        across = size[1] * size[2]
        y, second = _max_image(reshape(flat, shape=(n, c, d, across)), (size[0], across), indices)
        index = _places(second, first, n * c, across, h * w) if indices else None
    y = reshape(y, shape=shape)
    return (y, reshape(index, shape=shape)) if indices else y


def _max_image(x: Any, size: tuple[int, ...], indices: bool) -> tuple[Any, Any]:
    """Maxima and places (or None); equal windows are those of a plain pool."""
    if any(n % m for n, m in zip(x.shape[2:], size, strict=True)):
        return ops.adaptive_max_pool2d(x, output_size=size)
    kernel = tuple(n // m for n, m in zip(x.shape[2:], size, strict=True))
    if indices:
        return windows.max_pool2d_with_indices(x, kernel_size=kernel)
    return windows.max_pool2d(x, kernel_size=kernel), None


# --- unpooling ---------------------------------------------------------------------------------


def max_unpool1d(
    input: Any,
    indices: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Any = None,
) -> Any:
    """Undoes `max_pool1d` of input[N, C, Q], or [C, Q]; see `max_unpool2d`."""
    return _unpooled("max_unpool1d", input, indices, kernel_size, stride, padding, output_size, 1)


def max_unpool2d(
    input: Any,
    indices: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Any = None,
) -> Any:
    """Undoes `max_pool2d`: zeros [N, C, H, W], but input[N, C, P, Q] at `indices` of the plane.

    H is (P − 1)·stride − 2·padding + kernel_size, unless `output_size` (whose last dims are taken)
    says otherwise, by less than a stride. Where two have one place, the last is seen.

    Raises ShapeError for ranks or sizes that do not fit, ArgumentError for an output_size too far
    off, IndexRangeError for a place outside the plane. As torch.nn.functional.max_unpool2d.
    """
    return _unpooled("max_unpool2d", input, indices, kernel_size, stride, padding, output_size, 2)


def max_unpool3d(
    input: Any,
    indices: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Any = None,
) -> Any:
    """Undoes `max_pool3d` of input[N, C, O, P, Q], or [C, O, P, Q]; see `max_unpool2d`."""
    return _unpooled("max_unpool3d", input, indices, kernel_size, stride, padding, output_size, 3)


def _unpooled(
    name: str, input: Any, indices: Any, kernel_size: Any, stride: Any, padding: Any,
    output_size: Any, axes: int,
) -> Any:  # fmt: skip
    shape = shape_of(name, input)
    if len(shape) not in (axes + 1, axes + 2):
        raise ShapeError(f"{name}: argument input has shape {shape}, want {axes + 1}-D or one more")
    if tuple(shape_of(name, indices)) != tuple(shape):
        raise ShapeError(f"{name}: argument indices has shape {indices.shape}, want {shape}")
    kernel = numbers(name, "kernel_size", kernel_size, 1, axes)
    step = kernel if stride is None or stride == () else numbers(name, "stride", stride, 1, axes)
    pads = numbers(name, "padding", padding, 0, axes)
    size = tuple(
        (n - 1) * s - 2 * p + k
        for n, s, p, k in zip(shape[-axes:], step, pads, kernel, strict=True)
    )
    if output_size is not None:
        size = _near(name, as_ints(name, "output_size", output_size), size, step)
    # A place counts the elements of its plane, whatever their dims: a plane may be one row.
    batch = (1, *shape)[-axes - 2 : -axes]
    rows = (*batch, 1, math.prod(shape[-axes:]))
    flat, places = reshape(input, shape=rows), reshape(indices, shape=rows)
    if axes == 2:
        flat, places = (reshape(a, shape=(*batch, *shape[-2:])) for a in (input, indices))
    plane = size if axes == 2 else (1, math.prod(size))
    y = ops.max_unpool2d(flat, places, output_size=plane)
    return reshape(y, shape=(*shape[:-axes], *size))


def _near(
    name: str, wanted: tuple[int, ...], size: tuple[int, ...], step: tuple[int, ...]
) -> tuple[int, ...]:
    """The output sizes asked for, which lie within a stride of the plain ones."""
    if len(wanted) not in (len(size), len(size) + 2):
        raise ArgumentError(
            f"{name}: output_size: got {wanted}, want {len(size)} sizes or two more"
        )
    wanted = wanted[-len(size) :]
    if any(not m - s < n < m + s for n, m, s in zip(wanted, size, step, strict=True)):
        raise ArgumentError(
            f"{name}: output_size: got {wanted}, want less than the stride {step} from {size}"
        )
    return wanted
