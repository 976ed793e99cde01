"""Recurrent layers: one layer, one direction, over whole sequences; and their gradients.

Shapes: x[T, B, I] or packed x[N, I] with batch_sizes[T] (`core.sequences`), h0[B, R], c0[B, H],
w_ih[G·H, I], w_hh[G·H, R] with G gates of H units; R = H, or the rows of w_hr[R, H], which projects
the hidden state of an LSTM. `reverse` runs from the last step to the first.
Equations as in torch.nn.RNN, LSTM and GRU.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.sequences import flat, steps
from .elementwise import relu, sigmoid

Array = Any


def _inputs(x: Array, w_ih: Array, b_ih: Array | None) -> Array:
    """x·W_ih^T + b_ih for all rows."""
    a = flat(x) @ w_ih.T
    return a if b_ih is None else a + b_ih


def _recurrent(h: Array, w_hh: Array, b_hh: Array | None) -> Array:
    a = h @ w_hh.T
    return a if b_hh is None else a + b_hh


def _rnn(
    activation: Any, x: Array, h0: Array, w_ih: Array, w_hh: Array, b_ih: Array | None,
    b_hh: Array | None, batch_sizes: Array | None, reverse: bool,
) -> Any:  # fmt: skip
    a = _inputs(x, w_ih, b_ih)
    y, h = np.empty_like(a), h0.copy()
    for step in steps(x.shape, batch_sizes, reverse):
        n = step.active
        h[:n] = activation(a[step.rows] + _recurrent(h[:n], w_hh, b_hh))
        y[step.rows] = h[:n]
    return y.reshape(*x.shape[:-1], y.shape[-1]), h


def rnn_tanh_layer(
    x: Array, h0: Array, w_ih: Array, w_hh: Array, b_ih: Array | None = None,
    b_hh: Array | None = None, batch_sizes: Array | None = None, *, reverse: bool,
) -> Any:  # fmt: skip
    """h = tanh(W_ih·x + b_ih + W_hh·h + b_hh) -> every h, the last h."""
    return _rnn(np.tanh, x, h0, w_ih, w_hh, b_ih, b_hh, batch_sizes, reverse)


def rnn_relu_layer(
    x: Array, h0: Array, w_ih: Array, w_hh: Array, b_ih: Array | None = None,
    b_hh: Array | None = None, batch_sizes: Array | None = None, *, reverse: bool,
) -> Any:  # fmt: skip
    """h = max(W_ih·x + b_ih + W_hh·h + b_hh, 0) -> every h, the last h."""
    return _rnn(relu, x, h0, w_ih, w_hh, b_ih, b_hh, batch_sizes, reverse)


def _rnn_backward(
    slope: Any, g_y: Array, g_h: Array, y: Array, w_hh: Array, batch_sizes: Array | None,
    reverse: bool,
) -> Any:  # fmt: skip
    g_rows, y_rows = flat(g_y), flat(y)
    d, dh = np.empty_like(y_rows), g_h.copy()
    for step in steps(y.shape, batch_sizes, reverse)[::-1]:
        n, rows = step.active, step.rows
        d[rows] = slope(y_rows[rows], g_rows[rows] + dh[:n])
        dh[:n] = d[rows] @ w_hh
    return d.reshape(y.shape), dh


def rnn_tanh_layer_backward(
    g_y: Array, g_h: Array, y: Array, w_hh: Array, batch_sizes: Array | None = None, *,
    reverse: bool,
) -> Any:  # fmt: skip
    """From the gradients of every h and of the last: those of the tanh's arguments and of h0."""
    return _rnn_backward(lambda y, g: g * (1 - y * y), g_y, g_h, y, w_hh, batch_sizes, reverse)


def rnn_relu_layer_backward(
    g_y: Array, g_h: Array, y: Array, w_hh: Array, batch_sizes: Array | None = None, *,
    reverse: bool,
) -> Any:  # fmt: skip
    """From the gradients of every h and of the last: those of the relu's arguments and of h0."""
    return _rnn_backward(
        lambda y, g: np.where(y <= 0, 0, g), g_y, g_h, y, w_hh, batch_sizes, reverse
    )


def lstm_layer(
    x: Array, h0: Array, c0: Array, w_ih: Array, w_hh: Array, b_ih: Array | None = None,
    b_hh: Array | None = None, w_hr: Array | None = None, batch_sizes: Array | None = None, *,
    reverse: bool, save: bool,
) -> Any:  # fmt: skip
    """i, f, g, o = σ, σ, tanh, σ of W_ih·x + b_ih + W_hh·h + b_hh; c = f·c + i·g; h = o·tanh c.

    With w_hr, h = W_hr·(o·tanh c). Returns every h, the last h, the last c, and with `save` every
    (i, f, g, o) and every c, which the gradient needs.
    """
    a = _inputs(x, w_ih, b_ih)
    lead, units = x.shape[:-1], c0.shape[1]
    cells, y = (
        np.empty_like(a, shape=(len(a), units)),
        np.empty_like(a, shape=(len(a), h0.shape[1])),
    )
    h, c = h0.copy(), c0.copy()
    for step in steps(x.shape, batch_sizes, reverse):
        count, rows = step.active, step.rows
        i, f, g, o = np.split(a[rows] + _recurrent(h[:count], w_hh, b_hh), 4, axis=1)
        i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
        c[:count] = f * c[:count] + i * g
        hidden = o * np.tanh(c[:count])
        h[:count] = hidden if w_hr is None else hidden @ w_hr.T
        a[rows], cells[rows] = np.concatenate((i, f, g, o), axis=1), c[:count]
        y[rows] = h[:count]
    y = y.reshape(*lead, h0.shape[1])
    if not save:
        return y, h, c, a[:0].ravel(), cells[:0].ravel()
    return y, h, c, a.reshape(*lead, 4 * units), cells.reshape(*lead, units)


def lstm_layer_backward(
    g_y: Array, g_h: Array, g_c: Array, gates: Array, cells: Array, c0: Array, w_hh: Array,
    w_hr: Array | None = None, batch_sizes: Array | None = None, *, reverse: bool,
) -> Any:  # fmt: skip
    """Gradients of the gates' arguments, of h0 and of c0, and with w_hr of every h in all."""
    g_rows, gate_rows, cell_rows = flat(g_y), flat(gates), flat(cells)
    units = c0.shape[1]
    d, dh_rows = np.empty_like(gate_rows), np.empty_like(g_rows)
    dh, dc = g_h.copy(), g_c.copy()
    taken = steps(g_y.shape, batch_sizes, reverse)
    before = _states_before(taken, c0, cell_rows)
    for step in taken[::-1]:
        n, rows = step.active, step.rows
        i, f, g, o = np.split(gate_rows[rows], 4, axis=1)
        dh_rows[rows] = g_rows[rows] + dh[:n]
        hidden = dh_rows[rows] if w_hr is None else dh_rows[rows] @ w_hr
        t = np.tanh(cell_rows[rows])
        all_c = dc[:n] + hidden * o * (1 - t * t)
        d[rows] = np.concatenate(
            (all_c * g * i * (1 - i), all_c * before[rows] * f * (1 - f), all_c * i * (1 - g * g),
             hidden * t * o * (1 - o)), axis=1,
        )  # fmt: skip
        dc[:n] = all_c * f
        dh[:n] = d[rows] @ w_hh
    every_h = dh_rows[:0].ravel() if w_hr is None else dh_rows.reshape(g_y.shape)
    return d.reshape(*g_y.shape[:-1], 4 * units), dh, dc, every_h


def _states_before(taken: Any, initial: Array, rows_after: Array) -> Array:
    """For each row of a layer, its sequence's state before that step."""
    before, state = np.empty_like(rows_after), initial.copy()
    for step in taken:
        before[step.rows] = state[: step.active]
        state[: step.active] = rows_after[step.rows]
    return before


def gru_layer(
    x: Array, h0: Array, w_ih: Array, w_hh: Array, b_ih: Array | None = None,
    b_hh: Array | None = None, batch_sizes: Array | None = None, *, reverse: bool, save: bool,
) -> Any:  # fmt: skip
    """r, z = σ(W_ih·x + b_ih + W_hh·h + b_hh); m = W_hn·h + b_hn; n = tanh(W_in·x + b_in + r·m);
    h = n + z·(h − n) -> every h, the last h, and with `save` every (r, z, n, m)."""
    a = _inputs(x, w_ih, b_ih)
    units = h0.shape[1]
    y, gates = np.empty_like(a, shape=(len(a), units)), np.empty_like(a, shape=(len(a), 4 * units))
    h = h0.copy()
    for step in steps(x.shape, batch_sizes, reverse):
        count, rows = step.active, step.rows
        b = _recurrent(h[:count], w_hh, b_hh)
        r, z = np.split(sigmoid(a[rows, : 2 * units] + b[:, : 2 * units]), 2, axis=1)
        m = b[:, 2 * units :]
        n = np.tanh(a[rows, 2 * units :] + r * m)
        h[:count] = n + z * (h[:count] - n)
        y[rows], gates[rows] = h[:count], np.concatenate((r, z, n, m), axis=1)
    lead = x.shape[:-1]
    saved = gates.reshape(*lead, 4 * units) if save else gates[:0].ravel()
    return y.reshape(*lead, units), h, saved


def gru_layer_backward(
    g_y: Array, g_h: Array, gates: Array, y: Array, h0: Array, w_hh: Array,
    batch_sizes: Array | None = None, *, reverse: bool,
) -> Any:  # fmt: skip
    """Gradients of the arguments of r, z and n and of m, in that order, and of h0."""
    g_rows, gate_rows = flat(g_y), flat(gates)
    units = h0.shape[1]
    d, dh = np.empty_like(gate_rows), g_h.copy()
    taken = steps(g_y.shape, batch_sizes, reverse)
    before = _states_before(taken, h0, flat(y))
    for step in taken[::-1]:
        count, rows = step.active, step.rows
        r, z, n, m = np.split(gate_rows[rows], 4, axis=1)
        all_h = g_rows[rows] + dh[:count]
        dn = all_h * (1 - z) * (1 - n * n)
        dz = all_h * (before[rows] - n) * z * (1 - z)
        dr = dn * m * r * (1 - r)
        d[rows] = np.concatenate((dr, dz, dn, dn * r), axis=1)
        through = np.concatenate((dr, dz, dn * r), axis=1) @ w_hh
        dh[:count] = all_h * z + through
    return d.reshape(*g_y.shape[:-1], 4 * units), dh
