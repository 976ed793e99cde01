"""More elementwise functions: arithmetic, rounding, functions of numbers, decisions, bits."""

from __future__ import annotations

import builtins
import math
from typing import Any

from ..core.dtypes import is_float
from ..core.errors import ArgumentError
from ..core.shapes import as_int
from ..ops import elementwise as basic
from ..ops import elementwise_math as ops
from ..ops import elementwise_ternary as ternary
from ._face import method

__all__ = [
    "abs",
    "absolute",
    "addcdiv",
    "addcmul",
    "bitwise_and",
    "bitwise_not",
    "bitwise_or",
    "bitwise_xor",
    "ceil",
    "clamp",
    "clamp_max",
    "clamp_min",
    "clip",
    "cos",
    "exp2",
    "expm1",
    "float_power",
    "floor",
    "floor_divide",
    "isfinite",
    "isinf",
    "isnan",
    "lerp",
    "log1p",
    "log2",
    "log10",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "maximum",
    "minimum",
    "pow",
    "reciprocal",
    "remainder",
    "round",
    "rsqrt",
    "sign",
    "sin",
    "sqrt",
    "square",
    "trunc",
]


def _floats(x: Any) -> bool:
    return hasattr(x, "dtype") and is_float(x.dtype)


@method(in_place=True)
def abs(input: Any, *, out: Any = None) -> Any:
    """|input|; DTypeError for bools. As torch.abs."""
    return ops.absolute(input, out=out)


absolute = abs


@method(in_place=True)
def sign(input: Any, *, out: Any = None) -> Any:
    """1, −1, or 0 for zeros and NaN. As torch.sign."""
    return ops.sign(input, out=out)


@method(in_place=True)
def square(input: Any, *, out: Any = None) -> Any:
    """input². As torch.square."""
    return ops.square(input, out=out)


@method(in_place=True)
def sqrt(input: Any, *, out: Any = None) -> Any:
    """√input, correctly rounded; NaN below 0; float32 of integers. As torch.sqrt."""
    return ops.sqrt(input, out=out)


@method(in_place=True)
def rsqrt(input: Any, *, out: Any = None) -> Any:
    """1 / √input, within 2 ULP; float32 of integers. As torch.rsqrt."""
    return ops.rsqrt(input, out=out)


@method(in_place=True)
def reciprocal(input: Any, *, out: Any = None) -> Any:
    """1 / input; float32 of integers. As torch.reciprocal."""
    return ops.reciprocal(input, out=out)


@method(in_place=True)
def floor(input: Any, *, out: Any = None) -> Any:
    """The largest whole number not above the input. As torch.floor."""
    return ops.floor(input, out=out)


@method(in_place=True)
def ceil(input: Any, *, out: Any = None) -> Any:
    """The smallest whole number not below the input. As torch.ceil."""
    return ops.ceil(input, out=out)


@method(in_place=True)
def trunc(input: Any, *, out: Any = None) -> Any:
    """The whole part of the input. As torch.trunc."""
    return ops.trunc(input, out=out)


@method(in_place=True)
def round(input: Any, *, decimals: int = 0, out: Any = None) -> Any:
    """The nearest multiple of 10^−decimals, of two the even one. As torch.round."""
    digits = as_int("round", "decimals", decimals)
    if digits == 0:
        return ops.round(input, out=out)
    scale = 10.0 ** builtins.abs(digits)
    if digits > 0:
        return basic.div(ops.round(basic.mul(input, scale)), scale, out=out)
    return basic.mul(ops.round(basic.div(input, scale)), scale, out=out)


@method(in_place=True)
def sin(input: Any, *, out: Any = None) -> Any:
    """The sine of radians, within 2 ULP of any finite input. As torch.sin."""
    return ops.sin(input, out=out)


@method(in_place=True)
def cos(input: Any, *, out: Any = None) -> Any:
    """The cosine of radians, within 2 ULP of any finite input. As torch.cos."""
    return ops.cos(input, out=out)


@method(in_place=True)
def log1p(input: Any, *, out: Any = None) -> Any:
    """ln(1 + input), within 2 ULP; NaN below −1; float32 of integers. As torch.log1p."""
    return ops.log1p(input, out=out)


@method(in_place=True)
def expm1(input: Any, *, out: Any = None) -> Any:
    """e^input − 1, within 2 ULP; float32 of integers. As torch.expm1."""
    return ops.expm1(input, out=out)


@method(in_place=True)
def exp2(input: Any, *, out: Any = None) -> Any:
    """2^input, within 2 ULP; float32 of integers. As torch.exp2."""
    return ops.exp2(input, out=out)


@method(in_place=True)
def log2(input: Any, *, out: Any = None) -> Any:
    """The logarithm to base 2, within 2 ULP; float32 of integers. As torch.log2."""
    return ops.log2(input, out=out)


@method(in_place=True)
def log10(input: Any, *, out: Any = None) -> Any:
    """The logarithm to base 10, within 2 ULP; float32 of integers. As torch.log10."""
    return ops.log10(input, out=out)


@method
def isnan(input: Any) -> Any:
    """Is it NaN? bool. As torch.isnan."""
    return ops.isnan(input)


@method
def isinf(input: Any) -> Any:
    """Is it an infinity? bool. As torch.isinf."""
    return ops.isinf(input)


@method
def isfinite(input: Any) -> Any:
    """Is it neither an infinity nor NaN? bool. As torch.isfinite."""
    return ops.isfinite(input)


@method
def logical_not(input: Any, *, out: Any = None) -> Any:
    """Is it zero? bool. As torch.logical_not."""
    return ops.logical_not(input, out=out)


@method
def logical_and(input: Any, other: Any, *, out: Any = None) -> Any:
    """Are both non-zero? bool, broadcast. As torch.logical_and."""
    return ops.logical_and(input, other, out=out)


@method
def logical_or(input: Any, other: Any, *, out: Any = None) -> Any:
    """Is either non-zero? bool, broadcast. As torch.logical_or."""
    return ops.logical_or(input, other, out=out)


@method
def logical_xor(input: Any, other: Any, *, out: Any = None) -> Any:
    """Is exactly one non-zero? bool, broadcast. As torch.logical_xor."""
    return ops.logical_xor(input, other, out=out)


@method(in_place=True)
def bitwise_not(input: Any, *, out: Any = None) -> Any:
    """Every bit turned, `not` of bools; DTypeError for floats. As torch.bitwise_not."""
    return ops.bitwise_not(input, out=out)


@method(in_place=True)
def bitwise_and(input: Any, other: Any, *, out: Any = None) -> Any:
    """The bits both have; DTypeError for floats. As torch.bitwise_and."""
    return ops.bitwise_and(input, other, out=out)


@method(in_place=True)
def bitwise_or(input: Any, other: Any, *, out: Any = None) -> Any:
    """The bits either has; DTypeError for floats. As torch.bitwise_or."""
    return ops.bitwise_or(input, other, out=out)


@method(in_place=True)
def bitwise_xor(input: Any, other: Any, *, out: Any = None) -> Any:
    """The bits exactly one has; DTypeError for floats. As torch.bitwise_xor."""
    return ops.bitwise_xor(input, other, out=out)


@method
def maximum(input: Any, other: Any, *, out: Any = None) -> Any:
    """The larger, NaN if either is; equal ones share the gradient. As torch.maximum."""
    return ops.maximum(input, other, out=out)


@method
def minimum(input: Any, other: Any, *, out: Any = None) -> Any:
    """The smaller, NaN if either is; equal ones share the gradient. As torch.minimum."""
    return ops.minimum(input, other, out=out)


@method(in_place=True)
def pow(input: Any, exponent: Any, *, out: Any = None) -> Any:
    """input^exponent, broadcast and promoted, within 2 ULP; either may be a number.

    Raises ArgumentError for integers to a negative number, DTypeError for bools. As torch.pow.
    """
    if isinstance(exponent, (int, float)) and _floats(input):
        if exponent == 2:
            return ops.square(input, out=out)
        if exponent == 0.5:
            return ops.sqrt(input, out=out)
        if exponent == -1:
            return ops.reciprocal(input, out=out)
        if exponent == -0.5:
            return ops.rsqrt(input, out=out)
    return ops.pow(input, exponent, out=out)


def float_power(input: Any, exponent: Any) -> Any:
    """input^exponent in float64. As torch.float_power."""
    wide = [basic.cast(x, dtype="float64") if hasattr(x, "dtype") else float(x)
            for x in (input, exponent)]  # fmt: skip
    return pow(*wide)


@method(in_place=True)
def floor_divide(input: Any, other: Any, *, out: Any = None) -> Any:
    """⌊input / other⌋, Python's //; ArgumentError for a 0 among integers. As torch.floor_divide."""
    return ops.floor_divide(input, other, out=out)


@method(in_place=True)
def remainder(input: Any, other: Any, *, out: Any = None) -> Any:
    """Python's %, of other's sign; ArgumentError for a 0 among integers. As torch.remainder."""
    return ops.remainder(input, other, out=out)


@method(in_place=True)
def clamp(input: Any, min: Any = None, max: Any = None, *, out: Any = None) -> Any:
    """min(max(input, min), max), the ends numbers or tensors; ArgumentError for neither end.

    NaN if any is; the gradient goes to the input in the closed interval. As torch.clamp.
    """
    if _floats(input) and not (min is None and max is None):
        min, max = -math.inf if min is None else min, math.inf if max is None else max
    return ternary.clamp(input, min, max, out=out)


clip = method(in_place=True, name="clip")(clamp)


@method(in_place=True)
def clamp_min(input: Any, min: Any, *, out: Any = None) -> Any:
    """max(input, min). As torch.clamp_min."""
    return clamp(input, min, out=out)


@method(in_place=True)
def clamp_max(input: Any, max: Any, *, out: Any = None) -> Any:
    """min(input, max). As torch.clamp_max."""
    return clamp(input, None, max, out=out)


@method(in_place=True)
def addcmul(input: Any, tensor1: Any, tensor2: Any, *, value: Any = 1, out: Any = None) -> Any:
    """input + value · tensor1 · tensor2, floats. As torch.addcmul."""
    return ternary.addcmul(input, tensor1, tensor2, value=value, out=out)


@method(in_place=True)
def addcdiv(input: Any, tensor1: Any, tensor2: Any, *, value: Any = 1, out: Any = None) -> Any:
    """input + value · tensor1 / tensor2, floats. As torch.addcdiv."""
    return ternary.addcdiv(input, tensor1, tensor2, value=value, out=out)


@method(in_place=True)
def lerp(input: Any, end: Any, weight: Any, *, out: Any = None) -> Any:
    """input + weight · (end − input), floats; the weight a number or a tensor. As torch.lerp."""
    return ternary.lerp(input, end, weight, out=out)


def _reflected(function: Any) -> Any:
    def call(self: Any, other: Any) -> Any:
        return function(other, self)

    return call


for _sign, _function in {
    "pow": pow,
    "mod": remainder,
    "floordiv": floor_divide,
    "and": bitwise_and,
    "or": bitwise_or,
    "xor": bitwise_xor,
}.items():
    method(name=f"__{_sign}__")(_function)
    method(name=f"__r{_sign}__")(_reflected(_function))
method(name="__abs__")(abs)
method(name="__invert__")(bitwise_not)


def divide_rounding(input: Any, other: Any, mode: Any, out: Any) -> Any:
    """`div` with a rounding mode, 'trunc' or 'floor'."""
    if mode == "floor":
        return ops.floor_divide(input, other, out=out)
    if mode != "trunc":
        raise ArgumentError(f"div: rounding_mode: got {mode!r}, want None, 'trunc' or 'floor'")
    if any(_floats(x) or isinstance(x, float) for x in (input, other)):
        return ops.trunc(basic.div(input, other), out=out)
    return ops.trunc_divide(input, other, out=out)
