"""The rules of other harnesses, for the table beside the judge's own.

Each gets what makes its test strong: every sample of the op that the judge has, with its shapes,
options and memory format, and a result compared with the reference in a wider dtype. None looks at
memory beside the arrays, at strides, threads, alignment or a second call with other memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...core.dtypes import is_float
from ...spec import exact, exact_value
from ..fills import Fill, normal
from ..judge import Case

Rule = Callable[[np.ndarray, np.ndarray, Case], bool]  # got, expected: good?


@dataclass(frozen=True)
class Harness:
    """How a harness fills arrays, how often, and what it lets pass."""

    name: str
    fill: Fill
    trials: int
    passes: Rule


def small_integers(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """What benchdnn fills the operands of its sums with."""
    return rng.integers(-8, 9, shape).astype(dtype)


def _close(got: np.ndarray, expected: np.ndarray, rtol: float, atol: float) -> bool:
    """The inequality of numpy.allclose and torch.allclose."""
    with np.errstate(all="ignore"):
        return bool(np.allclose(got, expected, rtol=rtol, atol=atol, equal_nan=True))


def _benchdnn(got: np.ndarray, expected: np.ndarray, case: Case) -> bool:
    """oneDNN's tests/benchdnn/utils/compare.cpp, compare_p2p: equal, or within a threshold that is
    relative where |expected| > 1e-5; 0 for sums and selections, 4e-6 for functions
    (eltwise.cpp, get_eltwise_threshold)."""
    threshold = 0.0 if case.sums_integers or case.bound in (exact, exact_value) else 4e-6
    with np.errstate(all="ignore"):
        rounded = expected.astype(got.dtype).astype(np.float64)
        difference = np.abs(got.astype(np.float64) - rounded)
        scale = np.where(np.abs(rounded) > 1e-5, np.abs(rounded), 1)
        same = (got == rounded) | (np.isnan(got) & np.isnan(rounded))
        return bool((same | (difference <= threshold * scale)).all())


_TORCH = {"float32": (1.3e-6, 1e-5), "float64": (1e-7, 1e-7)}


def _torch(got: np.ndarray, expected: np.ndarray, case: Case) -> bool:
    """torch.testing.assert_close's defaults for the dtype."""
    return _close(got, expected, *_TORCH.get(got.dtype.name, (0.0, 0.0)))


def _kernelbench(got: np.ndarray, expected: np.ndarray, case: Case) -> bool:
    """KernelBench's src/eval.py: torch.allclose(atol=1e-4, rtol=1e-4), five seeds."""
    return _close(got, expected, 1e-4, 1e-4)


def _triton(got: np.ndarray, expected: np.ndarray, case: Case) -> bool:
    """triton.testing.assert_close's defaults."""
    return _close(got, expected, 0.0, 1e-2)


HARNESSES = (
    Harness("benchdnn", small_integers, 1, _benchdnn),
    Harness("torch", normal, 1, _torch),
    Harness("KernelBench", normal, 5, _kernelbench),
    Harness("triton", normal, 1, _triton),
)


def passes(harness: Harness, results: tuple[Any, ...], case: Case) -> bool:
    """Does a harness let a call's results pass?"""
    for got, out, expected in zip(results, case.plan.outputs, case.expected, strict=True):
        if got.shape != out.shape or got.dtype != out.dtype:
            return False
        if not is_float(got.dtype):
            if not np.array_equal(got, expected):
                return False
        elif not harness.passes(got, expected, case):
            return False
    return True
