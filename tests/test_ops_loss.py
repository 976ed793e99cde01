"""cross_entropy agrees with torch on every combination of its options, with all derivatives."""

import itertools

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from agreement import CONFIGS, bounds, check_gradients, check_values, normal  # noqa: E402

import fastdl  # noqa: E402
import fastdl.functional as F  # noqa: E402
from fastdl import errors  # noqa: E402
from fastdl.spec import OPS  # noqa: E402

SHAPES = [(5, 7), (2, 5, 3), (2, 4, 3, 2)]
OPTIONS = [
    {"reduction": reduction, "label_smoothing": smoothing}
    for reduction, smoothing in itertools.product(("mean", "sum", "none"), (0.0, 0.3, 1.0))
]
PEER = torch.nn.functional.cross_entropy


def positions(shape):
    return (shape[0], *shape[2:]) if len(shape) > 1 else ()


def classes(shape, seed=0):
    dim = min(1, len(shape) - 1)
    return np.asarray(np.random.default_rng(seed).integers(0, shape[dim], positions(shape)))


def distribution(shape):
    p = np.exp(normal(*shape, seed=5))
    return (p / p.sum(min(1, len(shape) - 1), keepdims=True)).astype(np.float32)


def weights(shape, weighted):
    return np.exp(normal(shape[min(1, len(shape) - 1)], seed=3)) if weighted else None


def values(x, target, weight, **options):
    check_values("cross_entropy", x, target, weight, theirs=PEER, **options)


@pytest.mark.parametrize("ignored", [-100, 1])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_classes(shape, options, weighted, ignored):
    values(normal(*shape) * 3, classes(shape), weights(shape, weighted),
           ignore_index=ignored, **options)  # fmt: skip


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("shape", [*SHAPES, (7,)], ids=str)
def test_probabilities(shape, options, weighted):
    values(normal(*shape), distribution(shape), weights(shape, weighted), **options)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_no_batch(options, weighted):
    values(normal(7), classes((7,)), weights((7,), weighted), **options)


@pytest.mark.parametrize("ignored", [-100, 1])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("options", OPTIONS[::2], ids=str)
@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 2)], ids=str)
def test_gradients_of_classes(shape, options, weighted, ignored):
    target, weight = classes(shape), weights(shape, weighted)
    weight = None if weight is None else weight.astype(np.float64)
    check_gradients(
        "cross_entropy", normal(*shape),
        ours=lambda x: F.cross_entropy(
            x, target, weight_like(weight, x), ignore_index=ignored, **options),
        theirs=lambda x: PEER(
            x, torch.tensor(target), None if weight is None else torch.tensor(weight),
            ignore_index=ignored, **options),
    )  # fmt: skip


def weight_like(weight, x):
    return None if weight is None else weight.astype(x.dtype)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("options", OPTIONS[::2], ids=str)
@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 2), (5,)], ids=str)
def test_gradients_of_probabilities(shape, options, weighted):
    weight = weights(shape, weighted)
    weight = None if weight is None else weight.astype(np.float64)
    check_gradients(
        "cross_entropy", normal(*shape), distribution(shape),
        ours=lambda x, p: F.cross_entropy(x, p, weight_like(weight, x), **options),
        theirs=lambda x, p: PEER(x, p, None if weight is None else torch.tensor(weight), **options),
    )  # fmt: skip


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_nothing_counts(options):
    """No positions, or none that is not ignored: 0 for the sum, NaN for the mean, as in torch."""
    values(normal(0, 3), np.zeros(0, np.int64), None, **options)
    values(normal(2, 3), np.full(2, -100), None, **options)
    values(normal(0, 3), normal(0, 3), None, **options)


def test_impossible_classes():
    """log p = −∞ costs nothing where the target gives it no weight."""
    x = normal(3, 4)
    x[:, 2] = -np.inf
    values(x, np.array([0, 1, 3]), None)
    values(x, np.array([0, 1, 2]), None, reduction="none")


def test_ignored_numbers_need_not_be_classes():
    values(normal(3, 4), np.array([0, 99, 1]), None, ignore_index=99)
    values(normal(3, 4), np.array([0, -100, 1]), None)


@pytest.mark.parametrize("dtype", [np.int32, np.uint8])
def test_other_integers(dtype):
    want = F.cross_entropy(normal(3, 4), np.array([0, 1, 3]))
    assert F.cross_entropy(normal(3, 4), np.array([0, 1, 3], dtype)) == want


def test_probabilities_of_another_dtype_promote():
    loss = F.cross_entropy(normal(3, 4), distribution((3, 4)).astype(np.float64))
    assert loss.dtype == np.float64


def test_backward_op_is_the_gradient_and_has_one():
    target, shape = classes((4, 3)), (4, 3)

    def theirs(g, x):
        p = torch.softmax(x, 1)
        onehot = torch.nn.functional.one_hot(torch.tensor(target), 3)
        return (p - onehot) * g[:, None]

    check_gradients(
        "cross_entropy_backward", normal(4), normal(*shape, seed=1), theirs=theirs,
        ours=lambda g, x: OPS["cross_entropy_backward"](g, x, target, None, reduction="none"),
    )  # fmt: skip


def test_weight_has_no_gradient_as_in_torch():
    weight = fastdl.Tensor(np.ones(4, np.float32), requires_grad=True)
    x = fastdl.Tensor(normal(3, 4), requires_grad=True)
    with pytest.raises(errors.UnsupportedError, match="weight"):
        F.cross_entropy(x, np.array([0, 1, 2]), weight).backward()


def test_the_bound_is_a_small_multiple_of_rounding():
    """An inflated bound would pass anything; here sums of 17 terms near 2.5 lose under 100 u."""
    (bound,) = bounds("cross_entropy", (normal(17, 10), classes((17, 10)), None), {})
    assert bound < 100 * 2.0**-24 * 2.5


@pytest.mark.parametrize("name", ["cross_entropy", "cross_entropy_backward"])
def test_declared_errors(name):
    for bad in OPS[name].bad_inputs:
        args, options = bad.call()
        with pytest.raises(bad.error, match=name):
            OPS[name](*args, **options)


@pytest.mark.parametrize("reduce", [None, True, False])
@pytest.mark.parametrize("size_average", [None, True, False])
def test_deprecated_flags(size_average, reduce):
    x, target = normal(3, 4), np.array([0, 1, 3])
    flags = {"size_average": size_average, "reduce": reduce}
    if size_average is reduce is None:
        return
    for reduction in ("mean", "sum", "none"):
        with pytest.warns(UserWarning, match="reduction="):
            got = F.cross_entropy(x, target, **flags, reduction=reduction)
        with pytest.warns(UserWarning, match="reduction="):
            want = PEER(torch.tensor(x), torch.tensor(target), **flags, reduction=reduction)
        np.testing.assert_allclose(got, want.numpy(), rtol=1e-6)
    with pytest.warns(UserWarning, match="reduction="):
        layer = fastdl.nn.CrossEntropyLoss(**flags)
    assert np.array_equal(layer(x, target), got)


NLL = torch.nn.functional.nll_loss


@pytest.mark.parametrize("seed", range(4 * CONFIGS))
def test_nll_loss(seed):
    """Values within the spec's bound; gradients, of first and second order, against torch."""
    rng = np.random.default_rng(seed)
    shape = [(7,), (5, 4), (0, 3), (2, 5, 3), (3, 4, 2, 5), (2, 33, 40)][rng.integers(6)]
    x = np.log(distribution(shape)) if min(shape) else normal(*shape)
    if rng.random() < 0.5:
        x = np.asfortranarray(x)
    options = {
        "reduction": ("mean", "sum", "none")[rng.integers(3)],
        "ignore_index": int(rng.integers(-1, 2)),
    }
    target, weight = classes(shape, seed), weights(shape, rng.random() < 0.5)
    check_values("nll_loss", x, target, weight, theirs=NLL, **options)
    if x.size > 200 or not (target != options["ignore_index"]).any():  # 0/0 for a mean
        return
    x = np.ascontiguousarray(x)  # torch's backward wants it
    weight = None if weight is None else weight.astype(np.float64)
    check_gradients(
        "nll_loss", x, second=options["reduction"] == "none",
        ours=lambda x: F.nll_loss(x, target, weight_like(weight, x), **options),
        theirs=lambda x: NLL(x, torch.tensor(target),
                             None if weight is None else torch.tensor(weight), **options),
    )  # fmt: skip


def test_nll_loss_is_the_rest_of_cross_entropy():
    x, target, weight = normal(4, 5, 3), classes((4, 5, 3)), weights((4, 5, 3), True)
    whole = fastdl.nn.CrossEntropyLoss(weight)(x, target)
    parts = fastdl.nn.NLLLoss(weight)(F.log_softmax(x, 1), target)
    assert np.isclose(whole, parts)
    with pytest.raises(errors.DTypeError, match="class numbers"):
        F.nll_loss(x, x)
    with pytest.raises(errors.IndexRangeError, match="class 5"):
        F.nll_loss(x, target + 1)
