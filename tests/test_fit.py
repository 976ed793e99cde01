"""`fastdl.fit`: what it trains, measures, saves, when it stops, and what it shows."""

import numpy as np
import pytest

import fastdl
from fastdl import nn, optim
from fastdl.data import DataLoader, TensorDataset


def mse(output, target):
    return ((output - target) * (output - target)).mean()


def problem(n=96):
    """y = x·w, which a linear layer learns."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, 3)).astype(np.float32)
    y = x @ np.array([[1.0], [-2.0], [0.5]], np.float32)
    fastdl.manual_seed(0)
    net = nn.Linear(3, 1)
    train, test = TensorDataset(x[:64], y[:64]), TensorDataset(x[64:], y[64:])
    loaders = DataLoader(train, 10, shuffle=True, generator=0), DataLoader(test, 16)
    return net, *loaders, optim.SGD(net.parameters(), lr=0.05)


def worst(output, target):
    return abs(output.numpy() - target.numpy()).max()


def test_it_trains_and_measures():
    net, train, test, optimizer = problem()
    history = fastdl.fit(
        net,
        train,
        mse,
        optimizer,
        epochs=12,
        validation=test,
        metrics={"worst": worst},
        progress=False,
    )
    assert set(history) == {
        "loss", "worst", "validation_loss", "validation_worst", "seconds",
    }  # fmt: skip
    assert {len(values) for values in history.values()} == {12}
    assert history["validation_loss"][-1] < 1e-3 * history["validation_loss"][0]
    assert history.best_epoch == 11 and not history.interrupted and net.training
    with fastdl.no_grad():
        x, y = (fastdl.tensor(t.numpy()) for t in test.dataset.tensors)
        assert history["validation_loss"][-1] == pytest.approx(mse(net(x), y).item(), rel=1e-5)


def test_it_is_the_loop_one_would_write():
    net, train, _, optimizer = problem()
    fastdl.fit(net, train, mse, optimizer, epochs=2, progress=False)
    other, train, _, optimizer = problem()
    for _ in range(2):
        for x, y in train:
            optimizer.zero_grad()
            mse(other(x), y).backward()
            optimizer.step()
    for p, q in zip(net.parameters(), other.parameters(), strict=True):
        assert np.array_equal(p.numpy(), q.numpy())


def test_early_stopping_and_the_best_checkpoint(tmp_path):
    pytest.importorskip("safetensors")
    net, train, test, optimizer = problem()
    states = []

    class Worse:
        """A scheduler that spoils the training after the third epoch."""

        def step(self, metrics):
            states.append((metrics, net.weight.numpy().copy()))
            if len(states) == 3:
                optimizer.param_groups[0]["lr"] = 3.0

    path = tmp_path / "best.safetensors"
    history = fastdl.fit(
        net, train, mse, optimizer, epochs=50, validation=test, scheduler=Worse(),
        early_stopping=2, checkpoint=path, progress=False,
    )  # fmt: skip
    assert history.best_epoch == 2 and len(history["loss"]) == 5
    assert [loss for loss, _ in states] == history["validation_loss"]
    assert np.array_equal(fastdl.load(path)["weight"].numpy(), states[2][1])


def test_schedulers():
    """One that counts epochs, and one that watches the loss."""
    net, train, _, optimizer = problem()
    halves = optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
    fastdl.fit(net, train, mse, optimizer, epochs=3, scheduler=halves, progress=False)
    assert optimizer.param_groups[0]["lr"] == 0.05 / 8
    plateau = optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, threshold=1e9)
    fastdl.fit(net, train, mse, optimizer, epochs=3, scheduler=plateau, progress=False)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.05 / 8000)


def test_an_interrupt_returns_what_there_is():
    net, train, _, optimizer = problem()
    batches = []

    def interrupted(output, target):
        batches.append(1)
        if len(batches) == 2 * len(train) + 3:
            raise KeyboardInterrupt
        return mse(output, target)

    history = fastdl.fit(net, train, interrupted, optimizer, epochs=9, progress=False)
    assert history.interrupted and len(history["loss"]) == 2


@pytest.mark.parametrize("rich", [True, False])
def test_progress(rich, monkeypatch, capsys):
    if rich:
        pytest.importorskip("rich")
    else:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    net, train, _, optimizer = problem()
    fastdl.fit(net, train, mse, optimizer, epochs=2)
    out = capsys.readouterr().out
    assert "epoch 1/2: loss " in out and "epoch 2/2: loss " in out
    fastdl.fit(net, train, mse, optimizer, epochs=1, progress=False)
    assert not capsys.readouterr().out


def test_plot(tmp_path):
    pytest.importorskip("matplotlib")
    net, train, test, optimizer = problem()
    history = fastdl.fit(
        net,
        train,
        mse,
        optimizer,
        epochs=2,
        validation=test,
        metrics={"worst": worst},
        progress=False,
    )
    history.plot(tmp_path / "history.png")
    assert (tmp_path / "history.png").read_bytes()[:4] == b"\x89PNG"


def test_bad_calls():
    net, train, _, optimizer = problem()
    with pytest.raises(fastdl.errors.ArgumentError, match="epochs 0"):
        fastdl.fit(net, train, mse, optimizer, epochs=0)
    with pytest.raises(fastdl.errors.ArgumentError, match="no batches"):
        fastdl.fit(net, [], mse, optimizer, epochs=1, progress=False)
