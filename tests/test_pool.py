"""Pooling: what the specs' own samples cannot say.

Random windows against the reference and torch, and bits over threads, formats and instruction sets.
"""

import subprocess
import sys
import threading

import numpy as np
import pytest

import fastdl
from fastdl import _native
from fastdl.core import config
from fastdl.core.errors import ShapeError
from fastdl.ops import pool as ops

ISAS = _native.runnable_isas()


@pytest.fixture(autouse=True)
def _settings():
    isa, threads = _native.isa(), _native.num_threads()
    yield
    _native.set_isa(isa)
    _native.set_num_threads(threads)


def random_window(rng):
    """Options of max_pool2d, more often the common ones than not."""
    kernel = [(2, 2), (3, 3), tuple(map(int, rng.integers(1, 7, 2)))][rng.integers(3)]
    stride = [(1, 1), (2, 2), tuple(map(int, rng.integers(1, 6, 2)))][rng.integers(3)]
    dilation = (1, 1) if rng.random() < 0.7 else tuple(map(int, rng.integers(1, 4, 2)))
    padding = tuple(int(rng.integers(0, k // 2 + 1)) for k in kernel)
    return {
        "kernel_size": kernel,
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "ceil_mode": bool(rng.random() < 0.4),
    }


def random_image(rng, dtype):
    """NCHW or channels-last, sliced, reversed; ties, both zeros, infinities and NaN."""
    shape = (int(rng.integers(1, 3)), int(rng.choice([1, 2, 3, 17, 33])), *rng.integers(1, 40, 2))
    kind = rng.integers(4)
    if kind == 0:
        x = rng.standard_normal(shape)
    elif kind == 1:
        x = rng.integers(-2, 3, shape) * rng.choice([-1.0, 1.0], shape)
    elif kind == 2:
        x = rng.choice([0.0, -0.0, -np.inf], shape)
    else:
        x = rng.choice([1.0, 2.0, np.nan, -np.inf, np.inf], shape, p=[0.4, 0.3, 0.1, 0.1, 0.1])
    x = x.astype(dtype)
    layout = rng.integers(4)
    if layout == 1:
        return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    if layout == 2:
        wide = np.full((shape[0], shape[1] * 2, shape[2] + 1, shape[3] * 3), np.nan, dtype)
        wide[:, ::2, 1:, ::3] = x
        return wide[:, ::2, 1:, ::3]
    return x[:, :, ::-1, ::-1] if layout == 3 else x


def assert_same(a, b):
    """Equal values, zeros' signs included, and NaN in the same places."""
    assert a.shape == b.shape and a.dtype == b.dtype
    nan = np.isnan(a)
    np.testing.assert_array_equal(nan, np.isnan(b))
    np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(np.signbit(a[~nan]), np.signbit(b[~nan]))


def assert_near(got, want, magnitude, terms):
    """Within `terms` roundings of sums of the given magnitude; the same NaN and infinities."""
    finite = np.isfinite(want)
    np.testing.assert_array_equal(got[~finite], want[~finite].astype(got.dtype))
    error = np.abs(got.astype(np.float64) - want)[finite]
    unit = np.finfo(got.dtype).eps / 2
    bound = (terms + 1) * unit * magnitude[finite] + np.finfo(got.dtype).tiny
    assert not (error > bound).any(), (error / bound).max()


def cases(count, seed):
    """Random inputs and windows that fit them."""
    rng = np.random.default_rng(seed)
    while count:
        x = random_image(rng, rng.choice(["float32", "float64"]))
        window = random_window(rng)
        try:
            g_shape = ops.max_pool2d.shape(x, **window).outputs[0].shape
        except ShapeError:
            continue
        count -= 1
        yield rng, x, window, rng.standard_normal(g_shape).astype(x.dtype)


def mean_options(rng, window):
    divisor = None if rng.random() < 0.6 else int(rng.integers(1, 9))
    options = {k: v for k, v in window.items() if k != "dilation"}
    include = bool(rng.random() < 0.5)
    return options | {"count_include_pad": include, "divisor_override": divisor}


@pytest.mark.parametrize("isa", ISAS)
def test_native_is_the_reference(isa):
    _native.set_isa(isa)
    for rng, x, window, g in cases(120, seed=ISAS.index(isa)):
        with fastdl.use_backend("native"):
            y = ops.max_pool2d(x, **window)
            with_index = ops.max_pool2d_with_indices(x, **window)
            dx = ops.max_pool2d_backward(g, x, **window)
        with fastdl.use_backend("reference"):
            want, index = ops.max_pool2d_with_indices(x, **window)
            want_dx = ops.max_pool2d_backward(g, x, **window)
            dx_magnitude = ops.max_pool2d_backward(np.abs(g), x, **window)
        assert_same(y, want)
        assert_same(with_index[0], want)
        np.testing.assert_array_equal(with_index[1], index)
        terms = np.prod(window["kernel_size"])
        assert_near(dx, want_dx.astype(np.float64), dx_magnitude.astype(np.float64), terms)
        if window["dilation"] != (1, 1) or not np.isfinite(x).all():
            continue
        options = mean_options(rng, window)
        wide = x.astype(np.float64)
        with fastdl.use_backend("native"):
            y = ops.avg_pool2d(x, **options)
            dx = ops.avg_pool2d_backward(g, input_size=x.shape[2:], channels_last=False, **options)
            last = ops.avg_pool2d_backward(g, input_size=x.shape[2:], channels_last=True, **options)
        back = {"input_size": x.shape[2:], "channels_last": False, **options}
        with fastdl.use_backend("reference"):
            mean, magnitude = (ops.avg_pool2d(a, **options) for a in (wide, np.abs(wide)))
            g64 = g.astype(np.float64)
            want_dx, dx_magnitude = (ops.avg_pool2d_backward(a, **back) for a in (g64, np.abs(g64)))
        assert_near(y, mean, magnitude, terms)
        assert_near(dx, want_dx, dx_magnitude, terms)
        assert_same(dx, last)


def test_torch_agrees():
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    for rng, x, window, _ in cases(150, seed=7):
        tx = torch.from_numpy(np.array(x, order="C"))
        y, index = ops.max_pool2d_with_indices(x, **window)
        ty, tindex = functional.max_pool2d(tx, **window, return_indices=True)
        assert_same(y, ty.numpy())
        np.testing.assert_array_equal(index, tindex.numpy())
        if window["dilation"] == (1, 1) and np.isfinite(x).all():
            options = mean_options(rng, window)
            got = ops.avg_pool2d(x, **options)
            want = functional.avg_pool2d(tx.double(), **options).numpy()
            magnitude = functional.avg_pool2d(tx.double().abs(), **options).numpy()
            assert_near(got, want, magnitude, np.prod(window["kernel_size"]))


@pytest.mark.parametrize("shape", [(3, 20, 30, 31), (1, 1, 700, 300), (2, 5, 64, 9)])
@pytest.mark.parametrize("window", [(2, 2, 0), (3, 2, 1), (3, 1, 1), (5, 3, 2)])
def test_bits_do_not_depend_on_threads_or_format(shape, window):
    k, s, p = window
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    nhwc = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    options = {"kernel_size": (k, k), "stride": (s, s), "padding": (p, p), "ceil_mode": False}
    results = []
    for threads in (1, 2, 3, 5, 8):
        _native.set_num_threads(threads)
        for a in (x, nhwc):
            mean = _native.avg_pool2d(a, k, s, p, False, True, None)
            y, index = _native.max_pool2d_with_indices(a, k, s, p, 1, False)
            assert y.strides == mean.strides
            dx = _native.max_pool2d_backward(mean, a, k, s, p, 1, False)
            back = _native.avg_pool2d_backward(
                y, shape[2:], k, s, p, False, True, None, a is nhwc and shape[1] > 1
            )
            assert dx.strides == back.strides
            results.append([r.tobytes() for r in (y, index, mean, dx, back)])
    assert all(r == results[0] for r in results)
    assert ops.max_pool2d.shape(x, **options).outputs[0].shape == y.shape


def test_results_keep_the_memory_format():
    x = np.zeros((2, 3, 8, 8), np.float32)
    nhwc = np.zeros((2, 8, 8, 3), np.float32).transpose(0, 3, 1, 2)
    for a, order in ((x, (0, 1, 2, 3)), (nhwc, (0, 2, 3, 1))):
        y = _native.max_pool2d(a, 3, 2, 1, 1, False)
        assert y.transpose(order).flags.c_contiguous
        dx = _native.max_pool2d_backward(np.zeros_like(y, order="C"), a, 3, 2, 1, 1, False)
        assert dx.transpose(order).flags.c_contiguous


def test_out_is_written_or_refused():
    x = np.arange(64.0).reshape(1, 1, 8, 8)
    out = np.full((2, 1, 4, 8), np.nan)[:1, :, :, :4]  # rows with gaps
    assert _native.max_pool2d(x, 2, 2, 0, 1, False, out) is out
    np.testing.assert_array_equal(out, x[:, :, 1::2, 1::2])
    read_only = np.empty((1, 1, 4, 4))
    read_only.flags.writeable = False
    refused = [
        np.empty((1, 1, 4, 5)),
        np.empty((1, 1, 4, 4), np.float32),
        np.empty((1, 1, 4, 8))[..., ::2],
        np.broadcast_to(np.empty((1, 1, 1, 4)), (1, 1, 4, 4)),
        read_only,
        x[:, :, :4, :4],
    ]
    for out in refused:
        assert _native.max_pool2d(x, 2, 2, 0, 1, False, out) is NotImplemented


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": (2,)},
        {"kernel_size": (0, 1)},
        {"kernel_size": 2.0},
        {"kernel_size": True},
        {"stride": 0},
        {"stride": 2**70},
        {"padding": (2, 0)},
        {"padding": -1},
        {"dilation": None},
        {"dilation": 9},
        {"ceil_mode": 1},
    ],
)
def test_native_declines_what_it_does_not_take(options):
    x = np.zeros((1, 1, 6, 6), np.float32)
    window = {"kernel_size": 3, "stride": 1, "padding": 0, "dilation": 1, "ceil_mode": False}
    assert _native.max_pool2d(x, **window) is not NotImplemented
    assert _native.max_pool2d(x, **(window | options)) is NotImplemented
    for array in (x[0], x.astype(np.int64), x.astype(">f4"), [[[[1.0]]]], None):
        assert _native.max_pool2d(array, **window) is NotImplemented


def test_huge_options_neither_crash_nor_hang():
    x = np.ones((1, 2, 5, 5), np.float32)
    limit = 2**31 - 1
    for kernel, stride in ((limit, limit), (65536, 65536), (3, limit)):
        y = _native.max_pool2d(x, kernel, stride, 0, 1, True)
        assert y is NotImplemented or (y == 1).all()


def test_numba_is_the_reference():
    rng = np.random.default_rng(5)
    x = rng.integers(-3, 4, (2, 3, 19, 22)).astype(np.float32)
    x[0, 1, 3:5] = np.nan
    window = {"kernel_size": (3, 2), "stride": (2, 1), "padding": 1, "dilation": (2, 1)}
    mean = {"kernel_size": 3, "stride": 2, "padding": 1, "count_include_pad": False}
    for a in (x, np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)):
        results = {}
        for backend in ("numba", "reference"):
            with fastdl.use_backend(backend):
                y, index = ops.max_pool2d_with_indices(a, **window)
                g = np.ones_like(y)
                results[backend] = (
                    y,
                    index,
                    ops.max_pool2d(a, **window),
                    ops.max_pool2d_backward(g, a, **window),
                    ops.avg_pool2d(a[1:], **mean),
                )
        for got, want in zip(results["numba"], results["reference"], strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-6)


def test_numba_from_many_threads():
    x = np.random.default_rng(1).standard_normal((4, 64, 64, 64)).astype(np.float32)
    want = _native.max_pool2d(x, 3, 2, 1, 1, False)
    wrong = []

    def work():
        with fastdl.use_backend("numba"):
            for _ in range(5):
                if not np.array_equal(ops.max_pool2d(x, kernel_size=3, stride=2, padding=1), want):
                    wrong.append(1)

    with config.num_threads(2):
        threads = [threading.Thread(target=work) for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    assert not wrong


def test_import_leaves_numba_alone():
    code = "import fastdl, sys; assert 'numba' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
