"""Native steps: SGD's options against the reference's bound and torch; in place, aliases, strides;
and all rules with any number of parameters in one call."""

import itertools

import numpy as np
import pytest

import fastdl
from fastdl import _native
from fastdl.backends.reference import optim as reference
from fastdl.core.errorbound import Bounded

NAMES = ("lr", "momentum", "dampening", "weight_decay", "nesterov", "maximize")
OPTIONS = [
    dict(zip(NAMES, values, strict=True))
    for values in itertools.product(
        (0.1,), (0.0, 0.9), (0.0, 0.3), (0.0, 0.01), (False, True), (False, True)
    )
    if not (values[4] and (values[1] == 0 or values[2] != 0))
]


def sgd_step(p, g, buf, *, p_out=None, buf_out=None, **options):
    """The native function for one parameter."""
    options = (
        {"lr": 0.1} | dict.fromkeys(NAMES[1:4], 0.0) | dict.fromkeys(NAMES[4:], False) | options
    )
    row, out = (p, g, buf, None, None, None), (p_out, buf_out, None, None)
    found = _native.sgd_step([row], [out], **options)
    return found if found is NotImplemented else found[0][:2]


# avx512_bf16 runs the tables of avx512.
def arrays(shape, dtype, seed=1):
    rng = np.random.default_rng(seed)
    return [np.asarray(rng.standard_normal(shape)).astype(dtype) for _ in range(3)]


def carried(a):
    info = np.finfo(a.dtype)
    wide = a.astype(np.longdouble)
    return Bounded(wide, np.zeros_like(wide), float(info.eps) / 2, float(info.tiny), 0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(), (1,), (16,), (33,), (70, 5), (3, 4, 5, 2), (0, 3)], ids=str)
def test_within_the_bound(isa, shape, dtype):
    p, g, buf = arrays(shape, dtype)
    for options, first, layout in itertools.product(OPTIONS, (True, False), range(3)):
        b = None if first or not options["momentum"] else buf
        q = p if layout == 0 or p.ndim < 2 else np.asfortranarray(p)
        h = g if layout < 2 or g.ndim < 2 else g[::-1, ::-1]
        new_p, new_buf = sgd_step(q, h, b, **options)
        want = reference.sgd_step(
            carried(q), carried(h), None if b is None else carried(b), **options
        )
        if not options["momentum"]:
            assert new_buf is None
            want = (want,)
        for got, w in zip((new_p, new_buf), want, strict=False):
            assert got.shape == shape and got.dtype == dtype
            assert not (~(np.abs(got - w.value) <= w.error)).any()
        assert new_p.strides == q.strides or q.size < 2


def test_three_steps_agree_with_torch():
    torch = pytest.importorskip("torch")
    for options in OPTIONS:
        p, _, buf = (*arrays((37, 5), "float64")[:2], None)
        t = torch.from_numpy(p.copy()).requires_grad_()
        optimizer = torch.optim.SGD([t], **options)
        for step in range(3):
            g = arrays((37, 5), "float64", step)[1]
            t.grad = torch.from_numpy(g)
            optimizer.step()
            p, buf = sgd_step(p, g, buf, **options)
            assert np.abs(p - t.detach().numpy()).max() < 1e-14


def test_in_place_and_exact_aliases(isa):
    options = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}
    for make in (np.ascontiguousarray, np.asfortranarray, lambda a: np.repeat(a, 2, 1)[:, ::2]):
        p, g, buf = (make(a) for a in arrays((50, 7), "float32"))
        want = sgd_step(p, g, buf, **options)
        for at_p, at_buf in itertools.permutations(range(3), 2):
            a = [make(x) for x in (p.copy(), g.copy(), buf.copy())]
            got = sgd_step(*a, **options, p_out=a[at_p], buf_out=a[at_buf])
            assert got[0] is a[at_p] and got[1] is a[at_buf]
            assert all(np.array_equal(x, y) for x, y in zip(got, want, strict=True))
    p, g, _ = arrays(100, "float32")
    fresh = np.empty_like(p)
    got = sgd_step(p, g, None, **options, p_out=p, buf_out=fresh)
    assert got[0] is p and got[1] is fresh


def test_bits_do_not_depend_on_threads_or_alignment(isa):
    p, g, buf = arrays(300_007, "float32")
    before, want = _native.num_threads(), None
    try:
        for threads, offset in itertools.product((1, 2, 3, 5, 8), (0, 1, 9)):
            _native.set_num_threads(threads)
            moved = [np.concatenate([np.zeros(offset, a.dtype), a])[offset:] for a in (p, g, buf)]
            got = [a.tobytes() for a in sgd_step(*moved, lr=0.1, momentum=0.9)]
            want = want or got
            assert got == want
    finally:
        _native.set_num_threads(before)


def test_what_is_not_taken():
    p, g, buf = arrays((4, 3), "float32")
    line = np.zeros(20, np.float32)
    no = NotImplemented
    for bad in (g[0], g.astype("f8"), [0.0], None):
        assert sgd_step(p, bad, None, lr=0.1) is no
    assert sgd_step(p, g, buf, lr=0.1) is no  # a buffer without momentum
    assert sgd_step(np.zeros(3, int), np.zeros(3, int), None, lr=0.1) is no
    bads = ({"lr": -1.0}, {"lr": np.nan}, {"lr": "fast"}, {"lr": True})
    bads += tuple({"lr": 0.1, **o} for o in ({"weight_decay": -1.0}, {"nesterov": True}))
    for bad in (*bads, {"lr": 0.1, "nesterov": 1}):
        assert sgd_step(p, g, None, **bad) is no
    assert sgd_step(line[:12], line[4:16], None, lr=0.1, p_out=line[2:14]) is no
    same = np.empty_like(p)
    assert sgd_step(p, g, buf, lr=0.1, momentum=0.9, p_out=same, buf_out=same) is no
    read_only = p.copy()
    read_only.flags.writeable = False
    assert sgd_step(read_only, g, None, lr=0.1, p_out=read_only) is no
    assert not line.any()


def test_state_of_torch_is_taken_over():
    torch = pytest.importorskip("torch")
    start, g = np.arange(3, dtype=np.float32), np.ones(3, np.float32)
    theirs = torch.nn.Parameter(torch.tensor(start))
    peer = torch.optim.SGD([theirs], lr=0.5, momentum=0.5)
    theirs.grad = torch.tensor(g)
    peer.step()
    ours = fastdl.Parameter(theirs.detach().numpy())
    own = fastdl.optim.SGD([ours], lr=0.1)
    own.load_state_dict(peer.state_dict())
    ours.grad = fastdl.Tensor(g)
    peer.step()
    own.step()
    assert (ours.numpy() == theirs.detach().numpy()).all()
    with pytest.raises(fastdl.errors.ShapeError, match="momentum_buffer"):
        own.load_state_dict({**own.state_dict(), "state": {0: {"momentum_buffer": np.ones(2)}}})


# name: options, and which of the three states there are
RULES = {
    "sgd_step": ({"lr": 0.1, "momentum": 0.9, "dampening": 0.1, "weight_decay": 0.01,
                  "nesterov": False, "maximize": False}, 1),
    "adam_step": ({"lr": 0.1, "beta1": 0.9, "beta2": 0.99, "eps": 1e-8, "weight_decay": 0.01,
                   "amsgrad": True, "maximize": False, "decoupled_weight_decay": True}, 3),
    "rmsprop_step": ({"lr": 0.1, "alpha": 0.9, "eps": 1e-8, "weight_decay": 0.01, "momentum": 0.9,
                      "centered": True, "maximize": True}, 3),
    "adagrad_step": ({"lr": 0.1, "lr_decay": 0.1, "weight_decay": 0.01, "eps": 1e-10,
                      "maximize": False}, 1),
    "lion_step": ({"lr": 0.1, "beta1": 0.9, "beta2": 0.99, "weight_decay": 0.1,
                   "maximize": False}, 1),
    "ema_step": ({"decay": 0.9}, 0),
}  # fmt: skip
SHAPES = [(), (3,), (0, 2), (33, 5), (70_001,), (2, 3, 5, 5), (1,), (40_000,)]


def rows_of(states, offset=0):
    """Parameters of both dtypes and other strides: the rows, each with its own count of steps."""
    rng = np.random.default_rng(3)
    rows = []
    for i, shape in enumerate(SHAPES):
        dtype = "float64" if i % 3 == 2 else "float32"

        def make(shape=shape, dtype=dtype, i=i):
            a = np.abs(np.asarray(rng.standard_normal((*shape, 1))).astype(dtype))
            a = np.concatenate([np.zeros((*shape, offset), dtype), a], -1)[..., -1]
            return np.asfortranarray(a) if i == 3 else np.array(a) if i == 6 else a

        arrays = [make() for _ in range(2 + states)]
        rows.append((*arrays, *[None] * (3 - states), np.array(i, np.float32)))
    return rows


def outs_of(rows):
    return [(row[0], *row[2:5]) for row in rows]


@pytest.mark.parametrize("name", RULES)
def test_all_rows_at_once_are_what_each_is_alone(isa, name):
    options, states = RULES[name]
    step = getattr(_native, name)
    wanted = []
    for row in rows_of(states):
        (found,) = step([row], [(None,) * 4], **options)
        wanted.append(found)
        assert row[-1] == rows_of(states)[len(wanted) - 1][-1] + 1
    before = _native.num_threads()
    try:
        for threads, offset in itertools.product((1, 2, 3, 5, 8), (0, 1)):
            _native.set_num_threads(threads)
            rows = rows_of(states, offset)
            found = step(rows, outs_of(rows), **options)
            for row, got, want in zip(rows, found, wanted, strict=True):
                assert got[0] is row[0]
                for a, b in zip(got, want, strict=True):
                    assert a is b is None or (a.tobytes() == b.tobytes() and a.shape == b.shape)
    finally:
        _native.set_num_threads(before)


@pytest.mark.parametrize("name", RULES)
def test_a_row_that_does_not_fit_leaves_all_alone(name):
    options, states = RULES[name]
    step = getattr(_native, name)
    fine = rows_of(states)[3]
    p, g = fine[:2]
    wrong = [
        (p, g.astype("f8"), *fine[2:]),
        (p, g[:-1], *fine[2:]),
        (p.astype(int), g.astype(int), *fine[2:]),
        (*fine[:-1], "soon"),
        (*fine[:-1], np.array(1)),
        fine[:-1],
        [*fine],
        (p, None, *fine[2:]),
    ]
    if states < 3:
        wrong.append((*fine[:4], g, fine[-1]))
    if states > 0 and name != "sgd_step":
        wrong.append((p, g, None, *fine[3:]))
    for row in wrong:
        rows = [fine, row]
        before = [a.copy() for a in fine if a is not None]
        assert step(rows, [(a[0], *a[2:5]) for a in rows], **options) is NotImplemented
        after = [a for a in fine if a is not None]
        assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    for out in ((g[:-1], None, None, None), (p, p, None, None), (p, None), None):
        assert step([fine], [out], **options) is NotImplemented
    for option in options:
        for bad in (-1.0, float("nan"), "x", None):
            if option != "dampening" or isinstance(bad, str) or bad is None:
                assert step([fine], [(None,) * 4], **{**options, option: bad}) is NotImplemented


@pytest.mark.parametrize("power", [1.0, 2.0, float("inf")])
def test_norm_of_any_strides_and_threads(isa, power):
    rows = [row[0] for row in rows_of(0)]
    rows.append(rows[3][::-1, ::2])
    flat = np.concatenate([r.reshape(-1).astype(np.longdouble) for r in rows])
    want = np.linalg.norm(flat.astype(float), power)
    before, seen = _native.num_threads(), set()
    try:
        for threads in (1, 2, 3, 5, 8):
            _native.set_num_threads(threads)
            seen.add(_native.total_norm(rows, power))
    finally:
        _native.set_num_threads(before)
    assert len(seen) == 1 and abs(seen.pop() - want) <= 1e-12 * want
    for bad in (np.nan, np.inf):
        spoiled = [*rows, np.array([1, bad, 2], np.float32)]
        assert np.array_equal(_native.total_norm(spoiled, power), bad, equal_nan=True)
    assert _native.total_norm([np.full(3, 1e30, np.float32)], 2.0) > 1.7e30


def test_change_all(isa):
    for clamps in (False, True):
        rows = [np.asarray(row[0] - 0.5) for row in rows_of(0)]
        rows += [np.array([np.nan, np.inf, -np.inf, -0.0], np.float32)]
        want = [np.clip(r, -0.25, 0.5) if clamps else r * r.dtype.type(-0.25) for r in rows]
        padded = [np.repeat(r[..., None], 3, -1)[..., 1] for r in rows]
        for arrays in (rows, padded):
            _native.change_all(arrays, -0.25, 0.5, clamps)
            for a, b in zip(arrays, want, strict=True):
                np.testing.assert_array_equal(a, b)
    frozen = np.ones(3)
    frozen.flags.writeable = False
    for bad in ([frozen], [np.ones(3, int)], [np.broadcast_to(1.0, (3,))], (np.ones(3),), [1.0]):
        assert _native.change_all(bad, 0.5, 1.0, False) is NotImplemented
