"""Sorting agrees with torch: values, places of a stable sort, NaN last, gradients."""

import itertools

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from agreement import CONFIGS  # noqa: E402
from shape_agreement import compare, sizes, whole  # noqa: E402

import fastdl  # noqa: E402
import fastdl.functional as F  # noqa: E402
from fastdl import errors  # noqa: E402

DTYPES = [np.float64, np.float32, np.int64, np.int32, np.uint8, bool]


@pytest.mark.parametrize("config", range(CONFIGS * 3))
def test_sort(config):
    rng = np.random.default_rng(config)
    shape = sizes(rng, 0, 3, 9)
    n = max(len(shape), 1)
    d, down = int(rng.integers(-n, n)), bool(rng.integers(2))
    x = whole(rng, *shape, dtype=DTYPES[config % 6])  # many equal elements
    compare(lambda lib, x: tuple(lib.sort(x, dim=d, descending=down, stable=True)), x)
    compare(lambda lib, x: lib.argsort(x, dim=d, descending=down, stable=True), x, gradients=False)


@pytest.mark.parametrize("config", range(CONFIGS * 3))
def test_topk(config):
    """torch says nothing of which of equal elements are taken, so all are different."""
    rng = np.random.default_rng(config)
    shape = sizes(rng, 0, 3, 9)
    n = max(len(shape), 1)
    d, largest = int(rng.integers(-n, n)), bool(rng.integers(2))
    size = int(np.prod(shape))
    x = rng.permutation(size).reshape(shape).astype(DTYPES[config % 4])
    k = int(rng.integers(0, shape[d] + 1)) if shape else 1
    compare(lambda lib, x: tuple(lib.topk(x, k, dim=d, largest=largest)), x)
    if k:
        compare(lambda lib, x: tuple(lib.kthvalue(x, k, d, largest)), x)


@pytest.mark.parametrize("dtype", DTYPES[:5], ids=str)
@pytest.mark.parametrize("n", [511, 512, 513, 5000])
def test_long_rows(dtype, n):
    """Where rows are long enough to be sorted by radix."""
    rng = np.random.default_rng(n)
    if np.dtype(dtype).kind == "f":
        words = rng.integers(0, 256, (3, n, np.dtype(dtype).itemsize), dtype=np.uint8)
        x = words.view(dtype)[..., 0].copy()
        x[:, ::7] = 0.0
        x[:, ::11] = -0.0
        x[:, ::13] = np.nan
    else:
        info = np.iinfo(dtype)
        x = rng.integers(info.min, info.max, (3, n), dtype=dtype, endpoint=True)
        x[:, ::3] = x[:, :1]
    for down in (False, True):
        want = torch.sort(torch.tensor(x), dim=1, descending=down, stable=True)
        for backend in ("native", "numba"):
            with fastdl.use_backend(backend):
                got = F.sort(x, 1, down)
                columns = F.sort(np.ascontiguousarray(x.T), 0, down)
                some = F.topk(x, 20, 1, down)
            np.testing.assert_array_equal(got.indices, want.indices.numpy())
            np.testing.assert_array_equal(columns.indices.T, want.indices.numpy())
            np.testing.assert_array_equal(some.indices, want.indices.numpy()[:, :20])
            for y in (got.values, columns.values.T):
                assert np.ascontiguousarray(y).tobytes() == want.values.numpy().tobytes()
            # torch's topk, too, has NaN the largest
            peer = torch.topk(torch.tensor(x), 20, 1, down).values.numpy()
            np.testing.assert_array_equal(some.values, peer)


def test_nan_and_infinities():
    x = np.array([np.inf, np.nan, -np.inf, 1.0, np.nan, -0.0, 0.0])
    assert F.argsort(x).tolist() == [2, 5, 6, 3, 0, 1, 4]
    assert F.argsort(x, descending=True).tolist() == [1, 4, 0, 3, 5, 6, 2]
    assert F.topk(x, 3).indices.tolist() == [1, 4, 0]
    assert F.topk(x, 2, largest=False).indices.tolist() == [2, 5]
    assert F.msort(np.array([[2, 1], [1, 3]])).tolist() == [[1, 1], [2, 3]]


def test_threads_and_out():
    x = np.random.default_rng(0).standard_normal((300, 700)).astype(np.float32)
    seen = set()
    for threads, d in itertools.product((1, 2, 3, 5, 8), (0, 1)):
        with fastdl.num_threads(threads):
            y = F.sort(x, d)
            seen.add((d, y.values.tobytes(), y.indices.tobytes()))
    assert len(seen) == 2
    values, places = np.empty_like(x), np.empty(x.shape, np.int64)
    got = F.sort(x, 1, out=(values, places))
    assert got.values is values and (values == np.sort(x, 1)).all()


@pytest.mark.parametrize("call, error", [
    (lambda x: F.sort(x, 2), IndexError), (lambda x: F.topk(x, 5), errors.ArgumentError),
    (lambda x: F.topk(x, -1), errors.ArgumentError), (lambda x: F.sort([1.0]), errors.DTypeError),
    (lambda x: F.kthvalue(x, 9), errors.ArgumentError),
])  # fmt: skip
def test_refused(call, error):
    with pytest.raises(error):
        call(np.zeros((3, 4)))
