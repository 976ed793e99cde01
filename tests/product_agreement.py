"""Comparing fastdl with torch: the same call on both sides, and bounds instead of tolerances.

Selections and single operations must have the same bits. For sums of products both sides are within
γ_n·M of the truth (Higham, ASNA, section 3.1), so they differ by at most twice that: M is the same
sum over absolute values, computed by torch in float64, and n its number of terms, which is the same
sum over ones.
"""

import numpy as np
import pytest

import fastdl

torch = pytest.importorskip("torch")
FLOATS = ["float32", "float64"]
UNIT = {"float32": 2.0**-24, "float64": 2.0**-53}


def draw(rng, shape, dtype, channels_last=False):
    """Normal numbers with a full mantissa, laid out as asked."""
    a = np.asarray(rng.standard_normal(shape)).astype(dtype)
    if channels_last and a.ndim == 4:
        a = np.ascontiguousarray(a.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    return a


def ours(function, arrays, upstream=None, **options):
    """The result, and the gradients of the float arrays given an upstream one, as arrays."""
    tensors = [fastdl.Tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
    y = function(*tensors, **options)
    if upstream is None:
        return y.detach().numpy(), None
    y.backward(upstream)
    return y.detach().numpy(), [None if t.grad is None else t.grad.numpy() for t in tensors]


def theirs(function, arrays, upstream=None, **options):
    # torch's slow_conv2d refuses the gradient of a channels-last weight
    contiguous = (a if i == 0 else a.copy(order="C") for i, a in enumerate(arrays))
    tensors = [torch.from_numpy(np.asarray(a)) for a in contiguous]
    for t in tensors:
        t.requires_grad_(t.is_floating_point())
    y = function(*tensors, **options)
    if upstream is None:
        return y.detach().numpy(), None
    y.backward(torch.from_numpy(np.asarray(upstream)))
    return y.detach().numpy(), [None if t.grad is None else t.grad.numpy() for t in tensors]


def same(got, want):
    """Same shape, dtype and values; NaN equals NaN."""
    assert got.shape == want.shape
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(got, want)


def within(got, want, bound):
    assert got.shape == want.shape
    assert got.dtype == want.dtype
    assert np.array_equal(np.isnan(got), np.isnan(want))
    got, want, bound = (np.where(np.isnan(got), 0, a) for a in (got, want, bound))
    error = np.abs(got.astype(np.float64) - want.astype(np.float64))
    assert (error <= bound).all(), (
        f"worst error / bound {np.max(error / np.maximum(bound, 1e-300))}"
    )


def check_products(mine, torchs, arrays, selects=False, counting=None, extra=0, **options):
    """Agreement, forward and backward, of a function that is linear in every array.

    One that `selects` (a max-pool) is so in the upstream gradient only. `counting` are the options
    under which a run on ones counts the terms; `extra` are roundings beyond one a term.
    """
    try:
        y, _ = theirs(torchs, arrays, **options)
    except (RuntimeError, ValueError):
        with pytest.raises(fastdl.errors.FastdlError):
            ours(mine, arrays, **options)
        return None
    dtype = y.dtype.name
    upstream = draw(np.random.default_rng(y.size), y.shape, dtype)
    got = ours(mine, arrays, upstream, **options)
    want = theirs(torchs, arrays, upstream, **options)
    wide = [a.astype(np.float64) if a.dtype.kind == "f" else a for a in (*arrays, upstream)]

    def run(change, options):
        *a, g = (change(w) if w.dtype.kind == "f" else w for w in wide)
        y, grads = theirs(torchs, wide[:-1] if selects else a, g, **options)
        return grads if selects else [y, *grads]

    sizes = run(np.abs, options)
    counts = run(np.ones_like, options if counting is None else counting)
    pairs = list(zip([got[0], *got[1]], [want[0], *want[1]], strict=True))
    if selects:
        same(*pairs.pop(0))
    for (g, w), size, count in zip(pairs, sizes, counts, strict=True):
        if g is w is None:
            continue  # the gradient of integers
        n = (count + extra) * UNIT[dtype]
        underflow = (count + 1) * np.finfo(dtype).smallest_subnormal
        within(g, w, 2 * (n / (1 - n) * np.abs(size) + underflow))
    return got, want


def pick(rng, *choices):
    return choices[rng.integers(len(choices))]
