"""nll_loss: cross-entropy of log-probabilities, and its gradient."""

from __future__ import annotations

from typing import Any

from ..backends.reference import loss as reference
from ..core.dtypes import is_float
from ..core.errorbound import Bounded, bounded
from ..core.errors import DTypeError, ShapeError, UnsupportedError
from ..core.shapes import is_channels_last
from ..spec import BadInput, Cost, Out, Plan, Sample, op
from .loss import _bad_inputs, _checked, _classes, _distribution_bounded, _f32, _samples
from .shape import promoted


def _classes_only(name: str, x: Any, target: Any) -> None:
    if is_float(target.dtype):
        raise DTypeError(f"{name}: target has dtype {target.dtype}, want int64 class numbers")
    if target.shape == x.shape:
        raise ShapeError(f"{name}: target has shape {target.shape}, that of x, want x's without C")


def _shape(
    x: Any, target: Any, weight: Any, ignore_index: Any = -100, reduction: Any = "mean"
) -> Plan:
    _classes_only("nll_loss", x, target)
    arrays, options, positions = _checked(
        "nll_loss", x, target, weight, ignore_index, reduction, 0.0
    )
    del options["label_smoothing"]
    out = Out(positions if reduction == "none" else (), arrays[0].dtype)
    return Plan((out,), arrays, options)


def _backward_shape(
    g: Any, x: Any, target: Any, weight: Any, ignore_index: Any = -100, reduction: Any = "mean"
) -> Plan:
    name = "nll_loss_backward"
    _classes_only(name, x, target)
    arrays, options, positions = _checked(name, x, target, weight, ignore_index, reduction, 0.0)
    del options["label_smoothing"]
    wanted = positions if reduction == "none" else ()
    if g.shape != wanted:
        raise ShapeError(f"{name}: g has shape {g.shape}, want {wanted}")
    out = Out(x.shape, arrays[0].dtype, is_channels_last(x))
    return Plan((out,), (promoted(name, g, arrays[0].dtype), *arrays), options)


def _vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    if saved.needs[2]:
        raise UnsupportedError("nll_loss: has no gradient with respect to weight (nor has torch's)")
    return nll_loss_backward(g, saved.x, saved.target, saved.weight, **saved.options), None, None


def _backward_vjp(saved: Any, v: Any) -> tuple[Any, ...]:
    """dx is linear in g and nll_loss in x: each is the other's transpose."""
    if saved.needs[3]:
        raise UnsupportedError("nll_loss_backward: has no gradient with respect to weight")
    dg = nll_loss(v, saved.target, saved.weight, **saved.options) if saved.needs[0] else None
    return dg, None, None, None


def _bounded(x: Bounded, target: Any, weight: Any, *, ignore_index: int, reduction: str) -> Bounded:
    dim = min(1, x.value.ndim - 1)
    q, divisor = _distribution_bounded(x, target, weight, ignore_index, 0.0)
    loss = -(q * x).where(q.value != 0).sum(dim, depth=0)
    if reduction == "none":
        return loss
    return loss.sum() / divisor if reduction == "mean" else loss.sum()


def _gradient_bounded(
    g: Bounded, x: Bounded, target: Any, weight: Any, *, ignore_index: int, reduction: str
) -> Bounded:
    dim = min(1, x.value.ndim - 1)
    q, divisor = _distribution_bounded(x, target, weight, ignore_index, 0.0)
    if reduction == "none":
        g = g.reshape(*(1 if i == dim else n for i, n in enumerate(x.value.shape)))
    elif reduction == "mean":
        g = g / divisor
    return (-q * g).where(q.value != 0)


def _positions(target: Any) -> int:
    return max(target.size, 1)


def _hard(backward: bool) -> tuple[Sample, ...]:
    """The samples of cross-entropy that have classes and no smoothing."""
    return tuple(
        s
        for s in _samples(backward)
        if "label_smoothing" not in s.options and not isinstance(s.arrays[-2], tuple)
    )


def _refusals(*upstream: Any) -> tuple[BadInput, ...]:
    soft = ("int probabilities", "smoothing", "index, soft", "target rank")
    return (
        *(b for b in _bad_inputs(*upstream) if b.name not in soft),
        BadInput(
            "rank", lambda: ((*upstream, _f32(3, 4), _classes(0, 1, 2)[None]), {}), ShapeError
        ),
    )


_ARGUMENTS = "x[N,C,...], target[N,...], weight?[C]; ignore_index, reduction"

nll_loss = op(
    name="nll_loss",
    family="loss",
    signature=f"{_ARGUMENTS} -> y",
    shape=_shape,
    reference=reference.nll_loss,
    vjp=_vjp,
    saves=("x", "target", "weight"),
    cost=lambda x, target, weight, **_: Cost(2 * target.size, target.size * (x.itemsize + 8)),
    terms=lambda x, target, weight, **_: _positions(target),
    bound=bounded(_bounded),
    samples=_hard(backward=False),
    bad_inputs=(
        *_refusals(),
        BadInput("probabilities", lambda: ((_f32(2, 4), _f32(2, 4)), {}), DTypeError),
    ),
)

nll_loss_backward = op(
    name="nll_loss_backward",
    family="loss",
    signature=f"g, {_ARGUMENTS} -> dx",
    shape=_backward_shape,
    reference=reference.nll_loss_backward,
    vjp=_backward_vjp,
    saves=("target", "weight"),
    cost=lambda g, x, target, weight, **_: Cost(target.size, x.nbytes + target.nbytes),
    terms=lambda g, x, target, weight, **_: _positions(target),
    bound=bounded(_gradient_bounded),
    samples=_hard(backward=True),
    bad_inputs=(
        *_refusals(_f32()),
        BadInput("g", lambda: ((_f32(2), _f32(2, 4), _f32(2).astype(int)), {}), ShapeError),
    ),
)
