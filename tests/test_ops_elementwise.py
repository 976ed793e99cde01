"""Elementwise ops agree with torch: values, promotion, gradients, memory formats, errors."""

import itertools
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from agreement import check_gradients, check_values, normal  # noqa: E402

import fastdl  # noqa: E402
import fastdl.functional as F  # noqa: E402
from fastdl import errors  # noqa: E402
from fastdl.core.dtypes import result_type  # noqa: E402
from fastdl.core.shapes import is_channels_last  # noqa: E402
from fastdl.spec import OPS  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::fastdl.core.errors.FallbackWarning")
ARITHMETIC = ("add", "sub", "mul", "div")
COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge")
FUNCTIONS = ("exp", "log", "tanh", "sigmoid", "erf")
SHAPES = [((5, 33), (5, 33)), ((5, 33), (33,)), ((5, 1), (1, 7)), ((), (3,)), ((0, 3), (1,))]
DTYPES = (np.bool_, np.uint8, np.int32, np.int64, np.float32, np.float64)
SPECIAL = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-40, -1e-40, 1.0, -2.5, 88.8, -104.0])


@pytest.mark.parametrize("shapes", SHAPES, ids=str)
@pytest.mark.parametrize("name", ARITHMETIC + COMPARISONS)
def test_binary_values(name, shapes):
    a, b = (np.round(normal(*s, seed=i), 1) + np.float32(0.05) for i, s in enumerate(shapes))
    check_values(name, a, b)


@pytest.mark.parametrize("name", ARITHMETIC + COMPARISONS)
def test_binary_special_values(name):
    a, b = np.meshgrid(SPECIAL, SPECIAL)
    with np.errstate(all="ignore"):
        check_values(name, a, b)


@pytest.mark.parametrize("name", ARITHMETIC)
@pytest.mark.parametrize(
    "shapes", [((3, 4), (3, 4)), ((2, 3, 4), (3, 1)), ((), (3,)), ((3,), (1, 1))]
)
def test_binary_gradients(name, shapes):
    a, b = (normal(*s, seed=i, dtype=np.float64) for i, s in enumerate(shapes))
    check_gradients(name, a, np.asarray(b + np.copysign(1, b)))


def _torch_dtype(result):
    return result.numpy().dtype


def _same_outcome(ours, theirs):
    """Both raise, or both give the same dtype and values."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            want = theirs()
    except (RuntimeError, OverflowError, TypeError):
        with pytest.raises((errors.DTypeError, errors.ArgumentError)):
            ours()
        return
    got = ours()
    assert got.dtype == _torch_dtype(want)
    np.testing.assert_allclose(got, want.numpy(), rtol=1e-6)


@pytest.mark.parametrize("name", ("add", "sub", "mul", "div", "lt", "eq"))
@pytest.mark.parametrize("da, db", list(itertools.product(DTYPES, DTYPES)))
def test_promotion_of_arrays(name, da, db):
    ours, theirs = getattr(F, name), getattr(torch, name)
    a, b = np.array([0, 1, 3]).astype(da), np.array([1, 1, 2]).astype(db)
    a0, b0 = np.asarray(a[1]), np.asarray(b[1])

    def same(x, y):
        _same_outcome(lambda: ours(x, y), lambda: theirs(torch.tensor(x), torch.tensor(y)))

    same(a, b)
    same(a, b0)
    same(a0, b)
    same(a0, b0)


@pytest.mark.parametrize("name", ("add", "sub", "mul", "div", "gt", "eq"))
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scalar", (True, 2, 2.5, 300, -1, 2**70, float("inf")))
def test_promotion_of_python_scalars(name, dtype, scalar):
    ours, theirs = getattr(F, name), getattr(torch, name)
    a = np.array([0, 1, 3]).astype(dtype)
    if name == "gt" and scalar == 300 and dtype == np.uint8:
        pytest.skip("torch compares with a wrapped scalar or not, by version")
    _same_outcome(lambda: ours(a, scalar), lambda: theirs(torch.tensor(a), scalar))


@pytest.mark.parametrize("name", [*FUNCTIONS, "relu", "neg"])
def test_unary_values(name):
    with np.errstate(all="ignore"):
        for x in (normal(3, 17), normal(33) * 10, SPECIAL, normal(), normal(0, 3)):
            check_values(name, x)


@pytest.mark.parametrize("name", [*FUNCTIONS, "relu", "neg"])
def test_unary_gradients(name):
    x = normal(3, 5, dtype=np.float64)
    check_gradients(name, np.abs(x) + 0.5 if name == "log" else x)


@pytest.mark.parametrize("name", [*FUNCTIONS, "relu", "neg"])
@pytest.mark.parametrize("dtype", DTYPES[:4])
def test_unary_promotion(name, dtype):
    a = np.array([0, 1, 3]).astype(dtype)
    _same_outcome(lambda: getattr(F, name)(a), lambda: getattr(torch, name)(torch.tensor(a)))


def test_relu_keeps_minus_zero_and_nan():
    x = np.array([-0.0, 0.0, np.nan, -1.0], np.float32)
    got, want = F.relu(x), torch.relu(torch.tensor(x)).numpy()
    np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(np.signbit(got), np.signbit(want))


def test_relu_backward_of_nan_is_torchs():
    x, g = np.array([np.nan, -0.0, 2.0, -2.0]), np.arange(1.0, 5.0)
    t = torch.tensor(x, requires_grad=True)
    torch.relu(t).backward(torch.tensor(g))
    np.testing.assert_array_equal(OPS["relu_backward"](g, F.relu(x)), t.grad.numpy())


@pytest.mark.parametrize(
    "a, b",
    [
        (normal(5, 9), normal(5, 9, seed=1)),
        (normal(9), normal(5, 1)),
        (normal(5, 9), 0.0),
        (1, 2.5),
        (1.0, 2.0),
        (np.arange(9), 1.5),
    ],
    ids=lambda v: str(np.shape(v)),
)
def test_where(a, b):
    cond = np.random.default_rng(0).random((5, 9)) < 0.5
    check_values("where", cond, a, b)


def test_where_gradients():
    cond = np.random.default_rng(0).random((3, 4)) < 0.5
    check_gradients("where", cond, normal(3, 4), normal(4, seed=1))


@pytest.mark.parametrize("source, target", list(itertools.product(DTYPES, DTYPES)))
def test_cast(source, target):
    x = (np.array([0, 1, 2.7, 3, 100.5])).astype(source)
    got = OPS["cast"](x, dtype=np.dtype(target).name)
    want = torch.tensor(x).to(getattr(torch, np.dtype(target).name))
    assert got.dtype == target
    np.testing.assert_array_equal(got, want.numpy())


def test_cast_gradient_comes_back_in_the_dtype_of_the_input():
    x = fastdl.Tensor(normal(3), requires_grad=True)
    x.double().sum().backward()
    assert x.grad.dtype == np.float32


def test_copy_changes_the_memory_format():
    x = normal(2, 3, 4, 5)
    last = OPS["copy"](x, channels_last=True)
    assert is_channels_last(last) and not is_channels_last(x)
    assert is_channels_last(OPS["copy"](last))
    back = OPS["copy"](last, channels_last=False)
    assert back.flags.c_contiguous
    np.testing.assert_array_equal(back, x)


def test_results_keep_the_memory_format():
    x = OPS["copy"](normal(2, 3, 4, 5), channels_last=True)
    bias = normal(3, 1, 1)
    for y in (F.add(x, bias), F.mul(2.0, x), F.relu(x), F.where(x > 0, x, 0.0), F.lt(x, bias)):
        assert is_channels_last(y)


@pytest.mark.parametrize(
    "shape, strides, expected",
    [
        ((2, 3, 4, 5), (60, 20, 5, 1), False),
        ((2, 3, 4, 5), (60, 1, 15, 3), True),
        ((2, 3, 4, 5), (120, 1, 30, 6), True),  # every other channel, pixel and image
        ((2, 1, 4, 5), (20, 1, 5, 1), False),  # one channel: both formats fit
        ((2, 3, 1, 1), (3, 1, 3, 3), False),  # one pixel: both formats fit
        ((1, 3, 4, 5), (0, 1, 15, 3), True),  # a batch of one has no stride to speak of
        ((2, 3, 4, 1), (12, 1, 3, 7), True),
        ((2, 3, 4, 5), (0, 1, 15, 3), False),  # broadcast
        ((2, 3, 4, 5), (60, -1, 15, 3), False),
        ((3, 4, 5), (1, 15, 3), False),
    ],
)
def test_is_channels_last(shape, strides, expected):
    buffer = np.zeros(1000, np.float32)
    x = np.lib.stride_tricks.as_strided(buffer[500:], shape, [4 * s for s in strides])
    assert is_channels_last(x) is expected


def test_is_channels_last_is_torchs_rule_where_it_is_not_ambiguous():
    for shape in itertools.product((1, 2, 3), repeat=4):
        for order in itertools.permutations(range(4)):
            x = np.zeros([shape[d] for d in order], np.float32).transpose(np.argsort(order))
            ambiguous = shape[1] == 1 or shape[2:] == (1, 1)
            theirs = torch.from_numpy(x).is_contiguous(memory_format=torch.channels_last)
            if theirs and not ambiguous:
                assert is_channels_last(x)
            if ambiguous:
                assert not is_channels_last(x)


def test_promotion_of_half_types():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    bf16, f16 = (np.ones(2, d) for d in (ml_dtypes.bfloat16, np.float16))
    assert F.add(bf16, bf16).dtype == ml_dtypes.bfloat16
    assert F.add(bf16, f16).dtype == np.float32
    assert F.add(f16, 1.5).dtype == np.float16
    assert F.exp(bf16).dtype == ml_dtypes.bfloat16
    assert result_type(f16, np.ones(2, np.int64)) == np.float16


def test_out_may_be_an_input_exactly():
    x, want = normal(5), normal(5) + 1
    F.add(x, 1.0, out=x)
    np.testing.assert_array_equal(x, want)
    with pytest.raises(errors.OverlapError):
        F.add(x[1:], 1.0, out=x[:-1])


@pytest.mark.parametrize("name", ["add", "where", "exp", "cast", "copy", "relu_backward"])
def test_declared_errors(name):
    for bad in OPS[name].bad_inputs:
        args, options = bad.call()
        with pytest.raises(bad.error, match=name):
            OPS[name](*args, **options)


def test_errors_say_what_was_and_what_is_wanted():
    with pytest.raises(errors.ShapeError, match=r"add: shapes \(3, 4\) and \(5,\)"):
        F.add(normal(3, 4), normal(5))
    with pytest.raises(errors.DTypeError, match=r"where: cond: got int64, want a bool array"):
        F.where(np.arange(3), 1.0, 2.0)


def test_python_scalars_that_do_not_fit():
    with pytest.raises(errors.ArgumentError, match="does not fit int64"):
        F.add(np.arange(3), 2**70)
