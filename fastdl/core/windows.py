"""Sliding windows of convolution and pooling: canonical options, output sizes, and their errors.

An option is given torch's way, as one number or as one for each dimension, and leaves here as a
tuple, (rows, columns) for two dimensions. Output sizes are torch's.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import ArgumentError, ShapeError
from .shapes import as_bool, as_ints

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]  # ((top, bottom), (left, right))

LIMIT = 2**31  # sizes are 64-bit in the kernels, so products of two options never overflow there


def plane(a: np.ndarray) -> Pair:
    """Rows and columns of an array whose dimensions 2 and 3 they are."""
    return a.shape[2], a.shape[3]


def pair(op: str, name: str, value: Any, least: int) -> Pair:
    """(rows, columns) of an option given as an int, or as a sequence of one or two."""
    rows, columns = numbers(op, name, value, least, 2)
    return rows, columns


def numbers(op: str, name: str, value: Any, least: int, axes: int) -> tuple[int, ...]:
    """An option for `axes` dimensions, given as an int, or as a sequence of one or so many."""
    if type(value) is int and least <= value < LIMIT:
        return (value,) * axes
    given = as_ints(op, name, value)
    if len(given) not in (1, axes):
        wanted = {1: "an int", 2: "an int or a pair of ints"}.get(axes, f"an int or {axes} ints")
        raise ArgumentError(f"{op}: {name}: got {value!r}, want {wanted}")
    if not all(least <= v < LIMIT for v in given):
        raise ArgumentError(f"{op}: {name}: got {value!r}, want at least {least} and below 2**31")
    return given * axes if len(given) == 1 else given


# --- convolution -------------------------------------------------------------------------------


def conv_options(
    op: str, kernel_size: tuple[int, ...], stride: Any, padding: Any, dilation: Any
) -> dict[str, Any]:
    """Canonical stride, padding and dilation of a convolution."""
    axes = len(kernel_size)
    steps = numbers(op, "stride", stride, 1, axes)
    dilated = numbers(op, "dilation", dilation, 1, axes)
    if isinstance(padding, str) and padding == "same" and any(s != 1 for s in steps):
        raise ArgumentError(f"{op}: padding='same' wants stride 1, got stride {steps}")
    return {
        "stride": steps,
        "padding": _conv_padding(op, padding, kernel_size, dilated),
        "dilation": dilated,
    }


def _conv_padding(
    op: str, padding: Any, kernel_size: tuple[int, ...], dilation: tuple[int, ...]
) -> tuple[Pair, ...]:
    axes = len(kernel_size)
    if isinstance(padding, str):
        if padding == "valid":
            return ((0, 0),) * axes
        if padding != "same":
            raise ArgumentError(f"{op}: padding: got {padding!r}, want 'same', 'valid' or numbers")
        totals = (d * (k - 1) for d, k in zip(dilation, kernel_size, strict=True))
        # torch's choice: what is left over of an odd total goes to the end
        return tuple((n // 2, n - n // 2) for n in totals)
    nested = isinstance(padding, (tuple, list)) and any(
        isinstance(side, (tuple, list)) for side in padding
    )
    if not nested:
        return tuple((n, n) for n in numbers(op, "padding", padding, 0, axes))
    if len(padding) != axes or not all(
        isinstance(p, (tuple, list)) and len(p) == 2 for p in padding
    ):
        raise ArgumentError(
            f"{op}: padding: got {padding!r}, want an int, one for each dimension, or (before,"
            " after) for each, as ((top, bottom), (left, right))"
        )
    return tuple(pair(op, "padding", side, 0) for side in padding)


def conv_size(
    op: str,
    size: tuple[int, ...],
    kernel_size: tuple[int, ...],
    *,
    stride: tuple[int, ...],
    padding: tuple[Pair, ...],
    dilation: tuple[int, ...],
) -> tuple[int, ...]:
    """The spatial sizes of a convolution's output; ShapeError if the kernel does not fit."""
    lengths = []
    for n, k, s, (before, after), d in zip(
        size, kernel_size, stride, padding, dilation, strict=True
    ):
        extent, padded = d * (k - 1) + 1, before + n + after
        if n < 1 or k < 1:
            raise ShapeError(
                f"{op}: image {size} with kernel {kernel_size}: want at least one row and column"
            )
        if extent > padded:
            raise ShapeError(
                f"{op}: the kernel spans {extent} (size {k}, dilation {d}), more than the padded"
                f" input {padded}"
            )
        lengths.append((padded - extent) // s + 1)
    return tuple(lengths)


def fold_size(
    op: str, size: Pair, kernel_size: Pair, dilation: Pair, padding: Pair, stride: Pair
) -> Pair:
    """Rows and columns of windows in an image of this size; ShapeError if none fits."""
    sides = tuple((p, p) for p in padding)
    rows, columns = conv_size(
        op, size, kernel_size, stride=stride, padding=sides, dilation=dilation
    )
    return rows, columns


def met(size: int, windows: int, *, tap: int, dilation: int, padding: int, stride: int) -> Any:
    """Along one axis, which windows' tap lies inside the image, as a slice, and where there."""
    shift = tap * dilation - padding  # of the first window
    low = min(max(-(shift // stride), 0), windows)
    high = max(min((size - 1 - shift) // stride + 1, windows), low)
    first = low * stride + shift
    return slice(low, high), slice(first, first + (high - low - 1) * stride + 1, stride)


# --- pooling -----------------------------------------------------------------------------------


def pool_options(
    op: str, *, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: Any
) -> dict[str, Any]:
    """Canonical options of a pooling; without a stride it is the kernel size."""
    kernel = pair(op, "kernel_size", kernel_size, 1)
    unset = stride is None or (isinstance(stride, (tuple, list)) and not stride)
    pad = pair(op, "padding", padding, 0)
    if any(2 * p > k for p, k in zip(pad, kernel, strict=True)):
        raise ArgumentError(
            f"{op}: padding: got {padding!r}, want at most half of kernel_size {kernel}"
        )
    return {
        "kernel_size": kernel,
        "stride": kernel if unset else pair(op, "stride", stride, 1),
        "padding": pad,
        "dilation": pair(op, "dilation", dilation, 1),
        "ceil_mode": as_bool(op, "ceil_mode", ceil_mode),
    }


def pool_size(
    op: str,
    size: Pair,
    *,
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    ceil_mode: bool,
) -> Pair:
    """Rows and columns of a pooling's output.

    ShapeError if the kernel does not fit the padded input.
    """
    axes = zip(size, kernel_size, stride, padding, dilation, strict=True)
    rows, columns = (
        _pool_length(op, n, kernel=k, stride=s, padding=p, dilation=d, ceil_mode=ceil_mode)
        for n, k, s, p, d in axes
    )
    return rows, columns


def _pool_length(
    op: str, n: int, *, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool
) -> int:
    extent = dilation * (kernel - 1) + 1
    rest = n + 2 * padding - extent
    length = (rest + (stride - 1 if ceil_mode else 0)) // stride + 1
    if ceil_mode and (length - 1) * stride >= n + padding:
        length -= 1  # a window must start inside the input or the padding before it
    if n < 1 or length < 1:
        raise ShapeError(
            f"{op}: the kernel spans {extent} (size {kernel}, dilation {dilation}), more than the"
            f" padded input {n + 2 * padding}"
        )
    return length


def first_taps(length: int, *, stride: int, padding: int, dilation: int) -> np.ndarray:
    """Along one axis, the first element at or after 0 that each of `length` windows meets.

    A dilated window may step over the whole input: then it lies behind the input's end.
    """
    start = np.arange(length) * stride - padding
    return start + np.maximum(0, -(start // dilation)) * dilation


def empty_windows(
    size: Pair, output: Pair, *, stride: Pair, padding: Pair, dilation: Pair, **_: Any
) -> np.ndarray:
    """[P, Q]: which windows of a pooling cover no element of the input."""
    rows, columns = (
        first_taps(m, stride=s, padding=p, dilation=d) >= n
        for n, m, s, p, d in zip(size, output, stride, padding, dilation, strict=True)
    )
    return np.logical_or.outer(rows, columns)
