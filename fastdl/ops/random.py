"""Random fills, and dropout, which is one with a gradient.

All are functions of a seed and of the first counter of its stream (`core.random`), so they give
the same bits again. Which counter makes which element depends on its place only.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backends.reference import random as reference
from ..core.dtypes import is_float
from ..core.errorbound import bounded
from ..core.errors import ArgumentError, DTypeError, ShapeError
from ..core.shapes import as_bool, as_float, as_int, is_channels_last
from ..spec import BadInput, Cost, Judged, OpSpec, Out, Plan, Sample, gamma, op


def _f32(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


def _checked(name: str, x: Any, seed: Any, offset: Any) -> dict[str, Any]:
    if not is_float(x.dtype):
        raise DTypeError(f"{name}: x has dtype {x.dtype}, want a float")
    found = {"seed": as_int(name, "seed", seed), "offset": as_int(name, "offset", offset)}
    for label, value in found.items():
        if not 0 <= value < 1 << 64:
            raise ArgumentError(f"{name}: {label}: got {value}, want 0 to 2^64 - 1")
    return found


def _fill_plan(name: str, x: Any, seed: Any, offset: Any, **numbers: Any) -> Plan:
    options = {label: as_float(name, label, value) for label, value in numbers.items()}
    options |= _checked(name, x, seed, offset)
    return Plan((Out(x.shape, x.dtype),), (x,), {**options, "dtype": x.dtype.name})


def _samples(**options: Any) -> tuple[Sample, ...]:
    """Ends of groups of 32 and 64 numbers, more than one chunk, counters past 32 bits."""
    options = {**options, "seed": 7, "offset": 0}
    return (
        *(Sample(f"{n}", ((n,),), options) for n in (1, 15, 17, 32, 33, 63, 64, 65, 130)),
        Sample("long", ((20011,),), options),
        Sample("matrix", ((3, 5, 7),), {**options, "offset": 2**32 - 16, "seed": 2**63 + 5}),
        Sample("scalar array", ((),), options),
        Sample("empty", ((0, 3),), options),
        Sample("layer", ((256, 1024),), options, bench=True),
    )


def _bad(name: str, **options: Any) -> tuple[BadInput, ...]:
    options = {**options, "seed": 1, "offset": 0}
    return (
        BadInput("ints", lambda: ((np.zeros(3, int),), options), DTypeError),
        BadInput("not an array", lambda: (([1.0],), options), DTypeError),
        BadInput("seed", lambda: ((_f32(3),), {**options, "seed": -1}), ArgumentError),
        BadInput("seed type", lambda: ((_f32(3),), {**options, "seed": 1.5}), DTypeError),
    )


def _uniform_shape(
    x: Any, low: Any = 0.0, high: Any = 1.0, seed: Any = 0, offset: Any = 0, dtype: Any = None
) -> Plan:
    plan = _fill_plan("uniform", x, seed, offset, low=low, high=high)
    if not plan.options["low"] <= plan.options["high"]:
        raise ArgumentError(f"uniform: got low {low} and high {high}, want low ≤ high")
    return plan


def _uniform_bounded(x: Any, low: float, high: float, seed: int, offset: int, dtype: str) -> Any:
    unit = reference._units(x.value.size, seed, offset, dtype, x.value.dtype)
    start = x._coerced(low)
    return x.exactly(unit.reshape(x.value.shape)) * (x._coerced(high) - start) + start


uniform = op(
    name="uniform",
    family="random",
    signature="x; low, high, seed, offset, dtype -> y",
    shape=_uniform_shape,
    reference=reference.uniform,
    cost=lambda x, **options: Cost(2 * x.size, x.nbytes),
    bound=bounded(_uniform_bounded),
    samples=(
        *_samples(low=0.0, high=1.0),
        Sample("wide", ((100,),), {"low": -3.3, "high": 1e3, "seed": 1, "offset": 16}),
    ),
    bad_inputs=(
        *_bad("uniform"),
        BadInput("order", lambda: ((_f32(3),), {"low": 1.0, "high": 0.0}), ArgumentError),
        BadInput("low type", lambda: ((_f32(3),), {"low": "a"}), DTypeError),
    ),
    elementwise=True,
)

# Of a deviate: ln within 2 ULP is 4 roundings, of which the root keeps half and adds one; the angle
# is a product with a rounded constant (2), its sine or cosine 1.5 more; and the product of both.
_DEVIATE_ROUNDINGS = 8


def _normal_shape(
    x: Any, mean: Any = 0.0, std: Any = 1.0, seed: Any = 0, offset: Any = 0, dtype: Any = None
) -> Plan:
    plan = _fill_plan("normal", x, seed, offset, mean=mean, std=std)
    if not plan.options["std"] >= 0:
        raise ArgumentError(f"normal: std: got {std}, want a number that is not negative")
    return plan


def _normal_bounded(x: Any, mean: float, std: float, seed: int, offset: int, dtype: str) -> Any:
    z = reference.deviates(x.value.shape, x.value.dtype, seed, offset, dtype)
    exact = x.exactly(z)
    error = gamma(_DEVIATE_ROUNDINGS, x.unit) * np.abs(z) + x.tiny
    return exact._make(z, error) * std + mean


normal = op(
    name="normal",
    family="random",
    signature="x; mean, std, seed, offset, dtype -> y",
    shape=_normal_shape,
    reference=reference.normal,
    cost=lambda x, **options: Cost(40 * x.size, x.nbytes),
    bound=bounded(_normal_bounded),
    samples=(
        *_samples(mean=0.0, std=1.0),
        Sample("far", ((100,),), {"mean": -3.3, "std": 0.1, "seed": 1, "offset": 16}),
    ),
    bad_inputs=(
        *_bad("normal"),
        BadInput("std", lambda: ((_f32(3),), {"std": -1.0}), ArgumentError),
        BadInput("mean type", lambda: ((_f32(3),), {"mean": "a"}), DTypeError),
    ),
    elementwise=True,
)


bernoulli = op(
    name="bernoulli",
    family="random",
    signature="p; seed, offset, dtype -> y",
    shape=lambda p, seed=0, offset=0, dtype=None: _fill_plan("bernoulli", p, seed, offset),
    reference=reference.bernoulli,
    cost=lambda p, **options: Cost(p.size, 2 * p.nbytes),
    samples=_samples(),
    bad_inputs=_bad("bernoulli"),
    elementwise=True,
)


# --- dropout -----------------------------------------------------------------------------------


def _dropout_shape(
    x: Any, p: Any = 0.5, seed: Any = 0, offset: Any = 0, channels_last: Any = None
) -> Plan:
    name = "dropout"
    options = {"p": as_float(name, "p", p), **_checked(name, x, seed, offset)}
    if not 0 <= options["p"] <= 1:
        raise ArgumentError(f"{name}: p: got {p}, want 0 to 1")
    last = is_channels_last(x)
    if channels_last is not None:
        last = as_bool(name, "channels_last", channels_last)
        if last and x.ndim != 4:
            raise ShapeError(f"{name}: x has shape {x.shape}, want 4-D for channels_last")
    options["channels_last"] = last
    return Plan((Out(x.shape, x.dtype, last),), (x,), options)


def _dropout_vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    """The same elements again: nothing was kept of the mask but where its numbers come from."""
    return (dropout(g, **saved.options),)


def _dropout_bound(case: Judged) -> tuple[Any, ...]:
    """1 / (1 − p) is rounded once, the product once."""
    return tuple(gamma(2, case.unit) * np.abs(y) + case.tiny for y in case.expected)


dropout: OpSpec = op(
    name="dropout",
    family="random",
    signature="x; p, seed, offset, channels_last -> y",
    shape=_dropout_shape,
    reference=reference.dropout,
    vjp=_dropout_vjp,
    cost=lambda x, **options: Cost(x.size, 2 * x.nbytes),
    bound=_dropout_bound,
    samples=(
        *_samples(p=0.3),
        Sample("none", ((100,),), {"p": 0.0, "seed": 1, "offset": 0}),
        Sample("all", ((100,),), {"p": 1.0, "seed": 1, "offset": 0}),
        Sample("nearly all", ((100,),), {"p": 1 - 2.0**-40, "seed": 1, "offset": 0}),
        Sample("image", ((2, 3, 5, 7),), {"p": 0.5, "seed": 1, "offset": 0}),
        Sample(
            "channels last", ((2, 3, 5, 7),), {"p": 0.5, "seed": 1, "offset": 0},
            channels_last=True,
        ),
    ),
    bad_inputs=(
        *_bad("dropout"),
        BadInput("p", lambda: ((_f32(3),), {"p": 1.5}), ArgumentError),
        BadInput("p type", lambda: ((_f32(3),), {"p": "a"}), DTypeError),
        BadInput("format", lambda: ((_f32(3),), {"channels_last": True}), ShapeError),
    ),
    elementwise=True,
)  # fmt: skip
