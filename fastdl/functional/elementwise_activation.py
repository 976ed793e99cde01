"""Activation functions of torch.nn.functional; those torch has at its top level are methods too."""

from __future__ import annotations

import math
from typing import Any

from ..core.errors import ArgumentError, ShapeError
from ..ops import elementwise as basic
from ..ops import elementwise_activation as ops
from ..ops import elementwise_glu as gated
from ._face import shape_of

__all__ = [
    "celu",
    "celu_",
    "elu",
    "elu_",
    "gelu",
    "glu",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "hardtanh_",
    "leaky_relu",
    "leaky_relu_",
    "logsigmoid",
    "mish",
    "prelu",
    "relu6",
    "selu",
    "selu_",
    "silu",
    "softplus",
    "softsign",
    "tanhshrink",
    "threshold",
    "threshold_",
]


def _apply(op: Any, input: Any, inplace: bool, **options: Any) -> Any:
    """The op, or its result written onto the input."""
    if not inplace:
        return op(input, **options)
    if not hasattr(input, "requires_grad"):
        return op(input, out=input, **options)
    from .. import in_place as tensors

    def compute(x: Any, **out: Any) -> Any:
        return op(x, **options, **out)

    return tensors.replace(input, f"{op.name}_", compute, (), True)


def leaky_relu(input: Any, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    """The input above 0, negative_slope times it below. As torch.nn.functional.leaky_relu."""
    return _apply(ops.leaky_relu, input, inplace, negative_slope=negative_slope)


def relu6(input: Any, inplace: bool = False) -> Any:
    """min(max(input, 0), 6). As torch.nn.functional.relu6."""
    return _apply(ops.relu6, input, inplace)


def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Any:
    """min(max(input, min_val), max_val), no gradient at the ends; ArgumentError for crossed ends.

    As torch.nn.functional.hardtanh.
    """
    if min_val > max_val:
        raise ArgumentError(f"hardtanh: min_val: got {min_val}, want at most max_val, {max_val}")
    return _apply(ops.hardtanh, input, inplace, min_val=min_val, max_val=max_val)


def elu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """The input above 0, alpha · (e^input − 1) below. As torch.nn.functional.elu."""
    return _apply(ops.elu, input, inplace, alpha=alpha, scale=1.0, input_scale=1.0)


def selu(input: Any, inplace: bool = False) -> Any:
    """Scaled elu (Klambauer et al., 2017). As torch.nn.functional.selu."""
    return _apply(ops.selu, input, inplace)


def celu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """The input above 0, alpha · (e^(input/alpha) − 1) below; ArgumentError for alpha = 0.

    As torch.nn.functional.celu.
    """
    return _apply(ops.celu, input, inplace, alpha=alpha)


def gelu(input: Any, approximate: str = "none") -> Any:
    """input · Φ(input), Φ by erf or, approximate='tanh', by tanh. As torch.nn.functional.gelu."""
    if approximate == "none":
        return ops.gelu(input)
    if approximate == "tanh":
        return ops.gelu_tanh(input)
    raise ArgumentError(f"gelu: approximate: got {approximate!r}, want 'none' or 'tanh'")


def silu(input: Any, inplace: bool = False) -> Any:
    """input · sigmoid(input). As torch.nn.functional.silu."""
    return _apply(ops.silu, input, inplace)


def mish(input: Any, inplace: bool = False) -> Any:
    """input · tanh(softplus(input)). As torch.nn.functional.mish."""
    return _apply(ops.mish, input, inplace)


def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """ln(1 + e^(beta · input)) / beta, the input itself where beta · input > threshold.

    As torch.nn.functional.softplus.
    """
    return ops.softplus(input, beta=beta, threshold=threshold)


def logsigmoid(input: Any) -> Any:
    """ln sigmoid(input). As torch.nn.functional.logsigmoid."""
    return ops.logsigmoid(input)


def softsign(input: Any) -> Any:
    """input / (1 + |input|). As torch.nn.functional.softsign."""
    return ops.softsign(input)


def tanhshrink(input: Any) -> Any:
    """input − tanh(input). As torch.nn.functional.tanhshrink."""
    return basic.sub(input, basic.tanh(input))


def hardsigmoid(input: Any, inplace: bool = False) -> Any:
    """min(max(input + 3, 0), 6) / 6. As torch.nn.functional.hardsigmoid."""
    return _apply(ops.hardsigmoid, input, inplace)


def hardswish(input: Any, inplace: bool = False) -> Any:
    """input · hardsigmoid(input). As torch.nn.functional.hardswish."""
    return _apply(ops.hardswish, input, inplace)


def threshold(input: Any, threshold: float, value: float, inplace: bool = False) -> Any:
    """The input above the threshold, `value` elsewhere. As torch.nn.functional.threshold."""
    return _apply(ops.threshold, input, inplace, threshold=threshold, value=value)


def prelu(input: Any, weight: Any) -> Any:
    """The input above 0, weight times it below, with one weight or one for each channel (dim 1).

    Raises ShapeError for any other number of weights. As torch.nn.functional.prelu.
    """
    shape, count = shape_of("prelu", input), math.prod(shape_of("prelu", weight))
    channels = shape[1] if len(shape) > 1 else 1
    if count not in (1, channels) or len(weight.shape) > 1:
        raise ShapeError(
            f"prelu: weight has shape {tuple(weight.shape)} for an input of shape {shape}, want one"
            f" element or {channels}"
        )
    if count > 1 or len(shape) > 1:
        weight = weight.reshape((count, *(1,) * max(len(shape) - 2, 0)))
    return ops.prelu(input, weight)


def glu(input: Any, dim: int = -1) -> Any:
    """a · sigmoid(b) of the halves a, b of a dim; ShapeError for an odd one.

    As torch.nn.functional.glu.
    """
    return gated.glu(input, dim=dim)


def _in_place(function: Any) -> Any:
    def call(input: Any, *args: Any, **options: Any) -> Any:
        return function(input, *args, inplace=True, **options)

    call.__name__ = f"{function.__name__}_"
    call.__doc__ = f"`{function.__name__}` written onto the input."
    return call


leaky_relu_, hardtanh_, elu_, selu_, celu_, threshold_ = map(
    _in_place, (leaky_relu, hardtanh, elu, selu, celu, threshold)
)
