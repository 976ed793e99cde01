"""Recurrent layers: one product for all x, then for each step one with packed weights and a cell.

Equations and shapes as in backends/reference/rnn.py. The step's product goes through the register
tile of the matrix products; its result, some rows of gates, stays in the second-level cache for the
cell's loop over units, which LLVM vectorises.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.memory import empty
from ...core.sequences import Step, flat, steps
from ...spec import kernel
from ._jit import jit, split
from ._math import sigmoid, tanh
from .matmul import linear, multiply_packed, pack_right

_DTYPES = ("float32", "float64", "int64")  # int64: batch_sizes
_NANOSECONDS = 10.0  # a unit of a gated cell
Arrays = tuple[np.ndarray, ...]


class _Recurrent:
    """The product of a state with weights that are packed once: a[n, k] w[k, m] + bias."""

    def __init__(self, w: np.ndarray, bias: np.ndarray | None = None) -> None:
        self.packed, self.bias = pack_right(w[None]), bias
        self.columns = w.shape[1]

    def __call__(self, a: np.ndarray) -> np.ndarray:
        y = empty((len(a), self.columns), a.dtype)
        multiply_packed(a[None], self.packed, self.bias, y[None])
        return y


def _rows(a: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(flat(a))


def _lead(a: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """[N, C] with the leading dimensions of a."""
    return rows.reshape(*a.shape[:-1], rows.shape[-1])


def _nothing(dtype: np.dtype) -> np.ndarray:
    return empty((0,), dtype)


@jit
def _add(first, last, at, a, b, y):
    """y = a + b of rows `at` on of a and y."""
    for i in range(first, last):
        for j in range(y.shape[1]):
            y[at + i, j] = a[at + i, j] + b[i, j]


@jit
def _plain(first, last, relu, at, inputs, recurrent, y, h):
    for b in range(first, last):
        for u in range(h.shape[1]):
            a = inputs[at + b, u] + recurrent[b, u]
            a = (0.0 if a < 0 else a) if relu else tanh(np.float64(a))
            y[at + b, u] = a
            h[b, u] = a


@jit
def _plain_backward(first, last, relu, at, g, dh, y, d):
    for b in range(first, last):
        for u in range(y.shape[1]):
            value, upstream = y[at + b, u], g[at + b, u] + dh[b, u]
            if relu:
                d[at + b, u] = 0 if value <= 0 else upstream
            else:
                d[at + b, u] = upstream * (1 - value * value)


def _forward(
    relu: bool, x: np.ndarray, h0: np.ndarray, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any,
    sizes: Any, reverse: bool,
) -> Arrays:  # fmt: skip
    inputs, h = linear(_rows(x), w_ih, b_ih), h0.copy()
    y, product = empty(inputs.shape, x.dtype), _Recurrent(w_hh.T, b_hh)
    for step in steps(x.shape, sizes, reverse):
        n = step.active
        recurrent = product(h[:n])
        split(_plain, n, recurrent.size * _NANOSECONDS / 4,
              relu, step.first, inputs, recurrent, y, h)  # fmt: skip
    return _lead(x, y), h


def _backward(
    relu: bool, g_y: np.ndarray, g_h: np.ndarray, y: np.ndarray, w_hh: np.ndarray, sizes: Any,
    reverse: bool,
) -> Arrays:  # fmt: skip
    g, values, dh, product = _rows(g_y), _rows(y), g_h.copy(), _Recurrent(w_hh)
    d = empty(values.shape, y.dtype)
    for step in steps(y.shape, sizes, reverse)[::-1]:
        n = step.active
        split(_plain_backward, n, n * d.shape[1], relu, step.first, g, dh, values, d)
        dh[:n] = product(d[step.rows])
    return _lead(y, d), dh


@kernel("rnn_tanh_layer", backend="numba", dtypes=_DTYPES)
def rnn_tanh_layer(
    x: np.ndarray, h0: np.ndarray, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, sizes: Any, *,
    reverse: bool,
) -> Arrays:  # fmt: skip
    """h = tanh(W_ih·x + W_hh·h + biases)."""
    return _forward(False, x, h0, w_ih, w_hh, b_ih, b_hh, sizes, reverse)


@kernel("rnn_relu_layer", backend="numba", dtypes=_DTYPES)
def rnn_relu_layer(
    x: np.ndarray, h0: np.ndarray, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, sizes: Any, *,
    reverse: bool,
) -> Arrays:  # fmt: skip
    """h = max(W_ih·x + W_hh·h + biases, 0)."""
    return _forward(True, x, h0, w_ih, w_hh, b_ih, b_hh, sizes, reverse)


@kernel("rnn_tanh_layer_backward", backend="numba", dtypes=_DTYPES)
def rnn_tanh_layer_backward(
    g_y: np.ndarray, g_h: np.ndarray, y: np.ndarray, w_hh: np.ndarray, sizes: Any, *, reverse: bool
) -> Arrays:
    """Gradients of the tanh's arguments and of h0."""
    return _backward(False, g_y, g_h, y, w_hh, sizes, reverse)


@kernel("rnn_relu_layer_backward", backend="numba", dtypes=_DTYPES)
def rnn_relu_layer_backward(
    g_y: np.ndarray, g_h: np.ndarray, y: np.ndarray, w_hh: np.ndarray, sizes: Any, *, reverse: bool
) -> Arrays:
    """Gradients of the relu's arguments and of h0."""
    return _backward(True, g_y, g_h, y, w_hh, sizes, reverse)


@jit
def _lstm(first, last, at, gates, recurrent, c, hidden, cells):
    """`gates` holds W_ih·x and is overwritten by what the gates make of it."""
    units = c.shape[1]
    for b in range(first, last):
        row, sums, cell, out, kept = gates[at + b], recurrent[b], c[b], hidden[b], cells[at + b]
        for u in range(units):
            i = sigmoid(np.float64(row[u] + sums[u]))
            f = sigmoid(np.float64(row[units + u] + sums[units + u]))
            g = tanh(np.float64(row[2 * units + u] + sums[2 * units + u]))
            o = sigmoid(np.float64(row[3 * units + u] + sums[3 * units + u]))
            state = f * cell[u] + i * g
            row[u] = i
            row[units + u] = f
            row[2 * units + u] = g
            row[3 * units + u] = o
            cell[u] = state
            kept[u] = state
            out[u] = o * tanh(np.float64(cell[u]))


@jit
def _lstm_backward(first, last, at, gates, cells, before, dh, dc, d):
    units = dc.shape[1]
    for b in range(first, last):
        row, out = gates[at + b], d[at + b]
        for u in range(units):
            i, f = row[u], row[units + u]
            g, o = row[2 * units + u], row[3 * units + u]
            t = tanh(np.float64(cells[at + b, u]))
            gradient = dh[b, u] * o * (1 - t * t) + dc[b, u]
            out[u] = gradient * g * (i * (1 - i))
            out[units + u] = gradient * before[b, u] * (f * (1 - f))
            out[2 * units + u] = gradient * i * (1 - g * g)
            out[3 * units + u] = dh[b, u] * t * (o * (1 - o))
            dc[b, u] = gradient * f


@kernel("lstm_layer", backend="numba", dtypes=_DTYPES)
def lstm_layer(
    x: np.ndarray, h0: np.ndarray, c0: np.ndarray, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any,
    w_hr: Any, sizes: Any, *, reverse: bool, save: bool,
) -> Arrays:  # fmt: skip
    """c = f·c + i·g, h = o·tanh c, projected by w_hr."""
    gates, h, c = linear(_rows(x), w_ih, b_ih), h0.copy(), c0.copy()
    y, cells = empty((len(gates), h0.shape[1]), x.dtype), empty((len(gates), c0.shape[1]), x.dtype)
    product = _Recurrent(w_hh.T, b_hh)
    projection = None if w_hr is None else _Recurrent(w_hr.T)
    hidden = h if w_hr is None else empty(c0.shape, x.dtype)
    for step in steps(x.shape, sizes, reverse):
        n = step.active
        split(_lstm, n, n * c.shape[1] * _NANOSECONDS,
              step.first, gates, product(h[:n]), c, hidden, cells)  # fmt: skip
        if projection is not None:
            h[:n] = projection(hidden[:n])
        y[step.rows] = h[:n]
    if not save:
        return _lead(x, y), h, c, _nothing(x.dtype), _nothing(x.dtype)
    return _lead(x, y), h, c, _lead(x, gates), _lead(x, cells)


def _states_before(taken: list[Step], initial: np.ndarray, after: np.ndarray) -> np.ndarray:
    """For each row, its sequence's state before that step."""
    before, state = empty(after.shape, after.dtype), initial.copy()
    for step in taken:
        before[step.rows] = state[: step.active]
        state[: step.active] = after[step.rows]
    return before


@kernel("lstm_layer_backward", backend="numba", dtypes=_DTYPES)
def lstm_layer_backward(
    g_y: np.ndarray, g_h: np.ndarray, g_c: np.ndarray, gates: np.ndarray, cells: np.ndarray,
    c0: np.ndarray, w_hh: np.ndarray, w_hr: Any, sizes: Any, *, reverse: bool,
) -> Arrays:  # fmt: skip
    """Gradients of the gates' arguments, of h0, of c0 and, with w_hr, of every h."""
    g, all_gates, all_cells = _rows(g_y), _rows(gates), _rows(cells)
    dh, dc, d = g_h.copy(), g_c.copy(), empty(all_gates.shape, gates.dtype)
    every_h = empty(g.shape, g.dtype)
    product = _Recurrent(w_hh)
    projection = None if w_hr is None else _Recurrent(w_hr)
    taken = steps(g_y.shape, sizes, reverse)
    before = _states_before(taken, c0, all_cells)
    for step in taken[::-1]:
        n = step.active
        split(_add, n, n * dh.shape[1], step.first, g, dh, every_h)
        hidden = every_h[step.rows] if projection is None else projection(every_h[step.rows])
        split(_lstm_backward, n, n * dc.shape[1] * _NANOSECONDS,
              step.first, all_gates, all_cells, before[step.rows], hidden, dc, d)  # fmt: skip
        dh[:n] = product(d[step.rows])
    last = _nothing(g.dtype) if w_hr is None else _lead(g_y, every_h)
    return _lead(g_y, d), dh, dc, last


@jit
def _gru(first, last, at, inputs, recurrent, h, gates):
    units = h.shape[1]
    for b in range(first, last):
        row, sums, state, out = inputs[at + b], recurrent[b], h[b], gates[at + b]
        for u in range(units):
            r = sigmoid(np.float64(row[u] + sums[u]))
            z = sigmoid(np.float64(row[units + u] + sums[units + u]))
            m = sums[2 * units + u]
            n = tanh(row[2 * units + u] + r * m)
            out[u] = r
            out[units + u] = z
            out[2 * units + u] = n
            out[3 * units + u] = m
            state[u] = n + z * (state[u] - n)


@jit
def _gru_backward(first, last, at, gates, before, g, dh, d, through):
    units = dh.shape[1]
    for b in range(first, last):
        row, out, back = gates[at + b], d[at + b], through[b]
        for u in range(units):
            r, z = row[u], row[units + u]
            n, m = row[2 * units + u], row[3 * units + u]
            gradient = g[at + b, u] + dh[b, u]
            dn = gradient * (1 - z) * (1 - n * n)
            dm = dn * r
            dr = dn * m * (r * (1 - r))
            dz = gradient * (before[b, u] - n) * (z * (1 - z))
            out[u] = dr
            out[units + u] = dz
            out[2 * units + u] = dn
            out[3 * units + u] = dm
            back[u] = dr
            back[units + u] = dz
            back[2 * units + u] = dm
            dh[b, u] = gradient * z


@kernel("gru_layer", backend="numba", dtypes=_DTYPES)
def gru_layer(
    x: np.ndarray, h0: np.ndarray, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, sizes: Any, *,
    reverse: bool, save: bool,
) -> Arrays:  # fmt: skip
    """h = n + z·(h − n)."""
    inputs, h, product = linear(_rows(x), w_ih, b_ih), h0.copy(), _Recurrent(w_hh.T, b_hh)
    y = empty((len(inputs), h.shape[1]), x.dtype)
    gates = empty((len(inputs), 4 * h.shape[1]), x.dtype)
    for step in steps(x.shape, sizes, reverse):
        n = step.active
        split(_gru, n, n * h.shape[1] * _NANOSECONDS,
              step.first, inputs, product(h[:n]), h, gates)  # fmt: skip
        y[step.rows] = h[:n]
    return _lead(x, y), h, _lead(x, gates) if save else _nothing(x.dtype)


@kernel("gru_layer_backward", backend="numba", dtypes=_DTYPES)
def gru_layer_backward(
    g_y: np.ndarray, g_h: np.ndarray, gates: np.ndarray, y: np.ndarray, h0: np.ndarray,
    w_hh: np.ndarray, sizes: Any, *, reverse: bool,
) -> Arrays:  # fmt: skip
    """Gradients of the arguments of r, z and n, of m, and of h0."""
    g, all_gates, dh, product = _rows(g_y), _rows(gates), g_h.copy(), _Recurrent(w_hh)
    d = empty(all_gates.shape, g.dtype)
    through = empty((len(h0), 3 * h0.shape[1]), g.dtype)
    taken = steps(g_y.shape, sizes, reverse)
    before = _states_before(taken, h0, _rows(y))
    for step in taken[::-1]:
        n = step.active
        split(_gru_backward, n, n * dh.shape[1] * _NANOSECONDS,
              step.first, all_gates, before[step.rows], g, dh, d, through)  # fmt: skip
        split(_add, n, n * dh.shape[1], 0, dh, product(through[:n]), dh)
    return _lead(g_y, d), dh
