"""What the tests of the networks' ops share: one call on both sides, in float64.

Values and gradients agree to 2⁻⁴⁰ of the largest (`agreement.close`): 13 of 53 bits for sums of
some hundred terms and the divisions by deviations that follow. float32 is held to the ops' own
bounds by the judge.
"""

import numpy as np
import torch
from agreement import BETWEEN_LIBRARIES, close

import fastdl


def layout(rng, a):
    """The array behind other strides: itself, every second element of one, transposed, channels
    last."""
    way = rng.integers(4)
    if way == 1 and a.ndim:
        return np.repeat(a, 2, axis=-1)[..., ::2]
    if way == 2 and a.ndim:
        return np.ascontiguousarray(a.T).T
    if way == 3 and a.ndim == 4:
        return np.ascontiguousarray(a.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    return a


def both(ours, theirs, arrays, seed=0, second=False):
    """Checks values and gradients of functions of Tensors; None stays None."""
    rng = np.random.default_rng(seed)
    floats = [i for i, a in enumerate(arrays) if a is not None and a.dtype.kind == "f"]
    mine = [None if a is None else fastdl.Tensor(a, requires_grad=i in floats)
            for i, a in enumerate(arrays)]  # fmt: skip
    peer = [None if a is None else torch.from_numpy(a.copy()).requires_grad_(i in floats)
            for i, a in enumerate(arrays)]  # fmt: skip
    y, z = ours(*mine), theirs(*peer)
    close(y.detach().numpy(), z.detach().numpy(), BETWEEN_LIBRARIES)
    if not floats:
        return
    upstream = rng.standard_normal(z.shape)
    y.backward(upstream, retain_graph=second)
    z.backward(torch.from_numpy(upstream), retain_graph=second)
    for i in floats:
        wanted = peer[i].grad
        if wanted is None:
            assert mine[i].grad is None or not mine[i].grad.numpy().any()
        else:
            close(mine[i].grad.numpy(), wanted.numpy(), BETWEEN_LIBRARIES)
    if second:
        _second(y, z, [mine[i] for i in floats], [peer[i] for i in floats], rng)


def _second(y, z, mine, peer, rng):
    """Gradients of a projection of the gradients."""
    upstream = rng.standard_normal(z.shape)
    weights = [rng.standard_normal(t.shape) for t in peer]
    try:
        theirs = torch.autograd.grad(z, peer, torch.from_numpy(upstream), create_graph=True)
        wanted = sum((b * torch.from_numpy(v)).sum() for b, v in zip(theirs, weights, strict=True))
        if not wanted.requires_grad:
            return
        others = torch.autograd.grad(wanted, peer, allow_unused=True)
    except RuntimeError:  # torch has no second gradient of norms without parameters
        return
    first = fastdl.grad(y, mine, fastdl.Tensor(upstream), create_graph=True)
    total = sum((a * fastdl.Tensor(v)).sum() for a, v in zip(first, weights, strict=True))
    # A gradient that does not depend on anything has none of its own.
    found = (
        fastdl.grad(total, mine, allow_unused=True) if total.requires_grad else [None] * len(mine)
    )
    for a, b in zip(found, others, strict=True):
        if b is not None and b.any():
            close(a.detach().numpy(), b.detach().numpy(), BETWEEN_LIBRARIES)
