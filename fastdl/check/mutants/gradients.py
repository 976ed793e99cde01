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
from ...spec import OPS
from ...tensor import Tensor
from .. import fills
from ..aspects import planned
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
        expected = _gradients(gradient.op, wide, dict(sample.options), upstream)
        right = _gradients(gradient.op, arrays, dict(sample.options), upstream)
        gradient.turn(True)
        wrong = _gradients(gradient.op, arrays, dict(sample.options), upstream)
        if _passes(harness, right, expected, case) and not _passes(harness, wrong, expected, case):
            return True
    return False


def _is_float(a: Any) -> bool:
    return isinstance(a, np.ndarray) and a.dtype.kind == "f"


def _gradients(
    op: str, arrays: tuple[Any, ...], options: dict[str, Any], upstream: np.ndarray
) -> Gradients:
    tensors = [
        Tensor(a, requires_grad=_is_float(a)) if isinstance(a, np.ndarray) else a for a in arrays
    ]
    with use_backend("reference"), np.errstate(all="ignore"):
        result = OPS[op](*tensors, **options)
        y = result[0] if isinstance(result, tuple) else result
        wanted = [t for t in tensors if isinstance(t, Tensor) and t.requires_grad]
        if not wanted or not y.requires_grad:
            return ()
        try:
            found = autograd.grad(y, wanted, upstream.astype(y.dtype), allow_unused=True)
        except Exception:  # what a wrong shape of a gradient comes to
            return (None,)
    return tuple(None if g is None else g.numpy() for g in found)


def _passes(harness: Harness, got: Gradients, expected: Gradients, case: Case) -> bool:
    return len(got) == len(expected) and all(
        (g is None) == (e is None)
        and (g is None or (g.shape == e.shape and harness.passes(g, e, case)))
        for g, e in zip(got, expected, strict=True)
    )


# --- the defects -------------------------------------------------------------------------------


def _exp_of_ones(right: Vjp, saved: Any, g: Any) -> Gradients:
    return (g,)


def _second_not_negated(right: Vjp, saved: Any, g: Any) -> Gradients:
    first, second = right(saved, g)
    return first, -second


GRADIENTS = (
    Gradient("exp: the derivative is 1", "exp", _exp_of_ones),
    Gradient("sub: the second gradient has the first's sign", "sub", _second_not_negated),
)
