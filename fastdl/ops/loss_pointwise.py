"""The losses that compare two arrays element by element, and their gradients: a table of them.

What each computes is in `backends/reference/loss_pointwise.py`. A row of the table below makes the
ops NAME and NAME_backward. Broadcasting is left to `functional`; here all arrays have one shape.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from ..backends.reference import loss_pointwise as reference
from ..backends.reference.loss_pointwise import LOSSES
from ..core.dtypes import is_float, result_type
from ..core.errorbound import Bounded, bounded
from ..core.errors import ArgumentError, DTypeError, ShapeError, UnsupportedError
from ..core.shapes import as_bool, as_float, is_channels_last
from ..spec import OPS, BadInput, Cost, Folded, Ints, OpSpec, Out, Plan, Sample, op
from .elementwise import add, div, eq, exp, ge, gt, log, lt, mul, sigmoid, where
from .shape import promoted


class Row(NamedTuple):
    """What distinguishes a loss in its arguments: its option, and the least value that has."""

    option: str | None = None
    default: Any = None
    least: float = -np.inf
    positive: bool = False  # takes pos_weight
    inputs: Any = tuple  # of a sample, from its shape: any numbers, or those within 0 and 1
    targets: Any = tuple
    arguments: tuple[Any, ...] = ()  # values of the option worth a sample
    bends: bool = False  # its slope jumps or bends, which differences over many elements would meet


def _unit(shape: tuple[int, ...]) -> Folded:
    return Folded(shape, 0, 1)


TABLE = {
    "mse_loss": Row(),
    "l1_loss": Row(bends=True),
    "smooth_l1_loss": Row("beta", 1.0, least=0, arguments=(0.3,), bends=True),
    "huber_loss": Row("delta", 1.0, least=0, arguments=(2,), bends=True),
    "soft_margin_loss": Row(),
    "hinge_embedding_loss": Row(
        "margin", 1.0, targets=lambda shape: Ints(shape, -1, 2), arguments=(0.5, -0.25), bends=True
    ),
    "binary_cross_entropy": Row(inputs=_unit, targets=_unit),
    "binary_cross_entropy_with_logits": Row(positive=True, targets=_unit),
    "kl_div": Row("log_target", False, targets=_unit),
}


def kind_of(name: str, options: dict[str, Any]) -> tuple[str, float]:
    """The formula's name, and its parameter."""
    if name == "kl_div":
        return ("kl_div, log_target" if options["log_target"] else "kl_div"), 0.0
    option = TABLE[name].option
    return name, options[option] if option else 0.0


# --- arithmetics for the formulas --------------------------------------------------------------


class _Ops:
    """Formulas on arrays or Tensors, made of ops."""

    exp, log, sigmoid, where, eq, ge = exp, log, sigmoid, where, eq, ge

    @staticmethod
    def log1p(x: Any) -> Any:
        return log(add(x, 1))

    @staticmethod
    def at_least(x: Any, least: float) -> Any:
        return where(lt(x, least), _like(x, least), x)

    @staticmethod
    def clamped_log(log_x: Any) -> Any:
        return _Ops.at_least(log_x, -100)

    @staticmethod
    def abs(x: Any) -> Any:
        return mul(x, _Ops.sign(x))

    @staticmethod
    def sign(x: Any) -> Any:
        return where(gt(x, 0), _like(x, 1), where(lt(x, 0), _like(x, -1), mul(x, 0)))

    @staticmethod
    def either(d: Any, limit: float, below: Any, above: Any) -> Any:
        return where(lt(d, limit), below, above)


def _like(x: Any, value: float) -> Any:
    """A number of x's dtype, which a Python one in `where` would not be."""
    return np.asarray(value, x.dtype)


class _Errors:
    """Formulas on numbers that carry their error."""

    log, log1p, sigmoid = Bounded.log, Bounded.log1p, Bounded.sigmoid

    @staticmethod
    def exp(x: Bounded) -> Bounded:
        """Of a target that is no log-probability, it may overflow."""
        return x.exp().in_range()

    @staticmethod
    def eq(x: Bounded, number: float) -> np.ndarray:
        """Of a number without error."""
        return x.value == number

    @staticmethod
    def ge(x: Bounded, number: float) -> np.ndarray:
        """Of a difference of two numbers, whose sign no rounding changes."""
        return x.value >= number

    @staticmethod
    def where(condition: Any, a: Bounded, b: Bounded) -> Bounded:
        """A choice by exact numbers."""
        return replace(
            a,
            value=np.where(condition, a.value, b.value),
            error=np.where(condition, a.error, b.error),
        )

    @staticmethod
    def either(d: Bounded, limit: float, below: Bounded, above: Bounded) -> Bounded:
        """A choice by a number with an error, which may make a kernel choose the other one."""
        chosen = _Errors.where(d.value < limit, below, above)
        unsure = np.abs(d.value - limit) <= d.error + abs(limit) * d.unit
        other = np.maximum(below.error, above.error) + np.abs(below.value - above.value)
        return replace(chosen, error=np.where(unsure, other, chosen.error))

    @staticmethod
    def abs(x: Bounded) -> Bounded:
        return replace(x, value=np.abs(x.value))

    @staticmethod
    def sign(x: Bounded) -> Bounded:
        """Exact of a difference of two numbers, whose sign no rounding changes."""
        return x.exactly(np.sign(x.value))

    @staticmethod
    def at_least(x: Bounded, least: float) -> Bounded:
        """The greater of two moves by no more than either; a constant by its rounding."""
        rounding = 0.0 if least == int(least) else abs(least) * x.unit
        return replace(
            x,
            value=np.maximum(x.value, x.value.dtype.type(least)),
            error=np.where(x.value + x.error < least, rounding, np.maximum(x.error, rounding)),
        )

    @staticmethod
    def clamped_log(log_x: Bounded) -> Bounded:
        return _Errors.at_least(log_x, -100)


# --- shapes ------------------------------------------------------------------------------------


def _checked(
    name: str, op_name: str, x: Any, target: Any, weight: Any, positive: Any, reduction: Any,
    given: dict[str, Any],
) -> tuple[tuple[Any, ...], dict[str, Any]]:  # fmt: skip
    """The promoted arrays and the canonical options of a call."""
    row = TABLE[name]
    arrays = {"x": x, "target": target, "weight": weight, "pos_weight": positive}
    present = {key: a for key, a in arrays.items() if a is not None}
    for key, a in present.items():
        if a.shape != x.shape:
            raise ShapeError(f"{op_name}: {key} has shape {a.shape}, want that of x, {x.shape}")
    dtype = result_type(*present.values())
    if not is_float(dtype):
        raise DTypeError(
            f"{op_name}: x has dtype {x.dtype} and target {target.dtype}, want a float"
        )
    if reduction not in ("mean", "sum", "none"):
        raise ArgumentError(
            f"{op_name}: reduction: got {reduction!r}, want 'mean', 'sum' or 'none'"
        )
    options = {"reduction": reduction}
    if row.option:
        value = given.get(row.option, row.default)
        check = as_bool if isinstance(row.default, bool) else as_float
        options[row.option] = check(op_name, row.option, value)
        if not options[row.option] >= row.least or (row.least == 0 and not options[row.option]):
            raise ArgumentError(
                f"{op_name}: {row.option}: got {value}, want a number above {row.least:g}"
            )
    if name == "binary_cross_entropy" and x.size and not (x.min() >= 0 and x.max() <= 1):
        raise ArgumentError(f"{op_name}: x: got a value outside 0 to 1")
    cast = tuple(None if a is None else promoted(op_name, a, dtype) for a in arrays.values())
    return cast if row.positive else cast[:3], options


def _shape(name: str) -> Callable[..., Plan]:
    def plan(x: Any, target: Any, weight: Any, positive: Any, reduction: Any, given: Any) -> Plan:
        arrays, options = _checked(name, name, x, target, weight, positive, reduction, given)
        none = reduction == "none"
        out = Out(x.shape if none else (), arrays[0].dtype, none and is_channels_last(x))
        return Plan((out,), arrays, options)

    if TABLE[name].positive:
        return lambda x, target, weight, positive, reduction="mean", **given: plan(
            x, target, weight, positive, reduction, given
        )
    return lambda x, target, weight, reduction="mean", **given: plan(
        x, target, weight, None, reduction, given
    )


def _backward_shape(name: str) -> Callable[..., Plan]:
    def plan(g: Any, x: Any, *arrays: Any, reduction: Any = "mean", **given: Any) -> Plan:
        op_name = f"{name}_backward"
        target, weight, positive = (*arrays, None)[:3]
        cast, options = _checked(name, op_name, x, target, weight, positive, reduction, given)
        wanted = x.shape if reduction == "none" else ()
        if g.shape != wanted:
            raise ShapeError(f"{op_name}: g has shape {g.shape}, want {wanted}")
        out = Out(x.shape, cast[0].dtype, is_channels_last(x))
        return Plan((out,), (promoted(op_name, g, cast[0].dtype), *cast), options)

    return plan


# --- gradients ---------------------------------------------------------------------------------


def _vjp(name: str, composed: bool) -> Callable[..., tuple[Any, ...]]:
    """Gradients of x, target and weight: that of x by its own kernel, or composed of ops, which
    can be differentiated again."""

    def vjp(saved: Any, g: Any) -> tuple[Any, ...]:
        kind, parameter = kind_of(name, saved.options)
        loss, reduction = LOSSES[kind], saved.options["reduction"]
        positive = saved.pos_weight if TABLE[name].positive else None
        x, t, w = saved.x, saved.target, saved.weight
        n = int(np.prod(saved.inputs[0].shape))
        scale = div(g, n) if reduction == "mean" else g
        if saved.needs[1] and loss.target_slope is None:
            raise UnsupportedError(f"{name}: has no gradient with respect to target (nor torch's)")
        if saved.needs[3:] and saved.needs[3]:
            raise UnsupportedError(f"{name}: has no gradient with respect to pos_weight")

        def times(slope: Any) -> Any:
            return mul(slope if w is None else mul(slope, w), scale)

        dx = dt = dw = None
        at = (_Ops, x, t, parameter, positive)
        with np.errstate(all="ignore"):  # arrays' own operators; on Tensors they are ops
            if saved.needs[0] and composed:
                dx = times(loss.slope(*at))
            elif saved.needs[0]:
                arrays = (x, t, w, positive) if TABLE[name].positive else (x, t, w)
                dx = OPS[f"{name}_backward"](g, *arrays, **saved.options)
            if saved.needs[1] and loss.target_slope:
                dt = times(loss.target_slope(*at))
            if saved.needs[2]:
                dw = mul(loss.value(*at), scale)
        return (dx, dt, dw, None)[: len(saved.needs)]

    return vjp


# --- for the checker and the benchmark ---------------------------------------------------------


def _value_bounded(name: str) -> Callable[..., Bounded]:
    def value(x: Bounded, t: Any, w: Any, *q: Any, reduction: str, **options: Any) -> Bounded:
        kind, parameter = kind_of(name, options)
        y = LOSSES[kind].value(_Errors, x, t, parameter, q[0] if q else None)
        y = y if w is None else y * w
        if reduction == "none":
            return y
        return y.sum() / x.value.size if reduction == "mean" else y.sum()

    return value


def _slope_bounded(name: str) -> Callable[..., Bounded]:
    def slope(
        g: Bounded, x: Bounded, t: Any, w: Any, *q: Any, reduction: str, **options: Any
    ) -> Bounded:
        kind, parameter = kind_of(name, options)
        dx = LOSSES[kind].slope(_Errors, x, t, parameter, q[0] if q else None)
        dx = dx if w is None else dx * w
        return dx * (g / x.value.size if reduction == "mean" else g)

    return slope


SHAPES = (("vector", (7,)), ("matrix", (5, 7)), ("one", (1,)), ("number", ()), ("none", (0, 3)),
          ("tails", (7, 11, 7)))  # fmt: skip
BENCH_SHAPES = (("batch", (256, 10)), ("pixels", (8, 3, 128, 128)), ("rows", (256, 4096)))


def _samples(name: str, backward: bool) -> tuple[Sample, ...]:
    row = TABLE[name]

    def sample(
        label: str, shape: tuple[int, ...], options: Any, *extra: Any, **more: Any
    ) -> Sample:
        arrays = (row.inputs(shape), row.targets(shape), *extra)
        upstream = (shape if options.get("reduction") == "none" else (),) if backward else ()
        return Sample(label, (*upstream, *arrays), options, **more)

    made = [sample(label, shape, {}) for label, shape in SHAPES]
    if not row.bends:
        made.append(sample("chunks", (5, 5, 1331), {}))
    made += [
        sample(f"{how}, {weight}", (5, 7), {"reduction": how}, *((5, 7),) * (weight == "weight"))
        for how in ("none", "sum", "mean")
        for weight in ("", "weight")
    ]
    made.append(sample("channels last", (2, 5, 7, 11), {"reduction": "none"}, channels_last=True))
    for value in row.arguments:
        made.append(sample(f"{row.option} {value}", (7, 7), {row.option: value}))
    if name == "kl_div":
        for how in ("none", "mean"):
            options = {"reduction": how, "log_target": True}
            upstream = ((5, 7) if how == "none" else (),) * backward
            # A mean of exp(target) · ... that overflows with both signs is NaN in this dtype, and
            # not in a wider one.
            targets = (5, 7) if how == "none" else Folded((5, 7), -100, 1)
            arrays = (*upstream, (5, 7), targets)
            made.append(Sample(f"logarithms, {how}", arrays, options))
    if row.positive:
        for how, weight in (("none", None), ("mean", (5, 7))):
            made.append(sample(f"positive, {how}", (5, 7), {"reduction": how}, weight, (5, 7)))
    made += [sample(label, shape, {}, bench=True) for label, shape in BENCH_SHAPES]
    return tuple(made)


def _f32(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


def _bad_inputs(name: str, backward: bool) -> tuple[BadInput, ...]:
    row = TABLE[name]
    x = _f32(2, 3)

    def bad(label: str, error: type[Exception], *arrays: Any, **options: Any) -> BadInput:
        upstream = (_f32(),) if backward else ()
        return BadInput(label, lambda: ((*upstream, *arrays), options), error)

    made = [
        bad("shapes", ShapeError, x, _f32(3)),
        bad("weight's shape", ShapeError, x, x, _f32(2)),
        bad("integers", DTypeError, np.zeros((2, 3), int), np.zeros((2, 3), int)),
        bad("complex", DTypeError, x.astype(complex), x),
        bad("object", DTypeError, x, x.astype(object)),
        bad("not an array", DTypeError, x, [0.0]),
        bad("reduction", ArgumentError, x, x, reduction="batchmean"),
        bad("unknown option", ArgumentError, x, x, power=2),
    ]
    if row.option:
        made.append(bad("option's type", DTypeError, x, x, **{str(row.option): "1"}))
    if row.least == 0:
        made.append(bad("option 0", ArgumentError, x, x, **{str(row.option): 0}))
    if row.inputs is _unit:
        made.append(bad("outside 0 to 1", ArgumentError, x + 1.5, x))
        made.append(bad("NaN", ArgumentError, x * np.float32(np.nan), x))
    if backward:
        made.append(BadInput("g", lambda: ((x, x, x), {}), ShapeError))
    return tuple(made)


def _cost(*arrays: Any, **options: Any) -> Cost:
    present = [a for a in arrays if a is not None]
    size = max(a.size for a in present)
    return Cost(10 * size, sum(a.nbytes for a in present))


def _declare(name: str) -> tuple[OpSpec, OpSpec]:
    row = TABLE[name]
    arrays = "x[...], target[...], weight?[...]" + (", pos_weight?[...]" if row.positive else "")
    options = f"reduction, {row.option}" if row.option else "reduction"

    def forward(x: Any, t: Any, w: Any, *q: Any, reduction: str, **given: Any) -> Any:
        kind, parameter = kind_of(name, given)
        return reference.loss(kind, x, t, w, q[0] if q else None, reduction, parameter)

    def backward(g: Any, x: Any, t: Any, w: Any, *q: Any, reduction: str, **given: Any) -> Any:
        kind, parameter = kind_of(name, given)
        return reference.gradient(kind, g, x, t, w, q[0] if q else None, reduction, parameter)

    return op(
        name=name,
        family="loss",
        signature=f"{arrays}; {options} -> y",
        shape=_shape(name),
        reference=forward,
        vjp=_vjp(name, composed=False),
        composed_vjp=_vjp(name, composed=True),
        saves=("x", "target", "weight", "pos_weight")[: 3 + row.positive],
        cost=_cost,
        terms=lambda x, *_, **__: max(x.size, 1),
        bound=bounded(_value_bounded(name)),
        samples=_samples(name, False),
        bad_inputs=_bad_inputs(name, False),
    ), op(
        name=f"{name}_backward",
        family="loss",
        signature=f"g, {arrays}; {options} -> dx[...]",
        shape=_backward_shape(name),
        reference=backward,
        cost=lambda *arrays, **__: Cost(
            10 * arrays[1].size, _cost(*arrays).bytes + arrays[1].nbytes
        ),
        bound=bounded(_slope_bounded(name)),
        samples=_samples(name, True),
        bad_inputs=_bad_inputs(name, True),
    )


POINTWISE = {name: _declare(name) for name in TABLE}
