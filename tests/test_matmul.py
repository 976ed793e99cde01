"""Native matmul and linear: tiles and their edges, strides, batches, out=, the same bits always."""

import itertools

import numpy as np
import pytest

import fastdl
import fastdl.functional as F
from fastdl import _native

DTYPES = [np.float32, np.float64]
RNG = np.random.default_rng(0)


@pytest.fixture
def threads():
    before = _native.num_threads()
    yield _native.set_num_threads
    _native.set_num_threads(before)


def integers(*shape, dtype=np.float32):
    """Small enough that every order of summation is exact."""
    return RNG.integers(-8, 9, shape).astype(dtype)


def strided(x, how):
    """The same values behind other strides."""
    if how == "C":
        return x
    if how == "F":
        return np.asfortranarray(x)
    if how == "every second":
        wide = np.full((*x.shape[:-1], 2 * x.shape[-1]), np.nan, x.dtype)
        wide[..., ::2] = x
        return wide[..., ::2]
    if how == "backwards":
        return x[::-1, ::-1].copy()[::-1, ::-1]
    if how == "inside":
        frame = np.full((x.shape[0] + 2, x.shape[1] + 3), np.nan, x.dtype)
        frame[1:-1, 2:-1] = x
        return frame[1:-1, 2:-1]
    raise AssertionError(how)


STRIDES = ["C", "F", "every second", "backwards", "inside"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_edge_of_the_tile(isa, dtype):
    rows = [0, 1, 2, 4, 5, 6, 8, 9, 13, 14, 15, 47]
    columns = [0, 1, 3, 4, 5, 8, 15, 16, 17, 31, 32, 33, 101]
    terms = [0, 1, 2, 3, 7, 16, 33]
    for m, n, k in itertools.product(rows, columns, terms):
        a, b = integers(m, k, dtype=dtype), integers(k, n, dtype=dtype)
        np.testing.assert_array_equal(_native.matmul(a, b), a @ b, str((m, n, k)))
        np.testing.assert_array_equal(_native.matmul(a, b.T.copy().T), a @ b, str((m, n, k)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("m", "n", "k"),
    [
        (5, 7, 3), (1, 600, 40), (3, 257, 530), (8, 65, 1100), (257, 7, 90), (700, 1, 33),
        (15, 33, 1030), (29, 70, 70), (65, 66, 67), (130, 40, 300), (400, 150, 40),
    ],
)  # fmt: skip
def test_any_strides(isa, dtype, m, n, k):
    a, b = integers(m, k, dtype=dtype), integers(k, n, dtype=dtype)
    expected = a @ b
    for left, right in itertools.product(STRIDES, STRIDES):
        result = _native.matmul(strided(a, left), strided(b, right))
        np.testing.assert_array_equal(result, expected, f"{left}, {right}")
        assert result.flags.c_contiguous
    for how in STRIDES:
        out = strided(np.full((m, n), np.nan, dtype), how)
        frame = out.base if how == "inside" else None
        assert _native.matmul(a, b, out) is out
        np.testing.assert_array_equal(out, expected, how)
        if frame is not None:
            frame[1:-1, 2:-1] = np.nan
            assert np.isnan(frame).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("m", "n", "k"), [(300, 520, 1100), (1100, 40, 600), (40, 4200, 300), (4200, 130, 40)]
)
def test_cache_blocks(dtype, m, n, k):
    a, b = integers(m, k, dtype=dtype), integers(k, n, dtype=dtype)
    expected = a @ b
    for left, right in itertools.product("CF", "CF"):
        result = _native.matmul(strided(a, left), strided(b, right))
        np.testing.assert_array_equal(result, expected)


def test_packed_blocks_of_many_rows():
    a, b = integers(5000, 130), integers(130, 200)
    np.testing.assert_array_equal(_native.matmul(a, b), a @ b)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((7,), (7,)), ((0,), (0,)), ((7,), (7, 5)), ((5, 7), (7,)), ((3, 5, 7), (7,)),
        ((7,), (3, 7, 5)), ((3, 5, 7), (3, 7, 4)), ((3, 5, 7), (7, 4)), ((5, 7), (3, 7, 4)),
        ((2, 1, 5, 7), (3, 7, 4)), ((2, 3, 5, 7), (1, 3, 7, 4)), ((1, 5, 7), (3, 7, 4)),
        ((0, 5, 7), (7, 4)), ((3, 0, 7), (7, 4)), ((3, 5, 0), (0, 4)), ((3, 5, 7), (3, 7, 0)),
        ((40, 9, 20), (40, 20, 33)), ((2, 150, 140), (2, 140, 130)), ((6, 1, 7), (7, 9)),
    ],
)  # fmt: skip
def test_vectors_and_batches(dtype, a, b):
    x, y = integers(*a, dtype=dtype), integers(*b, dtype=dtype)
    result, expected = _native.matmul(x, y), np.asarray(np.matmul(x, y))
    assert result.shape == expected.shape
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, expected)
    wide = strided(x, "every second") if x.size else x
    np.testing.assert_array_equal(_native.matmul(wide, y), expected)
    if x.ndim > 2:
        swapped = x.swapaxes(0, 1).copy().swapaxes(0, 1)
        np.testing.assert_array_equal(_native.matmul(swapped, y), expected)
    out = np.full(expected.shape, np.nan, dtype)
    assert _native.matmul(x, y, out) is out
    np.testing.assert_array_equal(out, expected)


def test_zero_strides():
    row = np.broadcast_to(integers(1, 70), (33, 70))
    column = np.broadcast_to(integers(70, 1), (70, 40))
    batch = np.broadcast_to(integers(70, 40), (3, 70, 40))
    np.testing.assert_array_equal(_native.matmul(row, column), row @ column)
    np.testing.assert_array_equal(_native.matmul(row, batch), row @ batch)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("k", [0, 1, 40, 1100])
def test_linear(isa, dtype, k):
    for lead, n in itertools.product([(), (1,), (3,), (70,), (2, 3), (2, 0)], [0, 1, 10, 67]):
        x, w = integers(*lead, k, dtype=dtype), integers(n, k, dtype=dtype)
        bias = integers(n, dtype=dtype)
        np.testing.assert_array_equal(_native.linear(x, w, None), x @ w.T)
        for b in (bias, np.repeat(bias, 3)[::3], bias[::-1].copy()[::-1]):
            np.testing.assert_array_equal(_native.linear(x, w, b), x @ w.T + bias)
        out = np.full((*lead, n), np.nan, dtype)
        assert _native.linear(x, np.asfortranarray(w), bias, out) is out
        np.testing.assert_array_equal(out, x @ w.T + bias)


def test_declined():
    a, b = np.ones((3, 4), np.float32), np.ones((4, 5), np.float32)
    shared = np.zeros(40, np.float32)
    read_only = np.empty((3, 5), np.float32)
    read_only.flags.writeable = False
    for args in [
        (a, b.astype(np.float64)), (a.astype(int), b.astype(int)), (a, a), (a, [[1.0]]),
        (np.float32(1), b), (np.ones((), np.float32), b), (a, b.astype(">f4")), (None, b),
        (np.ones((2, 3, 4), np.float32), np.ones((3, 4, 5), np.float32)),
        (a, b, np.empty((3, 6), np.float32)), (a, b, np.empty((3, 5))), (a, b, read_only),
        (a, b, np.empty((1, 3, 5), np.float32)), (a, b, [1.0]),
        (shared[:12].reshape(3, 4), b, shared[5:20].reshape(3, 5)),
        (a, b, np.broadcast_to(np.empty((1, 5), np.float32), (3, 5))),
    ]:  # fmt: skip
        assert _native.matmul(*args) is NotImplemented
    w = np.ones((5, 4), np.float32)
    for args in [
        (a, w[:, :3], None), (a, w[0], None), (a, w, np.ones(4, np.float32)), (a, w, np.ones(5)),
        (a, w, np.ones((1, 5), np.float32)), (a, w.astype(int), None), (np.float32(1), w, None),
    ]:  # fmt: skip
        assert _native.linear(*args) is NotImplemented


@pytest.mark.parametrize("dtype", DTYPES)
def test_nan_and_infinity_stay_in_their_rows_and_columns(isa, dtype):
    for m, n, k in [(5, 9, 3), (1, 40, 300), (40, 2, 300), (17, 35, 19), (90, 70, 600)]:
        for special in (np.nan, np.inf):
            a, b = np.ones((m, k), dtype), np.ones((k, n), dtype)
            i, j, p = m - 1, n // 2, k - 1
            a[i, p] = special
            expected = np.full((m, n), k, dtype)
            expected[i] = special
            np.testing.assert_array_equal(_native.matmul(a, b), expected)
            np.testing.assert_array_equal(_native.matmul(a, b.T.copy().T), expected)
            a[i, p] = 1
            b[p, j] = special
            expected = np.full((m, n), k, dtype)
            expected[:, j] = special
            np.testing.assert_array_equal(_native.matmul(a, b), expected)
            np.testing.assert_array_equal(_native.matmul(a, b.T.copy().T), expected)


def at_offset(x, offset):
    """A copy of x, `offset` bytes past a 64-byte boundary."""
    raw = np.empty(x.nbytes + 128, np.uint8)
    start = -raw.ctypes.data % 64 + offset
    view = raw[start : start + x.nbytes].view(x.dtype).reshape(x.shape)
    view[...] = x
    return view


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((9, 50), (50, 70)), ((1, 2000), (2000, 900)), ((6, 2100), (2100, 1500)),
        ((900, 2000), (2000,)), ((200, 700), (700, 300)), ((600, 300), (300, 40)),
        ((30, 20, 40), (30, 40, 50)), ((2, 300, 300), (2, 300, 300)), ((11, 70), (70, 1024)),
        ((20, 520), (520, 528)), ((100, 1500), (1500, 90)), ((400, 340), (340, 40)),
    ],
)  # fmt: skip
def test_bits_do_not_depend_on_threads_or_alignment(isa, threads, dtype, a, b):
    a, b = RNG.standard_normal(a).astype(dtype), RNG.standard_normal(b).astype(dtype)
    threads(1)
    expected = _native.matmul(a, b)
    for count in (1, 2, 3, 5, 8):
        threads(count)
        np.testing.assert_array_equal(_native.matmul(a, b), expected, f"{count} threads")
    for offset in range(0, 64, a.itemsize * 3):
        result = _native.matmul(at_offset(a, offset), at_offset(b, 64 - a.itemsize - offset % 8))
        np.testing.assert_array_equal(result, expected, f"{offset} bytes")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", [20, 64])
def test_a_right_hand_side_that_comes_from_memory(isa, threads, dtype, rows):
    """Of 32 MB and more: multiplied in parts of a few rows, whose sums go on from part to part."""
    k = (33 << 20) // 4100 // np.dtype(dtype).itemsize
    a, b = integers(rows, k, dtype=dtype), integers(k, 4100, dtype=dtype)
    expected = a @ b
    bias, x = integers(4100, dtype=dtype), integers(rows, 4100, dtype=dtype)
    packed = fastdl.pack("matmul", b)
    for count in (1, 3):
        threads(count)
        for right in (b, at_offset(b, 16), packed):
            np.testing.assert_array_equal(F.matmul(a, right), expected)
    y = F.linear(a, b.T, bias, residual=x)
    np.testing.assert_array_equal(y, expected + bias + x)
    before = x.copy()
    F.addmm(x, a, b, alpha=-1, out=x)
    np.testing.assert_array_equal(x, before - expected)


def test_no_memory_outside_a_right_hand_side_that_comes_from_memory(isa):
    for mode in ("guard_end", "guard_start"):
        _native.set_memory_mode(mode, 0xFF)
        try:
            a, b = _native.empty((17, 1030), "float32"), _native.empty((1030, 8196), "float32")
            a[...], b[...] = integers(17, 1030), integers(1030, 8196)
            np.testing.assert_array_equal(_native.matmul(a, b), a @ b)
        finally:
            _native.set_memory_mode("normal")


@pytest.mark.parametrize("mode", ["guard_end", "guard_start", "poison"])
def test_no_memory_outside_the_arrays(isa, mode):
    _native.set_memory_mode(mode, 0xFF)
    try:
        for (m, n, k), dtype in itertools.product(
            [(1, 1, 1), (13, 17, 5), (3, 50, 70), (50, 3, 70), (33, 70, 90), (15, 19, 600)], DTYPES
        ):
            name = np.dtype(dtype).name
            a, b, bt = (_native.empty(s, name) for s in ((m, k), (k, n), (n, k)))
            a[...], b[...] = integers(m, k, dtype=dtype), integers(k, n, dtype=dtype)
            bt[...] = b.T
            bias = _native.empty((n,), name)
            bias[...] = integers(n, dtype=dtype)
            expected = a @ b
            np.testing.assert_array_equal(_native.matmul(a, b), expected)
            np.testing.assert_array_equal(_native.matmul(a, bt.T), expected)
            np.testing.assert_array_equal(_native.matmul(bt, a.T), expected.T)
            np.testing.assert_array_equal(_native.linear(a, bt, bias), expected + bias)
        for k, dtype in itertools.product((16, 64, 80, 208), DTYPES):  # rows begin inside a line
            rows = _native.empty((9 * k + 4,), np.dtype(dtype).name)[4:].reshape(9, k)
            rows[...], x = integers(9, k, dtype=dtype), integers(k, dtype=dtype)
            np.testing.assert_array_equal(_native.matmul(rows, x), rows @ x)
    finally:
        _native.set_memory_mode("normal")
