"""invariant="batch": a row of a product has the same bits whatever else is computed with it."""

import itertools

import numpy as np
import pytest

import fastdl
import fastdl.functional as F
from fastdl import errors

RNG = np.random.default_rng(5)
M = 61
COUNTS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 14, 15, 16, 29, 47, M]
SHAPES = [(1, 40), (37, 130), (300, 1), (520, 7), (513, 33), (1100, 17), (1100, 600)]  # K, N


def normal(*shape, dtype=np.float32):
    return RNG.standard_normal(shape).astype(dtype)


def bits(x):
    return x.view(f"u{x.itemsize}")


def spread(x):
    """The same numbers, every second one of a wider array."""
    wide = np.full((*x.shape[:-1], 2 * x.shape[-1]), np.nan, x.dtype)
    wide[..., ::2] = x
    return wide[..., ::2]


def starts(m):
    return sorted({0, 1, 5, M // 2, M - m}) if m < M else [0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("k, n", SHAPES)
def test_any_rows_of_any_batch(isa, dtype, k, n):
    a, b = normal(M, k, dtype=dtype), normal(k, n, dtype=dtype)
    for right in (b, np.asfortranarray(b), b[::-1, ::-1].copy()[::-1, ::-1]):
        want = bits(F.matmul(a, right, invariant="batch"))
        for m in COUNTS:
            for i in starts(m):
                if i + m > M:
                    continue
                part = a[i : i + m]
                got = F.matmul(part, right, invariant="batch")
                assert np.array_equal(bits(got), want[i : i + m]), (m, i)
        assert np.array_equal(bits(F.matmul(a[7], right, invariant="batch")), want[7])


@pytest.mark.parametrize("k, n", SHAPES)
def test_any_strides_and_leading_dims(isa, k, n):
    a, b = normal(60, k), normal(k, n)
    want = bits(F.matmul(a, b, invariant="batch"))
    for left in (np.asfortranarray(a), spread(a), a[::-1].copy()[::-1]):
        assert np.array_equal(bits(F.matmul(left, b, invariant="batch")), want)
        assert np.array_equal(bits(F.matmul(left[3:5], b, invariant="batch")), want[3:5])
    for lead in ((60, 1), (3, 20), (4, 3, 5)):
        cube = a.reshape(*lead, k)
        assert np.array_equal(bits(F.matmul(cube, b, invariant="batch")).reshape(60, n), want)
        swapped = cube.swapaxes(0, 1).copy().swapaxes(0, 1)
        assert np.array_equal(bits(F.matmul(swapped, b, invariant="batch")).reshape(60, n), want)
        many = np.broadcast_to(b, (*lead[:-1], k, n))
        assert np.array_equal(bits(F.matmul(cube, many, invariant="batch")).reshape(60, n), want)
    for m in (1, 3, 60):
        for out in (np.empty((n, m), np.float32).T, spread(np.zeros((m, n), np.float32))):
            F.matmul(a[:m], b, out=out, invariant="batch")
            assert np.array_equal(bits(out.copy()), want[:m])


@pytest.mark.parametrize("k, n", SHAPES)
def test_linear_with_a_bias(isa, k, n):
    x, w, bias = normal(60, k), normal(n, k), normal(n)
    want = bits(F.linear(x, w, bias, invariant="batch"))
    for m, i in itertools.product((1, 2, 8, 9, 31), (0, 11, 29)):
        assert np.array_equal(bits(F.linear(x[i : i + m], w, bias, invariant="batch")),
                              want[i : i + m])  # fmt: skip
        out = np.empty((n, m), np.float32).T
        F.linear(x[i : i + m], w, bias, out=out, invariant="batch")
        assert np.array_equal(bits(out.copy()), want[i : i + m])
    assert np.array_equal(bits(F.linear(x[4], w, bias, invariant="batch")), want[4])


def test_threads_and_backends():
    a, b = normal(M, 700), normal(700, 140)
    before = fastdl.get_num_threads()
    try:
        for backend in ("native", "numba", "reference"):
            with fastdl.use_backend(backend):
                wants = []
                for threads in (1, 2, 3):
                    fastdl.set_num_threads(threads)
                    wants.append(bits(F.matmul(a, b, invariant="batch")))
                    for m in (1, 2, 9, 40):
                        assert np.array_equal(bits(F.matmul(a[:m], b, invariant="batch")),
                                              wants[0][:m]), (backend, m)  # fmt: skip
                assert all(np.array_equal(want, wants[0]) for want in wants)
    finally:
        fastdl.set_num_threads(before)


def test_special_numbers_stay_in_their_rows():
    a, b = normal(M, 100), normal(100, 50)
    a[::7, 3], a[::11, 50], b[9, 9], b[60, 20] = np.nan, np.inf, -np.inf, 0
    whole = F.matmul(a, b, invariant="batch")
    for i in range(M):
        np.testing.assert_array_equal(
            F.matmul(a[i : i + 1], b, invariant="batch"), whole[i : i + 1]
        )


def test_it_is_not_so_by_default():
    """Or the option would say nothing."""
    a, b = normal(M, 1100), normal(17, 1100).T
    assert not np.array_equal(F.matmul(a[:1], b), F.matmul(a, b)[:1])


def test_gradients_of_rows_too():
    x, w, g = normal(40, 70), normal(90, 70), normal(40, 90)

    def gradient(m):
        t = fastdl.Tensor(x[:m], requires_grad=True)
        F.linear(t, fastdl.Tensor(w), invariant="batch").backward(g[:m])
        return t.grad.numpy()

    whole = gradient(40)
    for m in (1, 2, 9):
        assert np.array_equal(bits(gradient(m)), bits(whole[:m]))


def test_refused():
    a = np.ones((2, 2), np.float32)
    for value in ("rows", True, 1, b"batch"):
        with pytest.raises(errors.ArgumentError, match="invariant"):
            F.matmul(a, a, invariant=value)
        with pytest.raises(errors.ArgumentError, match="invariant"):
            F.linear(a, a, invariant=value)
