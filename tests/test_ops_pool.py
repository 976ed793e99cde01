"""Pooling: derivatives, the windows refused here and not in torch, and out=."""

import numpy as np
import pytest
from derivatives import check_gradients, check_second

import fastdl
import fastdl.functional as F
from fastdl import errors, use_backend
from fastdl.dispatch import make_plan
from fastdl.spec import OPS

WINDOWS = [
    {"kernel_size": 2},
    {"kernel_size": 3, "stride": 2, "padding": 1},
    {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True},
    {"kernel_size": (2, 3), "stride": 1, "padding": (1, 0)},
]


def distinct():
    """No two elements are near, so no maximum moves within the step of a difference."""
    return np.random.default_rng(0).permutation(2 * 3 * 6 * 7).reshape(2, 3, 6, 7) / 10.0


@pytest.mark.parametrize("options", [*WINDOWS, {"kernel_size": 2, "stride": 1, "dilation": 2}])
def test_derivatives_of_max_pool2d(options):
    x = distinct()
    check_gradients("max_pool2d", [x], **options)
    check_gradients("max_pool2d_with_indices", [x], **options)
    check_second("max_pool2d", [x], **options)


@pytest.mark.parametrize(
    "options",
    [
        *WINDOWS,
        {**WINDOWS[1], "count_include_pad": False},
        {**WINDOWS[2], "count_include_pad": False},
        {**WINDOWS[1], "divisor_override": -3},
    ],
)
def test_derivatives_of_avg_pool2d(options):
    x = np.random.default_rng(0).standard_normal((2, 3, 6, 7))
    check_gradients("avg_pool2d", [x], **options)
    check_second("avg_pool2d", [x], **options)
    g = np.ones(F.avg_pool2d(x, **options).shape)
    check_gradients("avg_pool2d_backward", [g], input_size=(6, 7), **options)


STEPPING_OVER = [
    ((2, 2), {"kernel_size": 2, "padding": 1, "dilation": 3}),
    ((2, 9), {"kernel_size": (2, 3), "stride": 1, "padding": 1, "dilation": (3, 1)}),
    (
        (9, 1),
        {
            "kernel_size": (2, 3),
            "stride": (2, 3),
            "padding": 1,
            "dilation": (1, 2),
            "ceil_mode": True,
        },
    ),
    (
        (3, 1),
        {"kernel_size": 4, "stride": (1, 9), "padding": 2, "dilation": (1, 3), "ceil_mode": True},
    ),
]


@pytest.mark.parametrize("backend", ["native", "numba", "reference"])
@pytest.mark.parametrize("channels", [1, 3, 17])
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize(("size", "options"), STEPPING_OVER, ids=str)
def test_a_window_that_covers_nothing(size, options, last, channels, backend):
    """-inf and torch's index; its gradient goes nowhere, where torch's goes outside the input."""
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).standard_normal((2, channels, *size))
    if last:
        x = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    for dtype in (np.float32, np.float64) if backend == "native" else (np.float64, np.int32):
        a = x.astype(dtype)
        want, place = torch.nn.functional.max_pool2d(
            torch.tensor(a), return_indices=True, **options
        )
        with use_backend(backend):
            y, index = F.max_pool2d(a, return_indices=True, **options)
            alone = F.max_pool2d(a, **options)
        assert np.array_equal(y, want.numpy()) and np.array_equal(alone, y)
        assert np.array_equal(index, place.numpy())
        if a.dtype.kind != "f":
            continue
        assert np.isneginf(y).all()
        g = np.random.default_rng(1).standard_normal(y.shape).astype(dtype)
        with use_backend(backend):
            dx = OPS["max_pool2d_backward"](g, a, **options)
        assert not dx.any()


@pytest.mark.parametrize(("size", "options"), STEPPING_OVER, ids=str)
def test_second_derivatives_past_windows_that_cover_nothing(size, options):
    x = np.random.default_rng(0).permutation(2 * 3 * size[0] * size[1]).reshape(2, 3, *size) / 10.0
    g, u = (
        np.ones_like(F.max_pool2d(x, **options)),
        np.arange(x.size, dtype=x.dtype).reshape(x.shape),
    )
    t = fastdl.Tensor(g, requires_grad=True)
    OPS["max_pool2d_backward"](t, x, **options).backward(u)
    assert not t.grad.numpy().any()


@pytest.mark.parametrize("name", ["max_pool2d", "avg_pool2d_backward"])
def test_canonical_options_are_a_fixed_point(name):
    for sample in OPS[name].samples:
        if not sample.bench:
            arrays = [np.ones(a, np.float32) for a in sample.arrays]
            once = make_plan(OPS[name], arrays, dict(sample.options)).options
            assert make_plan(OPS[name], arrays, once).options == once


def test_messages_say_what_is_wanted():
    x = np.zeros((1, 2, 5, 5))
    with pytest.raises(errors.ArgumentError, match="at most half of kernel_size"):
        F.max_pool2d(x, 3, padding=2)
    with pytest.raises(errors.ShapeError, match=r"spans 6 .* padded input 5"):
        F.avg_pool2d(x, 6)
    with pytest.raises(errors.ArgumentError, match="divisor_override: got 0"):
        F.avg_pool2d(x, 2, divisor_override=0)


def test_out_of_indices():
    x = np.arange(16.0).reshape(1, 4, 4)
    out = np.zeros((1, 2, 2)), np.zeros((1, 2, 2), np.int64)
    assert F.max_pool2d(x, 2, return_indices=True, out=out) is out
    assert np.array_equal(out[0], [[[5, 7], [13, 15]]])
    assert np.array_equal(out[0], out[1])
    with pytest.raises(errors.ArgumentError, match="out"):
        F.max_pool2d(x, 2, return_indices=True, out=np.zeros((1, 2, 2)))
