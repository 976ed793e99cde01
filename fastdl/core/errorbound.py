"""Error-carrying arithmetic: evaluate a formula and, beside it, a bound on its rounding error.

A composite op (log_softmax, cross_entropy, mean, ...) has no closed bound worth stating, so its
formula is evaluated on `Bounded` numbers: the exact value, in the judge's wide dtype, and how far a
kernel that evaluates the same formula in its own dtype may be off. Each operation carries on the
errors of its operands exactly and adds its own rounding: u·|result| + tiny, where u is the unit
roundoff and tiny the smallest denormal (running error analysis; Higham, ASNA, section 3.3).

    bound=bounded(lambda x, dim: x - x.exp().sum(dim).log())

NumPy's functions understand these numbers, so a reference that is the kernel's formula is its own
bound: `bounded(reference.softsign)`. Comparisons compare the exact values.
"""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

Axis = int | Sequence[int] | None

# Results of the library's exp and log are within 2 ULP; one ULP is at most 2u·|result|.
FUNCTION_ULPS = 2
LOG1P_ROUNDINGS = 8  # of log u · (z / (u − 1)), u = 1 + z rounded, for −1 <= z <= 1


def gamma(n: float, unit: float) -> float:
    """γ_n = n·u / (1 − n·u): the relative error of n roundings (Higham, ASNA, lemma 3.1).

    From n·u = 1 on (2048 roundings of float16) the lemma promises nothing: the largest number,
    so that 0 times it is 0.
    """
    return n * unit / (1 - n * unit) if n * unit < 1 else sys.float_info.max


class Factor(NamedTuple):
    """An exact right-hand factor of products, and its magnitudes in float64."""

    value: np.ndarray
    magnitude: np.ndarray


@dataclass(frozen=True, eq=False)
class Bounded:
    """An exact value and a bound on the absolute error of its computed counterpart."""

    value: np.ndarray
    error: np.ndarray
    unit: float
    tiny: float
    depth: int  # of the kernel's summation tree

    def _make(self, value: Any, error: Any) -> Bounded:
        """A result. Where it is not finite there is nothing to measure, only a class to compare;
        an error that is NaN (0 · inf) comes of one without bound."""
        error = np.where(np.isnan(error), np.inf, error)
        return replace(self, value=value, error=np.where(np.isfinite(value), error, 0))

    def _rounded(self, value: Any, error: Any, roundings: float = 1) -> Bounded:
        rounding = roundings * (self.unit * (np.abs(value) + error) + self.tiny)
        return self._make(value, error + rounding)

    def _coerced(self, other: Any) -> Bounded:
        """An operand; a constant is off by u relative unless the dtype holds it exactly."""
        if isinstance(other, Bounded):
            return other
        if isinstance(other, np.ndarray) and other.ndim:
            return self.exactly(other)
        value = self.value.dtype.type(other)
        error = value * 0 if self._holds(other) else np.abs(value) * self.unit
        return replace(self, value=value, error=error)

    def _holds(self, constant: float) -> bool:
        """Is a constant a number of the kernel's dtype?"""
        return math.frexp(constant)[0] / self.unit % 1 == 0

    def exactly(self, value: np.ndarray) -> Bounded:
        """A number that the kernel knows without error."""
        return replace(self, value=value, error=np.zeros_like(value))

    def __neg__(self) -> Bounded:
        return replace(self, value=-self.value)

    def __add__(self, other: Any) -> Bounded:
        b = self._coerced(other)
        return self._rounded(self.value + b.value, self.error + b.error)

    def __sub__(self, other: Any) -> Bounded:
        return self + -self._coerced(other)

    def __rsub__(self, other: Any) -> Bounded:
        return -self + other

    def __mul__(self, other: Any) -> Bounded:
        b = self._coerced(other)
        carried = np.abs(self.value) * b.error + (np.abs(b.value) + b.error) * self.error
        return self._rounded(self.value * b.value, carried)

    __radd__, __rmul__ = __add__, __mul__

    def __truediv__(self, other: Any) -> Bounded:
        b = self._coerced(other)
        quotient = self.value / b.value
        least = np.abs(b.value) - b.error
        carried = (self.error + np.abs(quotient) * b.error) / np.where(least > 0, least, 1)
        return self._rounded(quotient, np.where(least > 0, carried, np.inf))

    def sum(self, axis: Axis = None, depth: int | None = None, keepdims: bool = False) -> Bounded:
        """Σ by a tree of a depth: the kernel's, if not given (Higham, ASNA, section 4.2)."""
        n = self.depth if depth is None else depth
        factor = gamma(n, self.unit)
        total, size, error = (
            np.sum(a, axis=axis, keepdims=keepdims)
            for a in (self.value, np.abs(self.value), self.error)
        )
        return self._make(total, error + factor * (size + error))

    def max(self, axis: Axis = None, keepdims: bool = False) -> Bounded:
        """The maximum is a selection: it moves by no more than its operands."""
        value = np.max(self.value, axis=axis, keepdims=keepdims)
        return self._make(value, np.max(self.error, axis=axis, keepdims=keepdims))

    def exp(self) -> Bounded:
        """e^x: an error d of x becomes e^x·(e^d − 1)."""
        return self._function(np.exp(self.value), self._grown())

    def log(self) -> Bounded:
        """Ln x: an error d of x becomes −ln(1 − d/x)."""
        relative = np.minimum(self.error / np.abs(self.value), 1)
        return self._rounded(np.log(self.value), -np.log1p(-relative), 2 * FUNCTION_ULPS)

    def log1p(self) -> Bounded:
        """Ln (1 + x), computed without the error of 1 + x; errors carried as in `log`."""
        relative = np.minimum(self.error / np.abs(1 + self.value), 1)
        carried = -np.log1p(-relative)
        return self._rounded(np.log1p(self.value), carried, LOG1P_ROUNDINGS)

    def sqrt(self) -> Bounded:
        """√x, rounded once: an error d of x moves it by at most √(x + d) − √x or √x − √(x − d)."""
        root = np.sqrt(self.value)
        below = root - np.sqrt(np.maximum(self.value - self.error, 0))
        above = np.sqrt(self.value + self.error) - root
        return self._rounded(root, np.maximum(below, above))

    def maximum(self, other: Any) -> Bounded:
        """The larger of two: a selection, which moves by no more than its operands."""
        b = self._coerced(other)
        value = np.maximum(self.value, b.value)
        return self._make(value, np.broadcast_to(np.maximum(self.error, b.error), value.shape))

    def sign(self) -> Bounded:
        """−1, 0 or 1; any of them where the error reaches across zero."""
        across = (self.error >= np.abs(self.value)) & (self.error > 0)
        return self._make(np.sign(self.value), np.where(across, self.value.dtype.type(2), 0))

    def in_range(self) -> Bounded:
        """No bound where the number overflows the kernel's dtype, which may then make NaN of it."""
        largest = np.longdouble(8) * self.unit / self.tiny if self.tiny else np.inf
        over = np.isfinite(self.value) & (np.abs(self.value) + self.error >= largest)
        return replace(self, error=np.where(over, np.inf, self.error))

    def tanh(self) -> Bounded:
        """Tanh x; its slope over [x − d, x + d] is largest at the point nearest to 0, and its
        results lie in [−1, 1]."""
        value, slope = np.tanh(self.value), 1 - np.tanh(self._nearest_to_zero()) ** 2
        error = np.minimum(self.error * slope, 1 + np.abs(value))
        return self._rounded(value, error, 2 * FUNCTION_ULPS)

    def sigmoid(self) -> Bounded:
        """1 / (1 + e^−x); its slope over [x − d, x + d] is largest at the point nearest to 0, and
        its results lie in [0, 1]."""
        small = np.exp(-np.abs(self.value))
        value = np.where(self.value >= 0, 1, small) / (1 + small)
        nearest = np.exp(-self._nearest_to_zero())
        error = np.minimum(self.error * (nearest / (1 + nearest) ** 2), 1)
        return self._rounded(value, error, 2 * FUNCTION_ULPS)

    def _nearest_to_zero(self) -> Any:
        return np.maximum(np.abs(self.value) - self.error, 0)

    def relu(self) -> Bounded:
        """max(x, 0) moves by no more than x, and rounds nothing."""
        return self._make(np.where(self.value < 0, 0, self.value), self.error)

    def factor(self) -> Factor:
        """The numbers, which must be exact, as a right-hand factor for `affine`."""
        assert not self.error.any()
        return Factor(np.ascontiguousarray(self.value), np.abs(self.value).astype(np.float64))

    def affine(
        self, products: Sequence[tuple[Bounded, Factor]], terms: Sequence[Bounded | None]
    ) -> Bounded:
        """Σ a @ b + Σ terms as one sum of the kernel's depth, in whatever order; `self` is only
        where the unit and the depth come from."""
        value = np.zeros((), self.value.dtype)
        carried = size = np.zeros(())
        for a, b in products:
            value = value + a.value @ b.value
            # Of bounds some digits will do: in float64, where a product takes no time.
            error = a.error.astype(np.float64)
            if error.any():
                carried = carried + error @ b.magnitude
            size = size + (np.abs(a.value).astype(np.float64) + error) @ b.magnitude
        for term in terms:
            if term is not None:
                value, carried = value + term.value, carried + term.error
                size = size + np.abs(term.value) + term.error
        factor = gamma(self.depth, self.unit)
        # Each product and each partial sum may lose a denormal.
        return self._make(value, carried + factor * size + 2 * (self.depth + 1) * self.tiny)

    def between(self, a: Bounded, b: Bounded) -> Bounded:
        """a + x·(b − a) = (1 − x)·a + x·b, the error of a counted once; three roundings."""
        distance = np.abs(b.value - a.value)
        both = a.error + b.error
        carried = np.abs(1 - self.value) * a.error + np.abs(self.value) * b.error
        carried = carried + self.error * (distance + both)
        value = a.value + self.value * (b.value - a.value)
        product = (np.abs(self.value) + self.error) * (distance + both)
        rounding = 2 * (self.unit * product + self.tiny)
        return self._rounded(value, carried + rounding)

    def __getitem__(self, index: Any) -> Bounded:
        return replace(self, value=self.value[index], error=self.error[index])

    @property
    def T(self) -> Bounded:
        """The transpose."""
        return replace(self, value=self.value.T, error=self.error.T)

    def _function(self, value: Any, error: Any) -> Bounded:
        """A result of one of the library's functions, itself within FUNCTION_ULPS."""
        return self._rounded(value, error, 2 * FUNCTION_ULPS)

    def expm1(self) -> Bounded:
        """e^x − 1: an error d of x becomes e^x·(e^d − 1)."""
        return self._function(np.expm1(self.value), self._grown())

    def _grown(self) -> np.ndarray:
        """What e^x gains by an error of x, which may be infinite where e^x is 0."""
        gain = np.exp(self.value) * np.expm1(self.error)
        return np.fmin(gain, np.exp(self.value + self.error))

    def bell(self, function: Callable[[Any], Any], steepest: float) -> Bounded:
        """A library function of bounded slope."""
        return self._function(function(self.value), steepest * self.error)

    def power(self, p: float) -> Bounded:
        """x^p of x ≥ 0."""
        return self._raised(self.value.dtype.type(p), self._holds(p))

    def root(self, p: float) -> Bounded:
        """x^(1/p) of x ≥ 0."""
        return self._raised(1 / self.value.dtype.type(p), abs(math.frexp(p)[0]) == 0.5)

    def _raised(self, p: Any, exact: bool) -> Bounded:
        """x^p: an error of x moves it no further than the power of either end, and one of p, which
        is u·|p| at most where the kernel has to round it, by x^p·(e^(u·|p·ln x|) − 1)."""
        value = np.power(self.value, p)
        above = np.power(self.value + self.error, p) - value
        below = value - np.power(np.maximum(self.value - self.error, 0), p)
        carried = np.where(self.error > 0, np.maximum(np.abs(above), np.abs(below)), 0)
        if not exact:
            ends = np.maximum(self.value - self.error, self.tiny), self.value + self.error
            largest = np.maximum(*(np.abs(np.log(end)) for end in ends))
            spread = (value + carried) * np.expm1(self.unit * abs(p) * largest)
            carried = carried + np.where(value + carried > 0, spread, 0)
        return self._function(value, carried)

    def __abs__(self) -> Bounded:
        return replace(self, value=np.abs(self.value))

    def __rtruediv__(self, other: Any) -> Bounded:
        return self._coerced(other) / self

    def minimum(self, other: Any) -> Bounded:
        """The smaller of two: a selection, as `maximum`."""
        return -(-self).maximum(-self._coerced(other))

    def __lt__(self, other: Any) -> Any:
        return self.value < self._coerced(other).value

    def __le__(self, other: Any) -> Any:
        return self.value <= self._coerced(other).value

    def __gt__(self, other: Any) -> Any:
        return self.value > self._coerced(other).value

    def __ge__(self, other: Any) -> Any:
        return self.value >= self._coerced(other).value

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        """NumPy's functions of Bounded numbers."""
        name = ufunc.__name__
        first, *others = inputs
        if not isinstance(first, Bounded):  # a NumPy scalar before it
            first = self._coerced(first)
        names = {"absolute": "__abs__",
                 "multiply": "__mul__", "add": "__add__", "subtract": "__sub__",
                 "divide": "__truediv__", "negative": "__neg__", "greater": "__gt__",
                 "less": "__lt__", "less_equal": "__le__", "greater_equal": "__ge__"}  # fmt: skip
        return getattr(first, names.get(name, name))(*others)

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        """np.where, whose condition is exact."""
        assert function is np.where
        mask, a, b = args
        a, b = self._coerced(a), self._coerced(b)
        return self._make(np.where(mask, a.value, b.value), np.where(mask, a.error, b.error))

    def where(self, mask: np.ndarray) -> Bounded:
        """The number where mask holds, an exact zero elsewhere."""
        return self._make(np.where(mask, self.value, 0), np.where(mask, self.error, 0))

    def reshape(self, *shape: int) -> Bounded:
        """The numbers under another shape."""
        return replace(self, value=self.value.reshape(shape), error=self.error.reshape(shape))


def concatenate(parts: Sequence[Bounded], axis: int = 0) -> Bounded:
    """The numbers of several arrays one after the other."""
    value = np.concatenate([p.value for p in parts], axis)
    return replace(parts[0], value=value, error=np.concatenate([p.error for p in parts], axis))


def carries(steepest: float) -> Callable[[Callable[[Any], Any]], Callable[[Any], Any]]:
    """Lets a reference function whose slope is at most `steepest` take Bounded numbers too."""

    def decorate(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
        @functools.wraps(function)
        def call(x: Any) -> Any:
            return x.bell(function, steepest) if isinstance(x, Bounded) else function(x)

        return call

    return decorate


def bounded(formula: Callable[..., Any]) -> Callable[[Any], tuple[Any, ...]]:
    """A `Bound` from the op's formula on `Bounded` arrays.

    The formula is called like a kernel, with float arrays made Bounded and exact (what a kernel is
    given is what the judge knows); it returns one Bounded or a tuple of them.
    """

    def bound(case: Any) -> tuple[Any, ...]:
        def exact(a: Any) -> Any:
            if isinstance(a, np.ndarray) and a.dtype.kind == "f":
                return Bounded(a, np.zeros_like(a), case.unit, case.tiny, case.depth)
            return a

        with np.errstate(all="ignore"):
            result = formula(*map(exact, case.arrays), **case.options)
        return tuple(r.error for r in (result if isinstance(result, tuple) else (result,)))

    return bound
