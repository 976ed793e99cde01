"""Weights as length and direction agree with torch: values, gradients, names in the state_dict."""

import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import fastdl  # noqa: E402
from fastdl import errors, nn  # noqa: E402


@pytest.mark.parametrize("dim", [0, 1, None])
@pytest.mark.parametrize("newer", [False, True])
@pytest.mark.parametrize("layer", ["Linear", "Conv2d"])
def test_agrees(dim, newer, layer):
    args = (3, 4) if layer == "Linear" else (3, 4, 3)
    theirs, mine = getattr(torch.nn, layer)(*args).double(), getattr(nn, layer)(*args).double()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        home = torch.nn.utils.parametrizations if newer else torch.nn.utils
        theirs = home.weight_norm(theirs, dim=dim)
    own = nn.utils.parametrizations if newer else nn.utils
    mine = own.weight_norm(mine, dim=dim)
    assert list(mine.state_dict()) == list(theirs.state_dict())
    mine.load_state_dict(theirs.state_dict())
    shape = (2, 3) if layer == "Linear" else (2, 3, 5, 5)
    x = np.random.default_rng(0).standard_normal(shape)
    ours, peer = mine(fastdl.from_numpy(x)), theirs(torch.tensor(x))
    (ours * ours).sum().backward()
    (peer * peer).sum().backward()
    # Some hundred terms in float64 on both sides.
    np.testing.assert_allclose(ours.detach().numpy(), peer.detach().numpy(), rtol=0, atol=1e-12)
    for (name, p), (other, q) in zip(
        mine.named_parameters(), theirs.named_parameters(), strict=True
    ):
        assert name == other
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=0, atol=1e-10)


def test_removed():
    layer = nn.Linear(3, 4)
    before = layer.weight.detach().numpy().copy()
    nn.utils.weight_norm(layer)
    with pytest.raises(errors.ArgumentError):
        nn.utils.weight_norm(layer)
    nn.utils.remove_weight_norm(layer)
    assert set(layer.state_dict()) == {"weight", "bias"}
    assert isinstance(layer.weight, fastdl.Parameter)
    np.testing.assert_allclose(layer.weight.numpy(), before, rtol=1e-6)
    layer(fastdl.ones(1, 3))
    with pytest.raises(errors.ArgumentError):
        nn.utils.remove_weight_norm(layer)
    with pytest.raises(errors.ArgumentError):
        nn.utils.weight_norm(layer, "scale")
