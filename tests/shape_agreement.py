"""What the tests of shape ops share: one call of both libraries, on whole numbers.

Sums and products of small whole numbers are exact in float64, so results and gradients must be
equal, with no tolerance.
"""

from __future__ import annotations

import numpy as np
import torch

import fastdl
import fastdl.functional as F


def flat(result):
    """The outputs of a call, in order."""
    if isinstance(result, (tuple, list)):
        return [y for part in result for y in flat(part)]
    return [result]


def value(y):
    return y.detach().numpy() if hasattr(y, "detach") else np.asarray(y)


def whole(rng, *shape, dtype=np.float64):
    """Small whole numbers, in some layout: contiguous, transposed, strided or reversed."""
    layout = rng.integers(4)
    if np.dtype(dtype).kind == "b":
        a = rng.random(shape) < 0.5
    else:
        low = 0 if np.dtype(dtype).kind == "u" else -5
        a = np.asarray(rng.integers(low, 6, shape)).astype(dtype)
    if not a.ndim:
        return a
    if layout == 1:
        return np.asfortranarray(a)
    if layout == 2:
        return np.repeat(a[..., None], 2, -1)[..., 0]
    return np.ascontiguousarray(a[::-1])[::-1] if layout == 3 else a


def sizes(rng, least=0, most=4, high=6):
    """A random shape of so many dims, now and then with a size 0."""
    low = 0 if rng.random() < 0.15 else 1
    return tuple(int(n) for n in rng.integers(low, high, rng.integers(least, most + 1)))


def compare(call, *arrays, gradients=True):
    """`call(library, *arrays)` gives the same outputs and gradients in fastdl and in torch."""
    wants = [a.dtype.kind == "f" and gradients for a in arrays]
    mine = [fastdl.Tensor(a, requires_grad=w) for a, w in zip(arrays, wants, strict=True)]
    theirs = [torch.tensor(np.array(a)).requires_grad_(w)
              for a, w in zip(arrays, wants, strict=True)]  # fmt: skip
    want = flat(call(torch, *theirs))
    plain = flat(call(F, *arrays))
    got = flat(call(fastdl, *mine))
    assert len(got) == len(want) == len(plain)
    for g, p, w in zip(got, plain, want, strict=True):
        if not isinstance(w, torch.Tensor):
            assert g == w == p
            continue
        assert isinstance(g, fastdl.Tensor) and isinstance(p, np.ndarray)
        np.testing.assert_array_equal(value(g), value(w))
        np.testing.assert_array_equal(p, value(w))
        assert value(g).dtype == value(w).dtype == p.dtype
        assert g.shape == tuple(w.shape)
    recorded = [(g, w) for g, w in zip(got, want, strict=True)
                if isinstance(w, torch.Tensor) and w.requires_grad]  # fmt: skip
    for g, _ in recorded:
        assert g.requires_grad
    if not recorded:
        return
    rng = np.random.default_rng(7)
    total = peer = None
    for g, w in recorded:
        u = rng.integers(-3, 4, g.shape).astype(value(g).dtype)
        one, other = (g * fastdl.Tensor(u)).sum(), (w * torch.tensor(u)).sum()
        total, peer = (one, other) if total is None else (total + one, peer + other)
    total.backward()
    peer.backward()
    for a, b in zip(mine, theirs, strict=True):
        if b.requires_grad:
            zeros = np.zeros(a.shape, value(a).dtype)  # no gradient is a gradient of zero
            one, other = (zeros if t.grad is None else t.grad.numpy() for t in (a, b))
            np.testing.assert_array_equal(one, other)
