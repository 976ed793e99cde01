"""Cross-entropy and nll_loss with all of torch's options, and their gradients."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..backends.reference import loss as reference
from ..core.dtypes import int32, int64, is_float, promote, uint8
from ..core.errorbound import Bounded, bounded
from ..core.errors import (
    ArgumentError,
    DTypeError,
    IndexRangeError,
    ShapeError,
    UnsupportedError,
)
from ..core.shapes import as_float, as_int, is_channels_last
from ..spec import BadInput, Cost, Ints, Out, Plan, Sample, op
from .elementwise import add, div, eq, exp, mul, ne, neg, sub, where
from .reduce import sum
from .shape import promoted, reshape
from .softmax import log_softmax, log_softmax_bounded


def _class_dim(x: Any) -> int:
    return min(1, x.ndim - 1)


def _checked(
    name: str,
    x: Any,
    target: Any,
    weight: Any,
    ignore_index: Any,
    reduction: Any,
    label_smoothing: Any,
) -> tuple[tuple[Any, ...], dict[str, Any], tuple[int, ...]]:
    """The promoted (x, target, weight), the canonical options, and the shape of the positions."""
    if not is_float(x.dtype):
        raise DTypeError(f"{name}: x has dtype {x.dtype}, want a float")
    if x.ndim == 0:
        raise ShapeError(f"{name}: x is 0-d, want [C], [N,C] or [N,C,...]")
    dim = _class_dim(x)
    classes = x.shape[dim]
    positions = (*x.shape[:dim], *x.shape[dim + 1 :])
    options = {
        "ignore_index": as_int(name, "ignore_index", ignore_index),
        "reduction": reduction,
        "label_smoothing": as_float(name, "label_smoothing", label_smoothing),
    }
    if reduction not in ("mean", "sum", "none"):
        raise ArgumentError(f"{name}: reduction: got {reduction!r}, want 'mean', 'sum' or 'none'")
    if not 0 <= options["label_smoothing"] <= 1:
        raise ArgumentError(f"{name}: label_smoothing: got {label_smoothing}, want 0 to 1")
    if weight is not None and weight.shape != (classes,):
        raise ShapeError(f"{name}: weight has shape {weight.shape}, want ({classes},)")
    if weight is not None and weight.dtype != x.dtype:
        raise DTypeError(f"{name}: weight has dtype {weight.dtype}, want that of x, {x.dtype}")
    dtype = x.dtype
    if target.shape == x.shape:  # probabilities of the classes
        if not is_float(target.dtype):
            raise DTypeError(
                f"{name}: target has x's shape, so it is probabilities: its dtype is"
                f" {target.dtype}, want a float"
            )
        if options["ignore_index"] >= 0:
            raise ArgumentError(
                f"{name}: ignore_index: got {ignore_index}; a target of probabilities has no index"
            )
        dtype = promote(dtype, target.dtype)
        target = promoted(name, target, dtype)
    else:
        if target.shape != positions:
            raise ShapeError(
                f"{name}: target has shape {target.shape}, want {positions} (class numbers) or"
                f" {x.shape} (probabilities)"
            )
        if target.dtype not in (int64, int32, uint8):
            raise DTypeError(f"{name}: target has dtype {target.dtype}, want int64 class numbers")
        target = promoted(name, target, int64)
        _check_range(name, target, classes, options["ignore_index"])
    arrays = (promoted(name, x, dtype), target)
    return (*arrays, None if weight is None else promoted(name, weight, dtype)), options, positions


def _check_range(name: str, target: np.ndarray, classes: int, ignore_index: int) -> None:
    if target.size == 0 or (target.min() >= 0 and target.max() < classes):
        return
    wrong = target[((target < 0) | (target >= classes)) & (target != ignore_index)]
    if wrong.size:
        raise IndexRangeError(f"{name}: target: got class {wrong[0]}, want 0 to {classes - 1}")


def _shape(
    x: Any,
    target: Any,
    weight: Any,
    ignore_index: Any = -100,
    reduction: Any = "mean",
    label_smoothing: Any = 0.0,
) -> Plan:
    arrays, options, positions = _checked(
        "cross_entropy", x, target, weight, ignore_index, reduction, label_smoothing
    )
    out = Out(positions if reduction == "none" else (), arrays[0].dtype)
    return Plan((out,), arrays, options)


def _backward_shape(
    g: Any,
    x: Any,
    target: Any,
    weight: Any,
    ignore_index: Any = -100,
    reduction: Any = "mean",
    label_smoothing: Any = 0.0,
) -> Plan:
    name = "cross_entropy_backward"
    arrays, options, positions = _checked(
        name, x, target, weight, ignore_index, reduction, label_smoothing
    )
    wanted = positions if reduction == "none" else ()
    if g.shape != wanted:
        raise ShapeError(f"{name}: g has shape {g.shape}, want {wanted}")
    out = Out(x.shape, arrays[0].dtype, is_channels_last(x))
    return Plan((out,), (promoted(name, g, arrays[0].dtype), *arrays), options)


def _distribution(saved: Any) -> tuple[Any, Any]:
    """q and D of the reference (see `backends/reference/loss.py`), made of ops."""
    meta, target, weight = saved.inputs[-3], saved.target, saved.weight
    smoothing = saved.options["label_smoothing"]
    dim = min(1, len(meta.shape) - 1)
    classes = meta.shape[dim]
    along = [n if i == dim else 1 for i, n in enumerate(meta.shape)]
    # Numbers of x's dtype: a Python one would make the products with bools float32.
    w = np.ones((), meta.dtype) if weight is None else reshape(weight, shape=along)
    share = np.asarray(smoothing / max(classes, 1), meta.dtype)
    if is_float(target.dtype):
        positions = math.prod(meta.shape) // max(classes, 1)
        return mul(add(mul(target, 1 - smoothing), share), w), positions
    t = reshape(target, shape=[1 if i == dim else n for i, n in enumerate(meta.shape)])
    kept = ne(t, saved.options["ignore_index"])
    chosen = where(kept, mul(eq(np.arange(classes).reshape(along), t), w), 0)
    q = add(mul(chosen, 1 - smoothing), mul(mul(kept, share), w)) if smoothing else chosen
    return q, sum(chosen)


def _scaled(saved: Any, g: Any, divisor: Any) -> Any:
    """The factor of each position: its upstream gradient, over D for the mean."""
    shape, reduction = saved.inputs[-3].shape, saved.options["reduction"]
    if reduction == "none":
        dim = min(1, len(shape) - 1)
        g = reshape(g, shape=[1 if i == dim else n for i, n in enumerate(shape)])
    return div(g, divisor) if reduction == "mean" else g


def _target_weight(saved: Any) -> Any:
    """dq/dtarget for a target of probabilities: (1 − s)·w."""
    shape, keep = saved.inputs[-3].shape, 1 - saved.options["label_smoothing"]
    if saved.weight is None:
        return keep
    dim = min(1, len(shape) - 1)
    along = [n if i == dim else 1 for i, n in enumerate(shape)]
    return mul(reshape(saved.weight, shape=along), keep)


def _refuse_weight(name: str, needed: bool) -> None:
    if needed:
        raise UnsupportedError(f"{name}: has no gradient with respect to weight (nor has torch's)")


def _vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    _refuse_weight("cross_entropy", saved.needs[2])
    dx = dt = None
    if saved.needs[0]:
        dx = cross_entropy_backward(g, saved.x, saved.target, saved.weight, **saved.options)
    if saved.needs[1]:  # probabilities: loss = −Σ (1 − s)·w·t·log p + ..., linear in t
        dim = min(1, len(saved.inputs[0].shape) - 1)
        scale = _scaled(saved, g, math.prod(saved.inputs[0].shape) // saved.inputs[0].shape[dim])
        dt = neg(mul(mul(log_softmax(saved.x, dim=dim), scale), _target_weight(saved)))
    return dx, dt, None


def _backward_vjp(saved: Any, v: Any) -> tuple[Any, ...]:
    """For dx = (p·S − q)·f, p = softmax(x), S = Σq, f the factor of each position."""
    _refuse_weight("cross_entropy_backward", saved.needs[3])
    dim = min(1, len(saved.inputs[1].shape) - 1)
    q, divisor = _distribution(saved)
    p = exp(log_softmax(saved.x, dim=dim))
    total = sum(q, dim=dim, keepdim=True)
    factor = _scaled(saved, saved.g, divisor)
    vp = mul(v, p)
    mean_v = sum(vp, dim=dim, keepdim=True)
    dg = dx = dt = None
    if saved.needs[0]:
        per_class = sub(mul(vp, total), mul(v, q))
        if saved.options["reduction"] == "mean":
            per_class = div(per_class, divisor)
        dg = sum(per_class, dim=dim if saved.options["reduction"] == "none" else None)
    if saved.needs[1]:
        dx = mul(sub(vp, mul(p, mean_v)), mul(total, factor))
    if saved.needs[2]:
        dt = mul(mul(sub(mean_v, v), factor), _target_weight(saved))
    return dg, dx, dt, None


# --- bounds: the reference's formulas on numbers that carry their error -------------------------


def _distribution_bounded(
    x: Bounded, target: Any, weight: Any, ignore_index: int, smoothing: float
) -> tuple[Bounded, Any]:
    dim = _class_dim(x.value)
    classes = x.value.shape[dim]
    along = [n if i == dim else 1 for i, n in enumerate(x.value.shape)]
    zeros = np.zeros_like(x.value)
    if isinstance(target, Bounded):
        q, kept = target, zeros + 1
        divisor: Any = x.value.size // max(classes, 1)
    else:
        t = np.expand_dims(target, dim)
        kept = zeros + (t != ignore_index)
        q = x.exactly((np.arange(classes).reshape(along) == t) * kept)
        chosen = q if weight is None else (q * weight.reshape(*along)).where(q.value != 0)
        # Counts are exact below 2^p; weights are summed over the positions.
        divisor = chosen.sum(depth=0 if weight is None else None)
    counts = q.value != 0
    if smoothing:
        q = q * (1 - smoothing) + x.exactly(kept) * (smoothing / classes)
        counts = kept != 0
    return (q if weight is None else (q * weight.reshape(*along)).where(counts)), divisor


def _loss_bounded(
    x: Bounded,
    target: Any,
    weight: Any,
    *,
    ignore_index: int,
    reduction: str,
    label_smoothing: float,
) -> Bounded:
    dim = _class_dim(x.value)
    q, divisor = _distribution_bounded(x, target, weight, ignore_index, label_smoothing)
    logs = log_softmax_bounded(x, dim)
    classes_summed = isinstance(target, Bounded) or label_smoothing != 0
    if not isinstance(target, Bounded):
        logs = logs.where(q.value != 0)
    loss = -(q * logs).sum(dim, depth=None if classes_summed else 0)
    if reduction == "none":
        return loss
    return loss.sum() / divisor if reduction == "mean" else loss.sum()


def _gradient_bounded(
    g: Bounded,
    x: Bounded,
    target: Any,
    weight: Any,
    *,
    ignore_index: int,
    reduction: str,
    label_smoothing: float,
) -> Bounded:
    dim = _class_dim(x.value)
    q, divisor = _distribution_bounded(x, target, weight, ignore_index, label_smoothing)
    scale = g
    if reduction == "none":
        scale = g.reshape(*(1 if i == dim else n for i, n in enumerate(x.value.shape)))
    elif reduction == "mean":
        scale = g / divisor
    softmax = log_softmax_bounded(x, dim).exp()
    return (softmax * q.sum(dim, keepdims=True) - q) * scale


# --- the specs ---------------------------------------------------------------------------------


def _f32(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


def _cost(x: Any, target: Any, weight: Any, **_: Any) -> Cost:
    return Cost(5 * x.size, x.nbytes + target.nbytes)


def _backward_cost(g: Any, x: Any, target: Any, weight: Any, **_: Any) -> Cost:
    return Cost(7 * x.size, 2 * x.nbytes + target.nbytes)


def _terms(x: Any, target: Any, weight: Any, **_: Any) -> int:
    """The longer of the two sums, over classes and over positions; the bound counts each."""
    classes = x.shape[_class_dim(x)]
    return max(classes, x.size // max(classes, 1), 1)


_CASES: tuple[tuple[str, tuple[int, ...], bool, dict[str, Any]], ...] = (
    ("digits", (17, 10), False, {}),
    ("one", (1, 1), False, {}),
    ("row of 33", (3, 33), False, {}),
    ("vector", (7,), False, {}),
    ("pixels", (2, 5, 3, 4), False, {}),
    ("sum", (5, 7), False, {"reduction": "sum"}),
    ("none", (5, 7), False, {"reduction": "none"}),
    ("weight", (5, 7), True, {}),
    ("weight, sum", (5, 7), True, {"reduction": "sum"}),
    ("weight, pixels", (2, 5, 3, 4), True, {"reduction": "none"}),
    ("ignored", (17, 10), False, {"ignore_index": 3}),
    ("ignored, weight", (17, 10), True, {"ignore_index": 0}),
    ("smoothed", (5, 7), False, {"label_smoothing": 0.1}),
    ("smoothed, all options", (2, 5, 3), True, {"label_smoothing": 0.3, "ignore_index": 1}),
    ("all smooth", (5, 7), False, {"label_smoothing": 1.0, "reduction": "sum"}),
    ("no positions", (0, 7), False, {"reduction": "sum"}),
)
_BENCH_CASES = (("batch", (256, 10)), ("rows", (256, 1024)), ("vocabulary", (32, 50257)))


def _samples(backward: bool) -> tuple[Sample, ...]:
    def sample(
        name: str, shape: tuple[int, ...], soft: bool, weighted: bool, bench: bool, options: Any
    ) -> Sample:
        dim = min(1, len(shape) - 1)
        positions = (*shape[:dim], *shape[dim + 1 :])
        target = shape if soft else Ints(positions, 0, shape[dim])
        arrays = (shape, target, (shape[dim],) if weighted else None)
        upstream = (positions if options.get("reduction") == "none" else (),) if backward else ()
        return Sample(name, (*upstream, *arrays), options, bench=bench)

    return (
        *(sample(name, shape, False, w, False, o) for name, shape, w, o in _CASES),
        *(
            sample(f"{name}, probabilities", shape, True, w, False, o)
            for name, shape, w, o in _CASES
            if "ignore_index" not in o
        ),
        *(sample(name, shape, False, False, True, {}) for name, shape in _BENCH_CASES),
    )


def _classes(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


_BAD: tuple[tuple[str, Any, dict[str, Any], type[Exception]], ...] = (
    ("batch", lambda: (_f32(3, 4), _classes(0, 1)), {}, ShapeError),
    ("target rank", lambda: (_f32(3, 4), _f32(3, 1)), {}, ShapeError),
    ("0-d x", lambda: (_f32(), _classes()), {}, ShapeError),
    ("class too high", lambda: (_f32(2, 4), _classes(0, 4)), {}, IndexRangeError),
    ("class negative", lambda: (_f32(2, 4), _classes(0, -1)), {}, IndexRangeError),
    ("float classes", lambda: (_f32(2, 4), _f32(2)), {}, DTypeError),
    ("int probabilities", lambda: (_f32(2, 4), np.zeros((2, 4), int)), {}, DTypeError),
    ("int x", lambda: (np.zeros((2, 4), int), _classes(0, 1)), {}, DTypeError),
    ("weight shape", lambda: (_f32(2, 4), _classes(0, 1), _f32(3)), {}, ShapeError),
    ("weight dtype", lambda: (_f32(2, 4), _classes(0, 1), np.zeros(4)), {}, DTypeError),
    ("reduction", lambda: (_f32(2, 4), _classes(0, 1)), {"reduction": "avg"}, ArgumentError),
    ("smoothing", lambda: (_f32(2, 4), _classes(0, 1)), {"label_smoothing": 1.5}, ArgumentError),
    ("index, soft", lambda: (_f32(2, 4), _f32(2, 4)), {"ignore_index": 1}, ArgumentError),
    ("float index", lambda: (_f32(2, 4), _classes(0, 1)), {"ignore_index": 1.5}, DTypeError),
    ("not an array", lambda: (_f32(2, 4), [0, 1]), {}, DTypeError),
)


def _bad_inputs(*upstream: Any) -> tuple[BadInput, ...]:
    def bad(name: str, make: Any, options: dict[str, Any], error: type[Exception]) -> BadInput:
        return BadInput(name, lambda: ((*upstream, *make()), options), error)

    return tuple(bad(*case) for case in _BAD)


_ARGUMENTS = "x[N,C,...], target[N,...], weight?[C]; ignore_index, reduction, label_smoothing"

cross_entropy = op(
    name="cross_entropy",
    family="loss",
    signature=f"{_ARGUMENTS} -> y",
    shape=_shape,
    reference=reference.cross_entropy,
    vjp=_vjp,
    saves=("x", "target", "weight"),
    cost=_cost,
    terms=_terms,
    bound=bounded(_loss_bounded),
    samples=_samples(backward=False),
    bad_inputs=_bad_inputs(),
)

cross_entropy_backward = op(
    name="cross_entropy_backward",
    family="loss",
    signature=f"g, {_ARGUMENTS} -> dx",
    shape=_backward_shape,
    reference=reference.cross_entropy_backward,
    vjp=_backward_vjp,
    saves=("g", "x", "target", "weight"),
    cost=_backward_cost,
    terms=lambda g, *arrays, **options: _terms(*arrays, **options),
    bound=bounded(_gradient_bounded),
    samples=_samples(backward=True),
    bad_inputs=(
        *_bad_inputs(_f32()),
        BadInput("g", lambda: ((_f32(2), _f32(2, 4), _classes(0, 1)), {}), ShapeError),
    ),
)
