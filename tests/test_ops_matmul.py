"""matmul and linear: derivatives, promotion that does not happen, and out=."""

import numpy as np
import pytest
from derivatives import check_gradients, check_second

import fastdl
import fastdl.functional as F
from fastdl import errors

SHAPES = [((4,), (4,)), ((3, 4), (4,)), ((4,), (2, 4, 3)), ((3, 4), (4, 2)), ((5, 3, 4), (4, 2)),
          ((3, 4), (5, 4, 2)), ((2, 1, 3, 4), (5, 4, 2)), ((1, 3, 4), (5, 4, 2))]  # fmt: skip


@pytest.mark.parametrize("a,b", SHAPES)
def test_derivatives_of_matmul(a, b):
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(a), rng.standard_normal(b)]
    check_gradients("matmul", arrays)
    check_second("matmul", arrays)


@pytest.mark.parametrize("x", [(4,), (3, 4), (2, 3, 4)])
def test_derivatives_of_linear(x):
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(x), rng.standard_normal((5, 4)), rng.standard_normal(5)]
    check_gradients("linear", arrays)
    check_gradients("linear", [*arrays[:2], None])
    check_second("linear", arrays)


def test_dtypes_are_not_promoted():
    a, b = np.ones((2, 2), np.float32), np.ones((2, 2))
    with pytest.raises(errors.DTypeError, match="b has dtype float64, want float32"):
        F.matmul(a, b)
    with pytest.raises(errors.DTypeError, match="bias"):
        F.linear(a, a, np.ones(2))


def test_out_is_written_or_refused():
    a = np.arange(4.0).reshape(2, 2)
    out = np.full((2, 2), np.nan)
    assert F.matmul(a, a, out=out) is out
    assert np.array_equal(out, a @ a)
    with pytest.raises(errors.OverlapError, match="argument a"):
        F.matmul(a, a.copy(), out=a)
    with pytest.raises(errors.ShapeError, match="out"):
        F.matmul(a, a, out=np.empty((2, 3)))
    with pytest.raises(errors.DTypeError, match="out"):
        F.matmul(a, a, out=np.empty((2, 2), np.float32))
    assert np.array_equal(a, np.arange(4.0).reshape(2, 2))


def test_a_tensor_with_an_array():
    a = fastdl.Tensor(np.eye(2), requires_grad=True)
    y = F.matmul(a, np.full((2, 2), 3.0))
    y.backward(np.ones((2, 2)))
    assert np.array_equal(a.grad.numpy(), np.full((2, 2), 6.0))
