"""Random numbers: their distribution, their place in the stream, dropout and what it replays."""

import copy

import numpy as np
import pytest

import fastdl
import fastdl.functional as F
from fastdl import errors, nn
from fastdl.backends.reference.random import philox


def test_philox_is_philox():
    """The known answers of Salmon et al.'s Random123 (kat_vectors), for zero and for ones."""
    words = philox(np.array([0], np.uint64), 0)
    assert [int(w[0]) for w in words] == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]


def test_one_seed_one_stream():
    for _ in range(2):
        fastdl.manual_seed(3)
        kept = [fastdl.rand(5), fastdl.randn(2, 3), fastdl.randint(0, 9, (4,)), fastdl.randperm(7)]
        state = fastdl.get_rng_state()
        later = fastdl.rand(8).numpy()
        fastdl.set_rng_state(state)
        assert np.array_equal(later, fastdl.rand(8).numpy())
    fastdl.manual_seed(3)
    again = [fastdl.rand(5), fastdl.randn(2, 3), fastdl.randint(0, 9, (4,)), fastdl.randperm(7)]
    assert all(np.array_equal(a.numpy(), b.numpy()) for a, b in zip(kept, again, strict=True))
    assert fastdl.initial_seed() == 3
    other = fastdl.Generator().manual_seed(3)
    twin = copy.deepcopy(other)
    assert np.array_equal(fastdl.rand(5, generator=other).numpy(), kept[0].numpy())
    assert np.array_equal(fastdl.rand(5, generator=twin).numpy(), kept[0].numpy())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_distributions(dtype):
    """Moments within 5 standard errors of a million numbers."""
    n, g = 1 << 20, fastdl.Generator().manual_seed(11)
    u = fastdl.rand(n, generator=g, dtype=dtype).numpy().astype(float)
    assert u.min() >= 0 and u.max() < 1
    assert abs(u.mean() - 0.5) < 5 * np.sqrt(1 / 12 / n)
    counts = np.bincount((u * 64).astype(int), minlength=64)
    assert ((counts - n / 64) ** 2 / (n / 64)).sum() < 64 + 5 * np.sqrt(128)
    z = fastdl.randn(n, generator=g, dtype=dtype).numpy().astype(float)
    assert abs(z.mean()) < 5 / np.sqrt(n) and abs(z.var() - 1) < 5 * np.sqrt(2 / n)
    assert abs((z**3).mean()) < 5 * np.sqrt(15 / n) and abs((z**4).mean() - 3) < 5 * np.sqrt(96 / n)
    pairs = z.reshape(-1, 2, 16)  # the sine and the cosine of one angle
    assert abs((pairs[:, 0] * pairs[:, 1]).mean()) < 5 / np.sqrt(n / 2)
    b = fastdl.bernoulli(np.full(n, 0.3, dtype), generator=g)
    assert abs(b.mean(dtype=float) - 0.3) < 5 * np.sqrt(0.21 / n)


def test_integers():
    g = fastdl.Generator().manual_seed(5)
    x = fastdl.randint(-3, 4, (70000,), generator=g).numpy()
    assert x.min() == -3 and x.max() == 3 and x.dtype == np.int64
    counts = np.bincount(x + 3)
    assert ((counts - 10000) ** 2 / 10000).sum() < 6 + 5 * np.sqrt(12)
    assert fastdl.randint(5, (2, 2), dtype=np.int32).dtype == np.int32
    assert sorted(fastdl.randperm(50).tolist()) == list(range(50))
    huge = fastdl.randint(-(2**62), 2**62, (1000,), generator=g).numpy()
    assert abs(np.mean(huge > 0) - 0.5) < 0.1


def test_fills_in_place():
    t = fastdl.zeros(3, 4, dtype=np.float64)
    version = t._counter.value
    assert t.normal_(5, 0.1) is t and abs(t.numpy().mean() - 5) < 0.5
    assert t._counter.value > version
    assert (t.uniform_(2, 3).numpy() >= 2).all()
    assert set(np.unique(t.bernoulli_(0.5).numpy())) <= {0, 1}
    assert (fastdl.zeros(3, 4)[:, ::2].normal_().numpy() != 0).all()
    assert fastdl.zeros(9, dtype=np.int64).random_(4).numpy().max() < 4
    like = fastdl.rand_like(t)
    assert like.shape == (3, 4) and like.dtype == np.float64
    assert fastdl.normal(np.array([0.0, 100.0]), 1.0).shape == (2,)
    assert fastdl.normal(2.0, 3.0, (4,)).shape == (4,)


def test_dropout_replays_its_mask():
    """Nothing is saved, and backward drops what forward dropped: in any layout, at any time."""
    for shape in ((7,), (3, 5), (2, 3, 5, 4)):
        for last in (False, True):
            if last and len(shape) != 4:
                continue
            x = fastdl.Tensor(np.ones(shape), requires_grad=True)
            y = F.dropout(x.contiguous(memory_format="channels_last") if last else x, 0.4)
            assert not any(y.grad_fn.saved or {})
            fastdl.rand(100)  # other numbers are taken in between
            y.sum().backward()
            assert np.array_equal(x.grad.numpy(), y.detach().numpy())


def test_dropout_of_channels():
    x = np.ones((50, 8, 3, 3), np.float32)
    for drop in (F.dropout2d, F.feature_alpha_dropout):
        y = drop(x, 0.5, True)
        assert (y == y[:, :, :1, :1]).all() and len(np.unique(y)) == 2
    assert len(np.unique(F.dropout1d(np.ones((4, 6, 9), "f4"), 0.5))) == 2
    assert F.dropout3d(np.ones((4, 6, 2, 2, 2), "f4"), 1.0).any() == 0
    with pytest.raises(errors.ShapeError, match="dropout1d"):
        F.dropout1d(np.ones(3, "f4"))


def test_dropout_keeps_the_mean():
    x = fastdl.randn(1 << 18)
    for p in (0.0, 0.2, 0.9):
        y = F.dropout(x + 1, p).numpy()
        assert abs(y.mean() - (x.numpy() + 1).mean()) < 0.05
    z = F.alpha_dropout(x, 0.3, True).numpy()
    assert abs(z.mean()) < 0.02 and abs(z.var() - 1) < 0.02


def test_evaluation_and_zero_do_nothing():
    x = np.ones(3, np.float32)
    assert F.dropout(x, 0.5, False) is x and F.dropout(x, 0.0) is x
    m = nn.Dropout(0.5)
    assert (m.eval()(fastdl.ones(100)).numpy() == 1).all()
    assert (m.train()(fastdl.ones(100)).numpy() != 1).all()
    assert repr(m) == "Dropout(p=0.5, inplace=False)"
    t = fastdl.ones(100)
    assert F.dropout(t, 0.5, inplace=True) is t and (t.numpy() != 1).all()


def test_errors():
    for call in (
        lambda: F.dropout(np.ones(3, "f4"), 1.5),
        lambda: fastdl.bernoulli(np.array([2.0])),
        lambda: fastdl.randint(3, 3, (2,)),
        lambda: fastdl.normal(0.0, -1.0, (3,)),
        lambda: fastdl.manual_seed(2**64),
        lambda: fastdl.set_rng_state(np.zeros(3)),
    ):
        with pytest.raises(errors.ArgumentError):
            call()
    with pytest.raises(errors.DTypeError, match="float"):
        fastdl.rand(3, dtype=np.int64)
    with pytest.raises(errors.DTypeError, match="generator"):
        fastdl.rand(3, generator=4)
    with pytest.raises(errors.ShapeError):
        fastdl.rand(-1)
