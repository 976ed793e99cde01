"""The breadth of reductions agrees with torch over random configurations.

Values are held to the bound of the op's spec (`agreement.check_values`), gradients and second
gradients to its tolerances.
"""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import agreement  # noqa: E402
from agreement import check_gradients, check_values, normal  # noqa: E402
from test_elementwise_math import draw, same_outcome, shape_of  # noqa: E402

import fastdl  # noqa: E402
import fastdl.functional as F  # noqa: E402
from fastdl import errors  # noqa: E402

CONFIGS = getattr(agreement, "CONFIGS", 8)
DTYPES = (np.bool_, np.uint8, np.int32, np.int64, np.float32, np.float64)
pytestmark = [
    pytest.mark.filterwarnings("ignore::fastdl.core.errors.FallbackWarning"),
    pytest.mark.filterwarnings("ignore:.*degrees of freedom.*:UserWarning"),
]


def some_dims(rng, shape, one=False):
    """None, an int or several, at times from the end."""
    if not shape:
        return 0 if one else None
    signs = [int(d) - (len(shape) if rng.random() < 0.3 else 0) for d in range(len(shape))]
    if one:
        return int(rng.choice(signs))
    kind = rng.random()
    if kind < 0.2:
        return None
    if kind < 0.5:
        return int(rng.choice(signs))
    return tuple(int(d) for d in rng.permutation(signs)[: rng.integers(1, len(shape) + 1)])


def configurations(one=False, empty=True, scale=1.0):
    """(x, dim, keepdim), CONFIGS of them."""
    for seed in range(CONFIGS):
        rng = np.random.default_rng(seed)
        shape = shape_of(rng, empty)
        yield rng, draw(rng, shape, scale), some_dims(rng, shape, one), bool(rng.random() < 0.5)


@pytest.mark.parametrize("name", ["amin", "amax"])
def test_extremes(name):
    for _, x, dim, keep in configurations():
        if 0 not in x.shape:
            given = () if dim is None else dim
            same_outcome(name, np.round(x, 1) if x.ndim else x, given, keep)
    for d in DTYPES:
        same_outcome(name, np.array([[1, 0, 3], [2, 2, 0]]).astype(d), 1)
    check_gradients(name, normal(3, 6, dtype=np.float64), dim=1, second=False)
    with pytest.raises(errors.IndexRangeError):
        getattr(F, name)(np.zeros((0, 3)), 0)


@pytest.mark.parametrize("name", ["min", "max"])
def test_extremes_and_places(name):
    for _, x, dim, keep in configurations(one=True, empty=False):
        got = getattr(F, name)(x, dim, keep)
        want = getattr(torch, name)(torch.tensor(x.copy()), dim, keep)
        np.testing.assert_array_equal(got.values, want.values.numpy())
        np.testing.assert_array_equal(got.indices, want.indices.numpy())
        same_outcome(f"arg{name}", x, dim, keep)
        same_outcome(f"arg{name}", x)
        same_outcome(name, x)
        same_outcome(name, x, np.asarray(-x))
    special = np.array([[1.0, np.nan, -np.inf], [0.0, -0.0, 0.0]])
    same_outcome(f"arg{name}", special, 1)
    t = fastdl.Tensor(np.round(normal(4, 5)), requires_grad=True)
    u = torch.tensor(t.detach().numpy().copy(), requires_grad=True)
    getattr(t, name)(1)[0].sum().backward()
    values, places = getattr(u, name)(1)
    values.sum().backward()
    if np.array_equal(getattr(F, name)(t, 1).indices.numpy(), places.numpy()):  # ties: any place
        np.testing.assert_array_equal(t.grad.numpy(), u.grad.numpy())


def test_prod():
    for _, x, dim, keep in configurations(one=True):
        check_values("prod", x, dim=dim, keepdim=keep)
        check_values("prod", x, theirs=torch.prod, spec_options={})
    for d in DTYPES:
        same_outcome("prod", np.array([[1, 2, 3], [2, 2, 1]]).astype(d), 1)
    x = normal(4, 5, dtype=np.float64)
    x[1, 2] = x[2, 0] = x[2, 3] = 0
    check_gradients("prod", x, dim=1, second=False)
    check_gradients("prod", normal(4, 5, dtype=np.float64), dim=0)


@pytest.mark.parametrize("name", ["var", "std"])
def test_variances(name):
    for rng, x, dim, keep in configurations():
        correction = int(rng.choice([0, 1, 1, 2]))
        check_values(name, x, dim=dim, keepdim=keep, correction=correction)
    x = normal(5, 6)
    calls = (((), {}), ((False,), {}), ((1, False), {}), ((1, True, True), {}),
             ((None,), {"correction": 0}), (((0, 1),), {"keepdim": True}))  # fmt: skip
    for args, options in calls:
        same_outcome(name, x, *args, **options)
        mean = getattr(F, f"{name}_mean")(x, *args, **options)
        want = getattr(torch, f"{name}_mean")(torch.tensor(x), *args, **options)
        for g, w in zip(mean, want, strict=True):
            np.testing.assert_allclose(g, w.numpy(), rtol=1e-5, atol=1e-6)
    check_gradients(name, normal(4, 6, dtype=np.float64), dim=1)
    check_gradients(name, normal(4, 6, dtype=np.float64), dim=None, correction=0)
    with pytest.raises(errors.DTypeError):
        getattr(F, name)(np.arange(3))
    with pytest.raises(errors.ArgumentError):
        getattr(F, name)(x, 0, True, correction=0)


def test_a_constant_has_no_deviation_and_no_gradient():
    x = fastdl.Tensor(np.full((3, 4), 1000.0), requires_grad=True)
    y = x.std(1)
    y.sum().backward()
    assert not y.detach().numpy().any() and not x.grad.numpy().any()


@pytest.mark.parametrize("p", [2, 1, 0, 3, 0.5, 1.5, math.inf, -math.inf, "fro"])
def test_norm(p):
    for _, x, dim, keep in configurations(empty=False):
        if p == "fro" and isinstance(dim, tuple) and len(dim) > 2:
            continue  # torch takes at most two
        same_outcome("norm", x, p, dim, keep)
        if p != "fro":
            same_outcome("norm", x, p, dim, keep, ours=F.linalg.vector_norm,
                         theirs=torch.linalg.vector_norm)  # fmt: skip
    if p != 0:
        x = normal(3, 6, dtype=np.float64) + 0.1
        check_gradients("norm", x, p=p, dim=1, second=p not in (1, math.inf, -math.inf))
    if p == 0:  # torch has no gradient here
        return
    zeros = fastdl.Tensor(np.zeros((2, 3)), requires_grad=True)
    F.norm(zeros, p, 1).sum().backward()
    peer = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    torch.norm(peer, p, 1).sum().backward()
    if not math.isinf(2 if p == "fro" else p) and p not in (0.5,):
        np.testing.assert_array_equal(zeros.grad.numpy(), peer.grad.numpy())


def test_logsumexp():
    for _, x, dim, keep in configurations(scale=30.0):
        given = tuple(range(x.ndim)) if dim is None else dim
        check_values("logsumexp", x, dim=given, keepdim=keep)
    for row in ([np.inf, 1], [-np.inf, -np.inf], [np.nan, 1], [np.inf, -np.inf], [1e30, -1e30]):
        same_outcome("logsumexp", np.array([row]), 1)
    same_outcome("logsumexp", np.array([[1, 2, 3]]), 1)
    check_gradients("logsumexp", normal(4, 6, dtype=np.float64) * 3, dim=1)
    check_gradients("logsumexp", normal(4, 6, dtype=np.float64) * 3, dim=(0, 1), keepdim=True)


@pytest.mark.parametrize("name", ["cumsum", "cumprod"])
def test_running(name):
    for _, x, dim, _ in configurations(one=True):
        check_values(name, x, dim=dim)
    for d in DTYPES:
        same_outcome(name, np.array([[1, 2, 3], [2, 2, 1]]).astype(d), 1)
        same_outcome(name, np.array([[1, 2, 3], [2, 2, 1]]).astype(d), 0, dtype=None)
    x = normal(4, 5, dtype=np.float64)
    check_gradients(name, x, dim=1)
    x[1, 2] = x[2, 0] = x[2, 3] = 0
    check_gradients(name, x, dim=1, second=False)
    wide = normal(40, 300)
    np.testing.assert_allclose(getattr(F, name)(wide, 0), getattr(np, name)(wide, 0), rtol=1e-4)
    t = fastdl.Tensor(np.arange(1.0, 5.0))
    getattr(t, f"{name}_")(0)
    np.testing.assert_array_equal(t.numpy(), getattr(np, name)(np.arange(1.0, 5.0)))


@pytest.mark.parametrize("name", ["any", "all"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_any_and_all(name, dtype):
    for seed in range(CONFIGS):
        rng = np.random.default_rng(seed)
        shape = shape_of(rng)
        x = np.asarray(rng.random(shape) < rng.choice([0.1, 0.9])).astype(dtype)
        dim = some_dims(rng, shape)
        same_outcome(name, x, *(() if dim is None else (dim, True)))
    if np.dtype(dtype).kind == "f":
        same_outcome(name, np.array([np.nan, 0.0, -0.0], dtype))
        same_outcome("count_nonzero", np.array([[np.nan, 0.0, -0.0]], dtype), 1)


def test_bad_arguments():
    x = normal(3, 4)
    for call, error in (
        (lambda: F.var(x, 2), errors.IndexRangeError),
        (lambda: F.norm(x, "nuc"), errors.UnsupportedError),
        (lambda: F.norm(np.arange(3)), errors.DTypeError),
        (lambda: F.logsumexp(x, 5), errors.IndexRangeError),
        (lambda: F.cumsum(x, (0, 1)), errors.DTypeError),
        (lambda: F.min(x, x, keepdim=True), errors.ArgumentError),
        (lambda: F.any(x, 3), errors.IndexRangeError),
        (lambda: F.argmin(np.zeros(0)), errors.IndexRangeError),
    ):
        with pytest.raises(error):
            call()
