"""Interpolation, and the rearrangement of channels as pixels."""

from __future__ import annotations

import math
from typing import Any

from ..core.errors import ArgumentError, ShapeError, UnsupportedError
from ..core.shapes import as_float, as_int, as_ints
from ..ops import interpolate as ops
from ..ops.elementwise import copy
from ..ops.shape import permute, reshape
from ._face import shape_of
from .pool_adaptive import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d

__all__ = ["channel_shuffle", "interpolate", "pixel_shuffle", "pixel_unshuffle", "upsample"]

_AVERAGES = (adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d)


def interpolate(
    input: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Any:
    """Resamples input[N, C, spatial...], of 1 to 3 spatial dims, to another size.

    Args:
        input: [N, C, L], [N, C, H, W] or [N, C, D, H, W].
        size: the output's spatial size, an int for all dims or one for each.
        scale_factor: instead of `size`, a number for all dims or one for each; sizes are rounded
            down.
        mode: 'nearest' (torch's, which takes ⌊o / scale⌋), 'nearest-exact', 'linear' (of 1 dim),
            'bilinear' and 'bicubic' (2), 'trilinear' (3), or 'area' (adaptive averages).
        align_corners: for the linear and cubic modes: corner elements are the corners of both
            grids, instead of corners of elements.
        recompute_scale_factor: place samples by the ratio of sizes, not by `scale_factor`.
        antialias: must be False; UnsupportedError otherwise.

    Raises ArgumentError unless exactly one of `size` and `scale_factor` is given, or for a mode
    that is not for this rank; ShapeError for a wrong rank or a size of 0. As
    torch.nn.functional.interpolate.
    """
    name = "interpolate"
    shape = shape_of(name, input)
    axes = len(shape) - 2
    if not 1 <= axes <= 3:
        raise ShapeError(f"{name}: argument input has shape {shape}, want 3-D to 5-D")
    if antialias:
        raise UnsupportedError(f"{name}: antialias: got {antialias!r}, want False")
    smooth = mode in ("linear", "bilinear", "bicubic", "trilinear")
    if align_corners is not None and not smooth:
        raise ArgumentError(f"{name}: align_corners: got {align_corners!r} for mode {mode!r}")
    if (size is None) == (scale_factor is None):
        raise ArgumentError(f"{name}: want one of size and scale_factor, got both or neither")
    factors: Any = None
    if size is not None:
        if recompute_scale_factor:
            raise ArgumentError(f"{name}: recompute_scale_factor: got True with size, want None")
        sizes = as_ints(name, "size", size)
        sizes = sizes * axes if len(sizes) == 1 and not hasattr(size, "__len__") else sizes
    else:
        given = scale_factor if isinstance(scale_factor, (tuple, list)) else (scale_factor,) * axes
        factors = tuple(as_float(name, "scale_factor", f) for f in given)
        if len(factors) != axes or not all(0 < f < math.inf for f in factors):
            raise ArgumentError(
                f"{name}: scale_factor: got {scale_factor!r}, want {axes} numbers above 0"
            )
        sizes = tuple(math.floor(n * f) for n, f in zip(shape[2:], factors, strict=True))
        if recompute_scale_factor:
            factors = None
    if mode == "area":
        return _AVERAGES[axes - 1](input, sizes)
    return ops.interpolate(
        input, size=sizes, mode=mode, align_corners=bool(align_corners), scale_factor=factors
    )


def upsample(
    input: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Any:
    """`interpolate` under its old name. As torch.nn.functional.upsample."""
    return interpolate(input, size, scale_factor, mode, align_corners)


def _split(name: str, input: Any, dims: int) -> tuple[tuple[int, ...], list[int]]:
    """The leading sizes of the input, and its last `dims`."""
    shape = tuple(shape_of(name, input))
    if len(shape) < dims:
        raise ShapeError(f"{name}: argument input has shape {shape}, want at least {dims}-D")
    return shape[:-dims], list(shape[-dims:])


def _factor(name: str, argument: str, value: Any) -> int:
    value = as_int(name, argument, value)
    if value < 1:
        raise ArgumentError(f"{name}: {argument}: got {value}, want at least 1")
    return value


def _moved(input: Any, parts: tuple[int, ...], order: tuple[int, ...], shape: Any) -> Any:
    """The input seen as `parts`, with those in another order, in a new shape: one copy."""
    ahead = len(parts) - len(order)
    dims = (*range(ahead), *(ahead + d for d in order))
    moved = permute(reshape(input, shape=parts), dims=dims)
    return reshape(copy(moved, channels_last=False), shape=shape)


def pixel_shuffle(input: Any, upscale_factor: int) -> Any:
    """[..., C·r², H, W] as [..., C, H·r, W·r]: each r × r channels become a square of pixels.

    Raises ShapeError unless r² divides the channels. (Shi et al. 2016.) As
    torch.nn.functional.pixel_shuffle.
    """
    r = _factor("pixel_shuffle", "upscale_factor", upscale_factor)
    ahead, (c, h, w) = _split("pixel_shuffle", input, 3)
    if c % (r * r):
        raise ShapeError(f"pixel_shuffle: {c} channels, want a multiple of {r}²")
    parts = (*ahead, c // (r * r), r, r, h, w)
    return _moved(input, parts, (0, 3, 1, 4, 2), (*ahead, c // (r * r), h * r, w * r))


def pixel_unshuffle(input: Any, downscale_factor: int) -> Any:
    """[..., C, H·r, W·r] as [..., C·r², H, W]: undoes `pixel_shuffle`.

    Raises ShapeError unless r divides rows and columns. As torch.nn.functional.pixel_unshuffle.
    """
    r = _factor("pixel_unshuffle", "downscale_factor", downscale_factor)
    ahead, (c, h, w) = _split("pixel_unshuffle", input, 3)
    if h % r or w % r:
        raise ShapeError(f"pixel_unshuffle: {h} rows and {w} columns, want multiples of {r}")
    parts = (*ahead, c, h // r, r, w // r, r)
    return _moved(input, parts, (0, 2, 4, 1, 3), (*ahead, c * r * r, h // r, w // r))


def channel_shuffle(input: Any, groups: int) -> Any:
    """[N, C, ...] with its channels, seen as [groups, C / groups], in transposed order.

    Raises ShapeError unless `groups` divides C. As torch.nn.functional.channel_shuffle.
    """
    g = _factor("channel_shuffle", "groups", groups)
    shape = tuple(shape_of("channel_shuffle", input))
    if len(shape) < 3 or shape[1] % g:
        raise ShapeError(
            f"channel_shuffle: argument input has shape {shape}, want 3-D or more, channels a"
            f" multiple of {g}"
        )
    n, c, *rest = shape
    parts = (n, g, c // g, math.prod(rest))
    return _moved(input, parts, (1, 0, 2), shape)
