"""algorithm="strassen": right on any sizes, within its own bound, the same bits always."""

import itertools

import numpy as np
import pytest

import fastdl
import fastdl.functional as F
from fastdl import errors
from fastdl.check.judge import Case
from fastdl.dispatch import make_plan
from fastdl.spec import OPS

RNG = np.random.default_rng(3)
SIZES = [0, 1, 2, 3, 4, 7, 16, 33, 66]
OPTIONS = {"algorithm": "strassen"}


def whole(*shape, dtype=np.float32):
    return RNG.integers(-8, 9, shape).astype(dtype)


def normal(*shape, dtype=np.float32):
    return RNG.standard_normal(shape).astype(dtype)


def product(a, b, **options):
    return F.matmul(a, b, algorithm="strassen", **options)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_whole_numbers_of_any_size(isa, dtype):
    for m, k, n in itertools.product(SIZES, SIZES, SIZES):
        a, b = whole(m, k, dtype=dtype), whole(k, n, dtype=dtype)
        np.testing.assert_array_equal(product(a, b), a @ b, str((m, k, n)))


def test_strides_batches_and_out(isa):
    a, b = whole(71, 1030), whole(1030, 46)
    for left, right in itertools.product(
        (a, np.asfortranarray(a), a[::-1, ::-1].copy()[::-1, ::-1]),
        (b, np.asfortranarray(b), b[:, ::-1].copy()[:, ::-1]),
    ):
        np.testing.assert_array_equal(product(left, right), a @ b)
    out = np.full((71, 92), np.nan, np.float32)
    assert product(a, b, out=out[:, ::2]) is not None
    np.testing.assert_array_equal(out[:, ::2], a @ b)
    assert np.isnan(out[:, 1::2]).all()
    wide = np.full((46, 71), np.nan, np.float32)
    product(a, b, out=wide.T)
    np.testing.assert_array_equal(wide.T, a @ b)
    for left, right in (((3, 5, 6), (3, 6, 7)), ((2, 1, 5, 6), (3, 6, 7)), ((5, 6), (3, 6, 7)),
                 ((3, 5, 6), (6, 7)), ((6,), (6, 7)), ((5, 6), (6,)), ((6,), (6,))):  # fmt: skip
        x, y = whole(*left), whole(*right)
        np.testing.assert_array_equal(product(x, y), np.matmul(x, y))


def test_numbers_that_are_not_finite_are_those_of_the_plain_product():
    a, b = normal(40, 30), normal(30, 50)
    a[3, 4], a[30, 20], b[7, 45] = np.inf, np.nan, -np.inf
    np.testing.assert_array_equal(product(a, b), F.matmul(a, b))
    several = np.stack([a, normal(40, 30)])  # each matrix by itself
    np.testing.assert_array_equal(product(several, b)[1], product(several[1], b))
    large = np.full((4, 4), 2e38, np.float32)  # A21 + A22 overflows, the product does not
    np.testing.assert_array_equal(product(large, np.eye(4, dtype=np.float32)), large)


def test_bits_do_not_depend_on_threads():
    a, b = normal(601, 530), normal(530, 702)
    before = fastdl.get_num_threads()
    try:
        found = []
        for threads in (1, 2, 3, 8):
            fastdl.set_num_threads(threads)
            found.append(product(a, b).view(np.uint32))
    finally:
        fastdl.set_num_threads(before)
    assert all(np.array_equal(found[0], other) for other in found)


def judged(case, result, **how):
    return case.judge(result, OPS["matmul"].kernels("native")[0].depth(case.terms), **how)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("m, k, n", [(2, 2, 2), (9, 33, 20), (64, 32, 64), (40, 2100, 40)])
def test_its_bound_and_what_is_outside(dtype, m, k, n):
    a, b = normal(m, k, dtype=dtype), normal(k, n, dtype=dtype)
    a[m // 2 :] *= 2**20  # where quarters mix, small elements lose to large ones
    own = Case(OPS["matmul"], make_plan(OPS["matmul"], (a, b), OPTIONS))
    plain = Case(OPS["matmul"], make_plan(OPS["matmul"], (a, b), {}))
    result = product(a, b)
    assert judged(own, result).passed
    assert not judged(plain, result).passed
    if dtype == np.float32 and k <= 33:
        short = [(x.view(np.uint32) & 0xFFFFE000).view(np.float32) for x in (a, b)]
        assert not judged(own, product(*short)).passed  # operands of 11 bits
    if k > 2:
        lost = [a[:, :-1], b[:-1]]
        assert not judged(own, product(*lost)).passed


def test_gradients_take_it_too():
    a, b, g = whole(9, 12), whole(12, 7), whole(9, 7)
    x, y = (fastdl.Tensor(t, requires_grad=True) for t in (a, b))
    F.matmul(x, y, algorithm="strassen").backward(g)
    np.testing.assert_array_equal(x.grad.numpy(), g @ b.T)
    np.testing.assert_array_equal(y.grad.numpy(), a.T @ g)


def test_refused():
    a = np.ones((2, 2), np.float32)
    with pytest.raises(errors.ArgumentError, match="algorithm"):
        F.matmul(a, a, algorithm="winograd")
    with pytest.raises(errors.ArgumentError, match="rows"):
        F.matmul(a, a, algorithm="strassen", invariant="batch")
    with fastdl.use_backend("numba"), pytest.raises(errors.UnsupportedError, match="algorithm"):
        product(a, a)
