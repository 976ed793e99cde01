"""Native reductions against NumPy in long double: axes, strides, tails, specials, bits."""

import itertools

import numpy as np
import pytest

from fastdl import _native
from fastdl.backends.native.reduce import sum_depth
from fastdl.spec import gamma

UNIT = {"float32": 2.0**-24, "float64": 2.0**-53}
DTYPES = ["float32", "float64", "int64", "int32", "uint8", "bool"]
SHAPES = [(), (1,), (5,), (63,), (300,), (9000,), (3, 40), (70, 17), (2000, 3), (129, 130),
          (2, 3, 4, 5), (4, 6, 7, 7), (1, 5, 1), (9, 300, 10)]  # fmt: skip


# avx512_bf16 runs the tables of avx512.
def make(rng, shape, dtype):
    if dtype in UNIT:
        return np.asarray(rng.standard_normal(shape) * 10).astype(dtype)
    return np.asarray(rng.integers(0, 2 if dtype == "bool" else 256, shape)).astype(dtype)


def views(x):
    """The values behind other strides: reversed, transposed, every second, repeated by stride 0."""
    yield x
    if x.ndim == 0:
        return
    yield np.asfortranarray(x)
    yield x[::-1, ...]
    yield np.repeat(x, 2, axis=-1)[..., ::2]
    yield np.broadcast_to(x[:1], x.shape)
    if x.ndim == 4:
        yield np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


def dims_of(ndim):
    return [d for k in range(1, ndim + 1) for d in itertools.combinations(range(ndim), k)]


def within(got, x, dim, keepdim, mean):
    """The a-priori bound: γ_depth · Σ|x|, and one rounding more for a mean."""
    wide = x.astype(np.longdouble)
    want = wide.sum(axis=dim, keepdims=keepdim)
    n = x.size // max(want.size, 1)
    u = UNIT[x.dtype.name]
    bound = gamma(sum_depth(n), u) * np.abs(wide).sum(axis=dim, keepdims=keepdim)
    if mean:
        want, bound = want / n, (bound * (1 + u) + u * np.abs(want)) / n
    assert got.shape == want.shape and got.dtype == x.dtype
    return not np.any(~(np.abs(got - want) <= bound))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_float_sums_and_means(isa, shape):
    rng = np.random.default_rng(1)
    for dtype in UNIT:
        for x in views(make(rng, shape, dtype)):
            for dim in (None, *dims_of(x.ndim)):
                keepdim = bool(rng.integers(2))
                assert within(_native.sum(x, dim, keepdim), x, dim, keepdim, False)
                assert within(_native.mean(x, dim, keepdim), x, dim, keepdim, True)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_integer_sums_maxima_and_places(isa, shape):
    rng = np.random.default_rng(2)
    for dtype in DTYPES:
        for x in views(make(rng, shape, dtype)):
            for dim in (None, *dims_of(x.ndim)):
                assert np.array_equal(_native.amax(x, dim), x.max(axis=dim))
                if dtype not in UNIT:
                    total = _native.sum(x, dim)
                    assert total.dtype == np.int64
                    assert np.array_equal(total, x.sum(axis=dim, dtype=np.int64))
            for d in range(x.ndim):
                values, index = _native.max(x, d - x.ndim, True)
                assert np.array_equal(values, x.max(axis=d, keepdims=True))
                assert np.array_equal(index, x.argmax(axis=d, keepdims=True))
                if dtype != "bool":
                    assert np.array_equal(_native.argmax(x, d), x.argmax(axis=d))
            if dtype != "bool":
                assert _native.argmax(x) == x.argmax()


def test_sums_of_integers_in_floats_are_exact(isa):
    rng = np.random.default_rng(3)
    cases = [((70001,), None), ((300, 5000), 0), ((300, 5000), 1), ((4, 8, 9, 9), (0, 2, 3))]
    for shape, dim in cases:
        x = rng.integers(-9, 10, shape).astype(np.float32)
        assert np.array_equal(_native.sum(x, dim), x.sum(axis=dim, dtype=np.float64))


def test_int64_sums_wrap():
    x = np.full(40, 2**62, np.int64)
    assert _native.sum(x) == x.sum()


@pytest.mark.parametrize("dtype", UNIT)
@pytest.mark.parametrize("n", [1, 3, 15, 16, 17, 63, 64, 65, 257, 5000])
def test_nan_wins_at_every_place(isa, dtype, n):
    rng = np.random.default_rng(4)
    for at in {*range(min(n, 70)), n // 2, n - 1}:
        x = rng.standard_normal((n, 3)).astype(dtype)
        x[at] = np.nan
        if at + 1 < n:
            x[n - 1] = np.nan
        for a, d in ((x, 0), (np.ascontiguousarray(x.T), 1)):
            assert np.isnan(_native.sum(a, d)).all() and np.isnan(_native.amax(a, d)).all()
            values, index = _native.max(a, d)
            assert np.isnan(values).all() and (index == at).all()
        assert _native.argmax(x) == at * 3 and np.isnan(_native.mean(x))


@pytest.mark.parametrize("dtype", UNIT)
def test_ties_infinities_and_zeros(isa, dtype):
    x = np.full((40, 33), -np.inf, dtype)
    assert (_native.amax(x, 0) == -np.inf).all() and (_native.argmax(x, 1) == 0).all()
    x[7:30:2, 5:20:3] = np.inf
    assert np.array_equal(_native.argmax(x, 0), x.argmax(0))
    assert np.array_equal(_native.argmax(x, 1), x.argmax(1))
    assert _native.sum(np.full(3, np.inf, dtype)) == np.inf
    assert np.isnan(_native.sum(np.array([np.inf, -np.inf], dtype)))
    zeros = np.full((20, 3), -0.0, dtype)
    for d in (0, 1, None):  # as torch's and NumPy's
        assert not np.signbit(_native.sum(zeros, d)).any()
    tiny = np.full(100, np.finfo(dtype).smallest_subnormal)
    assert _native.sum(tiny) == tiny[0] * 100


def test_nothing():
    x = np.zeros((0, 3), np.float32)
    assert np.array_equal(_native.sum(x, 0), np.zeros(3)) and _native.sum(x) == 0
    assert np.isnan(_native.mean(x, 0)).all() and np.isnan(_native.mean(x))
    assert _native.sum(x, 1).shape == (0,) and _native.amax(x, 1).shape == (0,)
    assert [a.shape for a in _native.max(x, 1, True)] == [(0, 1), (0, 1)]
    for call in (_native.amax, _native.argmax):
        assert call(x, 0) is NotImplemented and call(x) is NotImplemented
    assert _native.max(x, 0) is NotImplemented


def test_bits_do_not_depend_on_threads_alignment_or_out(isa):
    rng = np.random.default_rng(5)
    before = _native.num_threads()
    calls = [(_native.sum, d) for d in (None, 0, 1, 2, (0, 2))]
    calls += [(_native.amax, (0, 2)), (_native.argmax, None), (_native.argmax, 1)]
    x = rng.standard_normal((12, 500, 90)).astype(np.float32)
    _native.set_num_threads(1)
    want = [call(x, d) for call, d in calls]
    try:
        for threads, offset in itertools.product((1, 2, 3, 5, 8), (0, 4, 36)):
            _native.set_num_threads(threads)
            raw = np.empty(x.nbytes + 128, np.uint8)
            at = -raw.ctypes.data % 64 + offset
            moved = raw[at : at + x.nbytes].view(np.float32).reshape(x.shape)
            moved[...] = x
            for (call, d), w in zip(calls, want, strict=True):
                assert call(moved, d).tobytes() == w.tobytes()
    finally:
        _native.set_num_threads(before)
    out = np.full((90, 24), 7, np.float32).T[::2]
    got = _native.sum(x, 1, False, out)
    assert got is out and np.array_equal(out, want[2])


def test_what_is_not_taken():
    x = np.zeros((3, 4), np.float32)
    for dim in (2, -3, (0, 0), (0, 2), 1.0, "0", [None], 2**70, True):
        for call in (_native.sum, _native.mean, _native.amax):
            assert call(x, dim) is NotImplemented
    for dim in (2, (0, 1), None, "0"):
        assert _native.max(x, dim) is NotImplemented
    for out in (np.zeros(3, np.float32), np.zeros(4), x[0], [0] * 4):
        assert _native.sum(x, 0, False, out) is NotImplemented
    assert _native.max(x, 0, False, np.zeros(4, np.float32)) is NotImplemented
    assert _native.mean(np.zeros(3, int)) is NotImplemented
    assert _native.sum(x, 0, 1) is NotImplemented
    for bad in (1.0, [1.0], None, np.zeros(3, complex), np.zeros(3, ">f4"), np.zeros(3, "f2")):
        assert _native.sum(bad) is NotImplemented and _native.argmax(bad) is NotImplemented
    assert _native.argmax(np.zeros(3, bool)) is NotImplemented
