"""Activations and their layers agree with torch: values, first and second gradients, kinks."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import agreement  # noqa: E402
from agreement import check_gradients, normal  # noqa: E402
from test_elementwise_math import draw, shape_of  # noqa: E402

import fastdl  # noqa: E402
import fastdl.functional as F  # noqa: E402
from fastdl import errors, nn  # noqa: E402

TF = torch.nn.functional
CONFIGS = getattr(agreement, "CONFIGS", 8)

# name -> random options
OPTIONS = {
    "leaky_relu": lambda r: {"negative_slope": float(r.choice([0.01, 0.2, 1.5]))},
    "elu": lambda r: {"alpha": float(r.choice([1.0, 0.3, 2.0]))},
    "selu": lambda r: {},
    "celu": lambda r: {"alpha": float(r.choice([1.0, 0.3, 2.0]))},
    "gelu": lambda r: {"approximate": str(r.choice(["none", "tanh"]))},
    "silu": lambda r: {},
    "mish": lambda r: {},
    "softplus": lambda r: {
        "beta": float(r.choice([1, 2, 0.5])),
        "threshold": float(r.choice([20, 3])),
    },
    "softsign": lambda r: {},
    "tanhshrink": lambda r: {},
    "hardtanh": lambda r: {
        "min_val": -float(r.choice([1, 0.3])),
        "max_val": float(r.choice([1, 2])),
    },
    "hardsigmoid": lambda r: {},
    "hardswish": lambda r: {},
    "relu6": lambda r: {},
    "logsigmoid": lambda r: {},
    "threshold": lambda r: {"threshold": 0.3, "value": float(r.choice([0, -2]))},
    "glu": lambda r: {},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_values_and_gradients(name):
    """float32 against torch's float64: at most 16 roundings of terms as large as g·(1 + |x|), each
    carried on by a factor of at most 2. (The sharp bounds are the specs'.)"""
    for seed in range(CONFIGS):
        rng = np.random.default_rng(seed)
        options = OPTIONS[name](rng)
        shape = (*shape_of(rng), 4) if name == "glu" else shape_of(rng)
        x = draw(rng, shape, rng.choice([1.0, 4.0]))
        mine = fastdl.Tensor(x, requires_grad=True)
        peer = torch.from_numpy(x.astype(np.float64)).requires_grad_()
        y, z = getattr(F, name)(mine, **options), getattr(TF, name)(peer, **options)
        assert y.dtype == np.float32 and tuple(y.shape) == tuple(z.shape)
        g = np.asarray(rng.standard_normal(tuple(z.shape)), np.float32)
        y.backward(g)
        z.backward(torch.from_numpy(g.astype(np.float64)))
        terms = (1 + np.abs(x).max(initial=0)) * (1 + np.abs(g).max(initial=0))
        for got, want in ((y.detach(), z.detach()), (mine.grad, peer.grad)):
            error = np.abs(got.numpy() - want.numpy())
            assert np.all(error <= 2 * 16 * 2.0**-24 * terms * (1 + np.abs(want.numpy())))


# torch's hardsigmoid multiplies by 1/6 rounded to float32, also in float64.
@pytest.mark.parametrize("name", [name for name in OPTIONS if name != "hardsigmoid"])
def test_second_gradients(name):
    options = OPTIONS[name](np.random.default_rng(3))
    x = normal(3, 6, dtype=np.float64)
    check_gradients(name, x, ours=getattr(F, name), theirs=getattr(TF, name), **options)


@pytest.mark.parametrize("name", OPTIONS)
def test_kinks_and_special_values(name):
    x = np.array([-3, 3, 0.0, -0.0, 6, -1, 1, np.nan, 0.3, 90, -90, 20, -20, 1e-30])
    options = OPTIONS[name](np.random.default_rng(0))
    if name == "threshold":
        options = {"threshold": 0.0, "value": 0.5}
    mine, peer = fastdl.Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y, z = getattr(F, name)(mine, **options), getattr(TF, name)(peer, **options)
    y.sum().backward()
    z.sum().backward()
    np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), rtol=1e-12, atol=1e-15)
    got, want = mine.grad.numpy(), peer.grad.numpy()
    if name in ("hardtanh", "relu6"):  # torch lets a NaN's gradient pass in float32 and not here
        got, want = got[~np.isnan(x)], want[~np.isnan(x)]
    rounded = 2.0**-24 if name == "hardsigmoid" else 1e-12
    np.testing.assert_allclose(got, want, rtol=rounded, atol=1e-15)


@pytest.mark.parametrize(
    "shape, count", [((4, 3), 3), ((4, 3, 5), 3), ((2, 3, 4, 5), 1), ((7,), 1)]
)
def test_prelu(shape, count):
    x, w = normal(*shape, dtype=np.float64), np.abs(normal(count, seed=1, dtype=np.float64))
    check_gradients("prelu", x, w, ours=F.prelu, theirs=TF.prelu)
    with pytest.raises(errors.ShapeError, match="prelu"):
        F.prelu(x, np.ones(count + 1))


def test_bad_arguments():
    x = normal(3, 5)
    for call, error in (
        (lambda: F.gelu(x, "exact"), errors.ArgumentError),
        (lambda: F.hardtanh(x, 1.0, -1.0), errors.ArgumentError),
        (lambda: F.celu(x, 0.0), errors.ArgumentError),
        (lambda: F.glu(x), errors.ShapeError),
        (lambda: F.glu(x, 5), errors.IndexRangeError),
        (lambda: F.silu(np.arange(3)), errors.DTypeError),
        (lambda: nn.ELU(1.0, False, 3), errors.ArgumentError),
        (lambda: nn.ELU(beta=1.0), errors.ArgumentError),
    ):
        with pytest.raises(error):
            call()


@pytest.mark.parametrize("name", ["leaky_relu", "elu", "selu", "celu", "silu", "mish", "hardswish",
                                  "hardsigmoid", "hardtanh", "relu6"])  # fmt: skip
def test_in_place(name):
    x = normal(3, 5)
    want = getattr(F, name)(x)
    t = fastdl.Tensor(x.copy())
    assert getattr(F, name)(t, inplace=True) is t
    np.testing.assert_array_equal(t.numpy(), want)
    leaf = fastdl.Tensor(x.copy(), requires_grad=True)
    y = leaf * 2
    getattr(F, name)(y, inplace=True).sum().backward()
    again = fastdl.Tensor(x.copy(), requires_grad=True)
    getattr(F, name)(again * 2).sum().backward()
    np.testing.assert_array_equal(leaf.grad.numpy(), again.grad.numpy())


LAYERS = [("LeakyReLU", (0.2,)), ("ReLU6", ()), ("Hardtanh", (-2.0, 2.0)), ("ELU", (0.5,)),
          ("SELU", ()), ("CELU", (2.0,)), ("GELU", ()), ("GELU", ("tanh",)), ("SiLU", ()),
          ("Mish", ()), ("Softplus", (2.0, 5.0)), ("LogSigmoid", ()), ("Softsign", ()),
          ("Tanhshrink", ()), ("Hardsigmoid", ()), ("Hardswish", ()), ("Threshold", (0.1, 2.0)),
          ("GLU", (1,)), ("PReLU", ()), ("PReLU", (4,)), ("Identity", (1, 2))]  # fmt: skip


@pytest.mark.parametrize("name, args", LAYERS)
def test_layers(name, args):
    x = normal(3, 4, 5)
    ours, theirs = getattr(nn, name)(*args), getattr(torch.nn, name)(*args)
    got, want = ours(fastdl.Tensor(x)), theirs(torch.tensor(x))
    np.testing.assert_allclose(got.detach().numpy(), want.detach().numpy(), rtol=1e-5, atol=1e-6)
    assert repr(ours) == repr(theirs)
