"""Finished sums and packed weights: every way of multiplying, strides, aliases, caches, errors."""

import copy
import pickle
import threading
import weakref

import numpy as np
import pytest
from derivatives import check_gradients, check_second

import fastdl
import fastdl.functional as F
from fastdl import _native, errors, nn, optim

RNG = np.random.default_rng(0)
ACTIVATIONS = ["relu", "sigmoid", "tanh", "silu", "gelu", "gelu_tanh"]
# Few rows, few columns, tiles in place, panels, blocks of the sum, and rows in blocks.
SIZES = [(3, 50, 70), (70, 50, 3), (1, 600, 40), (13, 20, 37), (40, 90, 70), (33, 1100, 40),
         (400, 70, 150), (2, 0, 3)]  # fmt: skip


def integers(*shape, dtype=np.float32):
    return RNG.integers(-8, 9, shape).astype(dtype)


def layouts(x):
    """The same values: contiguous, transposed, every second one, backwards."""
    wide = np.full((*x.shape[:-1], 2 * x.shape[-1]), np.nan, x.dtype)
    wide[..., ::2] = x
    return [x, np.array(x, order="F"), wide[..., ::2], x[::-1, ::-1].copy()[::-1, ::-1]]


# --- sums finished -----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("m, k, n", SIZES)
def test_finished_by_every_way_and_in_any_layout(isa, dtype, m, k, n):
    x, w, bias = integers(m, k, dtype=dtype), integers(n, k, dtype=dtype), integers(n, dtype=dtype)
    residual = integers(m, n, dtype=dtype)
    expected = np.maximum(x @ w.T * 2 + bias + residual, 0)
    for r in layouts(residual):
        for out in (None, *layouts(np.full((m, n), np.nan, dtype))):
            y = F.linear(x, w, bias, activation="relu", residual=r, alpha=2, out=out)
            assert out is None or y is out
            np.testing.assert_array_equal(y, expected)
    for c in (*layouts(residual), residual[:1], residual[:, :1], residual[0], residual[0, :1]):
        y = F.addmm(c, x, w.T, beta=-3, alpha=2)
        np.testing.assert_array_equal(y, -3 * c + 2 * (x @ w.T))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("m, k, n", SIZES)
def test_the_bits_are_those_of_one_op_after_the_other(isa, activation, m, k, n):
    x, w, bias, residual = (
        RNG.standard_normal(s).astype(np.float32) for s in ((m, k), (n, k), (n,), (m, n))
    )
    act = fastdl.spec.OPS[activation]
    fused = F.linear(x, w, bias, activation=activation)
    np.testing.assert_array_equal(fused, act(F.linear(x, w, bias)))
    fused = F.linear(x, w, bias, activation=activation, residual=residual)
    np.testing.assert_array_equal(fused, act(F.linear(x, w, bias, residual=residual)))
    # A residual that the tile adds in its registers, and one that is added when the sums are made.
    whole = integers(m, n)
    apart = np.repeat(whole, 2, axis=1)[:, ::2]
    x, w = integers(m, k), integers(n, k)
    np.testing.assert_array_equal(
        F.linear(x, w, residual=whole, activation=activation),
        F.linear(x, w, residual=apart, activation=activation),
    )


def test_batches_of_addends():
    a, b = integers(2, 9, 20), integers(2, 20, 33)
    for shape in [(2, 9, 33), (2, 1, 33), (2, 9, 1), (1, 9, 33), (9, 33), (33,), (1,), (2, 1, 1)]:
        c = integers(*shape)
        np.testing.assert_array_equal(F.baddbmm(c, a, b, beta=2), 2 * c + a @ b)
    x, w, residual = integers(4, 5, 6, 7), integers(11, 7), integers(4, 5, 6, 11)
    expected = np.maximum(x @ w.T + residual, 0)
    for r in (residual, residual.swapaxes(0, 1).copy().swapaxes(0, 1), residual[::-1][::-1]):
        np.testing.assert_array_equal(F.linear(x, w, residual=r, activation="relu"), expected)


@pytest.mark.parametrize("m, k, n", [(3, 50, 70), (40, 90, 70), (33, 1100, 40)])
def test_beta_zero_reads_nothing(m, k, n):
    a, b = integers(m, k), integers(k, n)
    c = np.full((m, n), np.nan, np.float32)
    np.testing.assert_array_equal(F.addmm(c, a, b, beta=0), a @ b)
    assert F.addmm(c, a, b, beta=0, alpha=2, out=c) is c
    np.testing.assert_array_equal(c, 2 * (a @ b))


@pytest.mark.parametrize("m, k, n", SIZES)
def test_adds_up_into_its_input(isa, m, k, n):
    a, b, start = integers(m, k), integers(k, n), integers(m, n)
    for beta, alpha in [(1, 1), (2, 1), (1, 3), (-1, 2)]:
        for c in layouts(start.copy()):
            assert F.addmm(c, a, b, beta=beta, alpha=alpha, out=c) is c
            np.testing.assert_array_equal(c, beta * start + alpha * (a @ b))
    t = fastdl.Tensor(start.copy())
    assert t.addmm_(fastdl.Tensor(a), fastdl.Tensor(b), beta=2) is t
    np.testing.assert_array_equal(t.numpy(), 2 * start + a @ b)
    c = np.stack([start, start])
    batch = np.stack([a, a]), np.stack([b, b])
    F.baddbmm(c, *batch, beta=3, out=c)
    np.testing.assert_array_equal(c, 3 * start + np.stack([a @ b] * 2))


def test_other_overlaps_are_refused():
    c, a = np.ones((4, 4), np.float32), np.ones((4, 4), np.float32)
    for name in ("native", "numba", "reference"):
        with fastdl.use_backend(name):
            for bad in (c[::-1], c.T, c[:1], c[0]):
                with pytest.raises(errors.OverlapError, match="input"):
                    F.addmm(bad, a, a, out=c)
            with pytest.raises(errors.OverlapError, match="argument a"):
                F.addmm(a, c, a, out=c)
            with pytest.raises(errors.OverlapError, match="residual"):
                F.linear(a, a, residual=c, out=c)
            d = c.copy()
            assert F.addmm(d, a, a, out=d) is d and (d == 5).all()


@pytest.mark.parametrize("activation", [None, *ACTIVATIONS])
def test_derivatives(activation):
    rng = np.random.default_rng(1)
    arrays = [rng.standard_normal(s) for s in ((2, 3, 4), (5, 4), (5,), (2, 3, 5))]
    for options in ({"activation": activation}, {"activation": activation, "alpha": -0.7}):
        check_gradients("linear_activation", arrays, **options)
        check_second("linear_activation", arrays, **options)
    check_gradients("linear_activation", [*arrays[:2], None, None], activation=activation)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_recorded_or_not_the_bits_are_the_same(activation):
    x, w, b = RNG.standard_normal((12, 7)), RNG.standard_normal((9, 7)), RNG.standard_normal(9)
    plain = F.linear(x, w, b, activation=activation)
    t = fastdl.Tensor(x, requires_grad=True)
    y = F.linear(t, w, b, activation=activation, alpha=1.0)
    np.testing.assert_array_equal(y.detach().numpy(), plain)
    y.sum().backward()
    u = fastdl.Tensor(x, requires_grad=True)
    fastdl.spec.OPS[activation](F.linear(u, w, b)).sum().backward()
    np.testing.assert_array_equal(t.grad.numpy(), u.grad.numpy())


@pytest.mark.parametrize("beta, alpha", [(1, 1), (-0.5, 2), (0, 3)])
def test_derivatives_of_sums_of_products(beta, alpha):
    rng = np.random.default_rng(2)
    for shapes in (((4,), (2, 3), (3, 4)), ((2, 1), (2, 3), (3, 4))):
        arrays = [rng.standard_normal(s) for s in shapes]
        check_gradients("addmm", arrays, beta=beta, alpha=alpha)
        check_second("addmm", arrays, beta=beta, alpha=alpha)
    arrays = [rng.standard_normal(s) for s in ((2, 1, 4), (2, 2, 3), (2, 3, 4))]
    check_gradients("baddbmm", arrays, beta=beta, alpha=alpha)


# --- packed weights ----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("m, k, n", [(9, 20, 37), (40, 90, 70), (33, 1100, 40), (400, 70, 150),
                                     (20, 600, 4200), (9, 0, 10), (0, 5, 10)])  # fmt: skip
def test_packed_bits_are_the_plain_ones(isa, dtype, m, k, n):
    x, w, bias = (RNG.standard_normal(s).astype(dtype) for s in ((m, k), (n, k), (n,)))
    p = fastdl.pack("linear", w)
    np.testing.assert_array_equal(F.linear(x, p, bias), F.linear(x, w, bias))
    np.testing.assert_array_equal(
        F.linear(x, p, bias, activation="gelu", alpha=0.5),
        F.linear(x, w, bias, activation="gelu", alpha=0.5),
    )
    for b in layouts(np.ascontiguousarray(w.T)) if w.size else [w.T]:
        p = fastdl.pack("matmul", b)
        np.testing.assert_array_equal(F.matmul(x, p), F.matmul(x, b))
        for out in layouts(np.full((m, n), np.nan, dtype)):
            assert F.matmul(x, p, out=out) is out
            np.testing.assert_array_equal(out, F.matmul(x, b))


@pytest.mark.parametrize("m, n", [(1, 40), (8, 300), (100, 3), (1, 1)])
def test_packed_of_few_rows_or_columns(isa, m, n):
    a, b = integers(m, 530), integers(530, n)
    np.testing.assert_array_equal(F.matmul(a, fastdl.pack("matmul", b)), a @ b)
    np.testing.assert_array_equal(F.matmul(a[0], fastdl.pack("matmul", b)), a[0] @ b)
    batch = integers(2, 3, m, 530)
    np.testing.assert_array_equal(batch @ fastdl.pack("matmul", b), batch @ b)


def test_packed_bits_do_not_depend_on_threads():
    a, p = RNG.standard_normal((200, 700)), fastdl.pack("matmul", RNG.standard_normal((700, 300)))
    expected = F.matmul(a, p)
    for count in (1, 2, 3, 8):
        with fastdl.num_threads(count):
            np.testing.assert_array_equal(F.matmul(a, p), expected)


def test_what_a_packed_weight_says():
    w = np.zeros((70, 33), np.float32)
    p = fastdl.pack("linear", w)
    assert p.op == "linear" and p.shape == (70, 33) and p.dtype == np.float32
    assert p.source is w and p.isa == _native.isa() and p.nbytes >= w.nbytes
    assert "op='linear', shape=(70, 33), dtype=float32" in repr(p)
    again = pickle.loads(pickle.dumps(p))
    x = integers(10, 33)
    np.testing.assert_array_equal(F.linear(x, again), F.linear(x, p))
    assert copy.deepcopy(p).shape == p.shape


def test_a_packed_weight_is_freed_with_its_last_reference():
    p = fastdl.pack("linear", np.zeros((70, 33), np.float32))
    gone = weakref.ref(p)
    del p
    assert gone() is None


def test_packed_is_refused():
    w, x = np.ones((5, 4), np.float32), np.ones((3, 4), np.float32)
    for op, weight, error in [
        ("conv2d", w, errors.ArgumentError), ("linear", [[1.0]], errors.DTypeError),
        ("linear", w.astype(int), errors.DTypeError), ("matmul", w[0], errors.ShapeError),
        ("matmul", w[None], errors.ShapeError),
    ]:  # fmt: skip
        with pytest.raises(error, match="pack"):
            fastdl.pack(op, weight)
    p = fastdl.pack("linear", w)
    with pytest.raises(errors.ArgumentError, match="packed for linear"):
        F.matmul(x, p)
    with pytest.raises(errors.ShapeError, match=r"linear: argument x has shape \(3, 5\)"):
        F.linear(np.ones((3, 5), np.float32), p)
    with pytest.raises(errors.DTypeError, match="float32"):
        F.linear(np.ones((3, 4)), p)
    with pytest.raises(errors.ShapeError, match="bias"):
        F.linear(x, p, np.ones(4, np.float32))
    with pytest.raises(errors.ShapeError, match="out"):
        F.linear(x, p, out=np.ones((3, 4), np.float32))
    before = _native.isa()
    _native.set_isa("baseline")
    try:
        with pytest.raises(errors.ArgumentError, match=f"packed for {before}, baseline"):
            F.linear(x, p)
    finally:
        _native.set_isa(before)
    t = fastdl.Tensor(w.copy())
    p = fastdl.pack("linear", t)
    t.mul_(2)
    with pytest.raises(errors.ArgumentError, match="written to"):
        F.linear(x, p)


def test_gradients_go_through_a_packed_weight_not_into_it():
    w, b = RNG.standard_normal((9, 7)), RNG.standard_normal(9)
    for activation in (None, "relu", "gelu"):
        grads = []
        for weight in (w, fastdl.pack("linear", w)):
            x = fastdl.Tensor(np.arange(84.0).reshape(12, 7) / 40 - 1, requires_grad=True)
            bias = fastdl.Tensor(b, requires_grad=True)
            F.linear(x, weight, bias, activation=activation).square().sum().backward()
            grads.append((x.grad.numpy(), bias.grad.numpy()))
        for mine, plain in zip(*grads, strict=True):
            np.testing.assert_array_equal(mine, plain)
    x = fastdl.Tensor(np.ones((2, 9)), requires_grad=True)
    F.matmul(x, fastdl.pack("matmul", w)).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.ones((2, 7)) @ w.T)
    p = fastdl.pack("matmul", fastdl.Tensor(w, requires_grad=True))
    with pytest.raises(errors.AutogradError, match="requires grad"):
        F.matmul(x, p)
    with fastdl.no_grad():
        np.testing.assert_array_equal(F.matmul(x, p).numpy(), F.matmul(x, w).numpy())


def test_a_forced_backend_runs_it_from_the_source():
    w, x = integers(20, 9), integers(12, 9)
    p = fastdl.pack("linear", w)
    for name in ("numba", "reference"):
        with fastdl.use_backend(name):
            np.testing.assert_array_equal(F.linear(x, p), x @ w.T)


# --- nn.Linear ---------------------------------------------------------------------------------


def test_linear_packs_on_the_second_call_without_gradients():
    layer = nn.Linear(300, 220)
    x = fastdl.Tensor(RNG.standard_normal((12, 300)).astype(np.float32))
    recorded = layer(x).detach().numpy().copy()
    assert layer._packed is None
    with fastdl.no_grad():
        for call in range(4):
            np.testing.assert_array_equal(layer(x).numpy(), recorded)
            assert (layer._packed is not None) == (call > 0)
        first = layer._packed
        layer(x)
        assert layer._packed is first
        few = layer(x[:8])
    np.testing.assert_array_equal(few.numpy(), layer(x[:8]).detach().numpy())


@pytest.mark.parametrize("change", ["step", "in place", "data", "new", "numpy", "load"])
def test_linear_notices_that_its_weight_changed(change):
    layer = nn.Linear(300, 220)
    x = fastdl.Tensor(integers(12, 300))
    with fastdl.no_grad():
        for _ in range(3):
            layer(x)
    assert layer._packed is not None
    if change == "step":
        layer(x).sum().backward()
        optim.SGD(layer.parameters(), lr=0.5).step()
    elif change == "in place":
        with fastdl.no_grad():
            layer.weight.mul_(2)
    elif change == "data":
        layer.weight.data = integers(220, 300)
    elif change == "new":
        layer.weight = nn.Parameter(integers(220, 300))
    elif change == "numpy":
        layer.weight.numpy(writeable=True)[...] = 1
    else:
        layer.load_state_dict(nn.Linear(300, 220).state_dict())
    with fastdl.no_grad():
        for _ in range(3):
            expected = F.linear(x.numpy(), layer.weight.numpy(), layer.bias.numpy())
            np.testing.assert_array_equal(layer(x).numpy(), expected)
        assert layer._packed is not None


def test_linear_frozen_gives_gradients_to_its_input():
    layer = nn.Linear(300, 220)
    layer.requires_grad_(False)
    grads = []
    for _ in range(3):
        x = fastdl.Tensor(np.ones((12, 300), np.float32), requires_grad=True)
        layer(x).sum().backward()
        grads.append(x.grad.numpy())
    assert layer._packed is not None
    np.testing.assert_array_equal(grads[0], grads[2])


def test_linear_keeps_its_packed_weight_to_itself():
    layer = nn.Linear(300, 220)
    x = fastdl.Tensor(integers(12, 300))
    with fastdl.no_grad():
        layer(x)
        expected = layer(x).numpy()
        assert set(layer.state_dict()) == {"weight", "bias"}
        for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
            assert twin._packed is None
            np.testing.assert_array_equal(twin(x).numpy(), expected)


def test_a_small_linear_does_not_pack():
    layer = nn.Linear(30, 20)
    with fastdl.no_grad():
        for _ in range(3):
            layer(fastdl.Tensor(integers(12, 30)))
    assert layer._packed is None


def test_linear_packs_in_many_threads():
    layer, x = nn.Linear(300, 220), fastdl.Tensor(integers(32, 300))
    expected = layer(x).detach().numpy()
    wrong = []

    def work():
        with fastdl.no_grad():
            for _ in range(50):
                if not np.array_equal(layer(x).numpy(), expected):
                    wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
