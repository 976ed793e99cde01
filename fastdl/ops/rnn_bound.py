"""Bounds of the recurrent layers: the reference's equations on numbers that carry their error.

An error made in one step goes into the next, so it compounds; what stops it is that σ and tanh
flatten, and the slopes taken are those at the values met. For long sequences of strongly coupled
units the bound of the last outputs says little more than that they lie in the cell's range.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..core.errorbound import Bounded, bounded, concatenate
from ..core.sequences import Step, steps

Rows = list[tuple[slice, Any]]


def _flat(a: Any) -> Any:
    columns = a.value.shape[-1]
    return a.reshape(int(np.prod(a.value.shape[:-1])), columns)


def _assembled(rows: Rows, lead: tuple[int, ...], like: Any, columns: int) -> Bounded:
    """The rows of all steps as one [*lead, columns]."""
    parts = [part for _, part in sorted(rows, key=lambda row: row[0].start)]
    return (concatenate(parts) if parts else _nothing(like)).reshape(*lead, columns)


def _merged(new: Any, old: Any, step: Step) -> Any:
    """The states after a step, in which sequences from `active` on had no part."""
    return concatenate([new, old[step.active :]])


def _nothing(like: Any) -> Any:
    return like.exactly(np.zeros(0, like.value.dtype))


def _taken(x: Any, batch_sizes: Any, reverse: bool) -> list[Step]:
    return steps(x.value.shape, batch_sizes, reverse)


def _rnn(activation: Callable[[Any], Any]) -> Any:
    def formula(
        x: Any, h0: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, batch_sizes: Any, reverse: bool
    ) -> Any:
        inputs, h, rows = _flat(x), h0, []
        by_x, by_h = w_ih.T.factor(), w_hh.T.factor()
        for step in _taken(x, batch_sizes, reverse):
            before = h[: step.active]
            new = activation(h.affine([(inputs[step.rows], by_x), (before, by_h)], [b_ih, b_hh]))
            rows.append((step.rows, new))
            h = _merged(new, h, step)
        return _assembled(rows, x.value.shape[:-1], h0, h0.value.shape[1]), h

    return bounded(formula)


rnn_tanh_layer = _rnn(lambda a: a.tanh())
rnn_relu_layer = _rnn(lambda a: a.relu())


def _rnn_backward(slope: Callable[[Any, Any], Any]) -> Any:
    def formula(g_y: Any, g_h: Any, y: Any, w_hh: Any, batch_sizes: Any, reverse: bool) -> Any:
        upstream, values, dh, rows = _flat(g_y), _flat(y), g_h, []
        back = w_hh.factor()
        for step in _taken(y, batch_sizes, reverse)[::-1]:
            n = step.active
            d = slope(values[step.rows], upstream[step.rows] + dh[:n])
            rows.append((step.rows, d))
            dh = _merged(dh.affine([(d, back)], []), dh, step)
        return _assembled(rows, y.value.shape[:-1], g_h, y.value.shape[-1]), dh

    return bounded(formula)


rnn_tanh_layer_backward = _rnn_backward(lambda y, g: g * (1 - y * y))
rnn_relu_layer_backward = _rnn_backward(lambda y, g: g.where(~(y.value <= 0)))


@bounded
def lstm_layer(
    x: Any, h0: Any, c0: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, w_hr: Any,
    batch_sizes: Any, reverse: bool, save: bool,
) -> Any:  # fmt: skip
    """Errors of y, h_n, c_n, gates and cells."""
    inputs, h, c = _flat(x), h0, c0
    units, lead = c0.value.shape[1], x.value.shape[:-1]
    every_h: Rows = []
    every_gate: Rows = []
    every_c: Rows = []
    by_x, by_h = w_ih.T.factor(), w_hh.T.factor()
    projection = None if w_hr is None else w_hr.T.factor()
    for step in _taken(x, batch_sizes, reverse):
        n = step.active
        a = h.affine([(inputs[step.rows], by_x), (h[:n], by_h)], [b_ih, b_hh])
        i, f, g, o = (a[:, k * units : (k + 1) * units] for k in range(4))
        i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
        new_c = f * c[:n] + i * g
        new_h = o * new_c.tanh()
        if projection is not None:
            new_h = h.affine([(new_h, projection)], [])
        every_h.append((step.rows, new_h))
        every_c.append((step.rows, new_c))
        every_gate.append((step.rows, concatenate([i, f, g, o], axis=1)))
        h, c = _merged(new_h, h, step), _merged(new_c, c, step)
    y = _assembled(every_h, lead, h0, h0.value.shape[1])
    if not save:
        return y, h, c, _nothing(h0), _nothing(h0)
    gates = _assembled(every_gate, lead, h0, 4 * units)
    return y, h, c, gates, _assembled(every_c, lead, h0, units)


@bounded
def lstm_layer_backward(
    g_y: Any, g_h: Any, g_c: Any, gates: Any, cells: Any, c0: Any, w_hh: Any, w_hr: Any,
    batch_sizes: Any, reverse: bool,
) -> Any:  # fmt: skip
    """Errors of the gradients of the gates' arguments, of h0, of c0 and of every h."""
    upstream, all_gates, all_c = _flat(g_y), _flat(gates), _flat(cells)
    units, lead = c0.value.shape[1], g_y.value.shape[:-1]
    taken = _taken(g_y, batch_sizes, reverse)
    before = _before(taken, c0, all_c)
    back, projection = w_hh.factor(), None if w_hr is None else w_hr.factor()
    dh, dc = g_h, g_c
    every_d: Rows = []
    every_h: Rows = []
    for step in taken[::-1]:
        n, rows = step.active, step.rows
        i, f, g, o = (all_gates[rows, k * units : (k + 1) * units] for k in range(4))
        hidden = upstream[rows] + dh[:n]
        every_h.append((rows, hidden))
        if projection is not None:
            hidden = dh.affine([(hidden, projection)], [])
        t = all_c[rows].tanh()
        new_dc = hidden * o * (1 - t * t) + dc[:n]
        d = concatenate(
            [new_dc * g * (i * (1 - i)), new_dc * before[step.first] * (f * (1 - f)),
             new_dc * i * (1 - g * g), hidden * t * (o * (1 - o))], axis=1,
        )  # fmt: skip
        every_d.append((rows, d))
        dh, dc = _merged(dh.affine([(d, back)], []), dh, step), _merged(new_dc * f, dc, step)
    d = _assembled(every_d, lead, g_h, 4 * units)
    if w_hr is None:
        return d, dh, dc, _nothing(g_h)
    return d, dh, dc, _assembled(every_h, lead, g_h, g_h.value.shape[1])


def _before(taken: list[Step], initial: Any, after: Any) -> dict[int, Any]:
    """The states before each step, by the step's first row."""
    found, state = {}, initial
    for step in taken:
        found[step.first] = state[: step.active]
        state = _merged(after[step.rows], state, step)
    return found


@bounded
def gru_layer(
    x: Any, h0: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, batch_sizes: Any, reverse: bool,
    save: bool,
) -> Any:  # fmt: skip
    """Errors of y, h_n and gates."""
    inputs, h, units, lead = _flat(x), h0, h0.value.shape[1], x.value.shape[:-1]
    every_h: Rows = []
    every_gate: Rows = []

    def part(b: Any, first: int, last: int) -> Any:
        return None if b is None else b[first * units : last * units]

    of_rz, of_n = slice(2 * units), slice(2 * units, None)
    x_rz, x_n = w_ih[of_rz].T.factor(), w_ih[of_n].T.factor()
    h_rz, h_n = w_hh[of_rz].T.factor(), w_hh[of_n].T.factor()
    for step in _taken(x, batch_sizes, reverse):
        before, here = h[: step.active], inputs[step.rows]
        rz = h.affine(
            [(here, x_rz), (before, h_rz)],
            [part(b_ih, 0, 2), part(b_hh, 0, 2)],
        ).sigmoid()
        r, z = rz[:, :units], rz[:, units:]
        m = h.affine([(before, h_n)], [part(b_hh, 2, 3)])
        n = (h.affine([(here, x_n)], [part(b_ih, 2, 3)]) + r * m).tanh()
        new = z.between(n, before)
        every_h.append((step.rows, new))
        every_gate.append((step.rows, concatenate([r, z, n, m], axis=1)))
        h = _merged(new, h, step)
    y = _assembled(every_h, lead, h0, units)
    return y, h, _assembled(every_gate, lead, h0, 4 * units) if save else _nothing(h0)


@bounded
def gru_layer_backward(
    g_y: Any, g_h: Any, gates: Any, y: Any, h0: Any, w_hh: Any, batch_sizes: Any, reverse: bool
) -> Any:
    """Errors of the gradients of the arguments of r, z and n, of m, and of h0."""
    upstream, all_gates = _flat(g_y), _flat(gates)
    units = h0.value.shape[1]
    taken = _taken(g_y, batch_sizes, reverse)
    before = _before(taken, h0, _flat(y))
    # What goes back to the state before, in two parts, for they are summed in no stated order.
    past, through = g_h, g_h.exactly(np.zeros_like(g_h.value))
    rows: Rows = []
    back = w_hh.factor()
    for step in taken[::-1]:
        count = step.active
        r, z, n, m = (all_gates[step.rows, k * units : (k + 1) * units] for k in range(4))
        dh = g_h.affine([], [upstream[step.rows], past[:count], through[:count]])
        dn = dh * (1 - z) * (1 - n * n)
        dm = dn * r
        dr, dz = dn * m * (r * (1 - r)), dh * (before[step.first] - n) * (z * (1 - z))
        rows.append((step.rows, concatenate([dr, dz, dn, dm], axis=1)))
        past = _merged(dh * z, past, step)
        through = _merged(
            g_h.affine([(concatenate([dr, dz, dm], axis=1), back)], []), through, step
        )
    return (
        _assembled(rows, g_y.value.shape[:-1], g_h, 4 * units),
        g_h.affine([], [past, through]),
    )
