"""save and load: what goes in comes out, and no crash leaves half a file."""

import errno
import io
import os
import signal
import time

import numpy as np
import pytest

import fastdl
from fastdl import nn, optim
from fastdl.core.dtypes import as_dtype
from fastdl.core.errors import DTypeError, FormatError

safetensors = pytest.importorskip("safetensors")


def assert_same(a, b):
    assert type(a) is type(b)
    if isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    elif isinstance(a, (fastdl.Tensor, np.ndarray)):
        x, y = (t.numpy() if isinstance(t, fastdl.Tensor) else t for t in (a, b))
        assert x.dtype == y.dtype
        assert x.shape == y.shape
        assert x.tobytes() == y.tobytes()
    else:
        assert a == b or (np.isnan(a) and np.isnan(b))


@pytest.mark.parametrize(
    "dtype", ["float32", "float64", "float16", "bfloat16", "int64", "int32", "uint8", "bool"]
)
def test_every_dtype_round_trips(tmp_path, dtype):
    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes")
    rng = np.random.default_rng(0)
    state = {
        f"s{shape}": fastdl.tensor((np.asarray(rng.normal(size=shape)) * 3).astype(as_dtype(dtype)))
        for shape in [(), (0,), (3,), (2, 0, 4), (3, 5)]
    }
    fastdl.save(state, tmp_path / "state")
    assert_same(fastdl.load(tmp_path / "state"), state)


def test_nested_state_round_trips(tmp_path):
    state = {
        "epoch": 3, "loss": 0.1 + 0.2, "nan": float("nan"), "inf": -float("inf"), "best": None,
        "name": "ü", "done": True, "dtype": np.dtype("float32"), "": {"x": fastdl.ones(2)},
        "a": {"b": fastdl.ones(2)}, "a.b": fastdl.zeros(3),
        "state": {0: {"step": 1, "m": np.arange(3.0)}, 1: (1, [2, fastdl.ones(1)])},
    }  # fmt: skip
    fastdl.save(state, tmp_path / "state")
    assert_same(fastdl.load(tmp_path / "state"), state)


def test_views_and_strides_are_saved_as_values(tmp_path):
    x = fastdl.tensor(np.arange(24.0).reshape(2, 3, 4))
    state = {
        "t": x.permute(2, 0, 1),
        "slice": x[:, ::2],
        "back": fastdl.from_numpy(np.arange(5)[::-1]),
    }
    fastdl.save(state, tmp_path / "state")
    loaded = fastdl.load(tmp_path / "state")
    for key, value in state.items():
        np.testing.assert_array_equal(loaded[key].numpy(), value.numpy())


def test_a_state_dict_is_a_plain_safetensors_file(tmp_path):
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    fastdl.save(model.state_dict(), tmp_path / "model.safetensors")
    from safetensors.numpy import load_file

    found = load_file(tmp_path / "model.safetensors")
    assert set(found) == set(model.state_dict())
    np.testing.assert_array_equal(found["2.weight"], model[2].weight.numpy())
    model.load_state_dict(fastdl.load(tmp_path / "model.safetensors"))


def test_file_objects(tmp_path):
    buffer = io.BytesIO()
    fastdl.save({"x": fastdl.ones(3)}, buffer)
    buffer.seek(0)
    assert_same(fastdl.load(buffer), {"x": fastdl.ones(3)})


@pytest.mark.parametrize(
    "bad", [object(), {"f": lambda: 0}, {1.5: 1}, [1j], {"x": np.zeros(2, "M8[s]")}]
)
def test_what_cannot_be_saved(tmp_path, bad):
    with pytest.raises(DTypeError, match="save"):
        fastdl.save(bad, tmp_path / "state")
    assert not list(tmp_path.iterdir())


def test_damaged_files(tmp_path):
    path = tmp_path / "state"
    fastdl.save({"x": fastdl.arange(100.0)}, path)
    whole = path.read_bytes()
    for cut in (0, 1, 7, 8, 20, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(FormatError, match="no whole safetensors file"):
            fastdl.load(path)
    path.write_bytes(b"PK\x03\x04" + whole)
    with pytest.raises(FormatError, match=r"torch\.save"):
        fastdl.load(path)
    with pytest.raises(FileNotFoundError):
        fastdl.load(tmp_path / "nothing")


def test_permissions_are_kept(tmp_path):
    path = tmp_path / "state"
    fastdl.save({}, path)
    mask = os.umask(0)
    os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~mask
    path.chmod(0o640)
    fastdl.save({}, path)
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("call", ["write", "fchmod", "fsync", "close", "replace", "open"])
@pytest.mark.parametrize("nth", [0, 1])
def test_each_system_call_may_fail(tmp_path, monkeypatch, call, nth):
    """ENOSPC from the n-th call: the old file or the new one is there, whole, and nothing else."""
    path = tmp_path / "state"
    old, new = {"x": fastdl.zeros(1000)}, {"x": fastdl.ones(1000)}
    fastdl.save(old, path)
    real, calls = getattr(os, call), []

    def fail(*args, **kwargs):
        calls.append(args)
        if len(calls) == nth + 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*args, **kwargs)

    monkeypatch.setattr(os, call, fail)
    failed = False
    try:
        fastdl.save(new, path)
    except OSError:
        failed = True
    monkeypatch.undo()
    assert failed == (len(calls) > nth)
    found = fastdl.load(path)["x"].numpy()
    assert (found == found[0]).all()
    last_step = (call, nth) in {("fsync", 1), ("close", 1)} or (call == "open" and nth == 1)
    assert found[0] == (1 if last_step or not failed else 0)
    assert os.listdir(tmp_path) == ["state"]


def test_short_writes_are_continued(tmp_path, monkeypatch):
    real = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: real(handle, bytes(data[:7])))
    fastdl.save({"x": fastdl.arange(100)}, tmp_path / "state")
    monkeypatch.undo()
    assert_same(fastdl.load(tmp_path / "state"), {"x": fastdl.arange(100)})


def test_killing_the_writer_leaves_a_whole_file(tmp_path):
    """200 writers, each killed in the middle of saving: the file is always one of theirs, whole."""
    path = tmp_path / "state"
    rng = np.random.default_rng(0)
    for n in range(200):
        ready, tell = os.pipe()
        child = os.fork()
        if child == 0:  # save again and again until killed
            while True:
                fastdl.save({"x": fastdl.full((50_000,), float(n)), "n": n}, path)
                os.write(tell, b"saved")
        os.read(ready, 5)  # once it has saved, and is at it again
        time.sleep(rng.uniform(0, 0.003))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(ready)
        os.close(tell)
        state = fastdl.load(path)
        assert state["n"] == n
        assert (state["x"].numpy() == n).all()


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Lion"])
def test_resuming_gives_the_same_bits(tmp_path, name):
    """Model, optimiser, schedule and random numbers from a file: as if nothing had stopped."""
    rng = np.random.default_rng(0)
    batches = [(rng.normal(size=(8, 5)).astype("f4"), rng.integers(0, 3, 8)) for _ in range(6)]

    def train(model, optimizer, scheduler, batches):
        for x, y in batches:
            optimizer.zero_grad()
            nn.CrossEntropyLoss()(model(fastdl.tensor(x)), fastdl.tensor(y)).backward()
            optimizer.step()
            scheduler.step()

    def make():
        fastdl.manual_seed(0)
        model = nn.Sequential(
            nn.Linear(5, 7), nn.BatchNorm1d(7), nn.ReLU(), nn.Dropout(0.3), nn.Linear(7, 3)
        )
        options = {"momentum": 0.9} if name == "SGD" else {}
        optimizer = getattr(optim, name)(model.parameters(), lr=0.01, **options)
        return model, optimizer, optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=6)

    whole = make()
    train(*whole, batches)
    first = make()
    train(*first, batches[:3])
    state = {part: one.state_dict() for part, one in zip("mos", first, strict=True)}
    fastdl.save({**state, "random": fastdl.get_rng_state()}, tmp_path / "state")
    second = make()
    fastdl.manual_seed(99)
    loaded = fastdl.load(tmp_path / "state")
    for part, one in zip("mos", second, strict=True):
        one.load_state_dict(loaded[part])
    fastdl.set_rng_state(loaded["random"])
    train(*second, batches[3:])
    for key, value in whole[0].state_dict().items():
        assert value.numpy().tobytes() == second[0].state_dict()[key].numpy().tobytes(), key
