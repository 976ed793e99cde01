"""Products of quantized matrices, under ONNX's names."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.dtypes import float32
from ..core.errors import ArgumentError
from ..ops import matmul_integer as ops

__all__ = ["matmul_integer", "matmul_integer_to_float"]


def _zero_point(op: str, name: str, zero_point: Any, of: Any) -> Any:
    """A Python int becomes a number of the operand's dtype."""
    if not isinstance(zero_point, int) or getattr(of, "dtype", None) not in (np.int8, np.uint8):
        return zero_point
    info = np.iinfo(of.dtype)
    if not info.min <= zero_point <= info.max:
        raise ArgumentError(f"{op}: {name} is {zero_point}, want {info.min} to {info.max}")
    return np.asarray(zero_point, of.dtype)


def _scale(scale: Any) -> Any:
    return np.asarray(scale, float32) if isinstance(scale, (int, float)) else scale


def matmul_integer(
    a: Any, b: Any, a_zero_point: Any = None, b_zero_point: Any = None, *, out: Any = None
) -> Any:
    """y[..., M, N] = Σ_k (a[..., M, k] − a_zero_point) (b[..., k, N] − b_zero_point), as int32.

    Args:
        a, b: int8 or uint8, each its own; leading dimensions broadcast, vectors as in `matmul`.
        a_zero_point: of a's dtype: an int, an array () or (1,), or (M,), one for each row.
        b_zero_point: of b's dtype: an int, an array () or (1,), or (N,), one for each column.

    The arithmetic is exact mod 2^32: the result is the sum itself while that fits int32, as it does
    for any numbers up to K = 33025 (2^31 / 255²), and up to K = 65793 if a or b is int8 and has no
    zero point. Raises DTypeError, and ShapeError if sizes do not fit. As ONNX's MatMulInteger,
    except that zero points of more than one dimension are refused. It has no gradient.
    """
    a_zero = _zero_point("matmul_integer", "a_zero_point", a_zero_point, a)
    b_zero = _zero_point("matmul_integer", "b_zero_point", b_zero_point, b)
    return ops.matmul_integer(a, b, a_zero, b_zero, out=out)


def matmul_integer_to_float(
    a: Any,
    b: Any,
    a_scale: Any,
    b_scale: Any,
    a_zero_point: Any = None,
    b_zero_point: Any = None,
    bias: Any = None,
    *,
    out: Any = None,
) -> Any:
    """`matmul_integer(a, b, ...)` · a_scale · b_scale[N] + bias[N], as float32.

    Args:
        a, b, a_zero_point, b_zero_point: as in `matmul_integer`.
        a_scale: a number or a float32 array () or (1,).
        b_scale: a number, a float32 array () or (1,), or (N,), one for each column of b.
        bias: float32 (N,).

    The integer sum is exact; it, the product of the scales, their product and the sum with the bias
    are rounded. Raises DTypeError, and ShapeError if sizes do not fit. As ONNX Runtime's
    MatMulIntegerToFloat. It has no gradient.
    """
    name = "matmul_integer_to_float"
    a_zero = _zero_point(name, "a_zero_point", a_zero_point, a)
    b_zero = _zero_point(name, "b_zero_point", b_zero_point, b)
    return ops.matmul_integer_to_float(
        a, b, _scale(a_scale), _scale(b_scale), a_zero, b_zero, bias, out=out
    )
