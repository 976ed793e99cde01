"""F.pad against torch over random calls: the same bits forward; sums of copies backward."""

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from agreement import CONFIGS
from own_memory import run_guarded
from product_agreement import FLOATS, check_products, draw, ours, pick, same, theirs

import fastdl
import fastdl.functional as F

TF = torch.nn.functional


def random_array(rng, shape, dtype):
    x = draw(rng, shape, dtype, bool(rng.integers(2)))
    return np.repeat(x, 2, -1)[..., ::2] if x.ndim and rng.random() < 0.3 else x


@pytest.mark.parametrize("seed", range(3 * CONFIGS))
def test_constant(seed):
    rng = np.random.default_rng([seed, 1])
    ndim = int(rng.integers(1, 6))
    x = random_array(rng, tuple(map(int, rng.integers(0, 6, ndim))), pick(rng, *FLOATS))
    pads = tuple(map(int, rng.integers(-2, 4, 2 * int(rng.integers(1, ndim + 1)))))
    value = pick(rng, None, 0.0, 1.5, -2)
    try:
        want, _ = theirs(lambda t: TF.pad(t, pads, value=value), [x])
    except RuntimeError:
        with pytest.raises(fastdl.errors.FastdlError):
            F.pad(x, pads, value=value)
        return
    upstream = draw(rng, want.shape, x.dtype.name)
    got = ours(lambda t: F.pad(t, pads, value=value), [x], upstream)
    same(got[0], want)
    same(got[1][0], theirs(lambda t: TF.pad(t, pads, value=value), [x], upstream)[1][0])
    for dtype in ("int64", "bool", "uint8"):
        a = (np.abs(x) * 50 % 100).astype(dtype)
        same(F.pad(a, pads, value=1), TF.pad(torch.from_numpy(a), pads, value=1).numpy())


@pytest.mark.parametrize("seed", range(3 * CONFIGS))
@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_of_itself(mode, seed):
    rng = np.random.default_rng([seed, 2])
    axes = int(rng.integers(1, 4))
    size = tuple(map(int, rng.integers(1, 7, axes)))
    batch = () if rng.random() < 0.2 else (pick(rng, 1, 2),)
    x = random_array(rng, (*batch, int(rng.integers(1, 4)), *size), pick(rng, *FLOATS))
    pads = tuple(map(int, rng.integers(0, pick(rng, 3, 6), 2 * axes)))
    check_products(lambda t: F.pad(t, pads, mode), lambda t: TF.pad(t, pads, mode), [x], extra=1)


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_negative_paddings_cut(mode):
    x = np.random.default_rng(0).standard_normal((2, 3, 5, 6))
    for pads in ((-1, 2, 1, -2), (-2, -1, 0, 0)):
        check_products(
            lambda t, p=pads: F.pad(t, p, mode), lambda t, p=pads: TF.pad(t, p, mode), [x], extra=1
        )


def test_integers_of_itself():
    x = np.arange(12).reshape(1, 1, 3, 4)
    want = np.pad(x, ((0, 0), (0, 0), (1, 2), (3, 1)), "reflect")
    same(F.pad(x, (3, 1, 1, 2), "reflect"), want)


@pytest.mark.parametrize(
    "pads,mode",
    [
        ((1,), "constant"), ((1, 1) * 5, "constant"), ((-3, -3), "constant"), ((1, 1), "mirror"),
        ((1, 1), "reflect"), ((5, 0, 0, 0), "reflect"), ((0, 6, 0, 0), "circular"),
        ((1.5, 1), "constant"),
    ],
)  # fmt: skip
def test_refused(pads, mode):
    with pytest.raises(fastdl.errors.FastdlError):
        F.pad(np.ones((2, 3, 5, 5)), pads, mode)
    with pytest.raises(fastdl.errors.FastdlError, match="value"):
        F.pad(np.ones((2, 3, 5, 5)), (1, 1, 1, 1), "reflect", 1.0)


@pytest.mark.parametrize("mode", ["guard_end", "guard_start"])
@pytest.mark.parametrize("name", ["pad", "pad_backward"])
def test_touches_only_its_own_memory(name, mode):
    run_guarded(name, mode)
