"""log_softmax agrees with torch, also far out and at infinity, and so do its derivatives."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from agreement import check_gradients, check_values, normal  # noqa: E402

import fastdl.functional as F  # noqa: E402
from fastdl import errors  # noqa: E402
from fastdl.core.shapes import is_channels_last  # noqa: E402
from fastdl.spec import OPS  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::fastdl.core.errors.FallbackWarning")


@pytest.mark.parametrize("dim", [0, 1, 2, -1])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0, 1e4])
def test_values(dim, scale):
    check_values("log_softmax", normal(3, 5, 17) * np.float32(scale), dim=dim)


@pytest.mark.parametrize("shape, dim", [((1,), 0), ((), 0), ((), -1), ((2, 0), 1), ((0, 3), 1)])
def test_small_shapes(shape, dim):
    check_values("log_softmax", normal(*shape), dim=dim)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("place", [0, 1, 16])
def test_not_finite(value, place):
    x = normal(4, 17)
    x[1, place] = value
    x[2] = value
    x[3, place:] = -np.inf
    check_values("log_softmax", x, dim=1)


def test_shift_does_not_matter():
    """A constant added to a row changes nothing but the rounding of the input."""
    x = np.round(normal(3, 33) * 8) / 8
    np.testing.assert_array_equal(F.log_softmax(x + 4096, 1), F.log_softmax(x, 1))


@pytest.mark.parametrize("dim", [0, 1, -1])
def test_gradients(dim):
    check_gradients("log_softmax", normal(3, 4, 2), dim=dim)


def test_gradients_of_the_backward_op():
    def theirs(g, y, dim):
        return g - y.exp() * g.sum(dim, keepdim=True)

    check_gradients("log_softmax_backward", normal(3, 4), normal(3, 4, seed=1),
                    ours=OPS["log_softmax_backward"], theirs=theirs, dim=1)  # fmt: skip


def test_dtype_casts_first():
    assert F.log_softmax(np.arange(3), 0, dtype=np.float64).dtype == np.float64


def test_keeps_channels_last():
    x = OPS["copy"](normal(2, 3, 4, 5), channels_last=True)
    assert is_channels_last(F.log_softmax(x, 1))


@pytest.mark.parametrize("name", ["log_softmax", "log_softmax_backward"])
def test_declared_errors(name):
    for bad in OPS[name].bad_inputs:
        args, options = bad.call()
        with pytest.raises(bad.error, match=name):
            OPS[name](*args, **options)


def test_no_dim():
    with pytest.raises(errors.ArgumentError, match="dim"):
        F.log_softmax(normal(3))


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "int64"])
def test_integers(dtype):
    """Refused, as in torch, unless there are none of them."""
    for shape, dim in (((0,), 0), ((2, 0), -1), ((0, 3), 1)):
        x = np.zeros(shape, dtype)
        want = torch.log_softmax(torch.from_numpy(x), dim).numpy()
        got = F.log_softmax(x, dim)
        assert got.shape == want.shape and got.dtype == want.dtype
        with pytest.raises(errors.IndexRangeError):
            F.log_softmax(x, 5)
    for shape in ((3,), ()):
        with pytest.raises(errors.DTypeError):
            F.log_softmax(np.zeros(shape, dtype), 0)
