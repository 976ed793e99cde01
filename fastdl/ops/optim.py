"""Optimiser steps as ops: new parameter and state from old ones (written in place through out=)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backends.reference import optim as reference
from ..core.dtypes import is_float
from ..core.errorbound import bounded
from ..core.errors import ArgumentError, DTypeError, ShapeError
from ..core.shapes import as_bool, as_float, is_channels_last
from ..spec import BadInput, Cost, Out, Plan, Sample, op
from .elementwise import add, mul, neg


def _sgd_shape(
    p: Any,
    g: Any,
    buf: Any,
    lr: Any = 1e-3,
    momentum: Any = 0.0,
    dampening: Any = 0.0,
    weight_decay: Any = 0.0,
    nesterov: Any = False,
    maximize: Any = False,
) -> Plan:
    name = "sgd_step"
    if not is_float(p.dtype):
        raise DTypeError(f"{name}: p has dtype {p.dtype}, want a float")
    for label, a in (("g", g), ("buf", buf)):
        if a is not None and a.shape != p.shape:
            raise ShapeError(f"{name}: {label} has shape {a.shape}, want that of p, {p.shape}")
        if a is not None and a.dtype != p.dtype:
            raise DTypeError(f"{name}: {label} has dtype {a.dtype}, want that of p, {p.dtype}")
    numbers = {"lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay}
    options: dict[str, Any] = {n: as_float(name, n, v) for n, v in numbers.items()}
    for option in ("lr", "momentum", "weight_decay"):
        if not options[option] >= 0:
            raise ArgumentError(f"{name}: {option}: got {options[option]}, want a number >= 0")
    options["nesterov"] = as_bool(name, "nesterov", nesterov)
    options["maximize"] = as_bool(name, "maximize", maximize)
    if options["nesterov"] and (options["momentum"] == 0 or options["dampening"] != 0):
        raise ArgumentError(f"{name}: nesterov: want momentum > 0 and dampening = 0 with it")
    if buf is not None and options["momentum"] == 0:
        raise ArgumentError(f"{name}: buf: got an array, want None without momentum")
    out = Out(p.shape, p.dtype, is_channels_last(p))
    return Plan((out,) if options["momentum"] == 0 else (out, out), (p, g, buf), options)


def _sgd_vjp(saved: Any, gp: Any, gbuf: Any = None) -> tuple[Any, ...]:
    """The step is linear in all three arrays; back through it line by line."""
    o = saved.options
    d_direction = mul(gp, -o["lr"])
    dbuf = None
    if o["momentum"] != 0:
        direct = d_direction
        total = add(gbuf, mul(direct, o["momentum"]) if o["nesterov"] else direct)
        first = saved.inputs[2] is None
        d_direction = total if first else mul(total, 1 - o["dampening"])
        d_direction = add(d_direction, direct) if o["nesterov"] else d_direction
        dbuf = None if first else mul(total, o["momentum"])
    dp = add(gp, mul(d_direction, o["weight_decay"])) if o["weight_decay"] != 0 else gp
    return dp, neg(d_direction) if o["maximize"] else d_direction, dbuf


def _sgd_cost(p: Any, g: Any, buf: Any, **options: Any) -> Cost:
    """Reads p, g and the buffer, writes p and the buffer."""
    flops = 2 + 2 * (options["weight_decay"] != 0)
    flops += (2 * (buf is not None) + 2 * options["nesterov"]) if options["momentum"] else 0
    moved = 3 + (options["momentum"] != 0) + (buf is not None)
    return Cost(flops * p.size, moved * p.nbytes)


def _f32(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


_MOMENTUM = {"lr": 0.1, "momentum": 0.9}
_OPTIONS: tuple[tuple[str, bool, dict[str, Any]], ...] = (
    ("plain", False, {"lr": 0.1}),
    ("decay", False, {"lr": 0.1, "weight_decay": 0.01}),
    ("maximize", False, {"lr": 0.1, "weight_decay": 0.01, "maximize": True}),
    ("first", False, _MOMENTUM),
    ("momentum", True, _MOMENTUM),
    ("dampening", True, {**_MOMENTUM, "dampening": 0.5}),
    ("nesterov", True, {**_MOMENTUM, "nesterov": True, "weight_decay": 0.01}),
    ("nesterov, first", False, {**_MOMENTUM, "nesterov": True}),
)

# The reference's formula, on numbers that carry their error.
_sgd_bound = bounded(reference.sgd_step)

sgd_step = op(
    name="sgd_step",
    family="optim",
    signature="p, g, buf?; lr, momentum, dampening, weight_decay, nesterov, maximize -> p, buf",
    shape=_sgd_shape,
    reference=reference.sgd_step,
    vjp=_sgd_vjp,
    cost=_sgd_cost,
    bound=_sgd_bound,
    samples=(
        *(
            Sample(f"{name}, {n}", ((n,), (n,), (n,) if buf else None), options)
            for name, buf, options in _OPTIONS
            for n in (1, 16, 33)
        ),
        Sample("filters", ((4, 3, 5, 5),) * 3, _MOMENTUM),
        Sample("channels last", ((4, 3, 5, 5),) * 3, _MOMENTUM, channels_last=True),
        Sample("scalar array", ((), (), None), {"lr": 0.1}),
        Sample("empty", ((0, 3), (0, 3), None), {"lr": 0.1}),
        Sample("layer", ((1024, 1024),) * 3, _MOMENTUM, bench=True),
    ),
    bad_inputs=(
        BadInput("g shape", lambda: ((_f32(3), _f32(4)), {"lr": 0.1}), ShapeError),
        BadInput("g dtype", lambda: ((_f32(3), np.zeros(3)), {"lr": 0.1}), DTypeError),
        BadInput("buf shape", lambda: ((_f32(3), _f32(3), _f32(4)), _MOMENTUM), ShapeError),
        BadInput("ints", lambda: ((np.zeros(3, int), np.zeros(3, int)), {"lr": 0.1}), DTypeError),
        BadInput("lr", lambda: ((_f32(3), _f32(3)), {"lr": -0.1}), ArgumentError),
        BadInput("lr NaN", lambda: ((_f32(3), _f32(3)), {"lr": float("nan")}), ArgumentError),
        BadInput("lr type", lambda: ((_f32(3), _f32(3)), {"lr": "fast"}), DTypeError),
        BadInput("decay", lambda: ((_f32(3), _f32(3)), {"weight_decay": -1.0}), ArgumentError),
        BadInput("nesterov", lambda: ((_f32(3), _f32(3)), {"nesterov": True}), ArgumentError),
        BadInput("stray buf", lambda: ((_f32(3), _f32(3), _f32(3)), {"lr": 0.1}), ArgumentError),
        BadInput("not an array", lambda: ((_f32(3), 0.0), {"lr": 0.1}), DTypeError),
    ),
    elementwise=True,
)
