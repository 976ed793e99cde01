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
        n, c = x.shape[:2]
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


BUSY = [
    Case(2, 3, 30, 34, 20, 7, 7, stride=2, padding=3),
    Case(5, 24, 14, 14, 40, 3, 3, padding=1),
    Case(3, 40, 20, 17, 70, 1, 1),
    Case(3, 33, 17, 19, 33, 3, 3, padding=1, groups=33),
    Case(4, 16, 9, 9, 16, 3, 3, padding=1, groups=4),
    Case(20, 1, 28, 28, 32, 3, 3, padding=1),
]


@pytest.mark.parametrize("case", BUSY, ids=repr)
@pytest.mark.parametrize("layout", FORMATS)
def test_same_bits_for_any_thread_count(case, layout):
    rng = np.random.default_rng(2)
    x, w, g = (
        FORMATS[layout](rng.standard_normal(shape, dtype="float32"))
        for shape in (case.x_shape, case.w_shape, case.y_shape)
    )
    last = layout == "nhwc"
    results = []
    for threads in (1, 2, 3, 5, 8):
        _native.set_num_threads(threads)
        y = _native.conv2d(x, w, None, *case.options)
        dx = _native.conv2d_input_grad(g, w, case.x_shape[2:], *case.options, last)
        dw = _native.conv2d_weight_grad(x, g, case.w_shape[2:], *case.options, last)
        results.append([a.tobytes() for a in (y, dx, dw)])
    assert all(r == results[0] for r in results)


@pytest.mark.parametrize("case", [CASES[0], CASES[6], CASES[10], CASES[13]], ids=repr)
def test_formats_and_out(case):
    rng = np.random.default_rng(3)
    x, w, g = (integers(rng, s) for s in (case.x_shape, case.w_shape, case.y_shape))
    y, dx, dw = case.forward(x, w), case.input_grad(g, w), case.weight_grad(x, g)
    size, kernel = case.x_shape[2:], case.w_shape[2:]
    assert _native.conv2d(x, w, None, *case.options).flags.c_contiguous
    assert is_channels_last(_native.conv2d(channels_last(x), w, None, *case.options))
    for last in (False, True):
        got = _native.conv2d_input_grad(g, w, size, *case.options, last)
        assert is_channels_last(got) if last else got.flags.c_contiguous
        got = _native.conv2d_weight_grad(x, g, kernel, *case.options, last)
        assert is_channels_last(got) if last else got.flags.c_contiguous
    for put in FORMATS.values():
        for source in FORMATS.values():
            out = put(np.full_like(y, np.nan, dtype="float32"))
            assert _native.conv2d(source(x), w, None, *case.options, out) is out
            close_up(out, y)
            out = put(np.full_like(x, np.nan))
            assert _native.conv2d_input_grad(source(g), w, size, *case.options, False, out) is out
            close_up(out, dx)
            out = put(np.full_like(w, np.nan))
            args = (source(x), source(g), kernel, *case.options, False, out)
            assert _native.conv2d_weight_grad(*args) is out
            close_up(out, dw)


@pytest.mark.parametrize("mode", ["guard_end", "guard_start", "poison"])
def test_touches_only_its_own_memory(mode):
    rng = np.random.default_rng(4)
    for case in CASES:
        for layout, put in FORMATS.items():
            arrays = [integers(rng, s) for s in (case.x_shape, case.w_shape, case.y_shape)]
            _native.set_memory_mode(mode, 0xFF)
            try:
                x, w, g = (put(_native_copy(a)) for a in arrays)
                y = _native.conv2d(x, w, None, *case.options)
                dx = _native.conv2d_input_grad(g, w, x.shape[2:], *case.options, layout == "nhwc")
                dw = _native.conv2d_weight_grad(x, g, w.shape[2:], *case.options, False)
            finally:
                _native.set_memory_mode("normal")
            close_up(y, case.forward(*arrays[:2]))
            close_up(dx, case.input_grad(arrays[2], arrays[1]))
            close_up(dw, case.weight_grad(arrays[0], arrays[2]))


def _native_copy(a):
    new = _native.empty(a.shape, str(a.dtype))
    new[...] = a
    return new


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize("case", [CASES[0], CASES[3], CASES[9], CASES[11]], ids=repr)
def test_infinite_weights_meet_the_padding(case, layout):
    """0 * inf is NaN: padding is zeros that are multiplied, not terms left out."""
    rng = np.random.default_rng(5)
    x, w = integers(rng, case.x_shape), integers(rng, case.w_shape)
    w[0, 0, 0, 0] = np.inf
    with np.errstate(invalid="ignore"):
        want = np.zeros(case.y_shape)
        padded = np.pad(np.float64(x), ((0, 0), (0, 0), *case.padding))
        terms = case.windows(padded)[:, :, None] * case.grouped(np.float64(w))[:, :, :, None, None]
        want = terms.sum(axis=(3, 6, 7)).reshape(case.y_shape)
    put = FORMATS[layout]
    np.testing.assert_array_equal(_native.conv2d(put(x), put(w), None, *case.options), want)


def test_zero_sizes():
    options = ((1, 1), ((1, 1), (1, 1)), (1, 1), 1)
    x, w, g = (np.ones(s, "float32") for s in ((0, 3, 5, 5), (4, 3, 3, 3), (0, 4, 5, 5)))
    assert _native.conv2d(x, w, None, *options).shape == (0, 4, 5, 5)
    assert _native.conv2d_input_grad(g, w, (5, 5), *options, False).shape == x.shape
    dw = _native.conv2d_weight_grad(x, g, (3, 3), *options, True)
    assert dw.shape == w.shape and not dw.any()
    none = np.ones((2, 0, 5, 5), "float32")
    assert _native.conv2d(none, np.ones((4, 0, 3, 3), "float32"), None, *options).size == 0


X, W, G = (np.ones(s, "float32") for s in ((1, 4, 5, 5), (6, 4, 3, 3), (1, 6, 5, 5)))
ONE, PAD = (1, 1), ((1, 1), (1, 1))
NOT_TAKEN = {
    "list": ([[[[1.0]]]], W, None, ONE, PAD, ONE, 1),
    "rank": (X[0], W, None, ONE, PAD, ONE, 1),
    "integers": (X.astype("int64"), W.astype("int64"), None, ONE, PAD, ONE, 1),
    "dtypes": (X, W.astype("float64"), None, ONE, PAD, ONE, 1),
    "bias size": (X, W, np.ones(5, "float32"), ONE, PAD, ONE, 1),
    "bias dtype": (X, W, np.ones(6), ONE, PAD, ONE, 1),
    "channels": (X[:, :3], W, None, ONE, PAD, ONE, 1),
    "groups": (X, W[:, :2], None, ONE, PAD, ONE, 4),
    "groups of outputs": (X, W[:5, :2], None, ONE, PAD, ONE, 2),
    "no groups": (X, W, None, ONE, PAD, ONE, 0),
    "stride 0": (X, W, None, (0, 1), PAD, ONE, 1),
    "stride of three": (X, W, None, (1, 1, 1), PAD, ONE, 1),
    "stride float": (X, W, None, 1.5, PAD, ONE, 1),
    "stride bool": (X, W, None, True, PAD, ONE, 1),
    "negative padding": (X, W, None, ONE, ((0, -1), (0, 0)), ONE, 1),
    "same": (X, W, None, ONE, "same", ONE, 1),
    "half a padding": (X, W, None, ONE, ((1, 1), 1), ONE, 1),
    "dilation 0": (X, W, None, ONE, PAD, (1, 0), 1),
    "dilation 2**62": (X, W, None, ONE, PAD, (2**62, 1), 1),
    "dilation 2**39": (X, W, None, ONE, PAD, (2**39, 1), 1),
    "stride 2**70": (X, W, None, 2**70, PAD, ONE, 1),
    "kernel too large": (X, np.ones((6, 4, 8, 3), "float32"), None, ONE, PAD, ONE, 1),
    "no rows": (X[:, :, :0], W, None, ONE, ((2, 2), (0, 0)), ONE, 1),
    "no taps": (X, W[:, :, :0], None, ONE, PAD, ONE, 1),
    "out shape": (X, W, None, ONE, PAD, ONE, 1, np.ones((1, 6, 5, 4), "float32")),
    "out dtype": (X, W, None, ONE, PAD, ONE, 1, np.ones((1, 6, 5, 5))),
    "out one number": (X, W, None, ONE, PAD, ONE, 1, np.broadcast_to(X[:, :1], G.shape)),
}


@pytest.mark.parametrize("name", NOT_TAKEN)
def test_what_is_not_taken(name):
    assert _native.conv2d(*NOT_TAKEN[name]) is NotImplemented


def test_gradients_that_are_not_taken():
    options = (ONE, PAD, ONE, 1)
    for size in ((5, 4), (6, 5), (0, 0), (5,), 2**62):
        assert _native.conv2d_input_grad(G, W, size, *options, False) is NotImplemented
    for kernel in ((3, 4), (2, 3), (0, 0), (-3, 3), (2**62, 3)):
        assert _native.conv2d_weight_grad(X, G, kernel, *options, False) is NotImplemented
    assert _native.conv2d_input_grad(G, W, (5, 5), *options, False, X) is not NotImplemented
    out = np.ones_like(W)
    assert _native.conv2d_weight_grad(X, out[:1, :, :1, :1], (3, 3), *options, False, out) is (
        NotImplemented
    )


def test_out_that_overlaps_an_input_is_not_taken():
    memory = np.ones(200, "float32")
    x, out = memory[:100].reshape(1, 4, 5, 5), memory[50:150].reshape(1, 4, 5, 5)
    w = np.ones((4, 4, 3, 3), "float32")
    assert _native.conv2d(x, w, None, ONE, PAD, ONE, 1, out) is NotImplemented
    assert memory.min() == memory.max() == 1


def test_raw_options():
    rng = np.random.default_rng(6)
    case = Case(1, 4, 7, 8, 6, 3, 3, stride=2, padding=1)
    x, w = integers(rng, case.x_shape), integers(rng, case.w_shape)
    for padding in (1, (1, 1), ((1, 1), (1, 1))):
        close_up(_native.conv2d(x, w, None, 2, padding, 1, 1), case.forward(x, w))


def test_broadcast_inputs():
    case = Case(3, 8, 9, 9, 16, 3, 3, padding=1)
    rng = np.random.default_rng(7)
    x = np.broadcast_to(integers(rng, (1, 8, 1, 9)), case.x_shape)
    w = np.broadcast_to(integers(rng, (16, 1, 3, 3)), case.w_shape)
    g = np.broadcast_to(integers(rng, (1, 1, 1, 1)), case.y_shape)
    close_up(_native.conv2d(x, w, None, *case.options), case.forward(x, w))
    close_up(_native.conv2d_input_grad(g, w, (9, 9), *case.options, True), case.input_grad(g, w))
    close_up(_native.conv2d_weight_grad(x, g, (3, 3), *case.options, False), case.weight_grad(x, g))
