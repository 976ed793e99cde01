"""CTC agrees with torch over random configurations, and with all alignments written out."""

import itertools

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from agreement import CONFIGS  # noqa: E402

import fastdl  # noqa: E402
import fastdl.functional as F  # noqa: E402
from fastdl import errors, nn, use_backend  # noqa: E402

UNIT = {np.float32: 2.0**-24, np.float64: 2.0**-53}


@pytest.mark.parametrize("backend", ["native", "numba"])
@pytest.mark.parametrize("seed", range(4 * CONFIGS))
def test_values_and_gradients(seed, backend):
    """By logits, behind log_softmax, where torch's gradient is the derivative.

    A step adds at most 16 roundings of |α|, which is at most T times the largest log-probability.
    """
    rng = np.random.default_rng(seed)
    dtype = (np.float32, np.float64)[rng.integers(2)]
    time, batch, classes, most = (int(rng.integers(1, n)) for n in (30, 5, 12, 9))
    classes += 1
    blank = int(rng.integers(classes))
    labels = [c for c in range(classes) if c != blank]
    targets = rng.choice(labels, (batch, most))
    times = rng.integers(1, time + 1, batch)
    lengths = rng.integers(0, most + 1, batch)
    logits = (rng.standard_normal((time, batch, classes)) * 2).astype(dtype)
    options = {
        "blank": blank,
        "reduction": ("mean", "sum", "none")[rng.integers(3)],
        "zero_infinity": bool(rng.random() < 0.7),
    }
    if rng.random() < 0.3:  # end to end
        targets = np.concatenate([row[:n] for row, n in zip(targets, lengths, strict=True)])
    if rng.random() < 0.3:
        logits = np.asfortranarray(logits)
    a = torch.tensor(logits.astype("f8"), requires_grad=True)
    given = targets, times, lengths
    want = torch.nn.functional.ctc_loss(
        torch.log_softmax(a, 2), *map(torch.tensor, given), **options
    )
    leaf = fastdl.Tensor(logits, requires_grad=True)
    with use_backend(backend):
        logs = F.log_softmax(leaf, 2)
        got = F.ctc_loss(logs, *given, **options)
    value = want.detach().numpy()
    scale = time * (1 + np.abs(logs.detach().numpy()).max())
    tolerance = 16 * time * UNIT[dtype] * scale * (batch if options["reduction"] == "sum" else 1)
    found = got.detach().numpy()
    assert found.shape == value.shape and found.dtype == dtype
    infinite = np.isinf(value)
    assert np.array_equal(np.isposinf(found), infinite)
    assert np.all(np.abs(found[~infinite] - value[~infinite]) <= tolerance)
    g = np.asarray(rng.standard_normal(value.shape)).astype(dtype)
    (dx,) = torch.autograd.grad(want, a, torch.tensor(g.astype("f8")))
    with use_backend(backend):
        got.backward(g)
    dx, mine = dx.numpy(), leaf.grad.numpy()
    assert np.array_equal(np.isnan(mine), np.isnan(dx))
    limit = 64 * time * UNIT[dtype] * scale * (1 + np.abs(g).max())
    assert np.all((np.abs(mine - dx) <= limit) | np.isnan(dx))


def test_every_alignment():
    """The probability is a sum over all labelings that spell the target."""
    x = np.random.default_rng(0).standard_normal((5, 3))
    target = [1, 2]

    def spelled(path):
        return [c for c, _ in itertools.groupby(path) if c]

    total = sum(
        np.exp(sum(x[t, c] for t, c in enumerate(path)))
        for path in itertools.product(range(3), repeat=5)
        if spelled(path) == target
    )
    loss = F.ctc_loss(x, np.array(target), (5,), (2,), reduction="none")
    assert loss.shape == () and np.isclose(loss, -np.log(total), rtol=1e-13)


def test_the_gradient_is_the_derivative():
    rng = np.random.default_rng(1)
    x, targets = rng.standard_normal((6, 2, 4)), rng.integers(1, 4, (2, 3))
    leaf = fastdl.Tensor(x, requires_grad=True)

    def loss(a):
        return F.ctc_loss(a, targets, [6, 5], [3, 2])

    loss(leaf).backward()
    for i in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[i] += 1e-6
        down[i] -= 1e-6
        assert np.isclose((loss(up) - loss(down)) / 2e-6, leaf.grad.numpy()[i], atol=1e-8)
    assert not leaf.grad.numpy()[5, 1].any()  # after the end


def test_layer_and_unbatched():
    x = np.log(np.random.default_rng(2).dirichlet(np.ones(4), (6, 1)))
    batched = nn.CTCLoss(blank=3, reduction="sum")(x, np.array([[0, 1]]), [6], [2])
    alone = F.ctc_loss(x[:, 0], fastdl.Tensor(np.array([0, 1])), 6, 2, blank=3, reduction="sum")
    assert batched == alone
    theirs = torch.nn.functional.ctc_loss(
        torch.tensor(x[:, 0]), torch.tensor([0, 1]), torch.tensor(6), torch.tensor(2), blank=3,
        reduction="none",
    )  # fmt: skip
    assert np.isclose(alone, theirs.item())


def test_errors():
    x = np.zeros((4, 2, 3))
    with pytest.raises(errors.ArgumentError, match="target_lengths"):
        F.ctc_loss(x, np.array([1, 2, 1]), [4, 4], [2, 2])
    with pytest.raises(errors.DTypeError, match="targets"):
        F.ctc_loss(x, np.ones((2, 2)), [4, 4], [2, 2])
    with pytest.raises(errors.ShapeError, match="log_probs"):
        F.ctc_loss(x[0, 0], np.array([1]), [4], [1])
    with pytest.raises(errors.UnsupportedError, match="ctc_loss_backward"):
        leaf = fastdl.Tensor(x, requires_grad=True)
        y = F.ctc_loss(leaf, np.ones((2, 2), int), [4, 4], [2, 2])
        (dx,) = fastdl.grad(y, [leaf], create_graph=True)
        dx.sum().backward()
