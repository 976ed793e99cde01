"""conv2d and its gradients: derivatives, canonical options, and one padding torch does not have."""

import numpy as np
import pytest
from derivatives import check_gradients, check_second

import fastdl.functional as F
from fastdl import errors
from fastdl.core.windows import conv_options
from fastdl.dispatch import make_plan
from fastdl.spec import OPS

OPTIONS = [
    {},
    {"stride": 2, "padding": 1},
    {"stride": (1, 2), "dilation": (2, 1), "padding": (0, 2)},
    {"padding": "same"},
    {"padding": ((0, 2), (1, 0)), "groups": 2},
]


@pytest.mark.parametrize("options", OPTIONS)
def test_derivatives(options):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 4, 6, 7))
    w = rng.standard_normal((4, 4 // options.get("groups", 1), 2, 3))
    y = F.conv2d(x, w, **options)
    check_gradients("conv2d", [x, w, rng.standard_normal(4)], **options)
    check_second("conv2d", [x, w], **options)
    g = rng.standard_normal(y.shape)
    check_gradients("conv2d_input_grad", [g, w], input_size=(6, 7), **options)
    check_gradients("conv2d_weight_grad", [x, g], kernel_size=(2, 3), **options)


def test_canonical_padding():
    def padding(value, kernel, dilation=1):
        return conv_options("conv2d", kernel, 1, value, dilation)["padding"]

    assert padding(1, (3, 3)) == ((1, 1), (1, 1))
    assert padding((1, 2), (3, 3)) == ((1, 1), (2, 2))
    assert padding("valid", (3, 3)) == ((0, 0), (0, 0))
    assert padding("same", (3, 4)) == ((1, 1), (1, 2))  # the odd one goes to the end
    assert padding("same", (2, 4), (3, 2)) == ((1, 2), (3, 3))
    assert padding(((1, 2), (0, 3)), (3, 3)) == ((1, 2), (0, 3))


def test_numpy_style_padding():
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((1, 2, 4, 5)), rng.standard_normal((3, 2, 3, 3))
    padded = np.pad(x, ((0, 0), (0, 0), (0, 2), (3, 1)))
    got, want = F.conv2d(x, w, padding=((0, 2), (3, 1))), F.conv2d(padded, w)
    terms = F.conv2d(np.abs(padded), np.abs(w))
    assert (np.abs(got - want) <= 2 * 19 * 2.0**-53 * terms).all()  # γ_18 twice


@pytest.mark.parametrize("name", ["conv2d", "conv2d_input_grad", "conv2d_weight_grad"])
def test_canonical_options_are_a_fixed_point(name):
    for sample in OPS[name].samples:
        if not sample.bench:
            arrays = [None if a is None else np.ones(a, np.float32) for a in sample.arrays]
            once = make_plan(OPS[name], arrays, dict(sample.options)).options
            assert make_plan(OPS[name], arrays, once).options == once


def test_messages_say_what_is_wanted():
    x, w = np.zeros((1, 2, 5, 5)), np.zeros((3, 2, 3, 3))
    with pytest.raises(errors.ShapeError, match=r"spans 6 .* padded input 5"):
        F.conv2d(x, np.zeros((3, 2, 6, 3)))
    with pytest.raises(errors.ShapeError, match="x has 2 channels, want 4"):
        F.conv2d(x, np.zeros((3, 4, 3, 3)))
    with pytest.raises(errors.ArgumentError, match="stride: got 0, want at least 1"):
        F.conv2d(x, w, stride=0)


def test_out_of_an_unbatched_call():
    x, w = np.ones((2, 5, 5)), np.ones((3, 2, 3, 3))
    out = np.zeros((3, 3, 3))
    assert F.conv2d(x, w, out=out) is out
    assert (out == 18).all()
