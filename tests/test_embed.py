"""embedding against torch over random calls, and one_hot."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from agreement import CONFIGS  # noqa: E402
from network_agreement import both, layout  # noqa: E402

import fastdl  # noqa: E402
import fastdl.functional as F  # noqa: E402
from fastdl import errors, nn  # noqa: E402

TF = torch.nn.functional


@pytest.mark.parametrize("seed", range(2 * CONFIGS))
def test_embedding(seed):
    rng = np.random.default_rng([seed, 1])
    rows, width = map(int, rng.integers(1, 20, 2))
    index = rng.integers(0, rows, tuple(rng.integers(0, 6, rng.integers(0, 4))))
    index = index.astype(rng.choice(["int64", "int32"]))
    options = {"scale_grad_by_freq": bool(rng.integers(2))}
    if rng.random() < 0.5:
        options["padding_idx"] = int(rng.integers(-rows, rows))
    table = layout(rng, rng.standard_normal((rows, width)))
    both(
        lambda w: F.embedding(fastdl.Tensor(index), w, **options),
        lambda w: TF.embedding(torch.from_numpy(np.asarray(index)), w, **options),
        [table], seed, second=False,
    )  # fmt: skip


def test_gradient_of_the_gradient():
    """The gradient is linear in what comes from above."""
    index, table = np.array([[1, 2, 2], [0, 2, 1]]), np.zeros((4, 3))
    for options in ({}, {"padding_idx": 1}, {"scale_grad_by_freq": True}):
        w = fastdl.Tensor(table, requires_grad=True)
        g = fastdl.Tensor(np.ones((2, 3, 3)), requires_grad=True)
        y = F.embedding(fastdl.Tensor(index), w, **options)
        (dw,) = fastdl.grad(y, w, g, create_graph=True)
        v = np.random.default_rng(1).standard_normal((4, 3))
        (dg,) = fastdl.grad((dw * fastdl.Tensor(v)).sum(), g)
        want = v[index]
        if "padding_idx" in options:
            want[index == 1] = 0
        if "scale_grad_by_freq" in options:
            want = want / np.bincount(index.reshape(-1))[index][..., None]
        np.testing.assert_allclose(dg.numpy(), want, rtol=2.0**-50)


def test_max_norm_changes_the_rows_used():
    rng = np.random.default_rng(2)
    table = rng.standard_normal((6, 4)) * 3
    mine, peer = table.copy(), torch.from_numpy(table.copy())
    index = np.array([0, 3, 3, 5])
    y = F.embedding(index, mine, max_norm=1.0)
    want = TF.embedding(torch.from_numpy(index), peer, max_norm=1.0)
    np.testing.assert_allclose(y, want.numpy(), rtol=1e-12)
    np.testing.assert_allclose(mine, peer.numpy(), rtol=1e-12)


def test_module():
    m, peer = nn.Embedding(7, 3, padding_idx=-2), torch.nn.Embedding(7, 3, padding_idx=-2)
    assert (m.weight.numpy()[5] == 0).all() and repr(m) == repr(peer)
    assert list(m.state_dict()) == list(peer.state_dict())
    fixed = nn.Embedding.from_pretrained(fastdl.ones(3, 2))
    assert not fixed.weight.requires_grad
    assert fixed(fastdl.Tensor(np.array([0, 2]))).shape == (2, 2)


def test_one_hot():
    x = np.random.default_rng(3).integers(0, 5, (3, 4))
    for classes in (-1, 7):
        want = TF.one_hot(torch.from_numpy(x), classes).numpy()
        np.testing.assert_array_equal(F.one_hot(x, classes), want)
    assert F.one_hot(np.zeros((0,), int), 3).shape == (0, 3)
    with pytest.raises(errors.IndexRangeError, match="one_hot"):
        F.one_hot(x, 3)
    with pytest.raises(errors.UnsupportedError, match="sparse"):
        F.embedding(x, np.zeros((5, 2)), sparse=True)
