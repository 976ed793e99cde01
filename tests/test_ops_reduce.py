"""Reductions agree with torch: dims, dtypes, ties, NaN, empty arrays, gradients."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from agreement import check_gradients, check_values, normal  # noqa: E402

import fastdl  # noqa: E402
import fastdl.functional as F  # noqa: E402
from fastdl import errors  # noqa: E402
from fastdl.spec import OPS  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::fastdl.core.errors.FallbackWarning")
DIMS = [0, 1, -1, (0, 2), (-1, 0), (0, 1, 2)]


def _options(dim, keepdim):
    return {"dim": dim, "keepdim": keepdim}


@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize("dim", [*DIMS, ()])
@pytest.mark.parametrize("name", ["sum", "mean", "amax"])
def test_values(name, dim, keepdim):
    check_values(name, normal(3, 5, 17), **_options(dim, keepdim))


@pytest.mark.parametrize("name", ["sum", "mean", "amax", "argmax"])
def test_values_of_everything(name):
    check_values(name, normal(3, 5, 17))
    if name != "amax":
        check_values(name, normal(3, 5, 17), dim=None)


def test_max_of_everything():
    x = normal(3, 5)
    np.testing.assert_array_equal(F.max(x), torch.tensor(x).max().numpy())


@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize("dim", [0, 1, -1])
def test_max_and_argmax(dim, keepdim):
    ties = np.random.default_rng(0).integers(0, 3, (5, 33))
    for x in (normal(5, 33), ties, ties.astype(np.uint8), ties.astype(np.float64)):
        check_values("max", x, **_options(dim, keepdim))
        check_values("argmax", x, **_options(dim, keepdim))


def test_max_of_bools():
    x = np.array([[True, False], [False, False]])
    want = torch.max(torch.tensor(x), 1)
    got = F.max(x, 1)
    np.testing.assert_array_equal(got.values, want.values)
    np.testing.assert_array_equal(got.indices, want.indices)


@pytest.mark.parametrize("place", range(5))
def test_nan_wins(place):
    x = normal(3, 5)
    x[1, place] = np.nan
    x[1, 4] = np.nan
    check_values("amax", x, dim=1)
    check_values("max", x, dim=1)
    check_values("argmax", x, dim=1)


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.int32, np.int64])
def test_sum_of_integers_is_int64(dtype):
    x = np.random.default_rng(0).integers(0, 200, (5, 33)).astype(dtype)
    check_values("sum", x, dim=1)
    assert F.sum(x, dim=1).dtype == np.int64


@pytest.mark.parametrize("name", ["sum", "mean"])
def test_sums_of_nothing(name):
    check_values(name, normal(0, 3), dim=0)
    check_values(name, normal(0, 3), dim=1)
    check_values(name, normal(0, 3), dim=(0, 1))


@pytest.mark.parametrize("name", ["amax", "max", "argmax"])
def test_maxima_of_nothing(name):
    check_values(name, normal(0, 3), dim=1)
    for options in ({"dim": 0}, {}):
        with pytest.raises(errors.IndexRangeError, match=r"size 0|want one to be given"):
            getattr(F, name)(normal(0, 3), **options)
        with pytest.raises((IndexError, RuntimeError)):
            getattr(torch, name)(torch.zeros(0, 3), **options)


@pytest.mark.parametrize("name", ["sum", "mean", "amax", "max", "argmax"])
def test_zero_dims(name):
    for dim in (0, -1):
        check_values(name, normal(), dim=dim)
    with pytest.raises(errors.IndexRangeError):
        getattr(F, name)(normal(), dim=1)


@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize("dim", [0, -1, (0, 2), (0, 1, 2)])
@pytest.mark.parametrize("name", ["sum", "mean", "amax"])
def test_gradients(name, dim, keepdim):
    check_gradients(name, normal(2, 3, 4), **_options(dim, keepdim))


@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize("dim", [0, -1])
def test_max_gradient(dim, keepdim):
    check_gradients("max", normal(3, 4), **_options(dim, keepdim))


def test_max_gradient_of_zero_dims():
    check_gradients("max", normal(), dim=0)


def _torch_gradient(function, x):
    t = torch.tensor(x, requires_grad=True)
    function(t).sum().backward()
    return t.grad.numpy()


def _gradient(function, x):
    t = fastdl.Tensor(x, requires_grad=True)
    function(t).sum().backward()
    return t.grad.numpy()


def test_amax_shares_its_gradient_among_ties():
    x = np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0], [0.0, -1.0, 0.0]])
    for mine, theirs in [
        (lambda t: F.amax(t, 1), lambda t: torch.amax(t, 1)),
        (lambda t: F.amax(t, (0, 1)), lambda t: torch.amax(t, (0, 1))),
        (F.max, torch.max),
        (lambda t: F.max(t, 1).values, lambda t: torch.max(t, 1).values),
    ]:
        np.testing.assert_array_equal(_gradient(mine, x), _torch_gradient(theirs, x))


def test_dtype_casts_first():
    x = np.full(3, 2**24 + 1, np.int32)
    assert F.sum(x, dtype=np.float64) == 3 * (2**24 + 1)
    assert F.mean(x, dtype="float64").dtype == np.float64


def test_mean_divides_a_sum_in_its_own_dtype():
    """The bound is that of a float32 sum, so float32 inputs with large sums still pass."""
    check_values("mean", normal(3, 10007) + 1000, dim=1)


@pytest.mark.parametrize("name", ["sum", "mean", "amax", "max", "argmax"])
def test_declared_errors(name):
    for bad in OPS[name].bad_inputs:
        args, options = bad.call()
        with pytest.raises(bad.error, match=name):
            OPS[name](*args, **options)
