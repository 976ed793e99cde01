"""Recurrent layers: one layer, one direction, over whole sequences.

x is [T, B, I], time first, a single step [B, I], or packed [N, I] with `batch_sizes`
(`core.sequences`). Weights and
biases are torch's: w_ih[G·H, I], w_hh[G·H, H], the gates of an LSTM in the order i, f, g, o, those
of a GRU r, z, n. Stacks of layers and both directions are put together in `functional.rnn`.

What the gradient needs besides the outputs are the values of the gates and of an LSTM's cells.
They are outputs too, empty unless `save` is set; a gradient asked for without them runs the layer
again. No gradient flows into them from above.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ..backends.reference import rnn as reference
from ..core import checks
from ..core.dtypes import FLOATS
from ..core.errors import ArgumentError, DTypeError, ShapeError
from ..spec import Cost, OpSpec, Out, Plan, op
from . import rnn_bound, rnn_gradients, rnn_samples

# --- shapes ------------------------------------------------------------------------------------


def _flag(name: str, option: str, value: Any) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise DTypeError(f"{name}: {option}: got {value!r}, want a bool")
    return bool(value)


def _checked_sizes(name: str, x: str, a: Any, batch: int, sizes: Any) -> Any:
    """`batch_sizes` as int64, after checking that the rows of a[T, B, C] or a[N, C] fit them."""
    if sizes is None:
        if a.ndim != 2:
            checks.rank(name, x, a, "T, B, C")
            if a.shape[0] == 0:
                raise ShapeError(f"{name}: argument {x} has shape {a.shape}, want a step or more")
        if a.shape[-2] != batch:
            raise ShapeError(
                f"{name}: argument {x} has shape {a.shape}, want [T, {batch}, C] or [{batch}, C]"
                f" for a state of {batch} sequences"
            )
        return None
    checks.rank(name, f"{x}, packed,", a, "N, C")
    checks.rank(name, "batch_sizes", sizes, "T")
    if sizes.dtype.kind not in "iu":
        raise DTypeError(f"{name}: batch_sizes has dtype {sizes.dtype}, want an integer one")
    if len(sizes) == 0 or (sizes < 1).any() or (sizes[1:] > sizes[:-1]).any():
        raise ArgumentError(
            f"{name}: batch_sizes: want positive sizes that never rise, got {sizes.tolist()}"
        )
    if sizes[0] != batch or sizes.sum() != len(a):
        raise ShapeError(
            f"{name}: batch_sizes begin with {sizes[0]} and sum to {sizes.sum()}, want {batch}, the"
            f" state's sequences, and {len(a)}, the rows of {x}"
        )
    return np.ascontiguousarray(sizes, np.int64)


def _layer_shape(
    name: str, gates: int, x: Any, h0: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, sizes: Any,
    **more: Any,
) -> tuple[np.dtype, int, Any]:  # fmt: skip
    """Checks what all cells share; the dtype, the number of units and batch_sizes."""
    dtype = checks.same_dtype(
        name, FLOATS, x=x, h0=h0, w_ih=w_ih, w_hh=w_hh, b_ih=b_ih, b_hh=b_hh, **more
    )
    checks.rank(name, "h0", h0, "B, H")
    checks.rank(name, "w_ih", w_ih, "G·H, I")
    rows = w_ih.shape[0]
    if rows == 0 or rows % gates:
        raise ShapeError(
            f"{name}: argument w_ih has shape {w_ih.shape}, want a multiple of {gates} rows, not 0"
        )
    sizes = _checked_sizes(name, "x", x, h0.shape[0], sizes)
    if x.shape[-1] != w_ih.shape[1]:
        raise ShapeError(
            f"{name}: argument x has shape {x.shape}, want [..., {w_ih.shape[1]}] for w_ih"
            f" {w_ih.shape}"
        )
    checks.shape(name, "w_hh", w_hh, (rows, h0.shape[1]))
    for label, bias in (("b_ih", b_ih), ("b_hh", b_hh)):
        if bias is not None:
            checks.shape(name, label, bias, (rows,))
    return dtype, rows // gates, sizes


def _rnn_shape(
    name: str, x: Any, h0: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, batch_sizes: Any,
    reverse: Any = False,
) -> Plan:  # fmt: skip
    dtype, units, sizes = _layer_shape(name, 1, x, h0, w_ih, w_hh, b_ih, b_hh, batch_sizes)
    checks.shape(name, "h0", h0, (h0.shape[0], units))
    outputs = Out((*x.shape[:-1], units), dtype), Out(h0.shape, dtype)
    options = {"reverse": _flag(name, "reverse", reverse)}
    return Plan(outputs, (x, h0, w_ih, w_hh, b_ih, b_hh, sizes), options)


def _lstm_shape(
    x: Any, h0: Any, c0: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, w_hr: Any,
    batch_sizes: Any, reverse: Any = False, save: Any = False,
) -> Plan:  # fmt: skip
    name = "lstm_layer"
    dtype, units, sizes = _layer_shape(
        name, 4, x, h0, w_ih, w_hh, b_ih, b_hh, batch_sizes, c0=c0, w_hr=w_hr
    )
    batch, width = h0.shape
    checks.shape(name, "c0", c0, (batch, units))
    if w_hr is None:
        checks.shape(name, "h0", h0, (batch, units))
    else:
        checks.shape(name, "w_hr", w_hr, (width, units))
    options = {"reverse": _flag(name, "reverse", reverse), "save": _flag(name, "save", save)}
    lead = x.shape[:-1]
    outputs = (
        Out((*lead, width), dtype), Out(h0.shape, dtype), Out(c0.shape, dtype),
        *(Out((*lead, n) if options["save"] else (0,), dtype) for n in (4 * units, units)),
    )  # fmt: skip
    return Plan(outputs, (x, h0, c0, w_ih, w_hh, b_ih, b_hh, w_hr, sizes), options)


def _gru_shape(
    x: Any, h0: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, batch_sizes: Any,
    reverse: Any = False, save: Any = False,
) -> Plan:  # fmt: skip
    name = "gru_layer"
    dtype, units, sizes = _layer_shape(name, 3, x, h0, w_ih, w_hh, b_ih, b_hh, batch_sizes)
    checks.shape(name, "h0", h0, (h0.shape[0], units))
    options = {"reverse": _flag(name, "reverse", reverse), "save": _flag(name, "save", save)}
    lead = x.shape[:-1]
    outputs = (
        Out((*lead, units), dtype), Out(h0.shape, dtype),
        Out((*lead, 4 * units) if options["save"] else (0,), dtype),
    )  # fmt: skip
    return Plan(outputs, (x, h0, w_ih, w_hh, b_ih, b_hh, sizes), options)


def _backward_checks(
    name: str, blocks: int, g_y: Any, g_h: Any, w_hh: Any, sizes: Any, **more: Any
) -> tuple[np.dtype, int, Any]:
    """Checks what all gradients share; the dtype, the number of units and batch_sizes."""
    dtype = checks.same_dtype(name, FLOATS, g_y=g_y, g_h=g_h, w_hh=w_hh, **more)
    checks.rank(name, "g_h", g_h, "B, H")
    checks.rank(name, "w_hh", w_hh, "G·H, H")
    sizes = _checked_sizes(name, "g_y", g_y, g_h.shape[0], sizes)
    checks.shape(name, "g_y", g_y, (*g_y.shape[:-1], g_h.shape[1]))
    rows = w_hh.shape[0]
    if rows == 0 or rows % blocks:
        raise ShapeError(
            f"{name}: argument w_hh has shape {w_hh.shape}, want a multiple of {blocks} rows, not 0"
        )
    checks.shape(name, "w_hh", w_hh, (rows, g_h.shape[1]))
    return dtype, rows // blocks, sizes


def _rnn_backward_shape(
    name: str, g_y: Any, g_h: Any, y: Any, w_hh: Any, batch_sizes: Any, reverse: Any = False
) -> Plan:
    dtype, units, sizes = _backward_checks(name, 1, g_y, g_h, w_hh, batch_sizes, y=y)
    checks.shape(name, "y", y, (*g_y.shape[:-1], units))
    options = {"reverse": _flag(name, "reverse", reverse)}
    outputs = Out(y.shape, dtype), Out(g_h.shape, dtype)
    return Plan(outputs, (g_y, g_h, y, w_hh, sizes), options)


def _lstm_backward_shape(
    g_y: Any, g_h: Any, g_c: Any, gates: Any, cells: Any, c0: Any, w_hh: Any, w_hr: Any,
    batch_sizes: Any, reverse: Any = False,
) -> Plan:  # fmt: skip
    name = "lstm_layer_backward"
    dtype, units, sizes = _backward_checks(
        name, 4, g_y, g_h, w_hh, batch_sizes, g_c=g_c, gates=gates, cells=cells, c0=c0, w_hr=w_hr
    )
    (batch, width), lead = g_h.shape, g_y.shape[:-1]
    checks.shape(name, "gates", gates, (*lead, 4 * units))
    checks.shape(name, "cells", cells, (*lead, units))
    for label, state in (("g_c", g_c), ("c0", c0)):
        checks.shape(name, label, state, (batch, units))
    if w_hr is None:
        checks.shape(name, "g_h", g_h, (batch, units))
    else:
        checks.shape(name, "w_hr", w_hr, (width, units))
    outputs = (
        Out(gates.shape, dtype), Out(g_h.shape, dtype), Out(c0.shape, dtype),
        Out((0,) if w_hr is None else g_y.shape, dtype),
    )  # fmt: skip
    options = {"reverse": _flag(name, "reverse", reverse)}
    return Plan(outputs, (g_y, g_h, g_c, gates, cells, c0, w_hh, w_hr, sizes), options)


def _gru_backward_shape(
    g_y: Any, g_h: Any, gates: Any, y: Any, h0: Any, w_hh: Any, batch_sizes: Any,
    reverse: Any = False,
) -> Plan:  # fmt: skip
    name = "gru_layer_backward"
    dtype, units, sizes = _backward_checks(
        name, 3, g_y, g_h, w_hh, batch_sizes, gates=gates, y=y, h0=h0
    )
    lead = g_y.shape[:-1]
    checks.shape(name, "gates", gates, (*lead, 4 * units))
    checks.shape(name, "y", y, (*lead, units))
    checks.shape(name, "h0", h0, (g_h.shape[0], units))
    checks.shape(name, "g_h", g_h, h0.shape)
    options = {"reverse": _flag(name, "reverse", reverse)}
    outputs = Out(gates.shape, dtype), Out(h0.shape, dtype)
    return Plan(outputs, (g_y, g_h, gates, y, h0, w_hh, sizes), options)


# --- declarations ------------------------------------------------------------------------------


def _cost(name: str, shape: Callable[..., Plan], weights: slice, *arrays: Any, **o: Any) -> Cost:
    """Two operations for each number of the weights and each row, 20 for each gate's value."""
    plan = shape(*arrays, **o)
    size = math.fsum(a.size for a in arrays[weights] if a is not None and a.ndim == 2)
    rows = math.prod(arrays[0].shape[:-1])
    gate_values = rows * arrays[weights][0].shape[0]
    moved = [a.nbytes for a in arrays if a is not None]
    moved += [math.prod(out.shape) * out.dtype.itemsize for out in plan.outputs]
    return Cost(2 * rows * size + 20 * gate_values, math.fsum(moved))


def _terms(x: Any, h0: Any, *arrays: Any, **_: Any) -> int:
    """The longest chain: of W_ih·x or W_hh·h, both biases, and their sum."""
    return max(x.shape[-1], h0.shape[1]) + 3


def _lstm_terms(x: Any, h0: Any, c0: Any, *arrays: Any, **_: Any) -> int:
    """As of the other cells, or that of the projection."""
    return max(x.shape[-1], h0.shape[1], c0.shape[1]) + 3


def _plain(name: str) -> tuple[OpSpec, OpSpec]:
    shape = partial(_rnn_shape, name)
    backward_shape = partial(_rnn_backward_shape, f"{name}_backward")
    backward = op(
        name=f"{name}_backward",
        family="rnn",
        signature="g_y[T,B,H], g_h[B,H], y[T,B,H], w_hh[H,H], batch_sizes?[T]; reverse"
        " -> d[T,B,H], d_h0[B,H]",
        shape=backward_shape,
        reference=getattr(reference, f"{name}_backward"),
        cost=partial(_cost, name, backward_shape, slice(3, 4)),
        terms=lambda g_y, g_h, y, w_hh, *_, **__: w_hh.shape[0] + 3,
        bound=getattr(rnn_bound, f"{name}_backward"),
        samples=getattr(rnn_samples, f"{name.removesuffix('_layer')}_backward"),
        bad_inputs=rnn_samples.rnn_backward_bad,
    )
    forward = op(
        name=name,
        family="rnn",
        signature="x[T,B,I], h0[B,H], w_ih[H,I], w_hh[H,H], b_ih?[H], b_hh?[H], batch_sizes?[T];"
        " reverse -> y[T,B,H], h_n[B,H]",
        shape=shape,
        reference=getattr(reference, name),
        vjp=partial(rnn_gradients.rnn, backward),
        composed_vjp=partial(rnn_gradients.rnn_composed, name == "rnn_relu_layer"),
        saves=("x", "h0", "w_ih", "w_hh", "b_ih", "b_hh", "batch_sizes", "y"),
        cost=partial(_cost, name, shape, slice(2, 4)),
        terms=_terms,
        bound=getattr(rnn_bound, name),
        samples=getattr(rnn_samples, name.removesuffix("_layer")),
        bad_inputs=rnn_samples.rnn_bad,
    )
    return forward, backward


rnn_tanh_layer, rnn_tanh_layer_backward = _plain("rnn_tanh_layer")
rnn_relu_layer, rnn_relu_layer_backward = _plain("rnn_relu_layer")

lstm_layer: OpSpec = op(
    name="lstm_layer",
    family="rnn",
    signature="x[T,B,I], h0[B,R], c0[B,H], w_ih[4H,I], w_hh[4H,R], b_ih?[4H], b_hh?[4H],"
    " w_hr?[R,H], batch_sizes?[T]; reverse, save"
    " -> y[T,B,R], h_n[B,R], c_n[B,H], gates[T,B,4H], cells[T,B,H]",
    shape=_lstm_shape,
    reference=reference.lstm_layer,
    vjp=rnn_gradients.lstm,
    composed_vjp=rnn_gradients.lstm_composed,
    saves=("x", "h0", "c0", "w_ih", "w_hh", "b_ih", "b_hh", "w_hr", "batch_sizes", "y", "gates",
           "cells"),
    cost=partial(_cost, "lstm_layer", _lstm_shape, slice(3, 8)),
    terms=_lstm_terms,
    bound=rnn_bound.lstm_layer,
    samples=rnn_samples.lstm,
    bad_inputs=rnn_samples.lstm_bad,
)  # fmt: skip

lstm_layer_backward: OpSpec = op(
    name="lstm_layer_backward",
    family="rnn",
    signature="g_y[T,B,R], g_h[B,R], g_c[B,H], gates[T,B,4H], cells[T,B,H], c0[B,H], w_hh[4H,R],"
    " w_hr?[R,H], batch_sizes?[T]; reverse -> d[T,B,4H], d_h0[B,R], d_c0[B,H], d_h[T,B,R]",
    shape=_lstm_backward_shape,
    reference=reference.lstm_layer_backward,
    cost=partial(_cost, "lstm_layer_backward", _lstm_backward_shape, slice(6, 8)),
    terms=lambda g_y, g_h, g_c, gates, cells, c0, w_hh, *_, **__: w_hh.shape[0] + 3,
    bound=rnn_bound.lstm_layer_backward,
    samples=rnn_samples.lstm_backward,
    bad_inputs=rnn_samples.lstm_backward_bad,
)

gru_layer: OpSpec = op(
    name="gru_layer",
    family="rnn",
    signature="x[T,B,I], h0[B,H], w_ih[3H,I], w_hh[3H,H], b_ih?[3H], b_hh?[3H], batch_sizes?[T];"
    " reverse, save -> y[T,B,H], h_n[B,H], gates[T,B,4H]",
    shape=_gru_shape,
    reference=reference.gru_layer,
    vjp=rnn_gradients.gru,
    composed_vjp=rnn_gradients.gru_composed,
    saves=("x", "h0", "w_ih", "w_hh", "b_ih", "b_hh", "batch_sizes", "y", "gates"),
    cost=partial(_cost, "gru_layer", _gru_shape, slice(2, 4)),
    terms=_terms,
    bound=rnn_bound.gru_layer,
    samples=rnn_samples.gru,
    bad_inputs=rnn_samples.gru_bad,
)

gru_layer_backward: OpSpec = op(
    name="gru_layer_backward",
    family="rnn",
    signature="g_y[T,B,H], g_h[B,H], gates[T,B,4H], y[T,B,H], h0[B,H], w_hh[3H,H],"
    " batch_sizes?[T]; reverse -> d[T,B,4H], d_h0[B,H]",
    shape=_gru_backward_shape,
    reference=reference.gru_layer_backward,
    cost=partial(_cost, "gru_layer_backward", _gru_backward_shape, slice(5, 6)),
    terms=lambda g_y, g_h, gates, y, h0, w_hh, *_, **__: w_hh.shape[0] + 3,
    bound=rnn_bound.gru_layer_backward,
    samples=rnn_samples.gru_backward,
    bad_inputs=rnn_samples.gru_backward_bad,
)
