"""Layers of convolution, pooling, padding and resampling: torch's state, results and printing."""

import copy

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from product_agreement import draw, ours, theirs

import fastdl
from fastdl import nn

LAYERS = [
    ("Conv1d", (4, 6, 3), {"stride": 2, "padding": 1}, (2, 4, 9)),
    ("Conv1d", (4, 6, 3), {"padding": "same", "padding_mode": "circular"}, (2, 4, 9)),
    ("Conv2d", (4, 6, 3), {"padding": 2, "padding_mode": "reflect", "groups": 2}, (2, 4, 5, 6)),
    ("Conv2d", (4, 6, (2, 3)), {"padding": (1, 2), "padding_mode": "replicate"}, (2, 4, 5, 6)),
    ("Conv2d", (3, 5, 4), {"padding": "same", "padding_mode": "reflect"}, (2, 3, 7, 6)),
    ("Conv3d", (3, 2, (2, 1, 3)), {"dilation": 2, "bias": False}, (1, 3, 5, 4, 6)),
    ("Conv3d", (3, 2, 3), {"padding": 1, "padding_mode": "circular"}, (1, 3, 5, 4, 6)),
    ("ConvTranspose1d", (4, 2, 3), {"stride": 2, "output_padding": 1}, (2, 4, 5)),
    ("ConvTranspose2d", (4, 6, 4), {"stride": 2, "padding": 1, "groups": 2}, (2, 4, 5, 3)),
    ("ConvTranspose2d", (4, 3, 3), {"dilation": 2, "bias": False}, (4, 4, 3)),
    ("ConvTranspose3d", (2, 3, 3), {"stride": (1, 2, 2), "padding": 1}, (1, 2, 3, 4, 2)),
    ("MaxPool1d", (3,), {"stride": 2, "padding": 1}, (2, 3, 9)),
    ("MaxPool3d", (2,), {"ceil_mode": True}, (2, 3, 5, 4, 5)),
    ("AvgPool1d", (2,), {}, (2, 3, 9)),
    ("AvgPool2d", (2,), {"count_include_pad": False, "padding": 1}, (2, 3, 6, 5)),
    ("AvgPool3d", (2, 1), {"divisor_override": 3}, (2, 3, 4, 4, 5)),
    ("AdaptiveAvgPool1d", (4,), {}, (2, 3, 9)),
    ("AdaptiveAvgPool2d", (1,), {}, (2, 3, 6, 5)),
    ("AdaptiveAvgPool2d", ((3, None),), {}, (2, 3, 7, 5)),
    ("AdaptiveAvgPool3d", ((2, 3, 1),), {}, (2, 3, 3, 7, 5)),
    ("AdaptiveMaxPool1d", (4,), {}, (2, 3, 9)),
    ("AdaptiveMaxPool2d", ((3, 2),), {}, (2, 3, 7, 5)),
    ("AdaptiveMaxPool3d", ((2, 3, 1),), {}, (2, 3, 3, 7, 5)),
    ("LPPool2d", (2, 3), {"stride": 2}, (2, 3, 6, 7)),
    ("Upsample", (), {"scale_factor": 2, "mode": "bilinear", "align_corners": True}, (2, 3, 4, 5)),
    ("Upsample", (), {"size": 7}, (2, 3, 4, 5)),
    ("Upsample", (), {"scale_factor": (1.5, 2)}, (2, 3, 4, 5)),
    ("UpsamplingNearest2d", (), {"scale_factor": 2}, (2, 3, 4, 5)),
    ("UpsamplingBilinear2d", (), {"size": (3, 9)}, (2, 3, 4, 5)),
    ("PixelShuffle", (2,), {}, (2, 8, 4, 5)),
    ("PixelUnshuffle", (2,), {}, (2, 3, 4, 6)),
    ("ChannelShuffle", (2,), {}, (2, 6, 4, 3)),
    ("Unfold", ((2, 3),), {"padding": 1, "stride": 2}, (2, 3, 5, 6)),
    ("Fold", ((5, 6), (2, 3)), {"padding": 1, "stride": 2}, (2, 12, 9)),
    ("ConstantPad1d", (2, 1.5), {}, (2, 3, 4)),
    ("ConstantPad3d", ((1, 0, 2, 1, 0, 1), 1.5), {}, (2, 3, 2, 3, 4)),
    ("ZeroPad1d", (1,), {}, (2, 3, 4)),
    ("ZeroPad2d", ((1, -1, 0, 2),), {}, (2, 3, 4, 5)),
    ("ReflectionPad1d", ((1, 2),), {}, (2, 3, 4)),
    ("ReflectionPad2d", (2,), {}, (2, 3, 4, 5)),
    ("ReflectionPad3d", (1,), {}, (2, 3, 4, 5, 2)),
    ("ReplicationPad2d", (2,), {}, (2, 3, 4, 5)),
    ("ReplicationPad3d", (1,), {}, (3, 4, 5, 2)),
    ("CircularPad1d", (1,), {}, (2, 3, 4)),
    ("CircularPad2d", ((1, 2, 0, 1),), {}, (2, 3, 4, 5)),
]  # fmt: skip


@pytest.mark.parametrize("name,args,options,shape", LAYERS)
def test_a_layer_is_torchs(name, args, options, shape):
    """Same state, same text; in float64 the results of some hundred terms of order 1 differ by
    less than 2⁻⁴⁰."""
    mine = getattr(nn, name)(*args, **options).double()
    peer = getattr(torch.nn, name)(*args, **options).double()
    assert {k: tuple(v.shape) for k, v in mine.state_dict().items()} == {
        k: tuple(v.shape) for k, v in peer.state_dict().items()
    }
    mine.load_state_dict(peer.state_dict())
    assert repr(mine) == repr(peer)
    rng = np.random.default_rng(len(name))
    x = draw(rng, shape, "float64")
    want, _ = theirs(peer, [x])
    upstream = draw(rng, want.shape, "float64")
    got, (dx,) = ours(mine, [x], upstream)
    want, (grad,) = theirs(peer, [x], upstream)
    for a, b in ((got, want), (dx, grad)):
        assert a.shape == b.shape
        assert np.abs(a - b).max() <= 2.0**-40
    pairs = zip(mine.parameters(), peer.parameters(), strict=True)
    assert all(np.abs(a.grad.numpy() - b.grad.numpy()).max() <= 2.0**-40 for a, b in pairs)


@pytest.mark.parametrize("name", ["Conv1d", "Conv3d", "ConvTranspose2d"])
def test_initial_values_have_torchs_bound(name):
    fastdl.manual_seed(0)  # the largest of 8 biases is not always past half of the bound
    mine, peer = (getattr(m, name)(6, 8, 3) for m in (nn, torch.nn))
    bound = 1 / np.sqrt(np.prod(peer.weight.shape[1:]))
    for p in mine.parameters():
        assert np.abs(p.detach().numpy()).max() <= bound
        assert np.abs(p.detach().numpy()).max() > 0.5 * bound


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_unpooling_undoes_pooling(axes):
    x = np.random.default_rng(0).standard_normal((2, 3) + (7,) * axes)
    mine, peer = (
        (getattr(m, f"MaxPool{axes}d")(2, return_indices=True), getattr(m, f"MaxUnpool{axes}d")(2))
        for m in (nn, torch.nn)
    )
    got = mine[1](*mine[0](fastdl.Tensor(x)), output_size=x.shape)
    want = peer[1](*peer[0](torch.from_numpy(x)), output_size=x.shape)
    assert np.array_equal(got.numpy(), want.numpy())
    assert repr(mine) == repr(peer)


def test_the_output_size_of_transposed_layers():
    x = np.ones((1, 2, 5, 6))
    mine, peer = (m.ConvTranspose2d(2, 3, 3, stride=2, padding=1).double() for m in (nn, torch.nn))
    mine.load_state_dict(peer.state_dict())
    for size in ((10, 11), (1, 3, 9, 12)):
        got = mine(fastdl.Tensor(x), output_size=size)
        want = peer(torch.from_numpy(x), output_size=size)
        assert np.abs(got.detach().numpy() - want.detach().numpy()).max() <= 2.0**-40
    with pytest.raises(fastdl.errors.ArgumentError, match="output_size"):
        mine(fastdl.Tensor(x), output_size=(13, 11))


def test_refused():
    for call in (
        lambda: nn.Conv2d(2, 3, 3, padding_mode="mirror"),
        lambda: nn.ConvTranspose2d(2, 3, 3, padding_mode="reflect"),
        lambda: nn.Conv3d(2, 3, (3, 3)),
        lambda: nn.ConvTranspose1d(3, 2, 3, groups=2),
        lambda: nn.ReflectionPad2d((1, 2)),
        lambda: nn.LPPool1d(0, 2),
    ):
        with pytest.raises(fastdl.errors.FastdlError):
            call()


def test_layers_are_copied_whole():
    layer = nn.ConvTranspose2d(2, 3, 3)
    assert np.array_equal(
        copy.deepcopy(layer).weight.detach().numpy(), layer.weight.detach().numpy()
    )
