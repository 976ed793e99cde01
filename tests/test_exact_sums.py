"""The reference of float64 sums of products: right to its stated bound, and sharper than before."""

from fractions import Fraction

import numpy as np
import pytest

from fastdl.check import exact, fills
from fastdl.check.aspects import planned
from fastdl.check.fingerprint import find_sum
from fastdl.check.judge import Case
from fastdl.spec import OPS, Sample

SAMPLES = {
    "matmul": Sample("", ((5, 31), (31, 4))),
    "linear": Sample("", ((3, 17), (5, 17), (5,))),
    "conv2d": Sample("", ((1, 3, 5, 5), (2, 3, 3, 3)), {"padding": 1}),
    "sum": Sample("", ((3, 300),), {"dim": 1}),
}
FAMILIES = {"normal": fills.normal, **{k: v for k, v in fills.HARD.items() if k != "specials"}}


def case_of(op, fill, seed=0):
    sample = SAMPLES[op]
    arrays = sample.build(np.random.default_rng(seed), "float64", fill)
    return Case(OPS[op], planned(OPS[op], arrays, sample))


def rational(case, found):
    """One element of a sum of products in rational numbers."""
    arrays = case.plan.arrays
    total = Fraction(0)
    for places in zip(*found.places, strict=True):
        term = Fraction(1)
        for i, place in zip(found.factors, places, strict=True):
            term *= Fraction(float(arrays[i].reshape(-1)[place]))
        total += term
    if case.spec.name == "linear":
        total += Fraction(float(arrays[2][found.element[-1]]))
    return total


def fraction(x):
    """A longdouble as a rational number."""
    return Fraction(*x.as_integer_ratio())


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("op", SAMPLES)
def test_it_is_right_to_its_stated_bound(op, family):
    found = find_sum(OPS[op], SAMPLES[op], "float64")
    for seed in range(10):
        case = case_of(op, FAMILIES[family], seed)
        high, low, error = (part[0][found.element] for part in case.sums)
        want = rational(case, found)
        # The bound is computed in longdouble too: a few of its roundings.
        assert abs(fraction(high) + fraction(low) - want) <= fraction(error) * (
            1 + Fraction(1, 2**60)
        )


@pytest.mark.parametrize("op", SAMPLES)
def test_its_error_is_next_to_nothing(op):
    case = case_of(op, fills.normal)
    longdouble = case._bound(np.dtype(np.longdouble), case.terms)[0]
    assert (case.sums.error[0] < 1e-12 * longdouble).all()


def test_specials_divisions_and_large_cases_keep_longdouble():
    assert case_of("matmul", fills.specials).sums is None
    pool = Sample("", ((1, 1, 9, 9),), {"kernel_size": 3})
    arrays = pool.build(np.random.default_rng(0), "float64")
    assert Case(OPS["avg_pool2d"], planned(OPS["avg_pool2d"], arrays, pool)).sums is None
    large = Sample("", ((300, 300),), {"dim": 1})
    arrays = large.build(np.random.default_rng(0), "float64")
    assert Case(OPS["sum"], planned(OPS["sum"], arrays, large)).sums is None
    assert case_of("matmul", fills.normal).sums is not None


def test_a_float64_kernel_a_little_outside_its_bound_fails_now(monkeypatch):
    """Off by 1.02 times what a tree of depth 20 allows: a plain longdouble judge could not say."""
    sample = Sample("", ((10007,),), {"dim": 0})
    plan = planned(OPS["sum"], sample.build(np.random.default_rng(0), "float64"), sample)
    case = Case(OPS["sum"], plan)
    allowed = case._bound(np.dtype(np.float64), 20)[0]
    right = np.asarray(case.expected[0].astype(np.float64))
    got = np.asarray((case.expected[0] + 1.02 * allowed).astype(np.float64))
    verdict = case.judge(got, depth=20)
    assert not verdict.passed and 1.01 < verdict.ratio < 1.03
    assert case.judge(right, depth=20).passed
    monkeypatch.setattr(Case, "sums", None)
    assert Case(OPS["sum"], plan).judge(got, depth=20).passed


def test_a_reference_that_rounds_is_noticed():
    """With slices too wide for longdouble the floating-point unit says so."""
    ones = [np.full((2, 64), np.longdouble(1 + 2.0**-31)), np.ones((64, 2), np.longdouble)]
    ones[1] += np.longdouble(2.0**-31)
    assert exact.exact_sums(OPS["matmul"], ones, {}, 64) is not None
    assert exact.exact_sums(OPS["matmul"], ones, {}, 1) is None
