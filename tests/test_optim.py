"""Native SGD: every option against the reference's bound and torch; in place, aliases, strides."""

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


# avx512_bf16 runs the tables of avx512.
@pytest.fixture(params=[name for name in _native.runnable_isas() if name != "avx512_bf16"])
def isa(request):
    before = _native.isa()
    _native.set_isa(request.param)
    yield request.param
    _native.set_isa(before)


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
        new_p, new_buf = _native.sgd_step(q, h, b, **options)
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
            p, buf = _native.sgd_step(p, g, buf, **options)
            assert np.abs(p - t.detach().numpy()).max() < 1e-14


def test_in_place_and_exact_aliases(isa):
    options = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}
    for make in (np.ascontiguousarray, np.asfortranarray, lambda a: np.repeat(a, 2, 1)[:, ::2]):
        p, g, buf = (make(a) for a in arrays((50, 7), "float32"))
        want = _native.sgd_step(p, g, buf, **options)
        for at_p, at_buf in itertools.permutations(range(3), 2):
            a = [make(x) for x in (p.copy(), g.copy(), buf.copy())]
            got = _native.sgd_step(*a, **options, p_out=a[at_p], buf_out=a[at_buf])
            assert got[0] is a[at_p] and got[1] is a[at_buf]
            assert all(np.array_equal(x, y) for x, y in zip(got, want, strict=True))
    p, g, _ = arrays(100, "float32")
    fresh = np.empty_like(p)
    got = _native.sgd_step(p, g, None, **options, p_out=p, buf_out=fresh)
    assert got[0] is p and got[1] is fresh


def test_bits_do_not_depend_on_threads_or_alignment(isa):
    p, g, buf = arrays(300_007, "float32")
    before, want = _native.num_threads(), None
    try:
        for threads, offset in itertools.product((1, 2, 3, 5, 8), (0, 1, 9)):
            _native.set_num_threads(threads)
            moved = [np.concatenate([np.zeros(offset, a.dtype), a])[offset:] for a in (p, g, buf)]
            got = [a.tobytes() for a in _native.sgd_step(*moved, lr=0.1, momentum=0.9)]
            want = want or got
            assert got == want
    finally:
        _native.set_num_threads(before)


def test_what_is_not_taken():
    p, g, buf = arrays((4, 3), "float32")
    line = np.zeros(20, np.float32)
    no = NotImplemented
    for bad in (g[0], g.astype("f8"), [0.0], None):
        assert _native.sgd_step(p, bad, None, lr=0.1) is no
    assert _native.sgd_step(p, g, buf, lr=0.1) is no  # a buffer without momentum
    assert _native.sgd_step(np.zeros(3, int), np.zeros(3, int), None, lr=0.1) is no
    bads = ({"lr": -1.0}, {"lr": np.nan}, {"lr": "fast"}, {"lr": True})
    bads += tuple({"lr": 0.1, **o} for o in ({"weight_decay": -1.0}, {"nesterov": True}))
    for bad in (*bads, {"lr": 0.1, "nesterov": 1}):
        assert _native.sgd_step(p, g, None, **bad) is no
    assert _native.sgd_step(line[:12], line[4:16], None, lr=0.1, p_out=line[2:14]) is no
    same = np.empty_like(p)
    assert _native.sgd_step(p, g, buf, lr=0.1, momentum=0.9, p_out=same, buf_out=same) is no
    read_only = p.copy()
    read_only.flags.writeable = False
    assert _native.sgd_step(read_only, g, None, lr=0.1, p_out=read_only) is no
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
