"""exp, log, tanh, sigmoid and erf of a float64, at most 2 ULP, for loops that LLVM vectorises.

libm's are calls, one element at a time. These are arithmetic without branches or tables. Kernels of
float32 use them too, and round once.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ._jit import inline

_LOG2_E = 1.4426950408889634
_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10  # n·high is exact
_MAGIC, _MAGIC_BITS = 6755399441055744.0, 0x4338000000000000  # 1.5·2^52: adding it rounds
_SQRT_HALF_BITS = 0x3FE6A09E667F3BCD


@inline
def _power_of_two(n: Any) -> Any:
    return np.int64((n + 1023) << 52).view(np.float64)


@inline
def _reduced(x: Any) -> Any:
    """N, r and e^r − 1 − r, with x = n ln2 + r and |r| ≤ ln2/2; Taylor's series cut below 2^-57."""
    k = np.float64(x * _LOG2_E + _MAGIC)
    n = k - _MAGIC
    r = (x - n * _LN2_HIGH) - n * _LN2_LOW
    q = 1 / 6227020800
    q = q * r + 1 / 479001600
    q = q * r + 1 / 39916800
    q = q * r + 1 / 3628800
    q = q * r + 1 / 362880
    q = q * r + 1 / 40320
    q = q * r + 1 / 5040
    q = q * r + 1 / 720
    q = q * r + 1 / 120
    q = q * r + 1 / 24
    q = q * r + 1 / 6
    q = q * r + 0.5
    return k.view(np.int64) - _MAGIC_BITS, r, r * r * q


@inline
def exp(x: Any) -> Any:
    """e^x; scaled in two steps, so that a denormal result is rounded once."""
    x = -750.0 if x < -750.0 else x
    x = 750.0 if x > 750.0 else x
    n, r, w = _reduced(x)
    half = n >> 1
    return ((1 + (r + w)) * _power_of_two(half)) * _power_of_two(n - half)


@inline
def tanh(x: Any) -> Any:
    """q = h / (h + 1) with h = (e^2|x| − 1) / 2; near 0 as h − h·q, with what rounding h lost."""
    t = abs(x)
    t = 20.0 if t > 20.0 else t
    n, r, w = _reduced(t + t)
    s = _power_of_two(n - 1)
    e = r + w
    c = s - 0.5
    h = c + s * e
    lost = (s * e - (h - c)) + s * (w - (e - r))
    q = h / (h + 1)
    y = h - h * q if h < 0.5 else q
    return np.copysign(y + lost * (1 - q) * (1 - q), x)


@inline
def sigmoid(x: Any) -> Any:
    """s / (s + e^r) below 0, with |x| = n ln2 + r and s = 2^-n; 1 minus that above."""
    t = abs(x)
    t = 750.0 if t > 750.0 else t
    n, r, w = _reduced(t)
    half = n >> 1
    s = _power_of_two(-half)
    rest = _power_of_two(half - n)
    lower = s / (1 + (s * rest + (r + w))) * rest
    return lower if x < 0 else 1 - lower


@inline
def log(x: Any) -> Any:
    """e·ln2 + ln m, x = m·2^e with m in [√½, √2); ln m as in fdlibm's e_log.c (Sun, 1993)."""
    small = x < 2.2250738585072014e-308
    bits = np.float64(x * 18014398509481984.0 if small else x).view(np.int64)  # 2^54
    n = (bits - _SQRT_HALF_BITS) >> 52
    f = np.int64(bits - (n << 52)).view(np.float64) - 1
    e = n - 54.0 if small else n + 0.0
    s = f / (2 + f)
    z = s * s
    p = 1.479819860511658591e-01
    p = p * z + 1.531383769920937332e-01
    p = p * z + 1.818357216161805012e-01
    p = p * z + 2.222219843214978396e-01
    p = p * z + 2.857142874366239149e-01
    p = p * z + 3.999999999940941908e-01
    p = p * z + 6.666666666666735130e-01
    half_square = 0.5 * f * f
    y = e * _LN2_HIGH - ((half_square - (s * (half_square + z * p) + e * _LN2_LOW)) - f)
    if x == 0:
        return -np.inf
    if x < 0:
        return np.nan
    return y if x < np.inf else x  # infinity and NaN


@inline
def erf(x: Any) -> Any:
    """X + x p(x²) near 0; beyond, 1 − e^(t (g(t) − 1)) of t = |x|, the form of N. Juffa.

    p and g as in kernels/cpu/math.inc: minimax by Remez for the relative error (2^-57, 2^-58).
    """
    t = abs(x)
    t = 6.0 if t > 6.0 else t
    z = t * t
    p = -7.779462971761597e-10
    p = p * z + 1.3710988704190523e-08
    p = p * z - 1.6206318752969208e-07
    p = p * z + 1.6447132699786621e-06
    p = p * z - 1.4924712439534814e-05
    p = p * z + 0.0001205529358693695
    p = p * z - 0.0008548325929766244
    p = p * z + 0.005223977606130842
    p = p * z - 0.026866170643113415
    p = p * z + 0.112837916709442
    p = p * z - 0.3761263890318352
    p = p * z + 0.12837916709551256
    g = 1.5187892481354971e-12
    g = g * t - 6.744589832016807e-11
    g = g * t + 1.4024018076521376e-09
    g = g * t - 1.8130607733254607e-08
    g = g * t + 1.6302330060656876e-07
    g = g * t - 1.0781252468703672e-06
    g = g * t + 5.385226278209528e-06
    g = g * t - 2.03512831160618e-05
    g = g * t + 5.6038255032501845e-05
    g = g * t - 9.548589608057724e-05
    g = g * t + 9.737034551810544e-07
    g = g * t + 0.0005746601490178089
    g = g * t - 0.0016926092900642912
    g = g * t + 0.00021203740518132547
    g = g * t + 0.019124964153184515
    g = g * t - 0.10277082688149812
    g = g * t - 0.6366202527255006
    g = g * t - 0.1283791108530588
    return np.copysign(t + t * p if t < 1 else 1 - exp(t * g - t), x)
