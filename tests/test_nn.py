"""Modules: registration, state_dict with torch's keys, initial values, printing."""

import numpy as np
import pytest

import fastdl
from fastdl import errors, nn
from fastdl.core.shapes import is_channels_last


def small():
    return nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 4))


def test_state_dict_has_torchs_keys_and_shapes():
    shapes = {k: v.shape for k, v in small().state_dict().items()}
    assert shapes == {
        "0.weight": (3, 2, 3, 3),
        "0.bias": (3,),
        "3.weight": (4, 12),
        "3.bias": (4,),
    }


def test_load_state_dict_from_arrays_and_back():
    a, b = small(), small()
    result = b.load_state_dict({k: v.numpy().astype(np.float64) for k, v in a.state_dict().items()})
    assert result == ([], [])
    x = np.random.default_rng(0).standard_normal((2, 2, 4, 4)).astype(np.float32)
    x = fastdl.Tensor(x)
    assert np.array_equal(a(x).detach().numpy(), b(x).detach().numpy())


def test_load_state_dict_refuses_and_changes_nothing():
    net = small()
    before = {k: v.numpy().copy() for k, v in net.state_dict().items()}
    good = {k: np.zeros_like(v) for k, v in before.items()}
    with pytest.raises(KeyError, match="missing"):
        net.load_state_dict({k: v for k, v in good.items() if k != "0.bias"})
    with pytest.raises(KeyError, match="unexpected"):
        net.load_state_dict({**good, "more": np.zeros(1)})
    with pytest.raises(errors.ShapeError, match=r"3\.bias"):
        net.load_state_dict({**good, "3.bias": np.zeros(5)})
    assert all(np.array_equal(before[k], v.numpy()) for k, v in net.state_dict().items())
    result = net.load_state_dict({"0.bias": np.ones(3)}, strict=False)
    assert result.missing_keys == ["0.weight", "3.weight", "3.bias"]


def test_torch_state_and_outputs_agree():
    torch = pytest.importorskip("torch")
    theirs = torch.nn.Sequential(
        torch.nn.Conv2d(2, 3, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(12, 4)
    ).double()
    ours = small().double()
    ours.load_state_dict(theirs.state_dict())
    assert list(ours.state_dict()) == list(theirs.state_dict())
    x = np.random.default_rng(0).standard_normal((2, 2, 4, 4))
    got = ours(fastdl.Tensor(x)).detach().numpy()
    want = theirs(torch.from_numpy(x)).detach().numpy()
    # 12 and 18 products an output, values of order 1: a few hundred roundings bound it.
    assert np.abs(got - want).max() <= 300 * 2.0**-53


def test_default_initial_values_have_torchs_range():
    fastdl.manual_seed(0)
    layer = nn.Linear(100, 400)
    w = layer.weight.numpy()
    assert np.abs(w).max() <= 0.1 and np.abs(w).max() > 0.0999
    assert abs(w.std() - 0.1 / np.sqrt(3)) < 1e-3
    fastdl.manual_seed(0)
    assert np.array_equal(nn.Linear(100, 400).weight.numpy(), w)


def test_train_eval_parameters_and_apply():
    net = small()
    assert len(list(net.parameters())) == 4
    assert not net.eval().training and not net[0].training
    seen = []
    net.apply(lambda m: seen.append(type(m).__name__))
    assert seen == ["Conv2d", "ReLU", "Flatten", "Linear", "Sequential"]


def test_shared_parameter_counts_once():
    net = small()
    net.append(net[3])
    assert len(list(net.parameters())) == 4


def test_no_bias_and_reprs():
    layer = nn.Linear(2, 3, bias=False)
    assert layer.bias is None and list(layer.state_dict()) == ["weight"]
    assert "Linear(in_features=2, out_features=3, bias=False)" in repr(nn.Sequential(layer))


def test_buffers_are_state_but_not_parameters():
    loss = nn.CrossEntropyLoss(weight=np.ones(3, np.float32))
    assert list(loss.state_dict()) == ["weight"] and not list(loss.parameters())


def test_module_errors():
    class Forgets(nn.Module):
        def __init__(self):
            self.layer = nn.Linear(1, 1)

    with pytest.raises(AttributeError, match="super"):
        Forgets()
    with pytest.raises(errors.DTypeError, match="weight"):
        nn.Linear(1, 1).weight = np.zeros((1, 1))
    with pytest.raises(errors.ArgumentError, match="groups"):
        nn.Conv2d(3, 4, 1, groups=2)
    with pytest.raises(errors.DTypeError, match="float"):
        nn.Linear(1, 1).to(np.int64)


def test_relu_inplace():
    net = nn.Sequential(nn.Linear(3, 3), nn.ReLU(inplace=True))
    x = fastdl.Tensor(np.random.default_rng(0).standard_normal((2, 3)).astype(np.float32))
    net(x).sum().backward()
    assert net[0].weight.grad is not None


def test_functional_is_functional():
    assert nn.functional is fastdl.functional


def test_state_dict_of_a_shared_module_has_both_names():
    shared = nn.Linear(2, 2)
    net = nn.Sequential(shared, nn.ReLU(), shared)
    assert list(net.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    net.load_state_dict(net.state_dict())
    assert len(list(net.parameters())) == 2


def test_state_dict_has_torchs_order():
    class Inner(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("running", fastdl.Tensor(np.zeros(1)))
            self.linear = nn.Linear(1, 1)

    assert list(nn.Sequential(Inner(), nn.Linear(1, 1)).state_dict()) == [
        "0.running", "0.linear.weight", "0.linear.bias", "1.weight", "1.bias",
    ]  # fmt: skip


def test_memory_format_of_a_network():
    """The convolutions' weights are laid out anew, other parameters and all numbers stay."""
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8))
    x = fastdl.randn(2, 3, 9, 9)
    plain = net(x).detach().numpy()
    assert net.to(memory_format=fastdl.channels_last) is net
    assert is_channels_last(net[0].weight.detach().numpy()) and net[1].weight.shape == (8,)
    y = net(x.contiguous(memory_format=fastdl.channels_last))
    np.testing.assert_allclose(y.detach().numpy(), plain, rtol=1e-5, atol=1e-5)
    y.sum().backward()
    assert is_channels_last(net[0].weight.grad.numpy())
    assert is_channels_last(y.detach().numpy())


def test_cast_keeps_gradients():
    net = nn.Linear(2, 1)
    net(fastdl.Tensor(np.ones((3, 2), np.float32))).sum().backward()
    version = net.weight._counter.value
    assert net.float().weight.grad.tolist() == [[3.0, 3.0]]
    assert net.weight._counter.value == version
    assert net.double().weight.grad.dtype == np.float64


@pytest.mark.parametrize("dtype", [complex, object])
def test_load_refuses_what_no_tensor_holds(dtype):
    net = nn.Linear(2, 1)
    before = net.weight.numpy().copy()
    with pytest.raises(errors.DTypeError, match="bias"):
        net.load_state_dict({"weight": np.ones((1, 2)), "bias": np.ones(1, dtype)})
    assert np.array_equal(net.weight.numpy(), before)
    with pytest.raises(errors.DTypeError, match="want a dict"):
        net.load_state_dict([1])


def test_conv2d_options_are_torchs_pairs():
    conv = nn.Conv2d(1, 2, np.int64(3), padding=1, dilation=2, bias=False)
    assert (conv.kernel_size, conv.stride, conv.padding) == ((3, 3), (1, 1), (1, 1))
    assert repr(conv) == (
        "Conv2d(1, 2, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), dilation=(2, 2),"
        " bias=False)"
    )
    with pytest.raises(errors.ArgumentError, match="same"):
        nn.Conv2d(1, 2, 3, stride=2, padding="same")


def test_buffers_outside_the_state():
    module = nn.Module()
    module.register_buffer("mask", fastdl.Tensor(np.ones(2)), persistent=False)
    module.register_buffer("mean", fastdl.Tensor(np.ones(2)))
    assert list(module.state_dict()) == ["mean"]
    assert [name for name, _ in module.named_buffers()] == ["mask", "mean"]
    module.load_state_dict({"mean": np.zeros(2)})
    module.register_buffer("mask", fastdl.Tensor(np.ones(2)))
    assert sorted(module.state_dict()) == ["mask", "mean"]


def test_forward_hooks():
    class Scale(nn.Module):
        def forward(self, x, by=1):
            return x * by

    module, x, seen = Scale(), np.ones(2), []
    first = module.register_forward_pre_hook(lambda m, args: seen.append("first"))
    module.register_forward_pre_hook(lambda m, args: (args[0] + 1,))
    module.register_forward_pre_hook(
        lambda m, args, kwargs: (args, {"by": kwargs["by"] * 2}), with_kwargs=True
    )
    module.register_forward_pre_hook(lambda m, args: seen.append("zeroth"), prepend=True)
    last = module.register_forward_hook(lambda m, args, y: y + args[0])
    module.register_forward_hook(
        lambda m, args, kwargs, y: seen.append(kwargs["by"]), with_kwargs=True
    )
    assert (module(x, by=3) == 2 * 6 + 2).all()
    assert seen == ["zeroth", "first", 6]
    first.remove()
    first.remove()
    with last:
        pass
    assert (module(x, by=1) == 4).all() and seen[3:] == ["zeroth", 2]
