"""conv2d and its gradients in the native backend, on integers: equality with a plain loop."""

import itertools

import numpy as np
import pytest

from fastdl import _native

DTYPES = ("float32", "float64")
ISAS = _native.runnable_isas()


@pytest.fixture(autouse=True)
def restore():
    isa, threads = _native.isa(), _native.num_threads()
    yield
    _native.set_isa(isa)
    _native.set_num_threads(threads)


class Case:
    """A convolution: sizes, options, and small integers to fill it with."""

    def __init__(self, n, c, h, w, k, r, s, stride=1, padding=0, dilation=1, groups=1):
        def pair(v):
            return v if isinstance(v, tuple) else (v, v)

        self.x_shape, self.w_shape = (n, c, h, w), (k, c // groups, r, s)
        self.stride, self.dilation, self.groups = pair(stride), pair(dilation), groups
        self.padding = tuple(pair(p) for p in pair(padding))
        outputs = [
            (size + sum(pad) - d * (kernel - 1) - 1) // step + 1
            for size, pad, d, kernel, step in zip(
                (h, w), self.padding, self.dilation, (r, s), self.stride, strict=True
            )
        ]
        self.y_shape = (n, k, *outputs)

    def __repr__(self):
        return (
            f"{self.x_shape}*{self.w_shape} stride {self.stride} padding {self.padding} "
            f"dilation {self.dilation} groups {self.groups}"
        )

    def windows(self, x):
        """[n, groups, c, p, q, r, s]: a view of padded x (writeable where x is)."""
        n, c, h, w = x.shape
        _, _, r, s = self.w_shape
        _, _, p, q = self.y_shape
        sn, sc, sh, sw = x.strides
        return np.lib.stride_tricks.as_strided(
            x,
            (n, self.groups, c // self.groups, p, q, r, s),
            (sn, sc * (c // self.groups), sc, sh * self.stride[0], sw * self.stride[1],
             sh * self.dilation[0], sw * self.dilation[1]),
        )  # fmt: skip

    def grouped(self, w):
        return w.reshape(self.groups, -1, *self.w_shape[1:])

    def forward(self, x, w, bias=None):
        padded = np.pad(np.float64(x), ((0, 0), (0, 0), *self.padding))
        y = np.einsum(
            "ngcpqrs,gkcrs->ngkpq", self.windows(padded), self.grouped(w), optimize=True
        ).reshape(self.y_shape)
        return y if bias is None else y + bias[:, None, None]

    def input_grad(self, g, w):
        (top, bottom), (left, right) = self.padding
        n, c, height, width = self.x_shape
        dx = np.zeros((n, c, height + top + bottom, width + left + right))
        view, g = self.windows(dx), g.reshape(n, self.groups, -1, *self.y_shape[2:])
        for r, s in np.ndindex(*self.w_shape[2:]):
            view[..., r, s] += np.einsum("ngkpq,gkc->ngcpq", g, self.grouped(w)[..., r, s])
        return dx[:, :, top : top + height, left : left + width]

    def weight_grad(self, x, g):
        padded = np.pad(np.float64(x), ((0, 0), (0, 0), *self.padding))
        g = g.reshape(g.shape[0], self.groups, -1, *self.y_shape[2:])
        return np.einsum("ngcpqrs,ngkpq->gkcrs", self.windows(padded), g, optimize=True).reshape(
            self.w_shape
        )

    @property
    def options(self):
        return (self.stride, self.padding, self.dilation, self.groups)


def integers(rng, shape, dtype="float32"):
    return rng.integers(-9, 10, shape).astype(dtype)


def channels_last(a):
    return np.ascontiguousarray(a.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


def odd_strides(a):
    """The same values behind strides that no fast path has: reversed, with gaps, transposed."""
    big = np.full((*[2 * d for d in reversed(a.shape)],), np.nan, a.dtype)
    view = big[tuple(slice(None, None, -2) for _ in a.shape)].T
    view[...] = a
    return view


def is_channels_last(a):
    return a.transpose(0, 2, 3, 1).flags.c_contiguous


FORMATS = {"nchw": np.ascontiguousarray, "nhwc": channels_last, "odd": odd_strides}

CASES = [
    Case(2, 3, 8, 9, 5, 3, 3, padding=1),
    Case(1, 1, 28, 28, 32, 3, 3, padding=1),
    Case(3, 16, 7, 7, 33, 3, 3, padding=1),
    Case(9, 20, 7, 7, 40, 3, 3, padding=1),
    Case(2, 64, 6, 15, 17, 1, 1),
    Case(2, 5, 9, 8, 7, 1, 1, stride=2),
    Case(2, 3, 23, 21, 10, 7, 7, stride=2, padding=3),
    Case(1, 4, 11, 13, 6, 3, 5, stride=(3, 2), padding=((2, 0), (1, 3)), dilation=(2, 1)),
    Case(2, 6, 12, 10, 9, 3, 2, padding=((0, 2), (1, 0)), dilation=(1, 3), groups=3),
    Case(2, 8, 9, 9, 8, 3, 3, padding=1, groups=8),
    Case(2, 40, 9, 37, 40, 3, 3, padding=1, groups=40),
    Case(1, 6, 10, 9, 12, 3, 3, stride=2, padding=(1, 2), groups=6),
    Case(1, 5, 8, 21, 5, 5, 5, padding=2, dilation=2, groups=5),
    Case(2, 16, 6, 6, 24, 3, 3, padding=1, groups=4),
    Case(2, 2, 6, 7, 3, 6, 7),  # kernel = image
    Case(1, 2, 4, 4, 3, 6, 6, padding=1),  # kernel = padded image
    Case(1, 3, 5, 5, 4, 1, 1, padding=2),
    Case(1, 300, 3, 5, 20, 3, 3, padding=1),
    Case(2, 7, 5, 40, 3, 1, 20, padding=((0, 0), (19, 19))),
    Case(1, 2, 20, 20, 3, 17, 17, padding=8),
    Case(1, 3, 9, 9, 2, 2, 2, stride=4),
    Case(2, 1, 1, 70, 1, 1, 3),
    Case(1, 1024, 2, 15, 40, 1, 1),
]


def close_up(got, want):
    assert got.shape == want.shape
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("case", CASES, ids=repr)
@pytest.mark.parametrize("layout", FORMATS)
def test_equals_a_loop(case, layout):
    rng = np.random.default_rng(1)
    x, w = integers(rng, case.x_shape), integers(rng, case.w_shape)
    bias, g = integers(rng, case.w_shape[0]), integers(rng, case.y_shape)
    put = FORMATS[layout]
    y, dx, dw = case.forward(x, w, bias), case.input_grad(g, w), case.weight_grad(x, g)
    last = layout == "nhwc"
    # <conv(x), g> = <x, input_grad(g)> = <w, weight_grad>: the oracle is its own adjoint
    inner = ((y - bias[:, None, None]) * g).sum()
    assert inner == (dx * x).sum() == (dw * w).sum()
    for isa, dtype in itertools.product(ISAS, DTYPES):
        _native.set_isa(isa)
        x, w, bias, g = (a.astype(dtype) for a in (x, w, bias, g))
        close_up(_native.conv2d(put(x), put(w), bias, *case.options), y)
        size, kernel = case.x_shape[2:], case.w_shape[2:]
        close_up(_native.conv2d_input_grad(put(g), put(w), size, *case.options, last), dx)
        close_up(_native.conv2d_weight_grad(put(x), put(g), kernel, *case.options, last), dw)
