"""Interpolation and adaptive averages against torch over random calls.

Both sides place samples and weigh them in floating point. A place is within 4·(n + m) roundings u
for sizes n and m, and no mode's weights change faster than 3/2 a unit of place; each axis sums at
most `terms` of them, and a gradient the outputs that an input meets as well. So two results differ
by at most 16·(n + m)·terms·u·max|x| an axis, twice: torch rounds float32's places to float32 and we
do not.
"""

import math

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from agreement import CONFIGS
from derivatives import check_second
from own_memory import run_guarded
from product_agreement import FLOATS, UNIT, draw, ours, pick, same, theirs

import fastdl
import fastdl.functional as F
from fastdl.core.shapes import is_channels_last

TF = torch.nn.functional
MODES = {
    1: ("nearest", "nearest-exact", "linear", "area"),
    2: ("nearest", "nearest-exact", "bilinear", "bicubic", "area"),
    3: ("nearest", "nearest-exact", "trilinear", "area"),
}


def random_call(rng):
    axes = int(rng.integers(1, 4))
    mode = pick(rng, *MODES[axes])
    size = tuple(map(int, rng.integers(1, 9 if axes == 3 else 14, axes)))
    shape = (pick(rng, 0, 1, 2), int(rng.integers(1, 20)), *size)
    options = {"mode": mode}
    if rng.random() < 0.5:
        options["size"] = tuple(map(int, rng.integers(1, 14, axes)))
        if rng.random() < 0.2:
            options["size"] = options["size"][0]
    else:
        factors = tuple(float(f) for f in rng.uniform(0.4, 2.6, axes))
        options["scale_factor"] = pick(rng, factors, factors[0], 2, 2.0)
        options["recompute_scale_factor"] = pick(rng, None, False, True)
    if mode.endswith(("linear", "cubic")):
        options["align_corners"] = pick(rng, None, False, True)
    x = draw(rng, shape, pick(rng, *FLOATS), bool(rng.integers(2)))
    if rng.random() < 0.3:
        x = np.repeat(x, 2, -1)[..., ::2]
    return x, options


@pytest.mark.parametrize("seed", range(4 * CONFIGS))
def test_interpolate(seed):
    rng = np.random.default_rng([seed, 1])
    x, options = random_call(rng)
    try:
        want, _ = theirs(TF.interpolate, [x], **options)
    except (RuntimeError, ValueError):
        with pytest.raises(fastdl.errors.FastdlError):
            F.interpolate(x, **options)
        return
    upstream = draw(rng, want.shape, x.dtype.name)
    _, (want_dx,) = theirs(TF.interpolate, [x], upstream, **options)
    got, (dx,) = ours(F.interpolate, [x], upstream, **options)
    if options["mode"].startswith("nearest"):
        same(got, want)
    n, m = max(x.shape[2:]), max(want.shape[2:])
    terms = {"area": n}.get(options["mode"], 4) ** (x.ndim - 2)
    step = 32 * (n + m) * terms * UNIT[x.dtype.name]
    assert got.shape == want.shape and got.dtype == want.dtype
    if x.ndim == 4 and got.size and is_channels_last(x) and min(got.shape[1:]) > 1:
        assert is_channels_last(got)
    assert np.abs(got - want).max(initial=0) <= step * np.abs(x).max(initial=0)
    met = math.ceil(4 * m / n + 4) ** (x.ndim - 2)
    assert dx.shape == x.shape
    # Where sizes are the same or double but scale_factor is not, the gradient that torch computes
    # of mode 'nearest' is not that of the result that it computes.
    doubled = any(m in (n, 2 * n) for n, m in zip(x.shape[2:], got.shape[2:], strict=True))
    if options["mode"] == "nearest" and "scale_factor" in options and doubled:
        return
    assert np.abs(dx - want_dx).max(initial=0) <= step * met * np.abs(upstream).max(initial=0)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic", "area", "nearest"])
def test_second_derivatives(mode):
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 5))
    check_second("interpolate", [x], size=(7, 3), mode=mode)


@pytest.mark.parametrize("seed", range(2 * CONFIGS))
def test_rearrangements_of_channels(seed):
    rng = np.random.default_rng([seed, 2])
    r, dtype = int(rng.integers(1, 4)), pick(rng, *FLOATS)
    ahead = tuple(map(int, rng.integers(1, 4, rng.integers(0, 3))))
    h, w = map(int, rng.integers(1, 5, 2))
    x = draw(rng, (*ahead, 2 * r * r, h, w), dtype, bool(rng.integers(2)))
    y = draw(rng, (*ahead, 3, h * r, w * r), dtype, bool(rng.integers(2)))
    for name, a in (("pixel_shuffle", x), ("pixel_unshuffle", y)):
        u = draw(rng, tuple(getattr(F, name)(a, r).shape), dtype)
        mine = ours(lambda t, name=name: getattr(F, name)(t, r), [a], u)
        peer = theirs(lambda t, name=name: getattr(TF, name)(t, r), [a], u)
        same(mine[0], peer[0])
        same(mine[1][0], peer[1][0])
    g = int(rng.integers(1, 4))
    z = draw(rng, (2, 2 * g, h, w), dtype)
    same(F.channel_shuffle(z, g), TF.channel_shuffle(torch.from_numpy(z), g).numpy())
    with pytest.raises(fastdl.errors.ShapeError):
        F.pixel_shuffle(np.ones((1, 3, 2, 2)), 2)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"size": 4, "scale_factor": 2},
        {"size": (4, 4, 4)},
        {"size": 4, "mode": "linear"},
        {"size": 4, "align_corners": False},
        {"scale_factor": 0.1},
        {"scale_factor": -1.0},
        {"size": 0},
        {"size": 4, "mode": "lanczos"},
    ],
)
def test_refused(options):
    with pytest.raises(fastdl.errors.FastdlError):
        F.interpolate(np.ones((1, 2, 5, 5)), **options)


@pytest.mark.parametrize("mode", ["guard_end", "guard_start"])
@pytest.mark.parametrize("name", ["interpolate", "interpolate_backward"])
def test_touches_only_its_own_memory(name, mode):
    run_guarded(name, mode)
