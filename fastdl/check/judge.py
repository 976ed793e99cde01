"""The judge of one call: what was returned against the reference, within the op's own bound.

A result passes if it has the planned type, shape, dtype and memory format, if every element is of
the class the reference's is (NaN, infinity of a sign), and if |got − exact| ≤ bound elsewhere,
where `exact` comes from a wider dtype and the bound from the op's spec and the kernel's
declared depth. The reference's own error in that wider dtype is part of the bound: it is the op's
bound again, at the wide unit roundoff and the depth of a sum term by term, which no order of
summation exceeds; for float64's sums of products it is next to nothing (exact.py). The whole is in
docs/checking.md. There is no rtol and no atol. `not (error <= bound)` is a failure, so NaN never
passes for a number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..core.dtypes import accumulator as wide_dtype
from ..core.dtypes import as_dtype, finfo, is_float
from ..core.shapes import is_channels_last
from ..spec import SUMS, Judged, OpSpec, Out, Plan, exact, exact_value
from .exact import MOST_ELEMENTS, Sums, exact_sums


@dataclass
class Verdict:
    """The judge's word on a case: `ratio` is the worst error / bound, `why` empty if it passed.

    `declined` says why the kernel did not take the case; then there was nothing to judge.
    """

    ratio: float = 0.0
    why: str = ""
    declined: str = ""
    terms: int = 1
    depth: int = 1
    took: str = ""  # the time of a call, in words
    isa: str = ""  # that ran it, where the kernel is one of fastdl's native ones

    @property
    def passed(self) -> bool:
        """Did the case pass?"""
        return not self.why


def widen(x: Any, dtype: np.dtype) -> Any:
    """An operand in the dtype the reference computes in; a Python float is rounded as there."""
    if isinstance(x, np.ndarray):
        return x.astype(wide_dtype(x.dtype)) if is_float(x.dtype) else x
    if isinstance(x, float) and is_float(dtype):
        return wide_dtype(dtype).type(dtype.type(x))
    return x


class Case:
    """A planned call with its exact result, computed once for all kernels judged on it.

    It is computed when a result is there to be judged, not before: the kernel cannot have seen it.
    """

    def __init__(self, spec: OpSpec, plan: Plan):
        self.spec, self.plan = spec, plan
        self.bound = spec.bound_of(plan.options)
        dtypes = [a.dtype for a in plan.arrays if isinstance(a, np.ndarray) and is_float(a.dtype)]
        self.dtype = dtypes[0] if dtypes else np.dtype(np.float32)
        for out in plan.outputs:  # a cast is judged in what it casts to
            if is_float(out.dtype):
                self.dtype = out.dtype
        self.terms = spec.terms(*plan.arrays, **plan.options)
        self.names = spec.signature.outputs[: len(plan.outputs)]
        self._own_error: tuple[Any, ...] | None = None

    @cached_property
    def wide(self) -> tuple[Any, ...]:
        """The operands in the dtype the reference computes in."""
        with np.errstate(all="ignore"):
            return tuple(widen(a, self.dtype) for a in self.plan.arrays)

    @cached_property
    def expected(self) -> tuple[np.ndarray, ...]:
        """The reference's results."""
        if self.sums is not None:
            return self.sums.high
        with np.errstate(all="ignore"):
            return tuple(map(np.asarray, self.spec.run_reference(self.wide, self.plan.options)))

    @cached_property
    def sums(self) -> Sums | None:
        """For sums of products in float64: the results in two longdoubles each."""
        arrays = (*self.plan.arrays, *self.plan.outputs)
        size = sum(math.prod(a.shape) for a in arrays if isinstance(a, (np.ndarray, Out)))
        if self.bound not in SUMS or self.dtype != np.float64 or size > MOST_ELEMENTS:
            return None
        return exact_sums(self.spec, self.wide, self.plan.options, self.terms)

    @property
    def sums_integers(self) -> bool:
        """Is it a sum of products with integer results (a mean of them need not be exact)?"""
        with np.errstate(all="ignore"):
            return self.bound in SUMS and all((y % 1 == 0).all() for y in self.expected)

    def bounds(
        self, depth: int, input_bits: int | None = None, sums: np.dtype | None = None
    ) -> tuple[Any, ...]:
        """How far each output element may be from the reference's; `sums`: made in another dtype,
        from which the results are rounded."""
        if self._own_error is None:
            self._own_error = (
                self._bound(wide_dtype(self.dtype), self.terms)
                if self.sums is None
                else self.sums.error
            )
        errors = [self._bound(sums or self.dtype, depth), self._own_error]
        if sums is not None:
            errors.append(tuple(map(self._rounding, self.expected, errors[0])))
        if input_bits is not None:  # each factor of a product is rounded to so many bits first
            errors.append(self._bound(self.dtype, 2, 2.0**-input_bits))
        return tuple(sum(parts) for parts in zip(*errors, strict=True))

    def _rounding(self, exact: np.ndarray, bound: Any) -> Any:
        """Half a step between the numbers around any result within the bound."""
        info = finfo(self.dtype)
        with np.errstate(all="ignore"):
            return (
                float(info.eps) / 2 * (np.abs(exact) + bound) + float(info.smallest_subnormal) / 2
            )

    def _wrong_layout(self, got: np.ndarray, out: Out) -> str:
        """Of an image in another memory format than planned, where both can be told apart."""
        if self.spec.view or not got.size or got.ndim != 4 or min(out.shape[1:]) <= 1:
            return ""
        if out.channels_last:
            wanted = "" if is_channels_last(got) else "channels-last"
        else:  # the order of operands in channels-last may be followed without a plan
            operands = (a for a in self.plan.arrays if isinstance(a, np.ndarray))
            follows = any(map(is_channels_last, operands))
            wanted = "NCHW" if is_channels_last(got) and not follows else ""
        return wanted and f"strides {got.strides} of shape {got.shape}, want {wanted}"

    def _bound(self, dtype: np.dtype, depth: int, unit: float | None = None) -> tuple[Any, ...]:
        """The error of evaluating the op in some dtype with sums of some depth."""
        info = finfo(dtype)
        # A longdouble's smallest number, 2⁻¹⁶⁴⁴⁵, is 0 as a float, and nothing beside any bound.
        unit, tiny = unit or float(info.eps) / 2, float(info.smallest_subnormal)
        dtypes = tuple(out.dtype for out in self.plan.outputs)
        judged = Judged(self.spec, self.wide, self.plan.options, self.expected, depth, self.terms,
                        unit, tiny, dtypes)  # fmt: skip
        with np.errstate(all="ignore"):
            return self.bound(judged)

    def judge(
        self,
        returned: Any,
        depth: int | None = None,
        integers: bool = False,
        input_bits: int | None = None,
        accumulator: str | None = None,
        layout: bool = True,
    ) -> Verdict:
        """The verdict on a result, of sums of some depth (default: one after the other).

        `integers` demands exact sums, `layout` the planned memory format; `accumulator` is the
        dtype of the sums, if it is not that of the results.
        """
        results = returned if isinstance(returned, tuple) else (returned,)
        if len(results) != len(self.plan.outputs):
            return Verdict(
                np.inf, f"returned {len(results)} outputs, want {len(self.plan.outputs)}"
            )
        depth = self.terms if depth is None else depth
        sums = as_dtype(accumulator) if accumulator else None
        if sums is not None and finfo(sums).eps >= finfo(self.dtype).eps:
            sums = None  # no wider than the results: nothing is rounded from them
        equal = self.bound in (exact, exact_value) or (integers and self.sums_integers)
        bounds = [0.0] * len(results) if equal else self.bounds(depth, input_bits, sums)
        lows = self.sums.low if self.sums else [0.0] * len(results)
        worst = Verdict(terms=self.terms, depth=depth)
        wanted = self.expected
        if equal and sums is not None:  # exact sums, rounded
            wanted = tuple(y.astype(self.dtype).astype(y.dtype) for y in wanted)
        for name, got, out, expected, low, bound in zip(
            self.names,
            results,
            self.plan.outputs,
            wanted,
            lows,
            bounds,
            strict=True,
        ):
            why = _wrong_form(got, out) or (layout and self._wrong_layout(got, out)) or ""
            verdict = (
                Verdict(np.inf, why)
                if why
                else _compare(got, expected, bound, self.bound is exact, low)
            )
            if not verdict.passed:
                verdict.why = f"{name}: {verdict.why}"
                return verdict
            worst.ratio = max(worst.ratio, verdict.ratio)
        return worst


def _wrong_form(got: Any, out: Any) -> str:
    if type(got) is not np.ndarray:
        return f"returned {type(got).__name__}, want numpy.ndarray"
    if got.shape != out.shape:
        return f"shape {got.shape}, want {out.shape}"
    if got.dtype != out.dtype:
        return f"dtype {got.dtype}, want {out.dtype}"
    return ""


def _compare(
    got: np.ndarray, expected: np.ndarray, bound: Any, signs: bool, low: Any = 0.0
) -> Verdict:
    """The verdict on one output, whose exact value is expected + low; `signs`: of zeros, too."""
    if not is_float(got.dtype):
        wrong = got != expected.astype(got.dtype)
        if not wrong.any():
            return Verdict()
        i = np.unravel_index(int(np.argmax(wrong)), got.shape)
        return Verdict(np.inf, f"element {_where(i)} is {got[i]}, want {expected[i]}")
    bound = np.broadcast_to(np.asarray(bound, expected.dtype), expected.shape)
    with np.errstate(all="ignore"):
        wide = got.astype(expected.dtype)
        rounded = expected.astype(got.dtype)
        plain = np.isfinite(expected) & np.isfinite(wide)
        error = np.where(plain, np.abs(wide - expected - low), 0)
        ratio = np.where(error > 0, error / bound, 0)
        within = error <= bound
        same_class = (np.isnan(wide) & np.isnan(expected)) | (
            np.isinf(wide) & np.isinf(rounded) & (np.sign(wide) == np.sign(rounded))
        )
        # A value within its bound of the largest finite number may round to infinity.
        edge = np.abs(expected) + bound >= float(finfo(got.dtype).max)
        rounds_up = edge & np.isinf(wide) & (np.sign(wide) == np.sign(expected))
        # No bound, where the op's formula overflows on its way to a number: anything may come.
        # An infinite input makes bounds infinite too, but its result is known.
        good = np.where(plain, within, same_class | rounds_up)
        good |= np.isinf(bound) & np.isfinite(expected)
        if signs:
            good &= ~plain | (np.signbit(got) == np.signbit(expected))
    if good.all():
        return Verdict(float(ratio.max(initial=0.0)))
    i = np.unravel_index(
        int(np.argmax(np.where(good, -1, np.where(plain, ratio, np.inf)))), got.shape
    )
    why = f"element {_where(i)} is {got[i]!r}, exact {expected[i]!r}"
    why += f", error/bound {float(ratio[i]):.3g}" if plain[i] else ""
    why += f"; {int((~good).sum())} of {good.size} elements wrong"
    return Verdict(float(ratio[i]) if plain[i] else np.inf, why)


def _where(index: Sequence[Any]) -> str:
    return "[" + ", ".join(str(int(i)) for i in index) + "]"


def same_bits(a: Any, b: Any) -> bool:
    """Are two results the same in every bit?"""
    first = a if isinstance(a, tuple) else (a,)
    second = b if isinstance(b, tuple) else (b,)
    return all(
        x.shape == y.shape and x.dtype == y.dtype and x.tobytes() == y.tobytes()
        for x, y in zip(first, second, strict=True)
    )
