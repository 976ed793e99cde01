"""Pooling."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.errors import ShapeError
from ..core.shapes import as_int
from ..core.windows import numbers
from ..ops import pool as ops
from ..ops.shape import reshape
from ..tensor import Tensor
from ._face import batched, shape_of, unbatched

__all__ = [
    "avg_pool1d", "avg_pool2d", "avg_pool3d", "max_pool1d", "max_pool1d_with_indices", "max_pool2d",
    "max_pool2d_with_indices", "max_pool3d", "max_pool3d_with_indices",
]  # fmt: skip


def max_pool2d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    out: Any = None,
) -> Any:
    """The maximum y[N, C, P, Q] of every window of input[N, C, H, W].

    Output (p, q) is the maximum of input[p·sh − ph + r·dh, q·sw − pw + s·dw] over 0 ≤ r < kh and
    0 ≤ s < kw, of which only the elements inside the input count; NaN if one of them is NaN.

    Args:
        input: [N, C, H, W], or [C, H, W] for a result without N.
        kernel_size, stride, padding, dilation: an int or a pair (rows, columns). The stride is
            the kernel size unless given; the padding is at most half of the kernel size.
        ceil_mode: also take windows that reach beyond the end, if they start inside.
        return_indices: return (y, indices), indices int64: h·W + w of each maximum, the first of
            equal ones.

    Raises ShapeError for a wrong rank, a channel or image size of 0, or a kernel larger than the
    padded input; ArgumentError for a kernel, stride or dilation below 1, or such padding.
    As torch.nn.functional.max_pool2d.
    """
    pool = ops.max_pool2d_with_indices if return_indices else ops.max_pool2d
    if getattr(input, "ndim", 4) == 3:
        into = batched(out) if out is not None else None
        y = pool(
            batched(input), out=into,
            kernel_size=kernel_size, stride=stride, padding=padding, dilation=dilation,
            ceil_mode=ceil_mode,
        )  # fmt: skip
        return unbatched(y) if out is None else out
    return pool(
        input, out=out,
        kernel_size=kernel_size, stride=stride, padding=padding, dilation=dilation,
        ceil_mode=ceil_mode,
    )  # fmt: skip


def max_pool2d_with_indices(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = True,
    *,
    out: Any = None,
) -> Any:
    """(y, indices) of `max_pool2d`. As torch.nn.functional.max_pool2d_with_indices."""
    return max_pool2d(input, kernel_size, stride, padding, dilation, ceil_mode, True, out=out)


def avg_pool2d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    out: Any = None,
) -> Any:
    """The mean y[N, C, P, Q] of every window of input[N, C, H, W].

    Args:
        input: [N, C, H, W], or [C, H, W] for a result without N.
        kernel_size, stride, padding: an int or a pair (rows, columns). The stride is the kernel
            size unless given; the padding is at most half of the kernel size.
        ceil_mode: also take windows that reach beyond the end, if they start inside.
        count_include_pad: divide by the elements of the window that lie inside the input or its
            padding, instead of by those inside the input.
        divisor_override: divide by this instead; any int but 0.

    Raises ShapeError for a wrong rank, a channel or image size of 0, or a kernel larger than the
    padded input; ArgumentError for a kernel or stride below 1, or such padding; DTypeError for
    integers. As torch.nn.functional.avg_pool2d.
    """
    if getattr(input, "ndim", 4) == 3:
        into = None if out is None else batched(out)
        y = avg_pool2d(
            batched(input), kernel_size, stride, padding, ceil_mode, count_include_pad,
            divisor_override, out=into,
        )  # fmt: skip
        return unbatched(y) if out is None else out
    return ops.avg_pool2d(
        input, out=out,
        kernel_size=kernel_size, stride=stride, padding=padding, ceil_mode=ceil_mode,
        count_include_pad=count_include_pad, divisor_override=divisor_override,
    )  # fmt: skip


# --- one dimension: images of one row, as views ------------------------------------------------


def max_pool1d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The maximum y[N, C, Q] of every window of input[N, C, L], or [C, L]; see `max_pool2d`.

    As torch.nn.functional.max_pool1d.
    """
    pool = ops.max_pool2d_with_indices if return_indices else ops.max_pool2d
    return _over_rows(
        "max_pool1d", pool, input, 1,
        kernel_size=kernel_size, stride=stride, padding=padding, dilation=dilation,
        ceil_mode=ceil_mode,
    )  # fmt: skip


def max_pool1d_with_indices(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = True,
) -> Any:
    """(y, indices) of `max_pool1d`. As torch.nn.functional.max_pool1d_with_indices."""
    return max_pool1d(input, kernel_size, stride, padding, dilation, ceil_mode, True)


def avg_pool1d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Any:
    """The mean y[N, C, Q] of every window of input[N, C, L], or [C, L]; see `avg_pool2d`.

    As torch.nn.functional.avg_pool1d.
    """
    return _over_rows(
        "avg_pool1d", ops.avg_pool2d, input, 1,
        kernel_size=kernel_size, stride=stride, padding=padding, ceil_mode=ceil_mode,
        count_include_pad=count_include_pad,
    )  # fmt: skip


_NEUTRAL = {"kernel_size": 1, "stride": 1, "padding": 0, "dilation": 1}


def _over_rows(name: str, pool: Any, input: Any, axes: int, **options: Any) -> Any:
    """A pool of images of one row, its options in front of theirs what changes nothing there."""
    if options["stride"] is None or options["stride"] == ():
        options["stride"] = options["kernel_size"]
    for option, neutral in _NEUTRAL.items():
        if option in options:
            options[option] = (neutral, *numbers(name, option, options[option], -(2**31), axes))
    shape = shape_of(name, input)
    if len(shape) not in (2, 3):
        raise ShapeError(f"{name}: argument input has shape {shape}, want 2-D or 3-D [N, C, L]")
    batch = shape[:-1] if len(shape) == 3 else (1, shape[0])

    def back(y: Any) -> Any:
        return reshape(y, shape=(*shape[:-1], y.shape[-1]))

    y = pool(reshape(input, shape=(*batch, 1, shape[-1])), **options)
    return tuple(map(back, y)) if isinstance(y, tuple) else back(y)


# --- three dimensions: first the planes, then across them --------------------------------------


def max_pool3d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The maximum of every window of input[N, C, D, H, W], or [C, D, H, W]; see `max_pool2d`.

    A maximum of maxima: of each plane's windows first, then of those across the planes.
    Indices are (d·H + h)·W + w. As torch.nn.functional.max_pool3d.
    """
    name = "max_pool3d"
    given = {
        "kernel_size": kernel_size,
        "stride": kernel_size if stride is None or stride == () else stride,
        "padding": padding,
        "dilation": dilation,
    }
    axes = {k: numbers(name, k, v, -(2**31), 3) for k, v in given.items()}
    (n, c, d, h, w), alone, x = _planes(name, input)
    pool = ops.max_pool2d_with_indices if return_indices else ops.max_pool2d
    within = {k: v[1:] for k, v in axes.items()}
    across = {k: (v[0], _NEUTRAL[k]) for k, v in axes.items()}
    first = pool(x, ceil_mode=ceil_mode, **within)
    flat, found = first if return_indices else (first, None)
    size = flat.shape[2:]
    second = pool(reshape(flat, shape=(n, c, d, size[0] * size[1])), ceil_mode=ceil_mode, **across)
    y, plane = second if return_indices else (second, None)
    shape = (*(() if alone else (n,)), c, y.shape[2], *size)
    if not return_indices:
        return reshape(y, shape=shape)
    places = _places(plane, found, n * c, size[0] * size[1], h * w)
    return reshape(y, shape=shape), places.reshape(shape)


def _places(second: Any, first: Any, volumes: int, windows: int, plane: int) -> Any:
    """Places in volumes, from those among a plane's windows in all planes, and those in planes."""
    outer, inner = _array(second), _array(first)
    array = outer.reshape(volumes, outer.size // max(volumes, 1))
    inside = np.take_along_axis(inner.reshape(volumes, inner.size // max(volumes, 1)), array, 1)
    places = array // windows * plane + inside
    return Tensor(places) if isinstance(second, Tensor) else places


def _array(a: Any) -> np.ndarray:
    return a.numpy() if isinstance(a, Tensor) else a


def max_pool3d_with_indices(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = True,
) -> Any:
    """(y, indices) of `max_pool3d`. As torch.nn.functional.max_pool3d_with_indices."""
    return max_pool3d(input, kernel_size, stride, padding, dilation, ceil_mode, True)


def avg_pool3d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """The mean of every window of input[N, C, D, H, W], or [C, D, H, W]; see `avg_pool2d`.

    A mean of means: of each plane's windows first, then of those across the planes. As
    torch.nn.functional.avg_pool3d.
    """
    name = "avg_pool3d"
    given = {
        "kernel_size": kernel_size,
        "stride": kernel_size if stride is None or stride == () else stride,
        "padding": padding,
    }
    axes = {k: numbers(name, k, v, -(2**31), 3) for k, v in given.items()}
    (n, c, d, _, _), alone, x = _planes(name, input)
    shared = {"ceil_mode": ceil_mode, "count_include_pad": count_include_pad}
    whole = divisor_override is not None  # then the planes are summed
    if whole:
        as_int(name, "divisor_override", divisor_override)
    flat = ops.avg_pool2d(
        x, divisor_override=1 if whole else None, **shared, **{k: v[1:] for k, v in axes.items()}
    )
    size = flat.shape[2:]
    across = {k: (v[0], _NEUTRAL[k]) for k, v in axes.items()}
    y = ops.avg_pool2d(
        reshape(flat, shape=(n, c, d, size[0] * size[1])),
        divisor_override=divisor_override, **shared, **across,
    )  # fmt: skip
    return reshape(y, shape=(*(() if alone else (n,)), c, y.shape[2], *size))


def _planes(name: str, input: Any) -> tuple[tuple[int, ...], bool, Any]:
    """The sizes N, C, D, H, W, whether the input had no N, and its planes as [N, C · D, H, W]."""
    shape = shape_of(name, input)
    if len(shape) not in (4, 5):
        raise ShapeError(f"{name}: argument input has shape {shape}, want 4-D or 5-D")
    alone = len(shape) == 4
    n, c, d, h, w = (1, *shape) if alone else shape
    if d == 0:
        raise ShapeError(f"{name}: the input has shape {shape}, want at least one plane")
    return (n, c, d, h, w), alone, reshape(input, shape=(n, c * d, h, w))
