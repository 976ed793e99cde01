"""Normalisations against torch over random calls, and what the judge cannot say of them."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from agreement import CONFIGS, check_gradients, close  # noqa: E402
from network_agreement import both, layout  # noqa: E402

import fastdl  # noqa: E402
import fastdl.functional as F  # noqa: E402
from fastdl import errors, nn  # noqa: E402

TF = torch.nn.functional


def parameters(rng, shape):
    """Both, one or none of weight and bias."""
    return [rng.standard_normal(shape) if rng.random() < 0.7 else None for _ in range(2)]


@pytest.mark.parametrize("seed", range(CONFIGS))
def test_layer_and_rms_norm(seed):
    rng = np.random.default_rng([seed, 1])
    shape = tuple(map(int, rng.integers(1, 7, rng.integers(1, 5))))
    if rng.random() < 0.1:
        shape = (0, *shape)
    normalized = shape[-int(rng.integers(1, len(shape) + 1)) :]
    if 0 in normalized:
        normalized = shape[1:]
    x = layout(rng, rng.standard_normal(shape) * 3)
    weight, bias = parameters(rng, normalized)
    eps = float(rng.choice((1e-5, 1e-3)))
    both(
        lambda x, w, b: F.layer_norm(x, normalized, w, b, eps),
        lambda x, w, b: TF.layer_norm(x, normalized, w, b, eps),
        [x, weight, bias], seed, second=x.size > 0,
    )  # fmt: skip
    given = eps if rng.random() < 0.5 else None
    both(
        lambda x, w: F.rms_norm(x, normalized, w, given),
        lambda x, w: TF.rms_norm(x, normalized, w, given),
        [x, weight], seed, second=x.size > 0,
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(CONFIGS))
def test_group_norm(seed):
    rng = np.random.default_rng([seed, 2])
    groups, width = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    inner = tuple(map(int, rng.integers(1, 6, rng.integers(0, 4))))
    if width == 1 and np.prod(inner) == 1:
        inner = (3,)
    shape = (int(rng.integers(1, 4)), groups * width, *inner)
    weight, bias = parameters(rng, shape[1])
    bias = None if weight is None else bias  # torch has no gradient of a bias alone
    both(
        lambda x, w, b: F.group_norm(x, groups, w, b),
        lambda x, w, b: TF.group_norm(x, groups, w, b),
        [layout(rng, rng.standard_normal(shape)), weight, bias], seed, second=True,
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(2 * CONFIGS))
def test_batch_norm(seed):
    rng = np.random.default_rng([seed, 3])
    inner = tuple(map(int, rng.integers(1, 5, rng.integers(0, 4))))
    shape = (int(rng.integers(2, 6)), int(rng.integers(1, 6)), *inner)
    x = layout(rng, rng.standard_normal(shape) * 2 + 1)
    weight, bias = parameters(rng, shape[1])
    training, momentum = bool(rng.integers(2)), float(rng.choice((0.1, 0.5)))
    mean, var = rng.standard_normal(shape[1]), rng.random(shape[1]) + 0.5
    mine = [fastdl.Tensor(a.copy()) for a in (mean, var)]
    peer = [torch.from_numpy(a.copy()) for a in (mean, var)]
    both(
        lambda x, w, b: F.batch_norm(x, *mine, w, b, training, momentum),
        lambda x, w, b: TF.batch_norm(x, *peer, w, b, training, momentum),
        [x, weight, bias], seed, second=True,
    )  # fmt: skip
    for a, b in zip(mine, peer, strict=True):
        close(a.numpy(), b.numpy(), 2.0**-40)


@pytest.mark.parametrize("seed", range(CONFIGS))
def test_instance_norm(seed):
    rng = np.random.default_rng([seed, 4])
    shape = tuple(map(int, rng.integers(2, 5, rng.integers(3, 6))))
    weight, bias = parameters(rng, shape[1])
    tracked, used = bool(rng.integers(2)), bool(rng.integers(2))
    running = [rng.standard_normal(shape[1]), rng.random(shape[1]) + 0.5]
    mine = [fastdl.Tensor(a.copy()) for a in running] if tracked or not used else [None] * 2
    peer = [torch.from_numpy(a.copy()) for a in running] if tracked or not used else [None] * 2
    both(
        lambda x, w, b: F.instance_norm(x, *mine, w, b, used),
        lambda x, w, b: TF.instance_norm(x, *peer, w, b, used),
        [layout(rng, rng.standard_normal(shape)), weight, bias], seed,
    )  # fmt: skip
    for a, b in zip(mine, peer, strict=True):
        if a is not None:
            close(a.numpy(), b.numpy(), 2.0**-40)


@pytest.mark.parametrize("seed", range(CONFIGS))
def test_local_response_normalize_and_cosine(seed):
    rng = np.random.default_rng([seed, 5])
    shape = tuple(map(int, rng.integers(1, 6, rng.integers(3, 6))))
    x, size = layout(rng, rng.standard_normal(shape)), int(rng.integers(1, 6))
    options = {"size": size, "alpha": 0.3, "beta": 0.6, "k": 1.5}
    both(lambda x: F.local_response_norm(x, **options),
         lambda x: TF.local_response_norm(x, **options), [x], seed)  # fmt: skip
    dim, p = int(rng.integers(-len(shape), len(shape))), float(rng.choice((1, 2, 3, np.inf)))
    both(lambda x: F.normalize(x, p, dim), lambda x: TF.normalize(x, p, dim), [x], seed)
    other = rng.standard_normal(shape if rng.random() < 0.5 else (*shape[:-1], shape[-1]))
    both(lambda a, b: F.cosine_similarity(a, b, dim),
         lambda a, b: TF.cosine_similarity(a, b, dim), [x, other], seed)  # fmt: skip


@pytest.mark.parametrize("p", [2.0, 3.0, 0.5, 0.0, np.inf, -np.inf])
@pytest.mark.parametrize("dim", [1, (0, 2), (2, 1)])
def test_normalize_by_other_lengths(p, dim):
    rng = np.random.default_rng(1)  # far from 0, no two alike: there are kinks
    x = (0.5 + rng.permutation(60).reshape(3, 4, 5) / 60) * rng.choice((-1.0, 1.0), (3, 4, 5))
    second = p not in (0.0, np.inf, -np.inf)
    check_gradients("normalize", x, ours=F.normalize, theirs=TF.normalize, second=second,
                    p=p, dim=dim)  # fmt: skip


def test_normalize_into_an_array():
    x, y = np.random.default_rng(2).standard_normal((2, 3, 4)), np.empty((2, 3, 4))
    for dim in (1, (0, 2)):
        assert F.normalize(x, dim=dim, out=y) is y
        np.testing.assert_array_equal(y, F.normalize(x, dim=dim))


def test_cosine_similarity_of_broadcast_arrays():
    rng = np.random.default_rng(3)
    a, b = rng.standard_normal((4, 1, 5)), rng.standard_normal((3, 5))
    for options in ({"dim": -1}, {"dim": 0}):
        check_gradients("cosine_similarity", a, b, ours=F.cosine_similarity,
                        theirs=TF.cosine_similarity, **options)  # fmt: skip
    # Below eps the length is constant, so it has no slope; torch's gradient gives it one.
    u, v = (fastdl.Tensor(x, requires_grad=True) for x in (a, np.broadcast_to(b, (4, 3, 5))))
    F.cosine_similarity(u, v, -1, 9.0).sum().backward()
    np.testing.assert_allclose(v.grad.numpy(), np.broadcast_to(a, v.shape) / 81, rtol=1e-14)
    with pytest.raises(errors.ShapeError, match="cosine_similarity"):
        F.cosine_similarity(a, b[:, :4])
    with pytest.raises(errors.IndexRangeError, match="cosine_similarity"):
        F.cosine_similarity(a, b, dim=3)


def test_a_row_of_zeros_has_a_gradient():
    x = fastdl.Tensor(np.zeros((2, 3)), requires_grad=True)
    F.normalize(x).sum().backward()
    assert np.isfinite(x.grad.numpy()).all()


def test_moments_of_the_batch_have_gradients():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((4, 3, 5))
    weights = [rng.standard_normal(3) for _ in range(3)]
    t = fastdl.Tensor(x, requires_grad=True)
    _, mean, var, rstd = fastdl.spec.OPS["batch_norm"](t, eps=1e-3)
    total = sum((m * w).sum() for m, w in zip((mean, var, rstd), weights, strict=True))
    total.backward()
    u = torch.from_numpy(x).requires_grad_()
    var = u.var((0, 2), unbiased=False)
    moments = u.mean((0, 2)), var, (var + 1e-3) ** -0.5
    sum((m * torch.from_numpy(w)).sum() for m, w in zip(moments, weights, strict=True)).backward()
    close(t.grad.numpy(), u.grad.numpy(), 2.0**-40)


PAIRS = [
    ("BatchNorm1d", (3,), {}, (5, 3, 4)),
    ("BatchNorm1d", (3,), {"affine": False}, (5, 3)),
    ("BatchNorm2d", (3,), {"momentum": None}, (2, 3, 4, 5)),
    ("BatchNorm2d", (3,), {"track_running_stats": False}, (2, 3, 4, 5)),
    ("BatchNorm3d", (3,), {"momentum": 0.3}, (2, 3, 2, 4, 5)),
    ("InstanceNorm1d", (3,), {}, (2, 3, 5)),
    ("InstanceNorm2d", (3,), {"affine": True, "track_running_stats": True}, (2, 3, 4, 5)),
    ("InstanceNorm3d", (3,), {}, (3, 2, 4, 5)),
    ("LayerNorm", ((4, 5),), {}, (3, 4, 5)),
    ("LayerNorm", (5,), {"bias": False}, (3, 4, 5)),
    ("RMSNorm", (5,), {}, (3, 4, 5)),
    ("GroupNorm", (2, 4), {}, (3, 4, 5)),
    ("LocalResponseNorm", (2,), {}, (3, 4, 5)),
]


@pytest.mark.parametrize("name, args, options, shape", PAIRS)
def test_modules(name, args, options, shape):
    """Two steps of training, then evaluation; states by the same names."""
    rng = np.random.default_rng(1)
    mine, peer = getattr(nn, name)(*args, **options), getattr(torch.nn, name)(*args, **options)
    mine.double(), peer.double()
    state = {k: rng.random(v.shape) + 0.5 for k, v in peer.state_dict().items()
             if not k.startswith("num")}  # fmt: skip
    assert list(mine.state_dict()) == list(peer.state_dict())
    mine.load_state_dict(state, strict=False)
    peer.load_state_dict({k: torch.from_numpy(v) for k, v in state.items()}, strict=False)
    for training in (True, True, False):
        mine.train(training), peer.train(training)
        both(mine, peer, [rng.standard_normal(shape)])
    for key, value in peer.state_dict().items():
        close(mine.state_dict()[key].numpy(), value.numpy(), 2.0**-40)
    assert repr(mine) == repr(peer)


def test_errors():
    x = np.zeros((1, 3), np.float32)
    with pytest.raises(errors.ShapeError, match="more than 1 value"):
        F.batch_norm(x, None, None, training=True)
    with pytest.raises(errors.ArgumentError, match="running_mean"):
        F.batch_norm(x, None, None)
    with pytest.raises(errors.ShapeError, match="running_mean"):
        F.batch_norm(np.zeros((2, 3), "f4"), np.zeros(2, "f4"), None, training=True)
    with pytest.raises(errors.ShapeError, match="instance_norm"):
        F.instance_norm(np.zeros((2, 3, 1), "f4"))
    with pytest.raises(errors.ShapeError, match="BatchNorm2d"):
        nn.BatchNorm2d(3)(fastdl.Tensor(x))


def test_no_batch_moves_nothing():
    mean = np.ones(3, np.float32)
    assert F.batch_norm(np.zeros((0, 3, 2), np.float32), mean, None, training=True).shape == (
        0,
        3,
        2,
    )
    assert (mean == 1).all()
