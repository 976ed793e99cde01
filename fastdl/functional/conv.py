"""Convolution."""

from __future__ import annotations

from typing import Any

from ..core.errors import ShapeError
from ..core.windows import numbers
from ..ops import conv as ops
from ..ops import conv_3d as ops_3d
from ..ops.conv_transpose import conv_transpose2d as _conv_transpose2d
from ..ops.conv_transpose import transposed_size
from ..ops.elementwise import add
from ..ops.shape import reshape
from ..ops.shape_pad import pad
from ._face import batched, shape_of, unbatched

__all__ = [
    "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
]  # fmt: skip


def conv2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    *,
    out: Any = None,
) -> Any:
    """2-D convolution (cross-correlation) y[N, K, P, Q] of input[N, C, H, W].

    y[n, k, p, q] = bias[k] + Σ_{c, r, s} input[n, c, p·sh + r·dh, q·sw + s·dw] weight[k, c, r, s],
    with the input padded by zeros and c over the C / groups channels of k's group.

    Args:
        input: [N, C, H, W], or [C, H, W] for a result without N.
        weight: [K, C / groups, R, S].
        bias: [K] or None.
        stride, dilation: an int or a pair (rows, columns).
        padding: an int, a pair, 'valid' (none), 'same' (P = H and Q = W, for stride 1; an odd total
            pads one more at the end), or ((top, bottom), (left, right)).
        groups: divides C and K.

    Raises ShapeError for ranks or sizes that do not fit, or a kernel larger than the padded input;
    ArgumentError for a stride, dilation or groups below 1, negative padding, or 'same' with a
    stride; DTypeError for different dtypes. As torch.nn.functional.conv2d.
    """
    if getattr(input, "ndim", 4) == 3:
        input, into = batched(input), None if out is None else batched(out)
        y = conv2d(input, weight, bias, stride, padding, dilation, groups, out=into)
        return unbatched(y) if out is None else out
    return ops.conv2d(
        input, weight, bias, out=out,
        stride=stride, padding=padding, dilation=dilation, groups=groups,
    )  # fmt: skip


def conv1d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """1-D convolution y[N, K, Q] of input[N, C, L], or [C, L], by weight[K, C / groups, S].

    y[n, k, q] = bias[k] + Σ_{c, s} input[n, c, q·stride + s·dilation] weight[k, c, s], the input
    padded by zeros. It is `conv2d` of images of one row (no copy is made), with its options and
    errors. As torch.nn.functional.conv1d.
    """
    x, alone = _with_batch("conv1d", input, 3)
    pads = padding if isinstance(padding, str) else (0, *_options("conv1d", "padding", padding))
    y = ops.conv2d(
        _as_rows(x), _as_rows(_checked("conv1d", "weight", weight, 3)), bias,
        stride=(1, *_options("conv1d", "stride", stride)), padding=pads,
        dilation=(1, *_options("conv1d", "dilation", dilation)), groups=groups,
    )  # fmt: skip
    return _without_batch(_from_rows(y), alone)


def conv3d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """3-D convolution y[N, K, O, P, Q] of input[N, C, D, H, W], or [C, D, H, W].

    The weight is [K, C / groups, T, R, S]; options are an int or three of them (depth, rows,
    columns), otherwise as for `conv2d`, whose errors it has. As torch.nn.functional.conv3d.
    """
    x, alone = _with_batch("conv3d", input, 5)
    y = ops_3d.conv3d(
        x, weight, bias, stride=stride, padding=padding, dilation=dilation, groups=groups
    )
    return _without_batch(y, alone)


def conv_transpose1d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """1-D transposed convolution y[N, K, Q] of input[N, C, L], or [C, L]; see `conv_transpose2d`.

    The weight is [C, K / groups, S]. As torch.nn.functional.conv_transpose1d.
    """
    name = "conv_transpose1d"
    x, alone = _with_batch(name, input, 3)
    y = _conv_transpose2d(
        _as_rows(x), _as_rows(_checked(name, "weight", weight, 3)), bias,
        stride=(1, *_options(name, "stride", stride)),
        padding=(0, *_options(name, "padding", padding)),
        output_padding=(0, *_options(name, "output_padding", output_padding)),
        groups=groups, dilation=(1, *_options(name, "dilation", dilation)),
    )  # fmt: skip
    return _without_batch(_from_rows(y), alone)


def conv_transpose2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """2-D transposed convolution: the gradient of `conv2d` with respect to its input, plus bias.

    y[n, k, h, w] = bias[k] + Σ input[n, c, p, q] weight[c, k, r, s] over all p·sh + r·dh = h + ph,
    q·sw + s·dw = w + pw, with H = (P − 1)·sh − 2·ph + dh·(R − 1) + output_padding + 1 rows.

    Args:
        input: [N, C, P, Q], or [C, P, Q] for a result without N.
        weight: [C, K / groups, R, S].
        bias: [K] or None.
        stride, padding, output_padding, dilation: an int or a pair (rows, columns).
        groups: divides C and K.

    Raises ShapeError for ranks or sizes that do not fit, or an empty result; ArgumentError for a
    stride, dilation or groups below 1, negative padding, or an output_padding that is neither below
    the stride nor below the dilation; DTypeError for different dtypes.
    As torch.nn.functional.conv_transpose2d.
    """
    x, alone = _with_batch("conv_transpose2d", input, 4)
    y = _conv_transpose2d(
        x, weight, bias, stride=stride, padding=padding, output_padding=output_padding,
        groups=groups, dilation=dilation,
    )  # fmt: skip
    return _without_batch(y, alone)


def conv_transpose3d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """3-D transposed convolution y[N, K, D, H, W] of input[N, C, O, P, Q], or [C, O, P, Q].

    The weight is [C, K / groups, T, R, S]; see `conv_transpose2d`. It is the input's gradient of
    `conv3d`, and an addition. As torch.nn.functional.conv_transpose3d.
    """
    name = "conv_transpose3d"
    x, alone = _with_batch(name, input, 5)
    kernel = shape_of(name, _checked(name, "weight", weight, 5))[2:]
    given = {
        "stride": numbers(name, "stride", stride, 1, 3),
        "padding": numbers(name, "padding", padding, 0, 3),
        "output_padding": numbers(name, "output_padding", output_padding, 0, 3),
        "dilation": numbers(name, "dilation", dilation, 1, 3),
    }
    size = transposed_size(name, x.shape[2:], kernel, **given)
    # More output is less padding at the end; what lies beyond it meets no tap.
    sides = list(zip(given["padding"], given["output_padding"], strict=True))
    beyond = [max(more - p, 0) for p, more in sides]
    y = ops_3d.conv3d_input_grad(
        x, weight, input_size=tuple(n - b for n, b in zip(size, beyond, strict=True)),
        stride=given["stride"], padding=tuple((p, max(p - more, 0)) for p, more in sides),
        dilation=given["dilation"], groups=groups,
    )  # fmt: skip
    if any(beyond):
        y = pad(y, padding=((0, 0), (0, 0), *((0, b) for b in beyond)))
    if bias is not None:
        if shape_of(name, bias) != (y.shape[1],):
            raise ShapeError(f"{name}: argument bias has shape {bias.shape}, want ({y.shape[1]},)")
        y = add(y, reshape(bias, shape=(1, y.shape[1], 1, 1, 1)))
    return _without_batch(y, alone)


def _options(name: str, option: str, value: Any) -> tuple[int, ...]:
    """An option of the 1-D function; the op checks how small it may be."""
    return numbers(name, option, value, -(2**31), 1)


def _checked(name: str, argument: str, a: Any, ndim: int) -> Any:
    if len(shape_of(name, a)) != ndim:
        raise ShapeError(f"{name}: argument {argument} has shape {a.shape}, want {ndim}-D")
    return a


def _with_batch(name: str, input: Any, ndim: int) -> tuple[Any, bool]:
    """The input with a batch, and whether it had none."""
    if len(shape_of(name, input)) == ndim - 1:
        return reshape(input, shape=(1, *input.shape)), True
    return _checked(name, "input", input, ndim), False


def _without_batch(y: Any, alone: bool) -> Any:
    return unbatched(y) if alone else y


def _as_rows(x: Any) -> Any:
    """[N, C, L] as [N, C, 1, L]: a view."""
    return reshape(x, shape=(*x.shape[:2], 1, x.shape[2]))


def _from_rows(y: Any) -> Any:
    return reshape(y, shape=(*y.shape[:2], y.shape[3]))
