"""Random calls of products, convolution and pooling, here and in torch: results, gradients,
formats and refusals agree (`product_agreement.py` says how closely)."""

import numpy as np
import pytest
from product_agreement import FLOATS, check_products, draw, pick, same

import fastdl
import fastdl.functional as F
from fastdl.core.shapes import is_channels_last

torch = pytest.importorskip("torch")
TF = torch.nn.functional


# --- products ----------------------------------------------------------------------------------

SHAPES = [
    ((3,), (3,)), ((0,), (0,)), ((3,), (3, 4)), ((2, 3), (3,)), ((2, 3), (3, 4)), ((0, 3), (3, 4)),
    ((2, 0), (0, 3)), ((3,), (5, 3, 2)), ((5, 2, 3), (3,)), ((5, 2, 3), (3, 4)),
    ((2, 3), (5, 3, 4)), ((5, 2, 3), (5, 3, 4)), ((4, 1, 2, 3), (5, 3, 6)),
    ((1, 2, 3), (5, 3, 4)), ((0, 2, 3), (1, 3, 4)), ((5, 0, 3), (3, 4)), ((65, 70), (70, 33)),
    ((2, 1, 3, 4), (1, 5, 4, 2)), ((1, 1), (1, 1)),
    ((), (3,)), ((2, 3), (2, 3)), ((3,), (4, 2)), ((2, 2, 3), (3, 3, 4)),  # refused
]  # fmt: skip


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("a,b", SHAPES)
def test_matmul(a, b, dtype):
    rng = np.random.default_rng(len(a) + 10 * len(b))
    check_products(F.matmul, torch.matmul, [draw(rng, a, dtype), draw(rng, b, dtype)])


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    "x,w,bias",
    [
        ((3,), (2, 3), (2,)), ((5, 3), (2, 3), (2,)), ((5, 3), (2, 3), None),
        ((2, 4, 3), (2, 3), (2,)), ((0, 3), (2, 3), (2,)), ((5, 0), (2, 0), (2,)),
        ((5, 3), (3,), None), ((17, 130), (33, 130), (33,)),
        ((), (2, 3), None), ((5, 4), (2, 3), None), ((5, 3), (2, 2, 3), None),  # refused
        ((5, 3), (2, 3), (3,)),
    ],
)  # fmt: skip
def test_linear(x, w, bias, dtype):
    rng = np.random.default_rng(len(x))
    arrays = [draw(rng, s, dtype) for s in (x, w, bias) if s is not None]
    check_products(F.linear, TF.linear, arrays)


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8"])
def test_integer_products(dtype):
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 200, (5, 7)).astype(dtype), rng.integers(0, 200, (7, 3)).astype(dtype)
    with fastdl.use_backend("reference"):
        same(F.matmul(a, b), torch.matmul(*map(torch.from_numpy, (a, b))).numpy())


def random_convolution(seed):
    rng = np.random.default_rng(seed)
    groups = pick(rng, 1, 1, 2, 3)
    k, c, n = groups * rng.integers(1, 4), rng.integers(1, 4), pick(rng, 1, 1, 2, 0)
    kernel = rng.integers(1, 5, 2)
    size = rng.integers(1, 10, 2)
    padding = pick(
        rng, 0, "same", "valid", int(rng.integers(4)), tuple(int(p) for p in rng.integers(0, 3, 2))
    )
    options = {
        "stride": pick(rng, 1, 1, 2, (int(rng.integers(1, 4)), int(rng.integers(1, 4)))),
        "padding": padding,
        "dilation": pick(rng, 1, 1, 2, (int(rng.integers(1, 3)), int(rng.integers(1, 4)))),
        "groups": groups,
    }
    dtype, last = pick(rng, *FLOATS), bool(rng.integers(2))
    shape = (n, c * groups, *size)
    if rng.random() < 0.2:
        shape = shape[1:]
    arrays = [
        draw(rng, shape, dtype, last),
        draw(rng, (k, c, *kernel), dtype, bool(rng.integers(2))),
    ]
    if rng.random() < 0.5:
        arrays.append(draw(rng, (k,), dtype))
    return arrays, options


@pytest.mark.filterwarnings("ignore:Using padding='same'")  # torch's, on an odd total
@pytest.mark.parametrize("seed", range(150))
def test_conv2d(seed):
    arrays, options = random_convolution(seed)
    before = [a.copy() for a in arrays]
    results = check_products(F.conv2d, TF.conv2d, arrays, **options)
    assert all(np.array_equal(a, b) for a, b in zip(arrays, before, strict=True))
    if results is None:
        return
    y, (dx, dw, *_) = results[0]
    for result, like in ((y, arrays[0]), (dx, arrays[0]), (dw, arrays[1])):
        ambiguous = result.size == 0 or result.shape[-3] == 1 or result.shape[-2:] == (1, 1)
        assert is_channels_last(result) == (is_channels_last(like) and not ambiguous)


@pytest.mark.parametrize("x,w", [((2, 0, 5, 5), (3, 0, 3, 3)), ((0, 2, 5, 5), (3, 2, 3, 3))])
def test_conv2d_of_nothing(x, w):
    arrays = [np.ones(x), np.ones(w), np.ones(3)]
    check_products(F.conv2d, TF.conv2d, arrays)


def test_integer_conv2d():
    rng = np.random.default_rng(0)
    x, w = rng.integers(-9, 9, (2, 3, 6, 7)), rng.integers(-9, 9, (4, 3, 3, 2))
    with fastdl.use_backend("reference"):
        same(
            F.conv2d(x, w, None, 2, 1),
            TF.conv2d(*map(torch.from_numpy, (x, w)), None, 2, 1).numpy(),
        )


# --- pooling -----------------------------------------------------------------------------------


def random_pooling(seed, dilated):
    rng = np.random.default_rng(seed)

    def one_or_two(low, high):
        return pick(rng, int(rng.integers(low, high)), tuple(map(int, rng.integers(low, high, 2))))

    kernel = one_or_two(1, 5)
    options = {
        "kernel_size": kernel,
        "stride": pick(rng, None, one_or_two(1, 5)),
        "padding": pick(rng, 0, one_or_two(0, 3)),
        "ceil_mode": bool(rng.integers(2)),
    }
    if dilated:
        options["dilation"] = pick(rng, 1, one_or_two(1, 4))
    shape = (pick(rng, 0, 1, 2), rng.integers(1, 20), *rng.integers(1, 12, 2))
    if rng.random() < 0.2:
        shape = shape[1:]
    return rng, draw(rng, shape, pick(rng, *FLOATS), bool(rng.integers(2))), options


@pytest.mark.parametrize("seed", range(150))
def test_max_pool2d(seed):
    rng, x, options = random_pooling(seed, dilated=True)
    if seed % 3 == 0:  # ties, infinities, NaN and both zeros
        odd = np.array([0.0, -0.0, 1.0, 1.0, np.inf, -np.inf, np.nan], x.dtype)
        x[...] = odd[rng.integers(0, len(odd) - (seed % 2), x.shape)]
    t = torch.from_numpy(x)
    try:
        y, index = TF.max_pool2d(t, **options, return_indices=True)
    except RuntimeError:
        with pytest.raises(fastdl.errors.FastdlError):
            F.max_pool2d(x, **options)
        return
    got, place = F.max_pool2d(x, **options, return_indices=True)
    same(got, y.numpy())
    same(place, index.numpy())
    alone = F.max_pool2d(x, **options)
    same(alone, y.numpy())
    assert np.array_equal(np.signbit(alone), np.signbit(y.numpy()))
    if np.isfinite(x).all():
        check_products(F.max_pool2d, TF.max_pool2d, [x], selects=True, **options)


@pytest.mark.parametrize("seed", range(150))
def test_avg_pool2d(seed):
    rng, x, options = random_pooling(seed, dilated=False)
    options["count_include_pad"] = bool(rng.integers(2))
    if rng.random() < 0.3:
        options["divisor_override"] = pick(rng, 1, 7, -3)
    counting = {**options, "divisor_override": 1}
    # one division; torch may multiply by a rounded reciprocal instead, which is one rounding more
    check_products(F.avg_pool2d, TF.avg_pool2d, [x], counting=counting, extra=2, **options)


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8"])
def test_integer_max_pool2d(dtype):
    x = np.random.default_rng(0).integers(0, 200, (2, 3, 7, 8)).astype(dtype)
    with fastdl.use_backend("reference"):
        same(F.max_pool2d(x, 3, 2, 1), TF.max_pool2d(torch.from_numpy(x), 3, 2, 1).numpy())


@pytest.mark.parametrize(
    "pool,torchs", [(F.max_pool2d, TF.max_pool2d), (F.avg_pool2d, TF.avg_pool2d)]
)
@pytest.mark.parametrize(
    "shape", [(0, 2, 5, 5), (2, 0, 5, 5), (2, 2, 0, 5), (0, 2, 5, 0), (0, 5, 5), (5, 5), (5,)]
)
def test_pooling_of_nothing(pool, torchs, shape):
    x = np.ones(shape, np.float32)
    try:
        want = torchs(torch.from_numpy(x), 2).numpy()
    except (RuntimeError, IndexError):
        with pytest.raises(fastdl.errors.ShapeError):
            pool(x, 2)
        return
    same(pool(x, 2), want)
