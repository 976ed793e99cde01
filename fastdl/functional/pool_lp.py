"""Power-average pooling."""

from __future__ import annotations

from typing import Any

from ..core.errors import ShapeError
from ..core.windows import numbers
from ..ops import pool_lp as ops
from ..ops.shape import reshape
from ._face import batched, shape_of, unbatched

__all__ = ["lp_pool1d", "lp_pool2d", "lp_pool3d"]


def lp_pool1d(
    input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Any:
    """(Σ x^p)^(1/p) of every window of input[N, C, L], or [C, L]; see `lp_pool2d`."""
    name = "lp_pool1d"
    shape = shape_of(name, input)
    if len(shape) not in (2, 3):
        raise ShapeError(f"{name}: argument input has shape {shape}, want 2-D or 3-D [N, C, L]")
    options = {"kernel_size": numbers(name, "kernel_size", kernel_size, 1, 1)}
    if stride is not None and stride != ():
        options["stride"] = numbers(name, "stride", stride, 1, 1)
    rows = {key: (1, *value) for key, value in options.items()}
    image = reshape(input, shape=(*(shape[:-1] if len(shape) == 3 else (1, *shape[:-1])), 1,
                                  shape[-1]))  # fmt: skip
    y = ops.lp_pool2d(image, norm_type=norm_type, ceil_mode=ceil_mode, **rows)
    return reshape(y, shape=(*shape[:-1], y.shape[-1]))


def lp_pool2d(
    input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Any:
    """(Σ x^p)^(1/p) of every window of input[N, C, H, W], or [C, H, W], p being `norm_type`.

    As in torch it is the mean of x^p times the size of the kernel, also where a window reaches
    beyond the end (`ceil_mode`), and x is not made positive first: an odd p of negative sums gives
    NaN. A window of zeros has the gradient 0. Raises what `avg_pool2d` does, and ArgumentError for
    a p of 0 or infinity. As torch.nn.functional.lp_pool2d.
    """
    return _pooled(ops.lp_pool2d, 3, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool3d(
    input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Any:
    """(Σ x^p)^(1/p) of every window of input[N, C, D, H, W], or without N; see `lp_pool2d`."""
    return _pooled(ops.lp_pool3d, 4, input, norm_type, kernel_size, stride, ceil_mode)


def _pooled(
    pool: Any, alone: int, input: Any, norm_type: Any, kernel_size: Any, stride: Any,
    ceil_mode: bool,
) -> Any:  # fmt: skip
    """An input of `alone` dims has no N."""
    options = {"norm_type": norm_type, "kernel_size": kernel_size, "stride": stride}
    if len(shape_of(pool.name, input)) == alone:
        return unbatched(pool(batched(input), ceil_mode=ceil_mode, **options))
    return pool(input, ceil_mode=ceil_mode, **options)
