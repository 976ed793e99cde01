"""Windows of images as columns, and back."""

from __future__ import annotations

from typing import Any

from ..core.errors import ShapeError
from ..ops import conv_fold as ops
from ..ops.shape import reshape
from ._face import shape_of, unbatched

__all__ = ["fold", "unfold"]


def unfold(
    input: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Any:
    """The windows of input[N, C, H, W], or [C, H, W], as columns [N, C · kernel size, L].

    Options are an int or a pair (rows, columns); the input is padded by zeros. Raises ShapeError
    for a wrong rank or a window larger than the padded input, ArgumentError for options out of
    range. As torch.nn.functional.unfold.
    """
    x, alone = _with_batch("unfold", input, 4)
    y = ops.unfold(x, kernel_size=kernel_size, dilation=dilation, padding=padding, stride=stride)
    return unbatched(y) if alone else y


def fold(
    input: Any,
    output_size: Any,
    kernel_size: Any,
    dilation: Any = 1,
    padding: Any = 0,
    stride: Any = 1,
) -> Any:
    """Columns [N, C · kernel size, L], or without N, added up to images [N, C, *output_size].

    The transpose of `unfold`, whose options it takes. Raises ShapeError unless the columns are
    those of windows in an image of `output_size`. As torch.nn.functional.fold.
    """
    x, alone = _with_batch("fold", input, 3)
    y = ops.fold(
        x, output_size=output_size, kernel_size=kernel_size, dilation=dilation, padding=padding,
        stride=stride,
    )  # fmt: skip
    return unbatched(y) if alone else y


def _with_batch(name: str, input: Any, ndim: int) -> tuple[Any, bool]:
    shape = shape_of(name, input)
    if len(shape) == ndim - 1:
        return reshape(input, shape=(1, *shape)), True
    if len(shape) != ndim:
        raise ShapeError(f"{name}: argument input has shape {shape}, want {ndim}-D or one less")
    return input, False
