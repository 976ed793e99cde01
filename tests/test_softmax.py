"""Native log_softmax and its gradient: error-carrying bound, specials, strides, bits."""

import itertools

import numpy as np
import pytest

from fastdl import _native
from fastdl.backends.native.softmax import class_depth
from fastdl.core.errorbound import Bounded
from fastdl.ops.softmax import log_softmax_bounded

SHAPES = [(1,), (7,), (1000,), (5000,), (3, 10), (40, 65), (4, 5, 6), (2, 70, 3, 65),
          (2, 3, 17, 19), (1, 5, 1)]  # fmt: skip


# avx512_bf16 runs the tables of avx512.
def views(x):
    yield x
    yield np.asfortranarray(x)
    yield x[::-1]
    yield np.repeat(x, 2, axis=-1)[..., ::2]
    yield np.broadcast_to(x[:1], x.shape)
    if x.ndim == 4:
        yield np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


def carried(x, depth):
    info = np.finfo(x.dtype)
    wide = x.astype(np.longdouble)
    return Bounded(wide, np.zeros_like(wide), float(info.eps) / 2, float(info.tiny), depth)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_within_the_bound(isa, shape, dtype):
    rng = np.random.default_rng(1)
    base = (rng.standard_normal(shape) * 5).astype(dtype)
    g0 = rng.standard_normal(shape).astype(dtype)
    for x, d in itertools.product(views(base), range(len(shape))):
        depth = class_depth(shape[d])
        y, want = _native.log_softmax(x, d), log_softmax_bounded(carried(x, depth), d)
        assert y.shape == shape and y.dtype == dtype
        assert not (~(np.abs(y - want.value) <= want.error)).any()
        for g in (g0, np.asfortranarray(g0)):
            cg, cy = carried(g, depth), carried(y, depth)
            want = cg - cy.exp() * cg.sum(d, keepdims=True)
            dx = _native.log_softmax_backward(g, y, d - len(shape))
            assert not (~(np.abs(dx - want.value) <= want.error)).any()


def test_specials(isa):
    """+inf or NaN makes its row NaN, −inf has no weight, a row of −inf is NaN: as in torch."""
    inf, nan = np.inf, np.nan
    rows = np.array(
        [[1, -inf, 1], [inf, 0, 1], [0, nan, 1], [-inf] * 3, [1e30, 0, -1e30], [-0.0] * 3]
    )
    for n, dtype in itertools.product((3, 40, 300, 5000), ("float32", "float64")):
        x = np.concatenate([np.full((6, n - 3), -inf), rows], 1).astype(dtype)
        for y in (_native.log_softmax(x, 1), _native.log_softmax(np.asfortranarray(x), 1)):
            assert np.isnan(y[1:4]).all()
            assert (y[0, :-3] == -inf).all() and y[0, -2] == -inf
            assert np.allclose(y[0, [-3, -1]], -np.log(2), rtol=1e-6)
            assert y[4, -3] == 0 and not np.isnan(y[4]).any()
            assert np.allclose(y[5, -3:], -np.log(3), rtol=1e-6)


def test_formats_are_kept_and_out_is_written(isa):
    x = np.random.default_rng(2).standard_normal((2, 5, 4, 3)).astype(np.float32)
    last = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    y = _native.log_softmax(last, 1)
    assert y.strides == last.strides and np.allclose(y, _native.log_softmax(x, 1), atol=1e-6)
    for out in (np.empty_like(x), np.empty_like(last), np.empty((2, 5, 4, 6), "f4")[..., ::2]):
        assert _native.log_softmax(last, 1, out) is out and np.array_equal(out, y)


def test_bits_do_not_depend_on_threads_or_alignment(isa):
    rng = np.random.default_rng(3)
    before = _native.num_threads()
    x = rng.standard_normal((60, 90, 70)).astype(np.float32)
    want = None
    try:
        for threads, offset in itertools.product((1, 2, 3, 5, 8), (0, 4, 36)):
            _native.set_num_threads(threads)
            raw = np.empty(x.nbytes + 128, np.uint8)
            at = -raw.ctypes.data % 64 + offset
            moved = raw[at : at + x.nbytes].view(np.float32).reshape(x.shape)
            moved[...] = x
            got = [_native.log_softmax(moved, d).tobytes() for d in range(3)]
            got += [_native.log_softmax_backward(moved, x, d).tobytes() for d in range(3)]
            want = want or got
            assert got == want
    finally:
        _native.set_num_threads(before)


def test_nothing_and_what_is_not_taken():
    x = np.zeros((0, 3), np.float32)
    assert _native.log_softmax(x, 0).shape == (0, 3) and _native.log_softmax(x, 1).shape == (0, 3)
    assert _native.log_softmax(np.full((), 3, np.float32), 0) == 0
    x = np.zeros((3, 4), np.float32)
    for dim in (2, -3, None, (0,), 1.0):
        assert _native.log_softmax(x, dim) is NotImplemented
    for bad in (1.0, np.zeros(3, int), np.zeros(3, complex), np.zeros(3, "f2")):
        assert _native.log_softmax(bad, 0) is NotImplemented
    assert _native.log_softmax(x, 0, x) is NotImplemented
    assert _native.log_softmax_backward(x, x[0], 0) is NotImplemented
    assert _native.log_softmax_backward(x, x.astype(float), 0) is NotImplemented
