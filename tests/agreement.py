"""What the torch-agreement tests share: values within an op's own bound, gradients, second ones.

No tolerance is chosen here. Values are held to the bound that the op's spec declares; gradients,
computed in float64 by both sides from well-scaled inputs, to 2⁻⁴⁰ of the largest one (13 of 53 bits
for sums of some hundred terms); central differences in longdouble, with a step of 2⁻²⁰, to 10⁻⁹
(their truncation is 10⁻¹² times a third derivative, their rounding 10⁻¹³).
"""

from __future__ import annotations

import os

import numpy as np
import torch

import fastdl
import fastdl.functional as F
from fastdl import dispatch
from fastdl.core.dtypes import accumulator
from fastdl.spec import OPS, Judged, OpSpec

# Random configurations of every op; the committed full run asks for 100.
CONFIGS = int(os.environ.get("FASTDL_AGREEMENT", "8"))
BETWEEN_LIBRARIES = 2.0**-40
FROM_DIFFERENCES = 1e-9


def normal(*shape, seed=0, dtype=np.float32):
    return np.asarray(np.random.default_rng(seed).standard_normal(shape)).astype(dtype)


def is_float(a):
    return isinstance(a, (np.ndarray, np.generic)) and a.dtype.kind == "f"


def cast(arrays, dtype):
    return [a.astype(dtype) if is_float(a) else a for a in arrays]


def tensors(arrays, requires_grad=False):
    def convert(a):
        if not isinstance(a, (np.ndarray, np.generic)):
            return a
        t = torch.from_numpy(np.array(a))
        return t.requires_grad_() if requires_grad and is_float(a) else t

    return [convert(a) for a in arrays]


def as_tuple(result):
    return tuple(result) if isinstance(result, tuple) else (result,)


def bounds(name, arrays, options):
    """The op's declared error bounds, for a kernel that sums its terms one after the other."""
    spec = OPS[name]
    plan = dispatch.make_plan(spec, arrays, dict(options))
    wide = tuple(a.astype(accumulator(a.dtype)) if is_float(a) else a for a in plan.arrays)
    with np.errstate(all="ignore"):
        expected = tuple(map(np.asarray, spec.run_reference(wide, plan.options)))
    info = np.finfo(next((o.dtype for o in plan.outputs if o.dtype.kind == "f"), np.float32))
    terms = spec.terms(*plan.arrays, **plan.options)
    case = Judged(spec, wide, plan.options, expected, terms, terms, float(info.eps) / 2,
                  float(info.smallest_subnormal), tuple(o.dtype for o in plan.outputs))  # fmt: skip
    return spec.bound_of(plan.options)(case)


def assert_within(got, want, bound):
    """Shapes agree, and every element: in its class where not finite, else within the bound."""
    want = np.asarray(want)
    assert got.shape == want.shape
    if got.dtype.kind != "f":
        np.testing.assert_array_equal(got, want)
        return
    with np.errstate(over="ignore"):
        rounded = want.astype(got.dtype)
    finite = np.isfinite(rounded)
    np.testing.assert_array_equal(got[~finite], rounded[~finite])
    error = np.abs(got[finite].astype(np.longdouble) - want[finite])
    limit = np.broadcast_to(bound, want.shape)[finite]
    assert np.all(error <= limit), f"worst error/bound {np.max(error / limit)}"


def check_values(name, *arrays, ours=None, theirs=None, spec_options=None, **options):
    """`F.name` gives what `torch.name` gives: dtype, shape, and values within the spec's bound."""
    ours = ours or getattr(F, name)
    theirs = theirs or getattr(torch, name)
    spec_options = options if spec_options is None else spec_options
    for dtype in (np.float32, np.float64):
        inputs = cast(arrays, dtype)
        got = as_tuple(ours(*inputs, **options))
        peer = as_tuple(theirs(*tensors(inputs), **options))
        judge = peer
        if dtype == np.float32:  # torch's own float64 result is the better judge
            judge = as_tuple(theirs(*tensors(cast(inputs, np.float64)), **options))
        limits = bounds(name, inputs, spec_options)
        for g, p, j, limit in zip(got, peer, judge, limits, strict=True):
            assert isinstance(g, np.ndarray)
            assert g.dtype == p.numpy().dtype
            # In float64 torch is no judge but a second defendant, with the same bound.
            assert_within(g, j.numpy(), limit if dtype == np.float32 else 2 * np.asarray(limit))


def close(got, want, relative):
    want = np.asarray(want, np.longdouble)
    assert got.shape == want.shape
    scale = np.max(np.abs(want), initial=0)
    assert np.all(np.abs(got - want) <= relative * max(scale, 1)), np.max(np.abs(got - want))


def float_outputs(result):
    return [y for y in as_tuple(result) if _numpy(y).dtype.kind == "f"]


def _numpy(y):
    """The array of a Tensor, fastdl's or torch's."""
    return y.detach().numpy()


def check_gradients(name, *arrays, ours=None, theirs=None, second=True, **options):
    """First gradients against torch and differences of the reference; second ones against torch."""
    ours = ours or getattr(F, name)
    theirs = theirs or getattr(torch, name)
    arrays = cast(arrays, np.float64)
    mine = [fastdl.Tensor(a.copy(), requires_grad=is_float(a)) if isinstance(a, np.ndarray) else a
            for a in arrays]  # fmt: skip
    peer = tensors(arrays, requires_grad=True)
    leaves = [t for t in mine if isinstance(t, fastdl.Tensor) and t.requires_grad]
    peer_leaves = [t for t in peer if isinstance(t, torch.Tensor) and t.requires_grad]
    (y,), (z,) = float_outputs(ours(*mine, **options)), float_outputs(theirs(*peer, **options))
    upstream = normal(*y.shape, seed=99, dtype=np.float64)
    u, v = fastdl.Tensor(upstream, requires_grad=True), torch.tensor(upstream, requires_grad=True)
    plain = fastdl.grad(y, leaves, u.detach(), retain_graph=True)
    first = fastdl.grad(y, leaves, u, create_graph=True)
    peer_first = torch.autograd.grad(z, peer_leaves, v, create_graph=True)
    differences = central_differences(ours, arrays, upstream, options)
    for fast, graph, other, numeric in zip(plain, first, peer_first, differences, strict=True):
        close(fast.numpy(), _numpy(other), BETWEEN_LIBRARIES)
        close(graph.detach().numpy(), _numpy(other), BETWEEN_LIBRARIES)
        close(fast.numpy(), numeric, FROM_DIFFERENCES)
    if not second:
        return
    weights = [normal(*g.shape, seed=7 + i, dtype=np.float64) for i, g in enumerate(first)]
    total = sum_of((g * w).sum() for g, w in zip(first, weights, strict=True))
    peer_total = sum_of(
        (g * torch.from_numpy(w)).sum() for g, w in zip(peer_first, weights, strict=True)
    )
    if not peer_total.requires_grad:  # nothing was summed
        return
    found = fastdl.grad(total, [*leaves, u], allow_unused=True)
    wanted = torch.autograd.grad(peer_total, [*peer_leaves, v], allow_unused=True)
    for fast, other in zip(found, wanted, strict=True):
        if other is None or fast is None:  # no dependence is a gradient of zero
            for one in (fast, other):
                assert one is None or not np.any(_numpy(one))
        else:
            close(fast.detach().numpy(), _numpy(other), BETWEEN_LIBRARIES)


def sum_of(values):
    total = None
    for value in values:
        total = value if total is None else total + value
    return total


def central_differences(function, arrays, upstream, options):
    """d Σ(upstream · f) by each float array, from the reference in longdouble."""
    step = np.longdouble(2) ** -20

    def value(inputs):
        outputs = as_tuple(longdouble_reference(function, inputs, options))
        return np.sum([np.sum(upstream * y) for y in outputs if np.asarray(y).dtype.kind == "f"])

    wide = cast(arrays, np.longdouble)
    found = []
    for a in wide:
        if not is_float(a):
            continue
        gradient = np.zeros(a.shape, np.longdouble)
        for i in np.ndindex(a.shape):
            middle = a[i]
            a[i] = middle + step
            above = value(wide)
            a[i] = middle - step
            below = value(wide)
            a[i] = middle
            gradient[i] = (above - below) / (2 * step)
        found.append(gradient)
    return found


def longdouble_reference(function, inputs, options):
    """A function of `F` on longdouble arrays: planned in float64, run by the reference."""

    def record(spec, arrays, given, out=None):
        stand_in = tuple(a.astype(np.float64) if is_float(a) else a for a in arrays)
        plan = dispatch.make_plan(spec, stand_in, given)
        run = tuple(
            a if is_float(a) and a.dtype == np.longdouble else b
            for a, b in zip((*arrays, *(None,) * len(plan.arrays)), plan.arrays, strict=False)
        )
        with np.errstate(all="ignore"):
            result = spec.run_reference(run, plan.options)
        return result if len(result) > 1 else result[0]

    return _with_runner(record, function, inputs, options)


def _with_runner(runner, function, inputs, options):
    before = OpSpec.run
    OpSpec.run = staticmethod(runner)
    directs = {name: spec.direct for name, spec in OPS.items()}
    for spec in OPS.values():
        spec.direct = None
    try:
        return function(*inputs, **options)
    finally:
        OpSpec.run = before
        for name, direct in directs.items():
            OPS[name].direct = direct
