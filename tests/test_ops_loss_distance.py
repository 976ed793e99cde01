"""pairwise_distance, triplet margin and cosine embedding agree with torch."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")
TF = torch.nn.functional

from agreement import CONFIGS, check_gradients, normal  # noqa: E402

import fastdl  # noqa: E402
import fastdl.functional as F  # noqa: E402
from fastdl import errors, nn  # noqa: E402

UNIT = {np.float32: 2.0**-24, np.float64: 2.0**-53}
SHAPES = [(7,), (5, 33), (0, 4), (3, 5, 17), (40, 130)]


def pick(rng, *choices):
    return choices[rng.integers(len(choices))]


@pytest.mark.parametrize(
    "name", ["pairwise_distance", "triplet_margin_loss", "cosine_embedding_loss"]
)
@pytest.mark.parametrize("seed", range(2 * CONFIGS))
def test_values_and_gradients(name, seed):
    """Held to 64 + D roundings of the longest row, its p-th power at most cubed."""
    rng = np.random.default_rng(seed)
    shape, dtype = pick(rng, *SHAPES), pick(rng, np.float32, np.float64)
    if name == "cosine_embedding_loss":
        shape = shape[-2:]
    options = {}
    if name != "pairwise_distance":
        options["reduction"] = pick(rng, "mean", "sum", "none")
        options["margin"] = pick(rng, 0.25, 0.5)
    if name != "cosine_embedding_loss":
        options["p"] = pick(rng, 2, 2.0, 1, 3, math.inf)
        options["eps"] = pick(rng, 1e-6, 0.125)
    if name == "pairwise_distance":
        options["keepdim"] = pick(rng, False, True)
    if name == "triplet_margin_loss":
        options["swap"] = pick(rng, False, True)
    count = 3 if name == "triplet_margin_loss" else 2
    arrays = [rng.standard_normal(shape).astype(dtype) for _ in range(count)]
    if rng.random() < 0.3:
        arrays = [np.asfortranarray(a) for a in arrays]
    extra = ()
    if name == "cosine_embedding_loss":
        extra = (np.asarray(rng.integers(-1, 2, shape[:-1])).astype(dtype),)
    mine = [fastdl.Tensor(a, requires_grad=True) for a in arrays]
    peers = [torch.tensor(a.astype("f8"), requires_grad=True) for a in arrays]
    got = getattr(F, name)(*mine, *extra, **options)
    want = getattr(TF, name)(*peers, *(torch.tensor(a.astype("f8")) for a in extra), **options)
    assert tuple(got.shape) == tuple(want.shape) and got.dtype == dtype
    rows = max(int(np.prod(shape[:-1])), 1)
    longest = 1 + np.sqrt(shape[-1]) * 4
    limit = (64 + shape[-1]) * UNIT[dtype] * longest * (
        rows if options.get("reduction") == "sum" else 1)  # fmt: skip
    found, value = got.detach().numpy(), want.detach().numpy()
    assert np.all((np.abs(found - value) <= limit) | (np.isnan(found) & np.isnan(value)))
    g = np.asarray(rng.standard_normal(value.shape)).astype(dtype)
    got.backward(g)
    wanted = torch.autograd.grad(want, peers, torch.tensor(g.astype("f8")))
    for a, b in zip(mine, wanted, strict=True):
        limit = (64 + shape[-1]) * UNIT[dtype] * 64 * (1 + np.abs(g).max(initial=0))
        assert np.all(np.abs(a.grad.numpy() - b.numpy()) <= limit)


@pytest.mark.parametrize("p", [1, 2, 3])
def test_second_derivatives(p):
    a, b = normal(4, 5), normal(4, 5, seed=1)
    check_gradients("pairwise_distance", a, b, p=p, second=p != 1)  # |x| has a constant slope


def test_rows_that_are_equal():
    """No distance, no direction: a gradient of zero, as in torch."""
    a = fastdl.Tensor(np.ones((2, 3)), requires_grad=True)
    y = F.pairwise_distance(a, np.ones((2, 3)), eps=0.0)
    y.sum().backward()
    assert not y.detach().numpy().any() and not a.grad.numpy().any()


def test_broadcast_and_errors():
    x, y = normal(3, 4), normal(4, seed=1)
    want = TF.pairwise_distance(torch.tensor(x), torch.tensor(y)).numpy()
    np.testing.assert_allclose(F.pairwise_distance(x, y), want, rtol=1e-6)
    assert np.array_equal(F.pairwise_distance(x, x + 1, p=0), [4, 4, 4])
    with pytest.raises(errors.ShapeError, match="triplet_margin_loss"):
        F.triplet_margin_loss(x, y, x)
    with pytest.raises(errors.ArgumentError, match="margin"):
        F.triplet_margin_loss(x, x, x, margin=0)
    with pytest.raises(errors.ShapeError, match="cosine_embedding_loss"):
        F.cosine_embedding_loss(x, x, x)
    with pytest.raises(errors.ArgumentError, match="reduction"):
        F.cosine_embedding_loss(y, y, np.ones(()), reduction="max")


def test_layers():
    a, b, c = (normal(3, 4, seed=i) for i in range(3))
    t = np.array([1.0, -1.0, 1.0], np.float32)
    ours = nn.TripletMarginLoss(margin=2, swap=True)(a, b, c)
    peers = [torch.tensor(x) for x in (a, b, c, t)]
    want = torch.nn.TripletMarginLoss(margin=2, swap=True)(*peers[:3])
    assert np.isclose(ours, want.item())
    ours, want = nn.CosineEmbeddingLoss(0.1), torch.nn.CosineEmbeddingLoss(0.1)
    assert np.isclose(ours(a, b, t), want(*peers[:2], peers[3]).item())
