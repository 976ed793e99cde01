"""Native cross-entropy: every option against a formula in long double and against torch."""

import itertools

import numpy as np
import pytest

from fastdl import _native
from fastdl.backends.reference import loss as reference
from fastdl.core.errors import IndexRangeError

SHAPES = [(5,), (1, 1), (3, 10), (40, 17), (130, 10), (20, 300), (2, 70, 5), (2, 5, 9, 17),
          (2, 3, 2, 2, 3)]  # fmt: skip
OPTIONS = [
    dict(zip(("ignore_index", "reduction", "label_smoothing"), values, strict=True))
    for values in itertools.product((-100, 1), ("mean", "sum", "none"), (0.0, 0.1, 1.0))
]
UNIT = {"float32": 2.0**-24, "float64": 2.0**-53}


# avx512_bf16 runs the tables of avx512.
def classes_of(shape):
    return shape[min(1, len(shape) - 1)]


def make(rng, shape, dtype):
    x = (rng.standard_normal(shape) * 4).astype(dtype)
    positions = shape[:1] + shape[2:] if len(shape) > 1 else ()
    return x, np.asarray(rng.integers(0, classes_of(shape), positions))


def views(x, target):
    yield x, target
    if x.ndim > 1:
        yield np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1), target
        yield np.asfortranarray(x), np.asfortranarray(target)
        yield x[::-1, ::-1], np.repeat(target, 2, -1)[..., ::2]


def close(got, want, scale):
    """Within `scale` (the bound of the whole checker is fastdl check's), and NaN where want is."""
    assert got.shape == want.shape
    nan = np.isnan(want)
    return np.array_equal(np.isnan(got), nan) and bool((np.abs(got - want)[~nan] <= scale).all())


@pytest.mark.parametrize("dtype", UNIT)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_option(isa, shape, dtype):
    rng = np.random.default_rng(1)
    base, target0 = make(rng, shape, dtype)
    weights = (None, rng.random(classes_of(shape)).astype(dtype))
    u = UNIT[dtype]
    for (x, target), weight, options in itertools.product(views(base, target0), weights, OPTIONS):
        wide = x.astype(np.longdouble), target, None if weight is None else weight.astype("g")
        with np.errstate(all="ignore"):
            want = np.asarray(reference.cross_entropy(*wide, **options))
        got = _native.cross_entropy(x, target, weight, **options)
        assert got.dtype == dtype
        factor = max(target.size, 1) if options["reduction"] == "sum" else 1
        # Each log-probability is off by a few u of max |x| and of the sum's depth.
        assert close(got, want, 60 * u * factor * (np.abs(x).max() * 2 + 8))
        g = np.asarray(rng.standard_normal(want.shape)).astype(dtype)
        with np.errstate(all="ignore"):
            want = reference.cross_entropy_backward(g.astype("g"), *wide, **options)
        got = _native.cross_entropy_backward(g, x, target, weight, **options)
        assert close(got, want, 100 * u * (np.abs(g).max() + 1))


@pytest.mark.parametrize("dtype", UNIT)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_probabilities(isa, shape, dtype):
    """Logits and probabilities in each pair of memory formats."""
    rng = np.random.default_rng(3)
    x0, _ = make(rng, shape, dtype)
    p0, weights = rng.random(shape).astype(dtype), rng.random(classes_of(shape)).astype(dtype)
    u = UNIT[dtype]
    formats = [lambda a: a, np.asfortranarray, lambda a: np.repeat(a, 2, -1)[..., ::2]]
    if len(shape) > 1:
        formats.append(lambda a: np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 1, -1)), -1, 1))
    cases = itertools.product(formats, formats, (None, weights), OPTIONS)
    for of_x, of_p, weight, options in cases:
        if options.get("ignore_index", -1) >= 0:
            continue
        x, p = of_x(x0), of_p(p0)
        given = {"ignore_index": -100, "reduction": "mean", "label_smoothing": 0.0, **options}
        wide = x.astype("g"), p.astype("g"), None if weight is None else weight.astype("g")
        with np.errstate(all="ignore"):
            want = np.asarray(reference.cross_entropy(*wide, **given))
        got = _native.cross_entropy(x, p, weight, **given)
        n = classes_of(shape)
        factor = n * (max(p.size // max(n, 1), 1) if given["reduction"] == "sum" else 1)
        assert close(got, want, 60 * u * factor * (np.abs(x).max() * 2 + 8))
        g = np.asarray(rng.standard_normal(want.shape)).astype(dtype)
        with np.errstate(all="ignore"):
            want = reference.cross_entropy_backward(g.astype("g"), *wide, **given)
        got = _native.cross_entropy_backward(g, x, p, weight, **given)
        assert close(got, want, 100 * u * n * (np.abs(g).max() + 1))


@pytest.mark.parametrize("shape", [(5,), (40, 17), (2, 5, 9, 17)], ids=str)
def test_agrees_with_torch(shape):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(2)
    x, target = make(rng, shape, "float64")
    for weight, options in itertools.product((None, rng.random(classes_of(shape))), OPTIONS):
        t = torch.from_numpy(x).requires_grad_()
        y = torch.nn.functional.cross_entropy(
            t,
            torch.from_numpy(target),
            None if weight is None else torch.from_numpy(weight),
            **options,
        )
        assert close(_native.cross_entropy(x, target, weight, **options), y.detach().numpy(), 1e-12)
        g = np.asarray(rng.standard_normal(tuple(y.shape)))
        y.backward(torch.from_numpy(g))
        got = _native.cross_entropy_backward(g, x, target, weight, **options)
        assert close(got, t.grad.numpy(), 1e-13)


def test_ignored_positions(isa):
    """All ignored: a mean of nothing is NaN, its gradient zero; a sum is zero. torch's answers."""
    for shape in ((3, 40), (2, 5, 30)):
        x = np.zeros(shape, np.float32)
        target = np.full(shape[:1] + shape[2:], -100)
        one = np.ones((), np.float32)
        assert np.isnan(_native.cross_entropy(x, target))
        assert _native.cross_entropy(x, target, reduction="sum") == 0
        for g in (one, one * np.nan, one * np.inf):
            assert not _native.cross_entropy_backward(np.asarray(g), x, target).any()
        x[0] = np.nan
        assert _native.cross_entropy(x, target, reduction="sum") == 0
        y = _native.cross_entropy(x, np.where(np.arange(shape[0]) < 1, -100, 0).reshape(
            -1, *(1,) * (target.ndim - 1)) + 0 * target)  # fmt: skip
        assert np.isfinite(y)


def test_infinite_logits(isa):
    inf = np.inf
    x = np.array([[0, -inf, 1], [-inf, -inf, 2], [inf, 0, 0]], np.float32)
    for a in (np.tile(x, (8, 1)), np.ascontiguousarray(np.tile(x, (8, 1)).T).T):
        y = _native.cross_entropy(a, np.tile([1, 2, 0], 8), reduction="none")
        assert (y[::3] == inf).all() and (y[1::3] == 0).all() and np.isnan(y[2::3]).all()


def test_a_class_out_of_range_is_an_error():
    x, out = np.zeros((2, 4), np.float32), np.full((2,), 7, np.float32)
    for bad in (4, -1, 2**40, -(2**63)):
        why = f"cross_entropy: target: got class {bad}, want 0 to 3"
        with pytest.raises(IndexRangeError, match=why):
            _native.cross_entropy(x, np.array([0, bad]), reduction="none", out=out)
        with pytest.raises(IndexError, match="cross_entropy_backward"):
            _native.cross_entropy_backward(np.ones((), np.float32), x, np.array([bad, 0]))
    assert (out == 7).all()
    assert _native.cross_entropy(x, np.array([0, 9]), ignore_index=9) == np.float32(np.log(4))


def test_empty():
    target = np.zeros(0, np.int64)
    x = np.zeros((0, 3), np.float32)
    assert np.isnan(_native.cross_entropy(x, target))
    assert _native.cross_entropy(x, target, reduction="sum") == 0
    assert _native.cross_entropy(x, target, reduction="none").shape == (0,)
    none = np.zeros((2, 0), np.float32)
    assert np.isnan(_native.cross_entropy(none, np.full(2, -100)))
    assert _native.cross_entropy_backward(np.ones((), "f4"), none, np.full(2, -100)).shape == (2, 0)


def test_bits_do_not_depend_on_threads_or_alignment(isa):
    rng = np.random.default_rng(3)
    before = _native.num_threads()
    want = None
    cases = [make(rng, s, "float32") for s in ((700, 100), (6, 21, 50, 11))]
    try:
        for threads, offset in itertools.product((1, 2, 3, 5, 8), (0, 4, 36)):
            _native.set_num_threads(threads)
            got = []
            for x, target in cases:
                raw = np.empty(x.nbytes + 128, np.uint8)
                at = -raw.ctypes.data % 64 + offset
                moved = raw[at : at + x.nbytes].view(np.float32).reshape(x.shape)
                moved[...] = x
                got.append(_native.cross_entropy(moved, target, label_smoothing=0.1).tobytes())
                g = np.ones((), np.float32)
                got.append(_native.cross_entropy_backward(g, moved, target).tobytes())
            want = want or got
            assert got == want
    finally:
        _native.set_num_threads(before)


def test_what_is_not_taken():
    x, t = np.zeros((2, 3), np.float32), np.zeros(2, np.int64)
    w, g = np.zeros(3, np.float32), np.ones((), np.float32)
    ok = (x, t, w, -100, "mean", 0.0)
    assert _native.cross_entropy(*ok) is not NotImplemented
    for at, bad in [(0, x.astype(int)), (0, x[0]), (0, [0.0]), (1, t.astype("i4")), (1, x[:1]),
                    (1, x.astype(float)),
                    (1, t[:1]), (2, w.astype(float)), (2, w[:2]), (2, 1.0), (3, 1.5), (3, None),
                    (4, "avg"), (4, 3), (5, -0.1), (5, 1.1), (5, "x"), (5, np.nan)]:  # fmt: skip
        call = (*ok[:at], bad, *ok[at + 1 :])
        assert _native.cross_entropy(*call) is NotImplemented
        assert _native.cross_entropy_backward(g, *call) is NotImplemented
    assert _native.cross_entropy_backward(np.ones(2, np.float32), *ok) is NotImplemented
    assert _native.cross_entropy_backward(np.ones(()), *ok) is NotImplemented
    assert _native.cross_entropy(*ok, out=np.zeros(1, np.float32)) is NotImplemented
