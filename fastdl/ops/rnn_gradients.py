"""Gradients of the recurrent layers' arguments.

The backward ops go back through time and leave the gradients of the gates' arguments, from which
those of x and of the weights are a matrix product each over all steps. The composed forms, for
gradients of gradients, run both ways again as plain ops, step by step. Views are taken by methods
that arrays and Tensors share.
"""

from __future__ import annotations

import math
from typing import Any

from ..core.sequences import Step, previous_rows, steps
from ..spec import OPS
from .elementwise import add, mul, relu, relu_backward, sigmoid, sub, tanh
from .matmul import linear, matmul
from .reduce import sum
from .shape import cat


def _rows(a: Any) -> Any:
    """[T, B, C] as [T·B, C]."""
    if len(a.shape) == 2:
        return a
    return a.reshape((math.prod(a.shape[:-1]), a.shape[-1]))


def _columns(a: Any, first: int, last: int) -> Any:
    return a[:, first:last]


def _before(saved: Any) -> Any:
    """The states from which each row's step began: those of the step before, or h0."""
    shape, (batch, width) = saved.inputs[0].shape, saved.inputs[1].shape
    reverse, sizes = saved.options["reverse"], saved.batch_sizes
    if sizes is None and (len(shape) == 2 or shape[0] == 1):
        return saved.h0
    if sizes is not None or 0 in shape:
        index = previous_rows(shape, batch, sizes, reverse)
        return cat(saved.h0, _rows(saved.y), dim=0)[index]
    first, others = saved.h0.reshape((1, batch, width)), saved.y[1:] if reverse else saved.y[:-1]
    return _rows(cat(others, first, dim=0) if reverse else cat(first, others, dim=0))


def _product(d: Any, a: Any) -> Any:
    return matmul(d.T, a)


def _weight_gradients(saved: Any, first: int, d_in: Any, d_recurrent: Any, before: Any) -> Any:
    """Of x, and of w_ih, w_hh, b_ih, b_hh, which are arguments `first` to `first + 3`.

    d_in[N, G·H] are the gradients of W_ih·x, `d_recurrent` those of W_hh·h, as a list of blocks of
    columns that belong to consecutive rows of w_hh (None: they are d_in); `before` makes the h.
    """
    needs = saved.needs
    dx = matmul(d_in, saved.w_ih) if needs[0] else None
    if dx is not None and len(saved.inputs[0].shape) == 3:
        dx = dx.reshape(saved.inputs[0].shape)
    dw_ih = _product(d_in, _rows(saved.x)) if needs[first] else None
    blocks = [d_in] if d_recurrent is None else d_recurrent
    dw_hh = db_ih = db_hh = None
    if needs[first + 1]:
        h = before()
        parts = [_product(d, h) for d in blocks]
        dw_hh = parts[0] if len(parts) == 1 else cat(*parts, dim=0)
    if needs[first + 2]:
        db_ih = sum(d_in, dim=(0,))
    if needs[first + 3]:
        if d_recurrent is None:
            db_hh = sum(d_in, dim=(0,)) if db_ih is None else db_ih
        else:
            parts = [sum(d, dim=(0,)) for d in blocks]
            db_hh = cat(*parts, dim=0)
    return dx, dw_ih, dw_hh, db_ih, db_hh


def rnn(backward: Any, saved: Any, g_y: Any, g_h: Any) -> tuple[Any, ...]:
    """Gradients of a plain layer's arguments, by its backward op."""
    d, d_h0 = backward(
        g_y, g_h, saved.y, saved.w_hh, saved.batch_sizes, reverse=saved.options["reverse"]
    )
    dx, *weights = _weight_gradients(saved, 2, _rows(d), None, lambda: _before(saved))
    return dx, d_h0, *weights, None


def lstm(saved: Any, g_y: Any, g_h: Any, g_c: Any, *_: Any) -> tuple[Any, ...]:
    """Gradients of lstm_layer's arguments, from the gates it saved or by running it again."""
    gates, cells, sizes = saved.gates, saved.cells, saved.batch_sizes
    reverse = saved.options["reverse"]
    if not saved.options["save"]:
        *_, gates, cells = OPS["lstm_layer"](
            saved.x, saved.h0, saved.c0, saved.w_ih, saved.w_hh, saved.b_ih, saved.b_hh,
            saved.w_hr, sizes, reverse=reverse, save=True,
        )  # fmt: skip
    d, d_h0, d_c0, d_h = OPS["lstm_layer_backward"](
        g_y, g_h, g_c, gates, cells, saved.c0, saved.w_hh, saved.w_hr, sizes, reverse=reverse
    )
    dx, *weights = _weight_gradients(saved, 3, _rows(d), None, lambda: _before(saved))
    dw_hr = None
    if saved.needs[7]:
        units = saved.inputs[2].shape[1]
        hidden = mul(_columns(_rows(gates), 3 * units, 4 * units), tanh(_rows(cells)))
        dw_hr = _product(_rows(d_h), hidden)
    return dx, d_h0, d_c0, *weights, dw_hr, None


def gru(saved: Any, g_y: Any, g_h: Any, *_: Any) -> tuple[Any, ...]:
    """Gradients of gru_layer's arguments, from the gates it saved or by running it again."""
    gates, sizes, reverse = saved.gates, saved.batch_sizes, saved.options["reverse"]
    if not saved.options["save"]:
        *_, gates = OPS["gru_layer"](
            saved.x, saved.h0, saved.w_ih, saved.w_hh, saved.b_ih, saved.b_hh, sizes,
            reverse=reverse, save=True,
        )  # fmt: skip
    d, d_h0 = OPS["gru_layer_backward"](
        g_y, g_h, gates, saved.y, saved.h0, saved.w_hh, sizes, reverse=reverse
    )
    d, units = _rows(d), saved.inputs[1].shape[1]
    recurrent = [_columns(d, 0, 2 * units), _columns(d, 3 * units, 4 * units)]
    dx, *weights = _weight_gradients(
        saved, 2, _columns(d, 0, 3 * units), recurrent, lambda: _before(saved)
    )
    return dx, d_h0, *weights, None


# --- composed of plain ops ---------------------------------------------------------------------


def _steps(saved: Any) -> list[Step]:
    return steps(saved.inputs[0].shape, saved.batch_sizes, saved.options["reverse"])


def _part(a: Any, step: Step) -> Any:
    """The step's rows of an array [N, C]."""
    return a[step.rows]


def _active(state: Any, step: Step) -> Any:
    return state[: step.active]


def _merged(new: Any, state: Any, step: Step) -> Any:
    """A state [B, C] after a step, in which sequences from `active` on had no part."""
    if step.active == state.shape[0]:
        return new
    return cat(new, state[step.active :], dim=0)


def _in_order(parts: dict[int, Any]) -> Any:
    """The rows of all steps, which are known by their first rows, as one [N, C]."""
    return cat(*(parts[first] for first in sorted(parts)), dim=0)


def rnn_composed(is_relu: bool, saved: Any, g_y: Any, g_h: Any) -> tuple[Any, ...]:
    """As `rnn`, differentiable."""
    inputs, upstream = linear(_rows(saved.x), saved.w_ih, saved.b_ih), _rows(g_y)
    h, before, after, d = saved.h0, {}, {}, {}
    for step in _steps(saved):
        state = before[step.first] = _active(h, step)
        a = add(_part(inputs, step), linear(state, saved.w_hh, saved.b_hh))
        new = after[step.first] = relu(a) if is_relu else tanh(a)
        h = _merged(new, h, step)
    dh = g_h
    for step in _steps(saved)[::-1]:
        y, g = after[step.first], add(_part(upstream, step), _active(dh, step))
        d[step.first] = relu_backward(g, y) if is_relu else mul(g, sub(1, mul(y, y)))
        dh = _merged(matmul(d[step.first], saved.w_hh), dh, step)
    dx, *weights = _weight_gradients(saved, 2, _in_order(d), None, lambda: _in_order(before))
    return dx, dh, *weights, None


def lstm_composed(saved: Any, g_y: Any, g_h: Any, g_c: Any, *_: Any) -> tuple[Any, ...]:
    """As `lstm`, differentiable."""
    inputs, upstream = linear(_rows(saved.x), saved.w_ih, saved.b_ih), _rows(g_y)
    units, w_hr = saved.inputs[2].shape[1], saved.w_hr
    h, c, d, before, kept = saved.h0, saved.c0, {}, {}, {}
    hidden_rows, dh_rows = {}, {}
    for step in _steps(saved):
        state, old_c = _active(h, step), _active(c, step)
        a = add(_part(inputs, step), linear(state, saved.w_hh, saved.b_hh))
        i, f, g, o = (_columns(a, k * units, (k + 1) * units) for k in range(4))
        i, f, g, o = sigmoid(i), sigmoid(f), tanh(g), sigmoid(o)
        new_c = add(mul(f, old_c), mul(i, g))
        t = tanh(new_c)
        hidden = mul(o, t)
        before[step.first], hidden_rows[step.first] = state, hidden
        kept[step.first] = i, f, g, o, old_c, t
        h = _merged(hidden if w_hr is None else linear(hidden, w_hr), h, step)
        c = _merged(new_c, c, step)
    dh, dc = g_h, g_c
    for step in _steps(saved)[::-1]:
        i, f, g, o, old_c, t = kept[step.first]
        hidden = dh_rows[step.first] = add(_part(upstream, step), _active(dh, step))
        if w_hr is not None:
            hidden = matmul(hidden, w_hr)
        new_dc = add(_active(dc, step), mul(mul(hidden, o), sub(1, mul(t, t))))
        d[step.first] = cat(
            mul(mul(new_dc, g), mul(i, sub(1, i))),
            mul(mul(new_dc, old_c), mul(f, sub(1, f))),
            mul(mul(new_dc, i), sub(1, mul(g, g))),
            mul(mul(hidden, t), mul(o, sub(1, o))),
            dim=1,
        )
        dh = _merged(matmul(d[step.first], saved.w_hh), dh, step)
        dc = _merged(mul(new_dc, f), dc, step)
    dx, *weights = _weight_gradients(saved, 3, _in_order(d), None, lambda: _in_order(before))
    dw_hr = _product(_in_order(dh_rows), _in_order(hidden_rows)) if saved.needs[7] else None
    return dx, dh, dc, *weights, dw_hr, None


def gru_composed(saved: Any, g_y: Any, g_h: Any, *_: Any) -> tuple[Any, ...]:
    """As `gru`, differentiable."""
    inputs, upstream = linear(_rows(saved.x), saved.w_ih, saved.b_ih), _rows(g_y)
    units = saved.inputs[1].shape[1]
    h, before, kept = saved.h0, {}, {}
    d, d_recurrent = {}, {}
    for step in _steps(saved):
        state, a = _active(h, step), _part(inputs, step)
        b = linear(state, saved.w_hh, saved.b_hh)
        rz = sigmoid(add(_columns(a, 0, 2 * units), _columns(b, 0, 2 * units)))
        r, z = _columns(rz, 0, units), _columns(rz, units, 2 * units)
        m = _columns(b, 2 * units, 3 * units)
        n = tanh(add(_columns(a, 2 * units, 3 * units), mul(r, m)))
        before[step.first], kept[step.first] = state, (r, z, n, m)
        h = _merged(add(n, mul(z, sub(state, n))), h, step)
    dh = g_h
    for step in _steps(saved)[::-1]:
        r, z, n, m = kept[step.first]
        g = add(_part(upstream, step), _active(dh, step))
        dn = mul(mul(g, sub(1, z)), sub(1, mul(n, n)))
        dr = mul(mul(dn, m), mul(r, sub(1, r)))
        dz = mul(mul(g, sub(before[step.first], n)), mul(z, sub(1, z)))
        d[step.first] = cat(dr, dz, dn, dim=1)
        d_recurrent[step.first] = cat(dr, dz, mul(dn, r), dim=1)
        back = add(mul(g, z), matmul(d_recurrent[step.first], saved.w_hh))
        dh = _merged(back, dh, step)
    dx, *weights = _weight_gradients(
        saved, 2, _in_order(d), [_in_order(d_recurrent)], lambda: _in_order(before)
    )
    return dx, dh, *weights, None
