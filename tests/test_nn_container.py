"""Containers and initial values."""

import math

import numpy as np
import pytest

import fastdl
from fastdl import nn
from fastdl.core.errors import ArgumentError, DTypeError, IndexRangeError, ShapeError
from fastdl.nn import init


def test_module_list():
    layers = nn.ModuleList([nn.Linear(2, 3), nn.ReLU()])
    layers.append(nn.Linear(3, 1))
    layers.insert(1, nn.Linear(3, 3))
    assert list(layers.state_dict()) == [f"{i}.{n}" for i in (0, 1, 3) for n in ("weight", "bias")]
    assert len(layers) == 4
    assert layers[-1] is layers[3]
    assert [type(m).__name__ for m in layers[1:3]] == ["Linear", "ReLU"]
    layers[2] = nn.Tanh()
    assert isinstance(layers[2], nn.Tanh)
    assert isinstance(layers.pop(2), nn.Tanh)
    del layers[0]
    layers += [nn.ReLU()]
    assert len(layers + [nn.ReLU()]) == 4  # noqa: RUF005
    with pytest.raises(IndexRangeError):
        layers[9]
    with pytest.raises(DTypeError):
        layers.append("layer")


def test_module_dict():
    heads = nn.ModuleDict({"a": nn.Linear(2, 3)})
    heads["b"] = nn.Linear(2, 1)
    assert list(heads) == list(heads.keys()) == ["a", "b"]
    assert "a" in heads
    assert dict(heads.items())["b"] is heads["b"]
    assert list(heads.state_dict()) == ["a.weight", "a.bias", "b.weight", "b.bias"]
    assert heads.pop("a").weight.shape == (3, 2)
    assert len(heads) == len(list(heads.values())) == 1
    with pytest.raises(DTypeError):
        heads["c"] = 1


def test_parameter_containers():
    weights = nn.ParameterList([fastdl.ones(2), nn.Parameter(fastdl.zeros(3))])
    weights[0] = fastdl.zeros(4)
    assert [name for name, _ in weights.named_parameters()] == ["0", "1"]
    assert weights[0].requires_grad
    assert weights[-1].shape == (3,)
    table = nn.ParameterDict({"w": fastdl.ones(2)})
    table["v"] = fastdl.ones(1)
    assert list(table.state_dict()) == ["w", "v"]
    assert "w" in table
    with pytest.raises(DTypeError):
        weights.append(1.0)
    with pytest.raises(ArgumentError):
        table["a.b"] = fastdl.ones(1)


@pytest.mark.parametrize("shape", [(400, 300), (64, 32, 5, 5)])
def test_variances_are_those_of_the_formulas(shape):
    """Of 10^4 and more values a sample variance is within 5% of the variance, at 5 sigma."""
    fan_in, fan_out = math.prod(shape[1:]), shape[0] * math.prod(shape[2:])
    expected = {
        init.xavier_uniform_: 2 / (fan_in + fan_out),
        init.xavier_normal_: 2 / (fan_in + fan_out),
        init.kaiming_uniform_: 2 / fan_in,
        init.kaiming_normal_: 2 / fan_in,
        init.normal_: 1.0,
        init.uniform_: 1 / 12,
    }
    fastdl.manual_seed(0)
    w = fastdl.empty(*shape)
    for function, variance in expected.items():
        assert abs(function(w).numpy().var() / variance - 1) < 0.05, function.__name__
    init.kaiming_normal_(w, mode="fan_out", nonlinearity="relu")
    assert abs(w.numpy().var() / (2 / fan_out) - 1) < 0.05
    init.trunc_normal_(w, 1.0, 2.0, 0.0, 1.5)
    assert 0 <= w.numpy().min() < w.numpy().max() <= 1.5


def test_exact_initialisations_agree_with_torch():
    torch = pytest.importorskip("torch")
    for shape, groups in (((4, 2, 3), 1), ((4, 2, 3, 3), 2), ((6, 3, 1, 2, 3), 3)):
        ours = init.dirac_(fastdl.empty(*shape), groups)
        theirs = torch.nn.init.dirac_(torch.empty(*shape), groups)
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    np.testing.assert_array_equal(init.eye_(fastdl.empty(2, 3)).numpy(), np.eye(2, 3))
    for name in ("linear", "conv2d", "sigmoid", "tanh", "relu", "selu", "leaky_relu"):
        assert init.calculate_gain(name) == pytest.approx(torch.nn.init.calculate_gain(name), abs=0)
    assert init.calculate_gain("leaky_relu", 0.2) == torch.nn.init.calculate_gain("leaky_relu", 0.2)


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4), (3, 2, 2)])
def test_orthogonal(shape):
    w = init.orthogonal_(fastdl.empty(*shape, dtype="float64"), gain=2.0).numpy()
    w = w.reshape(shape[0], -1)
    small = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    assert abs(small - 4 * np.eye(len(small))).max() < 2**-45


def test_sparse():
    w = init.sparse_(fastdl.empty(10, 4), sparsity=0.35).numpy()
    assert ((w == 0).sum(axis=0) == 4).all()


@pytest.mark.parametrize(
    "call, error",
    [
        (lambda: init.xavier_uniform_(fastdl.empty(3)), ShapeError),
        (lambda: init.eye_(fastdl.empty(3)), ShapeError),
        (lambda: init.dirac_(fastdl.empty(3, 2, 1), 2), ArgumentError),
        (lambda: init.kaiming_normal_(fastdl.empty(3, 2), mode="fan"), ArgumentError),
        (lambda: init.calculate_gain("swish"), ArgumentError),
        (lambda: init.trunc_normal_(fastdl.empty(3), a=1, b=0), ArgumentError),
        (lambda: init.trunc_normal_(fastdl.empty(3), a=50, b=60), ArgumentError),
    ],
)
def test_bad_input(call, error):
    with pytest.raises(error):
        call()
