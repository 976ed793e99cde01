"""1-D, 3-D and adaptive pooling and max-unpooling against torch, over random calls."""

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from agreement import CONFIGS, check_gradients
from own_memory import run_guarded
from product_agreement import FLOATS, check_products, draw, ours, pick, same, theirs

import fastdl
import fastdl.functional as F

TF = torch.nn.functional
POOLS = ["adaptive_max_pool2d", "adaptive_max_pool2d_backward", "max_unpool2d",
         "max_unpool2d_backward"]  # fmt: skip


def numbers(rng, axes, low, high):
    return pick(rng, int(rng.integers(low, high)), tuple(map(int, rng.integers(low, high, axes))))


def random_array(rng, axes, dtype, least=3):
    n, size = pick(rng, 0, 1, 2), rng.integers(least, 8 if axes == 3 else 14, axes)
    shape = (n, int(rng.integers(1, 20)), *map(int, size))
    if rng.random() < 0.2:
        shape = shape[1:]
    # torch's 3-D pools take no channels-last array of four dims
    x = draw(rng, shape, dtype, axes == 2 and bool(rng.integers(2)))
    if x.ndim == 3 and axes == 1 and rng.random() < 0.3:  # [N, L, C] in memory
        x = np.ascontiguousarray(x.swapaxes(1, 2)).swapaxes(1, 2)
    if rng.random() < 0.3:
        x = np.repeat(x, 2, -1)[..., ::2]
    if rng.random() < 0.2 and x.size:  # ties, and NaN
        x = np.round(x)
        x.reshape(-1)[rng.integers(x.size)] = np.nan
    return x


def random_window(rng, axes):
    options = {
        "kernel_size": numbers(rng, axes, 1, 4),
        "stride": pick(rng, None, numbers(rng, axes, 1, 4)),
        "padding": pick(rng, 0, numbers(rng, axes, 0, 2)),
        "ceil_mode": bool(rng.integers(2)),
    }
    return options


@pytest.mark.parametrize("seed", range(3 * CONFIGS))
@pytest.mark.parametrize("axes", [1, 3])
def test_max_pool(axes, seed):
    rng = np.random.default_rng([axes, seed, 1])
    x, options = random_array(rng, axes, pick(rng, *FLOATS)), random_window(rng, axes)
    if rng.random() < 0.4:
        options["dilation"] = numbers(rng, axes, 1, 3)
    name = f"max_pool{axes}d"
    results = check_products(
        getattr(F, name), getattr(TF, name), [x], selects=True, extra=1, **options
    )
    if results is None:
        return
    y, index = getattr(F, name)(x, return_indices=True, **options)
    z, places = getattr(TF, name)(torch.from_numpy(x), return_indices=True, **options)
    same(y, z.numpy())
    same(np.ascontiguousarray(index), places.numpy())


@pytest.mark.parametrize("seed", range(3 * CONFIGS))
@pytest.mark.parametrize("axes", [1, 3])
def test_avg_pool(axes, seed):
    rng = np.random.default_rng([axes, seed, 2])
    x, options = random_array(rng, axes, pick(rng, *FLOATS)), random_window(rng, axes)
    x = np.nan_to_num(x)
    options["count_include_pad"] = bool(rng.integers(2))
    if axes == 3 and rng.random() < 0.3:
        options["divisor_override"] = pick(rng, 3, -2, 0)
    name = f"avg_pool{axes}d"
    counting = {**options, "divisor_override": 1} if axes == 3 else None
    check_products(
        getattr(F, name), getattr(TF, name), [x], counting=counting,
        extra=3 if axes == 3 else 8, **options,
    )  # fmt: skip


def random_sizes(rng, axes):
    sizes = tuple(pick(rng, None, 1, int(rng.integers(1, 9))) for _ in range(axes))
    return pick(rng, sizes, 1, int(rng.integers(1, 6)), (1,) * axes)


@pytest.mark.parametrize("seed", range(4 * CONFIGS))
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_adaptive_avg_pool(axes, seed):
    rng = np.random.default_rng([axes, seed, 3])
    x, size = np.nan_to_num(random_array(rng, axes, pick(rng, *FLOATS), 1)), random_sizes(rng, axes)
    if axes == 1:
        size = size[0] if isinstance(size, tuple) else size
        size = 2 if size is None else size  # torch wants a number there
    mine, peer = (getattr(m, f"adaptive_avg_pool{axes}d") for m in (F, TF))
    # Means: a run on ones counts no terms, of which there are at most all.
    check_products(mine, peer, [x], extra=int(np.prod(x.shape[-axes:])) + 8, output_size=size)


@pytest.mark.parametrize("seed", range(4 * CONFIGS))
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_adaptive_max_pool(axes, seed):
    rng = np.random.default_rng([axes, seed, 4])
    x, size = random_array(rng, axes, pick(rng, *FLOATS), 1), random_sizes(rng, axes)
    if axes == 1:
        size = size[0] if isinstance(size, tuple) else size
        size = 2 if size is None else size
    mine, peer = (getattr(m, f"adaptive_max_pool{axes}d") for m in (F, TF))
    check_products(mine, peer, [x], selects=True, extra=8**axes, output_size=size)
    y, index = mine(x, size, True)
    z, places = peer(torch.from_numpy(x), size, True)
    same(y, z.numpy())
    same(np.ascontiguousarray(index), places.numpy())


@pytest.mark.parametrize("seed", range(3 * CONFIGS))
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_max_unpool(axes, seed):
    rng = np.random.default_rng([axes, seed, 5])
    kernel = tuple(map(int, rng.integers(1, 4, axes)))  # not overlapping, so places differ
    size = [k * int(rng.integers(1, 5)) + int(rng.integers(k)) for k in kernel]
    shape = (pick(rng, 1, 2), int(rng.integers(1, 6)), *size)
    if rng.random() < 0.2:
        shape = shape[1:]
    # torch's max_unpool3d takes no channels-last array of four dims
    x = draw(rng, shape, pick(rng, *FLOATS), axes == 2 and bool(rng.integers(2)))
    values, places = getattr(TF, f"max_pool{axes}d")(
        torch.from_numpy(x), kernel, return_indices=True
    )
    a, index = values.numpy().copy(), places.numpy().copy()
    options = pick(rng, {}, {"output_size": tuple(size)}, {"output_size": x.shape})
    mine, peer = (getattr(m, f"max_unpool{axes}d") for m in (F, TF))
    upstream = None
    try:
        want, _ = theirs(lambda t: peer(t, places, kernel, **options), [a])
        upstream = draw(rng, want.shape, x.dtype.name)
        want = theirs(lambda t: peer(t, places, kernel, **options), [a], upstream)
    except (RuntimeError, ValueError):
        with pytest.raises(fastdl.errors.FastdlError):
            mine(a, index, kernel, **options)
        return
    got = ours(lambda t: mine(t, index, kernel, **options), [a], upstream)
    same(got[0], want[0])
    same(got[1][0], want[1][0])


def test_first_and_second_derivatives_of_adaptive_max_pool2d():
    x = np.random.default_rng(0).permutation(2 * 3 * 5 * 7).reshape(2, 3, 5, 7) / 10.0
    check_gradients("adaptive_max_pool2d", x, theirs=TF.adaptive_max_pool2d, output_size=(2, 3))


@pytest.mark.parametrize("seed", range(2 * CONFIGS))
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_lp_pool(axes, seed):
    """Float64 with positive inputs: powers are within 2 ULP on both sides, and a sum of at most 27
    terms and its root lose some 40 roundings more; a hundred each, twice."""
    rng = np.random.default_rng([axes, seed, 6])
    x = np.abs(np.nan_to_num(random_array(rng, axes, "float64"))) + 0.5
    options = random_window(rng, axes)
    del options["padding"]
    if axes == 1:  # torch's lp_pool1d takes a number only
        options["kernel_size"] = int(rng.integers(1, 4))
    options["norm_type"] = pick(rng, 1, 2, 2.5, 3)
    mine, peer = (getattr(m, f"lp_pool{axes}d") for m in (F, TF))
    try:
        want, _ = theirs(peer, [x], **options)
    except (RuntimeError, ValueError):
        with pytest.raises(fastdl.errors.FastdlError):
            mine(x, **options)
        return
    upstream = np.abs(draw(rng, want.shape, "float64"))
    (got, (dx,)), (want, (grad,)) = (f(m, [x], upstream, **options)
                                     for f, m in ((ours, mine), (theirs, peer)))  # fmt: skip
    np.testing.assert_allclose(got, want, rtol=200 * 2.0**-53, atol=0)
    np.testing.assert_allclose(dx, grad, rtol=400 * 2.0**-53, atol=0)


@pytest.mark.parametrize("name", ["max_pool1d", "max_pool3d", "adaptive_max_pool3d"])
def test_indices_of_tensors_are_tensors(name):
    x = fastdl.Tensor(np.ones((1, 2) + (4,) * int(name[-2])))
    _, index = getattr(F, name)(x, 2, return_indices=True)
    assert isinstance(index, fastdl.Tensor) and index.dtype == np.int64


def test_refused():
    x = np.ones((1, 2, 4, 4))
    for call in (
        lambda: F.max_pool1d(x, 2),
        lambda: F.max_pool3d(x[0], 2),
        lambda: F.avg_pool3d(x, (2, 2)),
        lambda: F.adaptive_avg_pool2d(x, (2, 2, 2)),
        lambda: F.adaptive_avg_pool2d(x, 0),
        lambda: F.adaptive_max_pool2d(x[:, :0], 2),
        lambda: F.max_unpool2d(x, np.full(x.shape, 99), 2),
        lambda: F.max_unpool2d(x, np.zeros(x.shape, np.int64), 2, output_size=(11, 11)),
    ):
        with pytest.raises(fastdl.errors.FastdlError):
            call()


@pytest.mark.parametrize("mode", ["guard_end", "guard_start"])
@pytest.mark.parametrize("name", POOLS)
def test_touches_only_its_own_memory(name, mode):
    run_guarded(name, mode)
