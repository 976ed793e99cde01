"""More elementwise kernels: a function of numbers an op. libm's functions are calls, at most 1 ULP.

Functions of floats compute in float64 and round once; options come as numbers after the operands.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...core.dtypes import INTEGERS
from ._jit import inline
from .elementwise import ALL, FLOATS, NUMBERS, attach, attach_decision

WHOLE = ("bool", *INTEGERS)


@inline
def _integer_power(a: Any, b: Any) -> Any:
    if b < 0:
        return 1 if a == 1 else (1 - 2 * (b % 2) if a == -1 else 0)
    r = 1
    while b > 0:
        if b % 2 == 1:
            r = r * a
        a = a * a
        b = b // 2
    return r


@inline
def _larger(a: Any, b: Any) -> Any:
    return a if a > b or np.isnan(a) else b


@inline
def _smaller(a: Any, b: Any) -> Any:
    return a if a < b or np.isnan(a) else b


attach("abs", NUMBERS, lambda x, _: abs(x))
attach("sign", ALL, lambda x, _: 1 if x > 0 else -1 if x < 0 else 0)
attach("square", NUMBERS, lambda x, _: x * x)
attach("sqrt", FLOATS, lambda x, _: math.sqrt(x))
attach("rsqrt", FLOATS, lambda x, _: 1 / math.sqrt(np.float64(x)))
attach("reciprocal", FLOATS, lambda x, _: 1 / x)
attach("floor", FLOATS, lambda x, _: np.floor(x))
attach("ceil", FLOATS, lambda x, _: np.ceil(x))
attach("trunc", FLOATS, lambda x, _: np.trunc(x))
attach("round", FLOATS, lambda x, _: np.rint(x))
attach("sin", FLOATS, lambda x, _: math.sin(np.float64(x)), 8)
attach("cos", FLOATS, lambda x, _: math.cos(np.float64(x)), 8)
attach("log1p", FLOATS, lambda x, _: math.log1p(np.float64(x)), 8)
attach("expm1", FLOATS, lambda x, _: math.expm1(np.float64(x)), 8)
attach("exp2", FLOATS, lambda x, _: np.exp2(np.float64(x)), 8)
attach("log2", FLOATS, lambda x, _: np.log2(np.float64(x)), 8)
attach("log10", FLOATS, lambda x, _: np.log10(np.float64(x)), 8)

attach_decision("isnan", ALL, lambda x, _: np.isnan(x))
attach_decision("isinf", ALL, lambda x, _: abs(x) == np.inf)
attach_decision("isfinite", ALL, lambda x, _: abs(x) < np.inf)
attach_decision("logical_not", ALL, lambda x, _: x == 0)
attach_decision("logical_and", ALL, lambda a, b, _: (a != 0) & (b != 0))
attach_decision("logical_or", ALL, lambda a, b, _: (a != 0) | (b != 0))
attach_decision("logical_xor", ALL, lambda a, b, _: (a != 0) ^ (b != 0))

attach("bitwise_not", INTEGERS, lambda x, _: ~x)
attach("bitwise_and", WHOLE, lambda a, b, _: a & b)
attach("bitwise_or", WHOLE, lambda a, b, _: a | b)
attach("bitwise_xor", WHOLE, lambda a, b, _: a ^ b)

attach("maximum", ALL, lambda a, b, _: _larger(a, b))
attach("minimum", ALL, lambda a, b, _: _smaller(a, b))
attach("pow", FLOATS, lambda a, b, _: np.float64(a) ** np.float64(b), 20)
attach("pow", INTEGERS, lambda a, b, _: _integer_power(a, b), 5)
attach("floor_divide", NUMBERS, lambda a, b, _: a // b, 5)
attach("remainder", NUMBERS, lambda a, b, _: a % b, 5)
attach("trunc_divide", INTEGERS, lambda a, b, _: a // b + (a % b != 0 and (a < 0) != (b < 0)), 5)
attach("clamp", NUMBERS, lambda x, low, high, _: _smaller(_larger(x, low), high))
attach("addcmul", FLOATS, lambda x, a, b, value, _: x + a * value * b)
attach("addcdiv", FLOATS, lambda x, a, b, value, _: x + a * value / b)
attach(
    "lerp", FLOATS, lambda a, b, w, _: a + w * (b - a) if abs(w) < 0.5 else b - (b - a) * (1 - w)
)
