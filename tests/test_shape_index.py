"""Gather, scatter, masks and what is found by them agree with torch, gradients too, exactly."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from agreement import CONFIGS  # noqa: E402
from shape_agreement import compare, sizes, whole  # noqa: E402

import fastdl  # noqa: E402
import fastdl.functional as F  # noqa: E402
from fastdl import errors  # noqa: E402

DTYPES = [np.float64, np.float32, np.int64, np.int32, np.uint8, bool]


def kind(rng, *, no_bool=False):
    """Mostly float64, whose gradients are compared."""
    return DTYPES[int(rng.integers(6 - no_bool))] if rng.random() < 0.4 else np.float64


def setting(rng, smaller=True):
    """Shapes of x and of an index no larger off a dim, that dim, and the index."""
    shape = sizes(rng, 1)
    d = int(rng.integers(-len(shape), len(shape)))
    index_shape = [
        int(rng.integers(0, n + 1)) if smaller and rng.random() < 0.4 else n for n in shape
    ]
    index_shape[d] = int(rng.integers(0, 7)) if shape[d] else 0
    index = rng.integers(0, max(shape[d], 1), index_shape)
    if rng.random() < 0.3:  # one index for all features
        index = (
            np.broadcast_to(index[..., :1], (*index.shape[:-1], index.shape[-1]))
            if index.shape[-1]
            else index
        )
    return shape, d, index


def distinct(rng, index, n, d):
    """An index in which no place off the dim is named twice."""
    moved = np.moveaxis(index, d, -1)
    count = min(moved.shape[-1], n)
    found = np.argsort(rng.random((*moved.shape[:-1], n)), -1)[..., :count]
    return np.moveaxis(found, -1, d)


def bind(lib, a):
    return torch.tensor(np.array(a)) if lib is torch else np.asarray(a)


@pytest.mark.parametrize("config", range(CONFIGS * 2))
def test_gather(config):
    rng = np.random.default_rng(config)
    shape, d, index = setting(rng)
    compare(lambda lib, x: lib.gather(x, d, bind(lib, index)), whole(rng, *shape, dtype=kind(rng)))


@pytest.mark.parametrize("config", range(CONFIGS * 2))
def test_scatter_add(config):
    rng = np.random.default_rng(config)
    shape, d, index = setting(rng)
    more = int(rng.integers(0, 2))
    larger = tuple(n + more for n in index.shape)
    dtype = kind(rng, no_bool=True)
    x, src = whole(rng, *shape, dtype=dtype), whole(rng, *larger, dtype=dtype)

    def call(lib, x, src):
        return lib.scatter_add(x, d, bind(lib, index), src)

    # torch has no gradient of a source larger than the index
    compare(call, x, src, gradients=src.shape == index.shape)
    got = F.scatter(x, d, index, src, reduce="add")
    np.testing.assert_array_equal(got, F.scatter_add(x, d, index, src))


@pytest.mark.parametrize("config", range(CONFIGS * 2))
def test_scatter(config):
    rng = np.random.default_rng(config)
    shape, d, index = setting(rng)
    once = distinct(rng, index, shape[d], d)
    dtype = kind(rng)
    x, src = whole(rng, *shape, dtype=dtype), whole(rng, *once.shape, dtype=dtype)
    compare(lambda lib, x, src: lib.scatter(x, d, bind(lib, once), src), x, src)
    compare(lambda lib, x: lib.scatter(x, d, bind(lib, index), 1), x)
    compare(lambda lib, x: lib.scatter(x, d, bind(lib, index), value=1), x)


@pytest.mark.parametrize("config", range(CONFIGS * 2))
def test_rows(config):
    """index_select, index_add, index_fill, index_copy, take_along_dim."""
    rng = np.random.default_rng(config)
    shape, d, _ = setting(rng)
    n = shape[d]
    index = rng.integers(0, max(n, 1), int(rng.integers(0, 7)) if n else 0)
    dtype = kind(rng)
    rows = [*shape]
    rows[d] = index.size
    x, source = whole(rng, *shape, dtype=dtype), whole(rng, *rows, dtype=dtype)
    compare(lambda lib, x: lib.index_select(x, d, bind(lib, index)), x)
    compare(lambda lib, x: lib.index_fill(x, d, bind(lib, index), 1), x)
    if dtype not in (bool, np.uint8):
        compare(lambda lib, x, s: lib.index_add(x, d, bind(lib, index), s), x, source)
        compare(lambda lib, x, s: lib.index_add(x, d, bind(lib, index), s, alpha=3), x, source)
    once = rng.permutation(n)[: index.size]
    if once.size == index.size:
        compare(lambda lib, x, s: lib.index_copy(x, d, bind(lib, once), s), x, source)
    if x.size:
        along = [1 if rng.random() < 0.5 else m for m in shape]
        along[d] = 3
        where = rng.integers(0, n, along)
        compare(lambda lib, x: lib.take_along_dim(x, bind(lib, where), d), x)
        flat = rng.integers(-x.size, x.size, (2, 3))
        compare(lambda lib, x: lib.take(x, bind(lib, flat)), x)


@pytest.mark.parametrize("config", range(CONFIGS * 2))
def test_masks(config):
    rng = np.random.default_rng(config)
    shape = sizes(rng)
    dtype = kind(rng)
    x = whole(rng, *shape, dtype=dtype)
    mask = rng.random(tuple(1 if rng.random() < 0.3 else n for n in shape)) < 0.5
    number = [1, 2.0, True][rng.integers(3)]
    compare(lambda lib, x: lib.masked_fill(x, bind(lib, mask), number), x)
    compare(lambda lib, x: lib.masked_select(x, bind(lib, mask)), x)
    if dtype == np.float64:
        value = np.asarray(3.0)
        compare(lambda lib, x, v: lib.masked_fill(x, bind(lib, mask), v), x, value)
    source = whole(rng, x.size + 2, dtype=dtype)
    full = rng.random(shape) < 0.5
    compare(lambda lib, x, s: lib.masked_scatter(x, bind(lib, full), s), x, source)


@pytest.mark.parametrize("config", range(CONFIGS))
def test_found_and_counted(config):
    rng = np.random.default_rng(config)
    shape = sizes(rng)
    x = whole(rng, *shape, dtype=kind(rng))
    compare(
        lambda lib, x: (
            lib.nonzero(x),
            lib.nonzero(x, as_tuple=True),
            lib.argwhere(x),
            lib.where(x),
        ),
        x,
        gradients=False,
    )
    compare(
        lambda lib, x: (lib.unique(x), lib.unique(x, return_inverse=True, return_counts=True)),
        x,
        gradients=False,
    )
    if shape and 0 not in shape:
        d = int(rng.integers(len(shape)))
        compare(
            lambda lib, x: lib.unique(x, return_inverse=True, return_counts=True, dim=d),
            x,
            gradients=False,
        )
    numbers = rng.integers(
        0, 9, rng.integers(1, 20)
    )  # torch counts nothing in int64, weights or not
    weights = whole(rng, numbers.size)
    compare(lambda lib, n: (lib.bincount(n), lib.bincount(n, minlength=12)), numbers)
    compare(lambda lib, n, w: lib.bincount(n, w), numbers, weights, gradients=False)
    sequence = np.sort(rng.integers(0, 9, (*shape[:-1], 5)).astype(np.float64), -1)
    values = rng.integers(-1, 11, (*shape[:-1], 3)).astype(np.float64)
    for options in ({}, {"right": True}, {"side": "right"}, {"out_int32": True}):
        compare(
            lambda lib, s, v, o=options: lib.searchsorted(s, v, **o),
            sequence,
            values,
            gradients=False,
        )
    compare(
        lambda lib, v, s: lib.bucketize(v, s),
        values,
        sequence.reshape(-1)[:5].copy(),
        gradients=False,
    ) if sequence.ndim == 1 else None


def test_second_gradients():
    x = fastdl.Tensor(np.arange(6.0).reshape(2, 3), requires_grad=True)
    index = np.array([[2, 0, 2], [1, 1, 0]])
    y = (x * x).gather(1, index)
    (first,) = fastdl.grad((y * y).sum(), x, create_graph=True)
    (second,) = fastdl.grad(first.sum(), x)
    a = torch.arange(6.0, dtype=torch.float64).reshape(2, 3).requires_grad_()
    b = (a * a).gather(1, torch.tensor(index))
    (one,) = torch.autograd.grad((b * b).sum(), a, create_graph=True)
    (two,) = torch.autograd.grad(one.sum(), a)
    np.testing.assert_array_equal(first.detach().numpy(), one.detach().numpy())
    np.testing.assert_array_equal(second.numpy(), two.numpy())


def test_in_place():
    for write in (
        lambda x, i, m: x.masked_fill_(m, -1.0),
        lambda x, i, m: x.scatter_(1, i, 7.0),
        lambda x, i, m: x.scatter_add_(1, i, x[:, :2] * 3),
        lambda x, i, m: x.index_fill_(1, i[0], 2.0),
        lambda x, i, m: x.index_add_(0, i[0], x * 2),
        lambda x, i, m: x.index_copy_(0, i[0], x * 2),
    ):
        x, t = fastdl.ones(2, 3) * 2, torch.ones(2, 3) * 2
        i, m = np.array([[0, 1], [1, 0]]), np.array([[True, False, True], [False] * 3])
        got = write(x, fastdl.tensor(i), fastdl.tensor(m))
        assert got is x
        np.testing.assert_array_equal(x.numpy(), write(t, torch.tensor(i), torch.tensor(m)).numpy())
    leaf = fastdl.Tensor(np.ones((2, 2)), requires_grad=True)
    y = leaf * 3
    y.masked_fill_(np.eye(2) > 0, 0.0)
    y.sum().backward()
    assert leaf.grad.tolist() == [[0, 3], [3, 0]]


def test_same_bits_for_any_number_of_threads():
    """Sums of floats depend on their order: it is that of the index, whoever adds."""
    seen = {}
    for threads in (1, 2, 3, 5, 8):
        with fastdl.num_threads(threads):
            r = np.random.default_rng(1)
            for shape, index_shape, d in (
                ((50, 400), (3000, 400), 0),
                ((40, 9), (40, 20000), 1),
                ((7,), (100000,), 0),
                ((3, 20, 100), (3, 900, 100), 1),
            ):
                index = r.integers(0, shape[d], index_shape)
                src = r.standard_normal(index_shape).astype("f4")
                x = np.zeros(shape, np.float32)
                for k, y in enumerate(
                    (F.scatter_add(x, d, index, src), F.scatter(x, d, index, src))
                ):
                    key = (shape, k)
                    assert seen.setdefault(key, y.tobytes()) == y.tobytes()
            rows = r.integers(0, 50, 4000)
            y = F.index_add(
                np.zeros((50, 33), "f4"), 0, rows, r.standard_normal((4000, 33)).astype("f4")
            )
            assert seen.setdefault("rows", y.tobytes()) == y.tobytes()


@pytest.mark.parametrize(
    "call, error",
    [
        (lambda x, i: F.gather(x, 0, i + 3), IndexError),
        (lambda x, i: F.gather(x, 0, i - 9), IndexError),
        (lambda x, i: F.gather(x, 2, i), IndexError),
        (lambda x, i: F.gather(x, 0, x), errors.DTypeError),
        (lambda x, i: F.gather(x, 0, i[0]), errors.ShapeError),
        (lambda x, i: F.scatter(x, 0, i), errors.ArgumentError),
        (lambda x, i: F.scatter(x, 0, i, 1.0, reduce="multiply"), errors.ArgumentError),
        (lambda x, i: F.scatter(x, 0, i, x.astype("f4")), errors.DTypeError),
        (lambda x, i: F.scatter_add(x, 0, i, x[:, :1]), errors.ShapeError),
        (lambda x, i: F.index_select(x, 0, i), errors.ShapeError),
        (lambda x, i: F.index_add(x, 0, i[0], x[:2]), errors.ShapeError),
        (lambda x, i: F.index_copy(x, 0, i[0], x[:2]), errors.ShapeError),
        (lambda x, i: F.masked_fill(x, i, 0), errors.DTypeError),
        (lambda x, i: F.masked_fill(i, i > 0, 0.5), errors.DTypeError),
        (lambda x, i: F.masked_fill(x, i > 0, x[0]), errors.ShapeError),
        (lambda x, i: F.masked_select(x, np.ones(5, bool)), errors.ShapeError),
        (lambda x, i: F.masked_scatter(x, x < 1, x[0]), errors.ShapeError),
        (lambda x, i: F.bincount(i), errors.ShapeError),
        (lambda x, i: F.bincount(x[0]), errors.DTypeError),
        (lambda x, i: F.bincount(i[0] - 5), errors.ArgumentError),
        (lambda x, i: F.searchsorted(x, x[:2]), errors.ShapeError),
        (lambda x, i: F.take(x, i + 99), IndexError),
    ],
)
def test_refused(call, error):
    with pytest.raises(error):
        call(np.zeros((3, 4)), np.zeros((3, 4), np.int64))
