"""Steps of the optimisers that keep running means, averages of weights, and the gradients' norm.

As with `sgd_step` an op is the step of one parameter, written in place through `out=`; the native
functions take all parameters of a group at once (`fastdl.optim`). The steps have no gradient.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backends.reference import optim_adaptive as reference
from ..core.dtypes import is_float, promote
from ..core.errorbound import Bounded, bounded
from ..core.errors import ArgumentError, DTypeError, ShapeError
from ..core.shapes import as_bool, as_float, is_channels_last
from ..spec import BadInput, Cost, Judged, NonNegative, Out, Plan, Sample, gamma, op
from .shape import promoted

_BELOW_ONE = ("beta1", "beta2")


def _plan(name: str, arrays: dict[str, Any], numbers: dict[str, Any], **flags: Any) -> Plan:
    """Arrays of one float dtype and shape (None ones aside), p first; numbers no less than 0."""
    first, p = next(iter(arrays.items()))
    if not is_float(p.dtype):
        raise DTypeError(f"{name}: {first} has dtype {p.dtype}, want a float")
    for label, a in arrays.items():
        if a is None:
            continue
        if a.shape != p.shape:
            raise ShapeError(f"{name}: {label} has shape {a.shape}, want that of p, {p.shape}")
        if a.dtype != p.dtype:
            raise DTypeError(f"{name}: {label} has dtype {a.dtype}, want that of p, {p.dtype}")
    options: dict[str, Any] = {n: as_float(name, n, v) for n, v in numbers.items()}
    for option, value in options.items():
        if not value >= 0 or (option in _BELOW_ONE and value >= 1):
            range_ = "from 0 to less than 1" if option in _BELOW_ONE else ">= 0"
            raise ArgumentError(f"{name}: {option}: got {value}, want a number {range_}")
    if options.get("step", 1) < 1:
        raise ArgumentError(f"{name}: step: got {options['step']}, want a number >= 1")
    options |= {flag: as_bool(name, flag, value) for flag, value in flags.items()}
    out = Out(p.shape, p.dtype, is_channels_last(p))
    count = sum(a is not None for label, a in arrays.items()) - 1  # all but the gradient
    return Plan((out,) * count, tuple(arrays.values()), options)


def _adam_shape(
    p: Any, g: Any, exp_avg: Any, exp_avg_sq: Any, max_exp_avg_sq: Any, step: Any = 1,
    lr: Any = 1e-3, beta1: Any = 0.9, beta2: Any = 0.999, eps: Any = 1e-8, weight_decay: Any = 0.0,
    maximize: Any = False, decoupled_weight_decay: Any = False,
) -> Plan:  # fmt: skip
    return _plan(
        "adam_step",
        {"p": p, "g": g, "exp_avg": exp_avg, "exp_avg_sq": exp_avg_sq,
         "max_exp_avg_sq": max_exp_avg_sq},
        {"step": step, "lr": lr, "beta1": beta1, "beta2": beta2, "eps": eps,
         "weight_decay": weight_decay},
        maximize=maximize, decoupled_weight_decay=decoupled_weight_decay,
    )  # fmt: skip


def _rmsprop_shape(
    p: Any, g: Any, square_avg: Any, grad_avg: Any, momentum_buffer: Any, lr: Any = 1e-2,
    alpha: Any = 0.99, eps: Any = 1e-8, weight_decay: Any = 0.0, momentum: Any = 0.0,
    maximize: Any = False,
) -> Plan:  # fmt: skip
    plan = _plan(
        "rmsprop_step",
        {"p": p, "g": g, "square_avg": square_avg, "grad_avg": grad_avg,
         "momentum_buffer": momentum_buffer},
        {"lr": lr, "alpha": alpha, "eps": eps, "weight_decay": weight_decay, "momentum": momentum},
        maximize=maximize,
    )  # fmt: skip
    if (momentum_buffer is not None) != (plan.options["momentum"] != 0):
        raise ArgumentError("rmsprop_step: momentum_buffer: want an array with momentum, else None")
    return plan


def _adagrad_shape(
    p: Any, g: Any, sum: Any, step: Any = 1, lr: Any = 1e-2, lr_decay: Any = 0.0,
    weight_decay: Any = 0.0, eps: Any = 1e-10, maximize: Any = False,
) -> Plan:  # fmt: skip
    numbers = {"step": step, "lr": lr, "lr_decay": lr_decay, "weight_decay": weight_decay,
               "eps": eps}  # fmt: skip
    return _plan("adagrad_step", {"p": p, "g": g, "sum": sum}, numbers, maximize=maximize)


def _lion_shape(
    p: Any, g: Any, exp_avg: Any, lr: Any = 1e-4, beta1: Any = 0.9, beta2: Any = 0.99,
    weight_decay: Any = 0.0, maximize: Any = False,
) -> Plan:  # fmt: skip
    numbers = {"lr": lr, "beta1": beta1, "beta2": beta2, "weight_decay": weight_decay}
    return _plan("lion_step", {"p": p, "g": g, "exp_avg": exp_avg}, numbers, maximize=maximize)


def _ema_shape(average: Any, p: Any, decay: Any = 0.999) -> Plan:
    plan = _plan("ema_step", {"average": average, "p": p}, {"decay": decay})
    if plan.options["decay"] > 1:
        raise ArgumentError(f"ema_step: decay: got {decay}, want a number from 0 to 1")
    return plan


def _cost(flops: int) -> Any:
    """Reads every array, writes all but the gradient."""

    def cost(*arrays: Any, **options: Any) -> Cost:
        used = [a for a in arrays if a is not None]
        return Cost(flops * used[0].size, (2 * len(used) - 1) * used[0].nbytes)

    return cost


def _f32(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


def _arrays(pattern: str, *shape: int) -> tuple[Any, ...]:
    """Arrays of one shape: "." any float, "+" no less than zero, "-" none."""
    kinds: dict[str, Any] = {".": shape, "+": NonNegative(shape), "-": None}
    return tuple(kinds[k] for k in pattern)


def _samples(*cases: tuple[str, str, dict[str, Any]]) -> tuple[Sample, ...]:
    """Every case in sizes around a register, the first one in other shapes too."""
    _, pattern, options = cases[0]
    return (
        *(Sample(f"{c}, {n}", _arrays(k, n), o) for c, k, o in cases for n in (1, 16, 33)),
        Sample("filters", _arrays(pattern, 4, 3, 5, 5), options),
        Sample("scalar array", _arrays(pattern), options),
        Sample("empty", _arrays(pattern, 0, 3), options),
        Sample("layer", _arrays(pattern, 1024, 1024), options, bench=True),
    )


def _bad_inputs(count: int, *options: tuple[str, float]) -> tuple[BadInput, ...]:
    """What no step takes, then numbers out of range; `count` arrays are wanted."""

    def given(*last: Any) -> tuple[Any, ...]:
        return (*(_f32(3) for _ in range(count - 1)), *last)

    return (
        BadInput("shape", lambda: (given(_f32(4)), {}), ShapeError),
        BadInput("dtype", lambda: (given(np.zeros(3)), {}), DTypeError),
        BadInput("ints", lambda: ((np.zeros(3, int),) * count, {}), DTypeError),
        BadInput("not an array", lambda: (given(0.0), {}), DTypeError),
        BadInput("missing", lambda: ((_f32(3),), {}), DTypeError),
        BadInput("number's type", lambda: (given(_f32(3)), {options[0][0]: "fast"}), DTypeError),
        *(
            BadInput(f"{n} {v}", lambda n=n, v=v: (given(_f32(3)), {n: v}), ArgumentError)  # type: ignore[misc]
            for n, v in options
        ),
    )


_NAN = float("nan")
_SECOND = {"step": 2, "lr": 0.1, "weight_decay": 0.01}

adam_step = op(
    name="adam_step",
    family="optim",
    signature=(
        "p, g, exp_avg, exp_avg_sq, max_exp_avg_sq?;"
        " step, lr, beta1, beta2, eps, weight_decay, maximize, decoupled_weight_decay"
        " -> p, exp_avg, exp_avg_sq, max_exp_avg_sq"
    ),
    shape=_adam_shape,
    reference=reference.adam_step,
    cost=_cost(14),
    bound=bounded(lambda *a, **o: reference.adam_step(*a, **o, maximum=Bounded.maximum)),
    samples=_samples(
        ("plain", "...+", {"step": 3}),
        ("first", "...+", {"lr": 0.1}),
        ("decay", "...+", _SECOND),
        ("decoupled", "...+", {**_SECOND, "decoupled_weight_decay": True}),
        ("maximize", "...+", {**_SECOND, "maximize": True}),
        ("amsgrad", "...++", _SECOND),
        ("no mean", "...+", {"step": 5, "beta1": 0.0, "beta2": 0.0, "eps": 0.01}),
        ("late", "...+", {"step": 100_000, "beta1": 0.4, "eps": 1e-3}),
    ),
    bad_inputs=_bad_inputs(
        4, ("lr", -0.1), ("lr", _NAN), ("beta1", 1.0), ("beta2", -0.1), ("eps", -1e-8),
        ("weight_decay", -1.0), ("step", 0),
    ),
    elementwise=True,
)  # fmt: skip

rmsprop_step = op(
    name="rmsprop_step",
    family="optim",
    signature=(
        "p, g, square_avg, grad_avg?, momentum_buffer?;"
        " lr, alpha, eps, weight_decay, momentum, maximize"
        " -> p, square_avg, grad_avg, momentum_buffer"
    ),
    shape=_rmsprop_shape,
    reference=reference.rmsprop_step,
    cost=_cost(9),
    bound=bounded(lambda *a, **o: reference.rmsprop_step(*a, **o, maximum=Bounded.maximum)),
    samples=_samples(
        ("plain", "..+", {"lr": 0.1}),
        ("decay", "..+", {"lr": 0.1, "weight_decay": 0.01, "maximize": True}),
        ("momentum", "..+-.", {"lr": 0.1, "momentum": 0.9}),
        ("centered", "..+.", {"lr": 0.1, "eps": 1e-3}),
        ("centered, momentum", "..+..", {"momentum": 0.9, "alpha": 0.4, "eps": 1e-3}),
    ),
    bad_inputs=(
        *_bad_inputs(3, ("lr", -0.1), ("alpha", -0.1), ("eps", _NAN), ("momentum", -1.0)),
        BadInput("no buffer", lambda: ((_f32(3),) * 3, {"momentum": 0.9}), ArgumentError),
        BadInput("stray buffer", lambda: ((*(_f32(3),) * 3, None, _f32(3)), {}), ArgumentError),
    ),
    elementwise=True,
)

adagrad_step = op(
    name="adagrad_step",
    family="optim",
    signature="p, g, sum; step, lr, lr_decay, weight_decay, eps, maximize -> p, sum",
    shape=_adagrad_shape,
    reference=reference.adagrad_step,
    cost=_cost(6),
    bound=bounded(reference.adagrad_step),
    samples=_samples(
        ("plain", "..+", {"lr": 0.1}),
        ("decays", "..+", {**_SECOND, "lr_decay": 0.1, "maximize": True}),
    ),
    bad_inputs=_bad_inputs(3, ("lr", -0.1), ("lr_decay", -1.0), ("eps", -1.0), ("step", 0)),
    elementwise=True,
)

lion_step = op(
    name="lion_step",
    family="optim",
    signature="p, g, exp_avg; lr, beta1, beta2, weight_decay, maximize -> p, exp_avg",
    shape=_lion_shape,
    reference=reference.lion_step,
    cost=_cost(8),
    bound=bounded(lambda *a, **o: reference.lion_step(*a, **o, sign=Bounded.sign)),
    samples=_samples(
        ("plain", "...", {"lr": 0.1}),
        ("decay", "...", {"lr": 0.1, "weight_decay": 0.01, "maximize": True, "beta1": 0.3}),
    ),
    bad_inputs=_bad_inputs(3, ("lr", -0.1), ("beta1", 1.0), ("beta2", 2.0), ("weight_decay", -1.0)),
    elementwise=True,
)

ema_step = op(
    name="ema_step",
    family="optim",
    signature="average, p; decay -> average",
    shape=_ema_shape,
    reference=reference.ema_step,
    cost=lambda average, p, **_: Cost(3 * p.size, 3 * p.nbytes),
    bound=bounded(reference.ema_step),
    samples=_samples(
        ("slow", "..", {"decay": 0.999}),
        ("fast", "..", {"decay": 0.1}),
        ("never", "..", {"decay": 1.0}),
    ),
    bad_inputs=_bad_inputs(2, ("decay", -0.1), ("decay", 1.5), ("decay", _NAN)),
    elementwise=True,
)


def _norm_shape(*tensors: Any, norm_type: Any = 2.0) -> Plan:
    power = as_float("total_norm", "norm_type", norm_type)
    if not power > 0:
        raise ArgumentError(f"total_norm: norm_type: got {power}, want a number > 0, or inf")
    dtype = tensors[0].dtype
    for t in tensors:
        dtype = promote(dtype, t.dtype)
    if not is_float(dtype):
        raise DTypeError(f"total_norm: tensors have dtype {dtype}, want a float")
    arrays = tuple(promoted("total_norm", t, dtype) for t in tensors)
    return Plan((Out((), dtype),), arrays, {"norm_type": power})


def _norm_terms(*tensors: Any, norm_type: float) -> int:
    return max(sum(t.size for t in tensors), 1)


def _norm_bound(case: Judged) -> tuple[Any, ...]:
    """No term is negative, so the sum is off by a relative γ, and its root by γ/p.

    |x|^p and the root are within 2 ULP, one of which is at most two roundings; a term that
    underflows is lost.
    """
    power = case.options["norm_type"]
    if power == float("inf"):
        return (0.0,)
    (norm,) = case.expected
    relative = gamma(case.depth + 4, case.unit)
    relative = max(relative / power, np.expm1(np.log1p(relative) / power)) + 4 * case.unit
    lost = (case.terms * case.tiny) ** (1 / power)
    return (np.where(np.isfinite(norm), relative * norm + lost + case.tiny, 0),)


total_norm = op(
    name="total_norm",
    family="optim",
    signature="*tensors; norm_type -> y",
    shape=_norm_shape,
    reference=reference.total_norm,
    cost=lambda *tensors, norm_type: Cost(
        2 * sum(t.size for t in tensors), sum(t.nbytes for t in tensors)
    ),
    terms=_norm_terms,
    bound=_norm_bound,
    samples=(
        *(
            Sample(f"{p}, {n}", ((n,), (2, 3), (n, 5)), {"norm_type": p})
            for p in (1.0, 2.0, 3.0, float("inf"))
            for n in (1, 17)
        ),
        Sample("one", ((1,),), {}),
        Sample("scalar arrays", ((), ()), {}),
        Sample("empty", ((0,), (0, 3)), {}),
        Sample("channels last", ((2, 3, 5, 7), (4,)), {}, channels_last=True),
        Sample("layers", ((512, 512, 3, 3), (512,), (1000, 512)), {}, bench=True),
    ),
    bad_inputs=(
        BadInput("nothing", lambda: ((), {}), ArgumentError),
        BadInput("ints", lambda: ((np.zeros(3, int),), {}), DTypeError),
        BadInput("power 0", lambda: ((_f32(3),), {"norm_type": 0.0}), ArgumentError),
        BadInput("power NaN", lambda: ((_f32(3),), {"norm_type": _NAN}), ArgumentError),
        BadInput("power's type", lambda: ((_f32(3),), {"norm_type": "fro"}), DTypeError),
        BadInput("not an array", lambda: ((1.0,), {}), DTypeError),
    ),
)
