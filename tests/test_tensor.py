"""Tensors and the tape: history, versions, views, second derivatives, and every refusal."""

import gc
import weakref

import numpy as np
import pytest

import fastdl
import fastdl.functional as F
from fastdl import Tensor, dispatch, errors
from fastdl.core import memory
from fastdl.core.shapes import is_channels_last
from fastdl.tensor import Parameter


def leaf(*shape, seed=0, dtype=np.float64):
    return Tensor(
        np.random.default_rng(seed).standard_normal(shape).astype(dtype), requires_grad=True
    )


def numeric(function, x, step=1e-6):
    """Central differences of a scalar function of one array."""
    gradient = np.empty_like(x)
    for i in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[i] += step
        down[i] -= step
        gradient[i] = (function(up) - function(down)) / (2 * step)
    return gradient


def test_chain_rule_against_differences():
    w = np.random.default_rng(1).standard_normal((3, 4))

    def value(x):
        h = F.tanh(F.matmul(x, w))
        return F.sum(F.mul(h, F.sigmoid(h)))

    x = leaf(2, 3)
    value(x).backward()
    expected = numeric(lambda a: float(value(a)), x.detach().numpy())
    assert np.abs(x.grad.numpy() - expected).max() < 1e-8


def test_gradients_add_up():
    x = leaf(3)
    (x * x).sum().backward()
    (x * x).sum().backward()
    assert np.array_equal(x.grad.numpy(), 4 * x.detach().numpy())


def memories(*tensors):
    return {t._array.__array_interface__["data"][0] for t in tensors}


def test_gradients_of_leaves_share_no_memory():
    a, b = leaf(64, 64), leaf(64, 64, seed=1)
    upstream = F.add(a.detach(), b.detach())  # an array of the allocator, in our own hands
    held = upstream._array
    kept = held.copy()
    F.add(a, b).backward(upstream)  # all three gradients are one array
    assert len(memories(a.grad, b.grad, upstream)) == 3
    a.grad._array[...] = 0
    assert (b.grad.numpy() == kept).all() and (held == kept).all()
    c = leaf(64, 64)
    c.backward(held)
    assert c.grad._array is not held


def test_a_gradient_nobody_else_holds_is_not_copied():
    def array():
        return F.add(np.arange(48, dtype=np.float32).reshape(4, 3, 2, 2), 1)

    mine = [array()]
    address = mine[0].ctypes.data
    assert memory.own(mine, False).ctypes.data == address
    held, viewed, frozen = array(), array(), [array()]
    view = viewed[1:]
    frozen[0].flags.writeable = False
    shared = [[held], [viewed], frozen, [np.zeros((4, 3, 2, 2), np.float32)], [view]]
    del viewed
    for holder in shared:
        address = holder[0].ctypes.data
        assert memory.own(holder, False).ctypes.data != address
    address = mine[0].ctypes.data
    nhwc = memory.own(mine, True)
    assert nhwc.ctypes.data != address and is_channels_last(nhwc)
    assert (nhwc == mine[0]).all()


def test_one_tensor_used_twice():
    x = leaf(3)
    (x + x).sum().backward()
    assert np.array_equal(x.grad.numpy(), np.full(3, 2.0))


def test_second_derivative():
    x = leaf(4)
    y = (x * x * x).sum()
    (g,) = fastdl.grad(y, x, create_graph=True)
    (h,) = fastdl.grad(g.sum(), x)
    assert np.abs(h.numpy() - 6 * x.detach().numpy()).max() <= 1e-14


@pytest.mark.parametrize("name", ["exp", "log", "tanh", "sigmoid"])
def test_second_derivatives_of_unary_ops(name):
    x = Tensor(np.array([0.3, 0.9, 1.7]), requires_grad=True)
    op = getattr(F, name)
    (g,) = fastdl.grad(op(x).sum(), x, create_graph=True)
    (h,) = fastdl.grad(g.sum(), x)

    def first(a):
        t = Tensor(a, requires_grad=True)
        return float(fastdl.grad(op(t).sum(), t)[0].sum())

    assert np.abs(h.numpy() - numeric(first, x.detach().numpy())).max() < 1e-8


def test_backward_frees_what_it_saved():
    x = leaf(3)
    y = x * 2.0
    kept = weakref.ref(y)
    z = (y * y).sum()
    del y
    assert kept() is not None
    z.backward()
    assert kept() is None


def test_no_cycles_are_left():
    gc.collect()
    gc.disable()
    try:
        x = leaf(3)
        y = F.exp(F.relu(x)).sum()
        kept = weakref.ref(y._grad_fn[0])
        y.backward()
        del y
        assert kept() is None
    finally:
        gc.enable()


def test_second_backward_needs_retain_graph():
    x = leaf(3)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    with pytest.raises(errors.AutogradError, match="second time"):
        y.backward()


def test_backward_of_a_vector_needs_a_gradient():
    x = leaf(3)
    with pytest.raises(errors.AutogradError, match="shape"):
        (x * x).backward()
    (x * x).backward(gradient=np.ones(3))
    with pytest.raises(errors.ShapeError, match="gradient has shape"):
        (x * x).backward(gradient=np.ones(4))


def test_integer_tensors_have_no_gradient():
    with pytest.raises(errors.AutogradError, match="int64"):
        Tensor(np.arange(3), requires_grad=True)
    with pytest.raises(errors.AutogradError, match="does not require grad"):
        Tensor(np.ones(())).backward()


def test_change_in_place_after_saving_raises():
    x = leaf(3)
    y = F.exp(x)
    z = (y * y).sum()
    y += 1.0
    with pytest.raises(errors.AutogradError, match=r"mul.*changed in\s+place"):
        z.backward()


def test_change_through_a_view_or_detached_raises():
    x = leaf(3)
    y = x * 2.0
    z = (y * y).sum()
    y.detach()[0] = 5.0
    with pytest.raises(errors.AutogradError, match="changed"):
        z.backward()


def test_in_place_rebases_history():
    x = leaf(4)
    y = x * 3.0
    y += 1.0
    y[1:3] = 0.0
    y.relu_()
    y.sum().backward()
    a = x.detach().numpy()
    expected = np.where(3 * a + 1 > 0, 3.0, 0.0)
    expected[1:3] = 0
    assert np.array_equal(x.grad.numpy(), expected)


def test_assigned_value_gets_its_gradient():
    v = leaf(2)
    x = Tensor(np.zeros((3, 2)))
    x[1] = v
    (x * np.arange(6.0).reshape(3, 2)).sum().backward()
    assert np.array_equal(v.grad.numpy(), [2.0, 3.0])


def test_leaf_in_place_is_refused():
    x = leaf(3)
    with pytest.raises(errors.AutogradError, match="leaf"):
        x += 1.0
    with fastdl.no_grad():
        x += 1.0
    assert x.is_leaf and x.requires_grad


def test_in_place_on_a_view_is_refused():
    y = leaf(3) * 1.0
    with pytest.raises(errors.UnsupportedError, match="view"):
        y[:2].relu_()


def test_stale_view_is_refused():
    y = leaf(3) * 1.0
    v = y[:2]
    y += 1.0
    with pytest.raises(errors.UnsupportedError, match="view"):
        v.exp()


def test_in_place_checks_shape_and_dtype():
    x = Tensor(np.zeros(3, np.float32))
    with pytest.raises(errors.ShapeError):
        x += np.zeros((2, 3), np.float32)
    i = Tensor(np.zeros(3, np.int64))
    with pytest.raises(errors.DTypeError):
        i += 0.5


def test_in_place_with_overlapping_operand():
    x = Tensor(np.arange(5.0))
    x[1:] = x[:-1]
    assert np.array_equal(x.numpy(), [0, 0, 1, 2, 3])
    y = Tensor(np.arange(4.0))
    y += Tensor(y.numpy()[::-1])
    assert np.array_equal(y.numpy(), [3, 3, 3, 3])


def test_views_share_storage_and_version():
    x = Tensor(np.zeros((2, 3)))
    v = x.reshape(3, 2)
    v[0] = 1.0
    assert x.numpy()[0, 0] == 1.0
    assert x._counter is v._counter


def test_no_grad_as_context_and_decorator():
    x = leaf(2)
    with fastdl.no_grad():
        assert not (x * 2.0).requires_grad
        with fastdl.enable_grad():
            assert (x * 2.0).requires_grad

    @fastdl.no_grad
    def bare():
        "Doc."
        return fastdl.is_grad_enabled()

    @fastdl.enable_grad
    def on():
        return fastdl.is_grad_enabled()

    assert not bare() and bare.__name__ == "bare" and bare.__doc__ == "Doc."
    with fastdl.no_grad():
        assert on() and not fastdl.is_grad_enabled()

    @fastdl.no_grad()
    def double(t):
        return t * 2.0

    assert not double(x).requires_grad
    assert fastdl.is_grad_enabled()


def test_grad_leaves_dot_grad_alone():
    x, unused = leaf(2), leaf(2)
    y = (x * x).sum()
    (g,) = fastdl.grad(y, x, retain_graph=True)
    assert x.grad is None and np.array_equal(g.numpy(), 2 * x.detach().numpy())
    with pytest.raises(errors.AutogradError, match="do not depend"):
        fastdl.grad(y, [x, unused], retain_graph=True)
    assert fastdl.grad(y, [x, unused], allow_unused=True)[1] is None


def test_grad_of_an_intermediate():
    x = leaf(2)
    y = x * 3.0
    z = (y * y).sum()
    (g,) = fastdl.grad(z, y)
    assert np.array_equal(g.numpy(), 2 * y.detach().numpy())


def test_value_and_grad():
    value, gradient = fastdl.value_and_grad(lambda a, b: (a * b).sum())(np.ones(2), np.arange(2.0))
    assert value.item() == 1.0 and np.array_equal(gradient.numpy(), [0, 1])
    _, (ga, gb) = fastdl.value_and_grad(lambda a, b: (a * b).sum(), argnums=(0, 1))(
        np.ones(2), np.arange(2.0)
    )
    assert np.array_equal(ga.numpy(), [0, 1]) and np.array_equal(gb.numpy(), [1, 1])


def test_mixed_dtypes_give_each_its_own():
    a = leaf(3, dtype=np.float32)
    b = leaf(3, dtype=np.float64)
    (a * b).sum().backward()
    assert a.grad.dtype == np.float32 and b.grad.dtype == np.float64


def test_broadcasting_gradients_have_the_operands_shapes():
    a, b, c = leaf(2, 1, 3), leaf(4, 1), leaf()
    (a * b + c).sum().backward()
    assert [t.grad.shape for t in (a, b, c)] == [(2, 1, 3), (4, 1), ()]


def test_numpy_of_a_tensor_that_requires_grad():
    with pytest.raises(errors.AutogradError, match="detach"):
        leaf(2).numpy()


def test_parameter_numpy_is_read_only_unless_asked():
    p = Parameter(np.zeros(2, np.float32))
    with pytest.raises(ValueError):
        p.numpy()[0] = 1
    version = p._counter.value
    p.numpy(writeable=True)[0] = 1
    assert p._counter.value == version + 1


def test_to_device_names_what_is_missing():
    with pytest.raises(errors.DeviceError, match=r"CuPy|GPU"):
        Tensor(np.zeros(2)).to("cuda")
    with pytest.raises(errors.DeviceError, match="want 'cpu'"):
        Tensor(np.zeros(2)).to(device="tpu")
    t = Tensor(np.zeros(2))
    assert t.to("cpu") is t and t.device.type == "cpu"


def test_to_dtype_is_differentiable():
    x = leaf(3, dtype=np.float32)
    x.to(np.float64).sum().backward()
    assert x.grad.dtype == np.float32


def test_bfloat16_is_plumbed(monkeypatch):
    pytest.importorskip("ml_dtypes")
    monkeypatch.setattr(dispatch, "_warned", set())
    with pytest.warns(errors.FallbackWarning, match="add"):
        x = Tensor(np.ones(3, np.float32)).to("bfloat16")
        assert x.dtype.name == "bfloat16"
        y = x + x
    assert y.dtype.name == "bfloat16" and float(y.float().sum()) == 6.0


def test_out_is_not_differentiable():
    x = leaf(2)
    with pytest.raises(errors.AutogradError, match="out="):
        F.exp(x, out=np.empty(2))


def test_scalars_and_item():
    t = fastdl.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert t.dtype == np.float32 and t.sum().item() == 10.0 and len(t) == 2
    assert (2.0 - t).tolist() == [[1.0, 0.0], [-1.0, -2.0]]
    assert (np.ones((2, 2), np.float32) + t).tolist() == [[2.0, 3.0], [4.0, 5.0]]


def test_in_place_needs_only_what_its_gradient_reads():
    x = Tensor(np.array([1.0, 2.0]), requires_grad=True)
    y = x + 1.0
    y *= 3.0
    y /= Tensor(np.array([2.0, 4.0]))
    y.sum().backward()
    assert np.array_equal(x.grad.numpy(), [1.5, 0.75])


def test_a_frozen_factor_does_not_keep_the_other():
    """Nothing is saved, and so nothing checked, for a gradient that nobody wants."""
    w, frozen = leaf(3, 2), Tensor(np.ones((4, 3)))
    loss = (F.matmul(frozen, w) * 2.0).sum()
    with fastdl.no_grad():
        w += 1.0  # an optimiser's step between forward and backward
    loss.backward()
    assert np.array_equal(w.grad.numpy(), np.full((3, 2), 8.0))


def test_second_backward_through_what_saved_nothing():
    x = leaf(3)
    shared = x + 1.0
    (shared * 2.0).sum().backward()
    (shared * 3.0).sum().backward()
    assert np.array_equal(x.grad.numpy(), np.full(3, 5.0))


def test_in_place_stores_a_wider_result_as_torch_does():
    x = Tensor(np.ones(2, np.float32), requires_grad=True)
    w = Tensor(np.array([2.0, 3.0]), requires_grad=True)
    y = x * np.float32(1.0)
    y += w
    assert y.dtype == np.float32
    y.sum().backward()
    assert x.grad.dtype == np.float32 and w.grad.dtype == np.float64
    i = Tensor(np.full(2, 250, np.uint8))
    i += Tensor(np.full(2, 10, np.int64))
    assert i.tolist() == [4, 4] and i.dtype == np.uint8


def test_backward_of_a_stale_view_is_refused():
    x = leaf(2)
    y = x * 2.0
    v = y[0]
    y.exp_()
    with pytest.raises(errors.UnsupportedError, match="backward: this view"):
        v.backward()


def test_view_of_what_got_a_history_later_is_refused():
    w, total = leaf(2), Tensor(np.zeros(2))
    v = total[0]
    total += w
    with pytest.raises(errors.UnsupportedError, match="view"):
        v * 2.0  # torch's v would require grad now


def test_detached_and_unrecorded_views_follow_their_storage():
    p = Parameter(np.zeros(3))
    d = p.detach()[1:]
    y = p * 2.0
    e = y.detach()
    with fastdl.no_grad():
        v = p[0]
        p += 1.0
    y += 1.0
    assert (d * 2.0).tolist() == [2.0, 2.0] and (v * 2.0).item() == 2.0
    assert (e[0] + 0.0).item() == 1.0


def test_index_may_change_after_the_call():
    x, index = leaf(3), np.array([0, 0])
    y = x[index]
    index[:] = 2
    y.sum().backward()
    assert np.array_equal(x.grad.numpy(), [2, 0, 0])


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (None, errors.DTypeError),
        ("3", errors.DTypeError),
        (1j, errors.DTypeError),
        (np.array(1j), errors.DTypeError),
        ([1.0, None], errors.DTypeError),
        ([[1.0], [1.0, 2.0]], errors.ArgumentError),
    ],
)
def test_only_numbers_are_assigned(value, error):
    x = Tensor(np.zeros(2, np.float32))
    with pytest.raises(error, match="setitem: value"):
        x[:] = value
    assert x.tolist() == [0.0, 0.0]


def test_assigned_number_must_fit():
    x = Tensor(np.zeros(2, np.uint8))
    with pytest.raises(errors.ArgumentError, match="300"):
        x[0] = 300


def test_dtype_of_arrays_of_other_libraries_is_kept():
    torch = pytest.importorskip("torch")
    assert Tensor(torch.ones(2, dtype=torch.float64)).dtype == np.float64


def test_max_over_a_dim_names_its_parts():
    result = fastdl.tensor([[1.0, 3.0], [4.0, 2.0]]).max(1)
    assert result.values.tolist() == [3.0, 4.0] and result.indices.tolist() == [1, 0]


def test_one_element_is_a_number():
    assert float(Tensor(np.array([1.5]))) == 1.5 and int(Tensor(np.array([[2]]))) == 2


def test_what_shares_a_parameters_storage_is_read_only_too():
    p = Parameter(np.zeros(2))
    for shared in (p.detach(), p.data, p.detach()[0:1]):
        assert not shared.numpy().flags.writeable
    version = p._counter.value
    p.detach()[0] = 1.0
    assert p._counter.value == version + 1


def test_refused_out_is_not_counted_as_written():
    x, out = Tensor(np.ones(2)), Tensor(np.ones(3))
    with pytest.raises(errors.ShapeError):
        F.exp(x, out=out)
    assert out._counter.value == 0


def test_grad_refuses_what_is_no_tensor_and_other_counts():
    x = leaf(2)
    y = x.sum()
    with pytest.raises(errors.DTypeError, match="float"):
        fastdl.grad(3.0, x)
    with pytest.raises(errors.ArgumentError, match="got 2, want 1"):
        fastdl.grad(y, x, [np.ones(()), np.ones(())])
    with pytest.raises(errors.DTypeError, match="complex"):
        y.backward(np.ones((), complex))


def test_explain_takes_tensors():
    x = Tensor(np.ones((2, 2), np.float32))
    assert fastdl.explain("matmul", x, x).backend == "native"


@pytest.mark.parametrize("n", [0, 4097, 1.5, "2", True])
def test_number_of_threads_is_checked(n):
    before = fastdl.get_num_threads()
    with pytest.raises((errors.ArgumentError, errors.DTypeError), match="set_num_threads: n"):
        fastdl.set_num_threads(n)
    assert fastdl.get_num_threads() == before


def test_alpha_multiplies_in_the_promoted_dtype():
    one = np.ones(2)
    assert F.add(one, np.ones(2, np.int64), alpha=0.1)[0] == 1.1
    assert F.add(one, np.ones(2, np.float32), alpha=0.1)[0] == 1.1


def test_out_of_one_place_for_many_is_refused():
    out = np.lib.stride_tricks.as_strided(np.zeros(1), (3,), (0,))
    with fastdl.use_backend("reference"), pytest.raises(errors.OverlapError, match="out"):
        F.exp(np.ones(3), out=out)


def test_fallback_warning_points_at_the_caller(monkeypatch):
    monkeypatch.setattr(dispatch, "_warned", set())
    with pytest.warns(errors.FallbackWarning) as caught:
        F.matmul(np.ones((2, 2), np.int64), np.ones((2, 2), np.int64))
    assert caught[0].filename == __file__


def test_out_may_be_a_tensor_where_no_input_is():
    a, out = np.ones(3), Tensor(np.zeros(3))
    assert F.add(a, a, out=out) is out
    assert (out.numpy() == 2).all()
    outs = Tensor(np.zeros((1, 1, 1, 1))), Tensor(np.zeros((1, 1, 1, 1), np.int64))
    assert F.max_pool2d(np.ones((1, 1, 2, 2)), 2, return_indices=True, out=outs) is outs
    with pytest.raises(errors.AutogradError, match="out="):
        F.add(a, a, out=leaf(3))


@pytest.mark.parametrize("call", [fastdl.explain, lambda name, *a: dispatch.OPS[name](*a)])
def test_a_missing_option_is_named(call):
    x = np.ones((1, 1, 4, 4))
    for arrays in ((x,), (Tensor(x),)):
        with pytest.raises(errors.ArgumentError, match="max_pool2d: kernel_size"):
            call("max_pool2d", *arrays)
        with pytest.raises(errors.ArgumentError, match="log_softmax: dim"):
            call("log_softmax", *arrays)
