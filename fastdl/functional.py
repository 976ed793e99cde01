"""The functions of torch and torch.nn.functional: their names, arguments, order and defaults.

Every function takes NumPy arrays and returns NumPy arrays, or takes Tensors and returns Tensors
that record their gradients. Unless a docstring says otherwise:

* dtypes are float32, float64, float16 and bfloat16; operands of products must agree, elementwise
  ones are promoted as torch does. Integers are computed where torch computes them.
* 4-D arrays may be NCHW or channels-last in memory: the strides of the input decide, and the
  result keeps the format.
* `out=` (keyword only; torch has it for fewer functions) is an array of the result's shape and
  dtype to write to. It may not overlap an input, but elementwise functions may write onto one.
* Errors are those of `fastdl.errors`; each names the op, the argument, what it was and what is
  wanted.

What each op computes is written in `fastdl/backends/reference`, what it accepts in `fastdl/ops`.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from .core.dtypes import as_dtype, is_float, result_type
from .core.errors import ArgumentError, DTypeError, UnsupportedError
from .core.shapes import as_float, normalize_dim
from .ops import OPS

__all__ = [
    "add", "amax", "argmax", "avg_pool2d", "cat", "conv2d", "cross_entropy", "div", "eq", "erf",
    "exp", "flatten", "ge", "gt", "le", "linear", "log", "log_softmax", "lt", "matmul", "max",
    "max_pool2d", "max_pool2d_with_indices", "mean", "mul", "ne", "neg", "permute", "relu",
    "reshape", "sigmoid", "sub", "sum", "tanh", "transpose", "where",
]  # fmt: skip

_add, _sub, _mul, _div = (OPS[name] for name in ("add", "sub", "mul", "div"))
_eq, _ne, _lt, _le, _gt, _ge = (OPS[name] for name in ("eq", "ne", "lt", "le", "gt", "ge"))
_neg, _exp, _log, _erf = (OPS[name] for name in ("neg", "exp", "log", "erf"))
_relu, _tanh, _sigmoid, _where = (OPS[name] for name in ("relu", "tanh", "sigmoid", "where"))
_sum, _mean, _amax, _max, _argmax = (OPS[n] for n in ("sum", "mean", "amax", "max", "argmax"))
_reshape, _permute, _cat, _cast = (OPS[name] for name in ("reshape", "permute", "cat", "cast"))
_matmul, _linear, _conv2d = (OPS[name] for name in ("matmul", "linear", "conv2d"))
_max_pool2d, _max_pool2d_with_indices = OPS["max_pool2d"], OPS["max_pool2d_with_indices"]
_avg_pool2d = OPS["avg_pool2d"]
_log_softmax, _cross_entropy = OPS["log_softmax"], OPS["cross_entropy"]


# --- products ----------------------------------------------------------------------------------


def matmul(input: Any, other: Any, *, out: Any = None) -> Any:
    """Matrix product y[..., M, N] = Σ_k input[..., M, k] other[..., k, N].

    Leading dimensions broadcast. A vector counts as one row (`input`) or one column (`other`),
    which is dropped from the result; two vectors give a 0-d array.

    Raises ShapeError for 0-d arguments, inner sizes that differ or leading ones that do not
    broadcast, DTypeError for different dtypes. As torch.matmul.
    """
    return _matmul(input, other, out=out)


def linear(input: Any, weight: Any, bias: Any = None, *, out: Any = None) -> Any:
    """y[..., N] = Σ_k input[..., k] weight[N, k] + bias[N].

    A weight [K] without a bias gives y[...]. Raises ShapeError if sizes do not fit, DTypeError for
    different dtypes. As torch.nn.functional.linear.
    """
    if bias is None and getattr(weight, "ndim", 2) == 1:
        return _matmul(input, weight, out=out)
    return _linear(input, weight, bias, out=out)


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
        input, into = _batched(input), None if out is None else _batched(out)
        y = conv2d(input, weight, bias, stride, padding, dilation, groups, out=into)
        return _unbatched(y) if out is None else out
    return _conv2d(
        input, weight, bias, out=out,
        stride=stride, padding=padding, dilation=dilation, groups=groups,
    )  # fmt: skip


# --- pooling -----------------------------------------------------------------------------------


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
    pool = _max_pool2d_with_indices if return_indices else _max_pool2d
    if getattr(input, "ndim", 4) == 3:
        into = _batched(out) if out is not None else None
        y = pool(
            _batched(input), out=into,
            kernel_size=kernel_size, stride=stride, padding=padding, dilation=dilation,
            ceil_mode=ceil_mode,
        )  # fmt: skip
        return _unbatched(y) if out is None else out
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
        into = None if out is None else _batched(out)
        y = avg_pool2d(
            _batched(input), kernel_size, stride, padding, ceil_mode, count_include_pad,
            divisor_override, out=into,
        )  # fmt: skip
        return _unbatched(y) if out is None else out
    return _avg_pool2d(
        input, out=out,
        kernel_size=kernel_size, stride=stride, padding=padding, ceil_mode=ceil_mode,
        count_include_pad=count_include_pad, divisor_override=divisor_override,
    )  # fmt: skip


def _batched(x: Any) -> Any:
    """A view with a first dimension of size 1 (of every one of a tuple, for outputs)."""
    if isinstance(x, tuple):
        return tuple(_batched(part) for part in x)
    return x[None]


def _unbatched(y: Any) -> Any:
    if isinstance(y, tuple):
        return tuple(_unbatched(part) for part in y)
    return _reshape(y, shape=y.shape[1:])


# --- elementwise -------------------------------------------------------------------------------


def add(input: Any, other: Any, *, alpha: Any = 1, out: Any = None) -> Any:
    """input + alpha · other, broadcast and promoted. As torch.add."""
    return _add(input, other if alpha == 1 else scaled("add", input, other, alpha), out=out)


def sub(input: Any, other: Any, *, alpha: Any = 1, out: Any = None) -> Any:
    """input − alpha · other, broadcast and promoted; DTypeError for bools. As torch.sub."""
    return _sub(input, other if alpha == 1 else scaled("sub", input, other, alpha), out=out)


def scaled(op: str, input: Any, other: Any, alpha: Any) -> Any:
    """alpha · other for `op`, in the dtype that input and other promote to."""
    as_float(op, "alpha", alpha)  # a number, or an error
    if isinstance(alpha, (float, np.floating)) and not any(
        is_float(x.dtype) if hasattr(x, "dtype") else isinstance(x, float) for x in (input, other)
    ):
        raise DTypeError(f"{op}: alpha: got {alpha!r} for integers, want an int")
    if isinstance(other, (int, float)):
        return other * alpha
    if not (hasattr(other, "dtype") and hasattr(input, "dtype")):
        return _mul(other, alpha)
    dtype = result_type(input, other)
    product = _mul(other if other.dtype == dtype else _as(other, dtype), alpha)
    return product if product.dtype == dtype else _as(product, dtype)  # of bools, as in torch


def mul(input: Any, other: Any, *, out: Any = None) -> Any:
    """input · other, broadcast and promoted. As torch.mul."""
    return _mul(input, other, out=out)


def div(input: Any, other: Any, *, rounding_mode: str | None = None, out: Any = None) -> Any:
    """input / other, broadcast and promoted; the quotient of integers is float32.

    `rounding_mode` must be None: UnsupportedError for torch's 'trunc' and 'floor'. As torch.div.
    """
    if rounding_mode is not None:
        raise UnsupportedError(f"div: rounding_mode: got {rounding_mode!r}, want None")
    return _div(input, other, out=out)


def neg(input: Any, *, out: Any = None) -> Any:
    """−input; DTypeError for bools. As torch.neg."""
    return _neg(input, out=out)


def eq(input: Any, other: Any, *, out: Any = None) -> Any:
    """Is input = other? bool, broadcast. As torch.eq."""
    return _eq(input, other, out=out)


def ne(input: Any, other: Any, *, out: Any = None) -> Any:
    """Is input ≠ other? bool, broadcast. As torch.ne."""
    return _ne(input, other, out=out)


def lt(input: Any, other: Any, *, out: Any = None) -> Any:
    """Is input < other? bool, broadcast. As torch.lt."""
    return _lt(input, other, out=out)


def le(input: Any, other: Any, *, out: Any = None) -> Any:
    """Is input ≤ other? bool, broadcast. As torch.le."""
    return _le(input, other, out=out)


def gt(input: Any, other: Any, *, out: Any = None) -> Any:
    """Is input > other? bool, broadcast. As torch.gt."""
    return _gt(input, other, out=out)


def ge(input: Any, other: Any, *, out: Any = None) -> Any:
    """Is input ≥ other? bool, broadcast. As torch.ge."""
    return _ge(input, other, out=out)


def where(condition: Any, input: Any, other: Any, *, out: Any = None) -> Any:
    """`input` where the bool `condition` holds, else `other`; broadcast. As torch.where."""
    return _where(condition, input, other, out=out)


def relu(input: Any, inplace: bool = False, *, out: Any = None) -> Any:
    """max(input, 0), NaN kept. `inplace` overwrites the input. As torch.nn.functional.relu."""
    if not inplace:
        return _relu(input, out=out)
    if out is not None:
        raise ArgumentError("relu: got inplace=True and out=, want one of them")
    return input.relu_() if hasattr(input, "relu_") else _relu(input, out=input)


def exp(input: Any, *, out: Any = None) -> Any:
    """e^input, within 2 ULP; float32 of integers. As torch.exp."""
    return _exp(input, out=out)


def log(input: Any, *, out: Any = None) -> Any:
    """Natural logarithm, within 2 ULP; NaN below 0; float32 of integers. As torch.log."""
    return _log(input, out=out)


def tanh(input: Any, *, out: Any = None) -> Any:
    """Hyperbolic tangent, within 2 ULP; float32 of integers. As torch.tanh."""
    return _tanh(input, out=out)


def sigmoid(input: Any, *, out: Any = None) -> Any:
    """1 / (1 + e^−input), within 2 ULP; float32 of integers. As torch.sigmoid."""
    return _sigmoid(input, out=out)


def erf(input: Any, *, out: Any = None) -> Any:
    """2/√π ∫₀^input e^(−t²) dt, within 2 ULP; float32 of integers. As torch.erf."""
    return _erf(input, out=out)


# --- reductions --------------------------------------------------------------------------------


class MaxResult(NamedTuple):
    """What `max` over one dim returns."""

    values: Any
    indices: Any


def sum(
    input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, out: Any = None
) -> Any:
    """Sum over dim (an int or several; None is all). Integers and bools sum to int64.

    `dtype` casts the input first. Raises IndexRangeError for a dim out of range. As torch.sum.
    """
    return _sum(_as(input, dtype), dim=dim, keepdim=keepdim, out=out)


def mean(
    input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, out: Any = None
) -> Any:
    """Mean over dim (an int or several; None is all); DTypeError for integers, NaN of nothing.

    `dtype` casts the input first. Raises IndexRangeError for a dim out of range. As torch.mean.
    """
    return _mean(_as(input, dtype), dim=dim, keepdim=keepdim, out=out)


def amax(input: Any, dim: Any = (), keepdim: bool = False, *, out: Any = None) -> Any:
    """Maximum over dim (an int or several; () is all); NaN wins. Equal maxima share the gradient.

    Raises IndexRangeError for a dim out of range or of size 0. As torch.amax.
    """
    return _amax(input, dim=dim, keepdim=keepdim, out=out)


def max(input: Any, dim: Any = None, keepdim: bool = False, *, out: Any = None) -> Any:
    """Without dim the maximum of all elements; with it (values, indices) along that dim.

    NaN wins. The index (int64) is that of the first maximum, and the gradient goes there; without
    dim, equal maxima share it. torch's `max(input, other)` of two tensors is not here. Raises
    IndexRangeError for a dim out of range or of size 0. As torch.max.
    """
    if dim is None:
        return _amax(input, dim=None, keepdim=keepdim, out=out)
    if getattr(dim, "shape", ()):
        raise UnsupportedError("max: got two arrays, want an int for dim; see where and gt")
    return MaxResult(*_max(input, dim=dim, keepdim=keepdim, out=out))


def argmax(input: Any, dim: Any = None, keepdim: bool = False, *, out: Any = None) -> Any:
    """int64 index of the first maximum along dim, or in the flattened input; NaN wins.

    Raises IndexRangeError for a dim out of range or of size 0. As torch.argmax.
    """
    return _argmax(input, dim=dim, keepdim=keepdim, out=out)


def _as(input: Any, dtype: Any) -> Any:
    return input if dtype is None else _cast(input, dtype=as_dtype(dtype).name)


# --- shapes ------------------------------------------------------------------------------------


def reshape(input: Any, shape: Any) -> Any:
    """The elements in another shape (one size may be -1): a view where strides allow, else a copy.

    Raises ShapeError if the sizes do not fit. As torch.reshape.
    """
    return _reshape(input, shape=shape)


def transpose(input: Any, dim0: int, dim1: int) -> Any:
    """A view with two dims exchanged; IndexRangeError for one out of range. As torch.transpose."""
    dims = list(range(len(_shape("transpose", input))))
    if dims:
        first = normalize_dim("transpose", dim0, len(dims), "dim0")
        second = normalize_dim("transpose", dim1, len(dims), "dim1")
        dims[first], dims[second] = dims[second], dims[first]
    return _permute(input, dims=tuple(dims))


def permute(input: Any, dims: Any) -> Any:
    """A view with the dims in another order. Raises ShapeError, IndexRangeError or ArgumentError
    unless `dims` names each dim once. As torch.permute."""
    return _permute(input, dims=dims)


def flatten(input: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """The dims from start_dim to end_dim as one; a 0-d array becomes 1-D.

    Raises IndexRangeError for a dim out of range, ArgumentError if start_dim lies after end_dim.
    As torch.flatten.
    """
    shape = _shape("flatten", input)
    first = normalize_dim("flatten", start_dim, len(shape), "start_dim")
    last = normalize_dim("flatten", end_dim, len(shape), "end_dim")
    if first > last:
        raise ArgumentError(f"flatten: start_dim {start_dim} lies after end_dim {end_dim}")
    size = math.prod(shape[first : last + 1])
    return _reshape(input, shape=(*shape[:first], size, *shape[last + 1 :]))


def _shape(op: str, input: Any) -> tuple[int, ...]:
    if not hasattr(input, "shape"):
        raise DTypeError(f"{op}: input: got {type(input).__name__}, want a NumPy array or a Tensor")
    return input.shape


def cat(tensors: Any, dim: int = 0, *, out: Any = None) -> Any:
    """Arrays joined along dim, promoted; ShapeError if other sizes differ. As torch.cat."""
    if not isinstance(tensors, (tuple, list)):
        raise DTypeError(f"cat: tensors: got {type(tensors).__name__}, want a list or a tuple")
    return _cat(*tensors, dim=dim, out=out)


# --- classification ----------------------------------------------------------------------------


def log_softmax(
    input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None, *, out: Any = None
) -> Any:
    """input − log Σ exp(input) along dim, without overflow.

    `dtype` casts the input first. Raises ArgumentError without dim (torch guesses one and warns),
    IndexRangeError for a dim out of range. As torch.nn.functional.log_softmax.
    """
    if dim is None:
        raise ArgumentError("log_softmax: dim: got None, want an int")
    return _log_softmax(_as(input, dtype), dim=dim, out=out)


def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: None = None,
    ignore_index: int = -100,
    reduce: None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """Cross entropy −w_t log softmax(input)_t of logits and class numbers t (or probabilities).

    Args:
        input: [N, C] or [N, C, d1, ...], or [C] for one position.
        target: classes 0 ≤ t < C, int64, of input's shape without C; `ignore_index` entries do not
            count. Or probabilities of the classes, a float array of input's shape.
        weight: [C], of the classes; ones unless given.
        reduction: 'mean' (over the weights of the targets that count; with probabilities, over
            the positions), 'sum' or 'none'.
        label_smoothing: in [0, 1]; mixes the target with the uniform distribution.
        size_average, reduce: torch's deprecated forms of `reduction`; refused with ArgumentError.

    Raises ShapeError for shapes that do not fit, IndexRangeError for a class out of range,
    DTypeError for other targets. As torch.nn.functional.cross_entropy.
    """
    if size_average is not None or reduce is not None:
        raise ArgumentError(
            "cross_entropy: size_average and reduce are deprecated in torch and not taken; pass"
            " reduction='mean', 'sum' or 'none'"
        )
    return _cross_entropy(
        input, target, weight,
        ignore_index=ignore_index, reduction=reduction, label_smoothing=label_smoothing,
    )  # fmt: skip
