"""Defects of vjps: of the gradients that the tape makes out of kernels.

A spoiled vjp is judged as every vjp is, against central differences of the reference.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ... import autograd
from ...core.config import use_backend
from ...core.errors import FastdlError
from ...spec import OPS, Sample
from ...tensor import Tensor
from .. import fills
from ..aspects import planned, taped
from ..judge import Case
from .harnesses import Harness

Gradients = tuple[Any, ...]
Vjp = Callable[..., Gradients]


@dataclass(frozen=True)
class Gradient:
    """One defect: `spoil(right, saved, *upstream)` in the place of right(saved, *upstream)."""

    name: str
    op: str
    spoil: Callable[..., Gradients]
    sample: str = ""
    rule: str = "differences"
    dtype: str = "float64"
    right: Vjp = field(init=False, repr=False)

    def __post_init__(self) -> None:
        vjp = OPS[self.op].vjp
        assert vjp is not None
        object.__setattr__(self, "right", vjp)

    def turn(self, on: bool) -> None:
        """Puts the spoiled vjp in its place, or the right one."""

        def spoiled(saved: Any, *upstream: Any) -> Gradients:
            return self.spoil(self.right, saved, *upstream)

        OPS[self.op].vjp = spoiled if on else self.right


def caught(harness: Harness, gradient: Gradient, seed: int) -> bool:
    """Does a harness find it on float32 arrays, where it lets the right vjp pass?"""
    if harness.name == "KernelBench":  # it runs forward passes only
        return False
    spec = OPS[gradient.op]
    for sample in (s for s in spec.samples if not s.bench):
        rng = fills.seeded(seed, "harness", sample.name)
        arrays = sample.build(rng, "float32", harness.fill)
        case = Case(spec, planned(spec, arrays, sample))
        upstream = harness.fill(rng, case.plan.outputs[0].shape, np.dtype(np.float32))
        gradient.turn(False)
        wide = tuple(a.astype(np.float64) if _is_float(a) else a for a in arrays)
        expected = _gradients(gradient.op, wide, sample, upstream)
        right = _gradients(gradient.op, arrays, sample, upstream)
        gradient.turn(True)
        wrong = _gradients(gradient.op, arrays, sample, upstream)
        if _passes(harness, right, expected, case) and not _passes(harness, wrong, expected, case):
            return True
    return False


def _is_float(a: Any) -> bool:
    return isinstance(a, np.ndarray) and a.dtype.kind == "f"


def _gradients(op: str, arrays: tuple[Any, ...], sample: Sample, upstream: np.ndarray) -> Gradients:
    with use_backend("reference"), np.errstate(all="ignore"):
        try:
            tensors, y = taped(OPS[op], arrays, sample)
            wanted = [t for t in tensors if isinstance(t, Tensor) and t.requires_grad]
            if not wanted or not y.requires_grad:
                return ()
            found = autograd.grad(y, wanted, upstream.astype(y.dtype), allow_unused=True)
        except (FastdlError, ValueError):  # what a gradient of a wrong shape comes to
            return (None,)
    return tuple(None if g is None else g.numpy() for g in found)


def _passes(harness: Harness, got: Gradients, expected: Gradients, case: Case) -> bool:
    return len(got) == len(expected) and all(
        (g is None) == (e is None)
        and (g is None or (g.shape == e.shape and harness.passes(g, e, case)))
        for g, e in zip(got, expected, strict=True)
    )


# --- the defects -------------------------------------------------------------------------------


def _at(place: int, change: Callable[[Any, Any], Any]) -> Callable[..., Gradients]:
    """One gradient of the vjp is changed: change(its value, the upstream gradient)."""

    def spoil(right: Vjp, saved: Any, g: Any, *more: Any) -> Gradients:
        found = right(saved, g, *more)
        return tuple(
            change(d, g) if i == place and d is not None else d for i, d in enumerate(found)
        )

    return spoil


def _exchanged(first: int, second: int) -> Callable[..., Gradients]:
    """Two gradients change places, where their shapes allow it."""

    def spoil(right: Vjp, saved: Any, *upstream: Any) -> Gradients:
        found = list(right(saved, *upstream))
        a, b = found[first], found[second]
        if a is not None and b is not None and a.shape == b.shape:
            found[first], found[second] = b, a
        return tuple(found)

    return spoil


def _unchanged(right: Vjp, saved: Any, g: Any, *more: Any) -> Gradients:
    """The upstream gradient, as if the derivative were 1."""
    return (g, *right(saved, g, *more)[1:])


def _again(op: str) -> Callable[..., Gradients]:
    """The op itself on the gradient, in the place of its inverse."""
    return lambda right, saved, g: (OPS[op](g, **saved.options),)


def _half(d: Any, g: Any) -> Any:
    return d / 2


def _double(d: Any, g: Any) -> Any:
    return d * 2


def _negative(d: Any, g: Any) -> Any:
    return -d


def _zero(d: Any, g: Any) -> Any:
    return np.zeros_like(d)


def _missing(d: Any, g: Any) -> Any:
    return None


def _of_each(d: Any, g: Any) -> Any:
    """Divided by the number of upstream elements for each of the gradient."""
    return d * (d.size / max(g.size, 1))


def _times_terms(d: Any, g: Any) -> Any:
    """Multiplied by the number of elements for each upstream one."""
    return d * (d.size / max(g.size, 1))


GRADIENTS = tuple(
    Gradient(f"{op}: the gradient: {what}", op, spoil)
    for op, what, spoil in (
        ("exp", "the derivative is 1", _unchanged),
        ("relu", "negative numbers pass it", _unchanged),
        ("sqrt", "the factor 1/2 is forgotten", _at(0, _double)),
        ("square", "the factor 2 is forgotten", _at(0, _half)),
        ("cos", "the sign is wrong", _at(0, _negative)),
        ("reciprocal", "the sign is wrong", _at(0, _negative)),
        ("tanh", "1 - y", lambda right, saved, g: (g * (1 - saved.y),)),
        ("add", "a broadcast operand gets the mean", _at(1, _of_each)),
        ("sub", "the second has the first's sign", _at(1, _negative)),
        ("mul", "the factors change places", _exchanged(0, 1)),
        ("div", "the divisor's sign is wrong", _at(1, _negative)),
        ("where", "the choices change places", _exchanged(1, 2)),
        ("maximum", "the smaller one gets it", _exchanged(0, 1)),
        ("clamp", "what is clamped gets it too", _unchanged),
        ("lerp", "the ends change places", _exchanged(0, 1)),
        ("addcmul", "the factors change places", _exchanged(1, 2)),
        ("prelu", "the slope gets the mean", _at(1, _of_each)),
        ("mean", "that of the sum", _at(0, _times_terms)),
        ("sum", "that of the mean", _at(0, lambda d, g: d * (g.size / max(d.size, 1)))),
        ("std", "the factor 1/2 is forgotten", _at(0, _double)),
        ("norm", "sizes in the place of signs", _at(0, lambda d, g: np.abs(d))),
        ("cumsum", "the sum runs the same way", _again("cumsum")),
        ("softmax", "only the diagonal", lambda right, saved, g: (g * saved.y * (1 - saved.y),)),
        ("log_softmax", "the sum is not taken off", _unchanged),
        ("matmul", "b has none", _at(1, _missing)),
        ("linear", "the bias gets the mean", _at(2, _of_each)),
        ("conv2d", "the bias gets the mean", _at(2, _of_each)),
        ("conv2d", "the weights' is halved", _at(1, _half)),
        ("conv_transpose2d", "the weights have none", _at(1, _missing)),
        ("avg_pool2d", "not divided by the window", _at(0, _times_terms)),
        ("interpolate", "the mean over what reads a pixel", _at(0, _times_terms)),
        ("embedding", "that of ones", lambda right, saved, g: right(saved, np.ones_like(g))),
        ("dropout", "what is dropped gets it too", _unchanged),
        ("layer_norm", "weight's and bias's change places", _exchanged(1, 2)),
        ("batch_norm", "the bias gets the mean", _at(2, _of_each)),
        ("mse_loss", "the factor 2 is forgotten", _at(0, _half)),
        ("cross_entropy", "the sign is wrong", _at(0, _negative)),
        ("pairwise_distance", "the second has the first's sign", _at(1, _negative)),
        ("scaled_dot_product_attention", "keys have the queries' sign", _at(1, _negative)),
        ("lstm_layer", "the initial state has none", _at(1, _zero)),
        ("gru_layer", "the biases change places", _exchanged(4, 5)),
        ("expand", "the mean over copies", _at(0, _of_each)),
        ("permute", "permuted again, not back", _again("permute")),
        ("roll", "rolled on, not back", _again("roll")),
        ("flip", "not flipped back", _unchanged),
        ("tril", "what was cut off gets it too", _unchanged),
        ("sort", "not put back in order", _unchanged),
        ("cat", "the first two change places", _exchanged(0, 1)),
        ("sgd_step", "the parameter has none", _at(0, _zero)),
    )
)
