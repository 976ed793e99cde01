"""Samples and bad inputs of the recurrent layers.

Where a state or a gradient grows from step to step (relu, all gradients) the recurrent weights of
longer samples are kept within ±1, and gates and cells, which a gradient is given as if they came
from a layer, within the range of gates: other numbers overflow float32 and not the reference.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..core.errors import ArgumentError, DTypeError, ShapeError
from ..spec import BadInput, Folded, Sample, Within


def _sizes(*sizes: int) -> np.ndarray:
    return np.array(sizes, np.int64)


# name, T, B, I, H, and what there is of: biases ("b"), reverse ("r"), save ("s"), projection to 3
# ("p"). Tails of tiles (2, 3, 5, 6, 8 and 12 rows) and of panels (4, 8, 16 and 32 units).
_CASES = (
    ("one of each", 1, 1, 1, 1, "s"),
    ("cell", 1, 3, 5, 7, "bs"),
    ("cell, 17 units", 1, 13, 31, 17, "b"),
    ("1 step", 1, 2, 3, 4, "bsr"),
    ("2 steps", 2, 4, 3, 5, "bs"),
    ("batch of 1", 9, 1, 5, 33, "bs"),
    ("batch of 2", 5, 2, 3, 70, "s"),
    ("batch of 3", 3, 3, 32, 32, "bs"),
    ("batch of 13", 3, 13, 4, 16, "bsr"),
    ("batch of 25", 2, 25, 7, 9, "bs"),
    ("reverse", 6, 3, 4, 8, "bsr"),
    ("nothing saved", 4, 3, 4, 8, "b"),
    ("no inputs", 3, 4, 0, 5, "bs"),
    ("no sequences", 3, 0, 4, 5, "bs"),
    ("projected", 3, 5, 4, 9, "bsp"),
    ("projected, reverse", 4, 1, 4, 17, "spr"),
)
_RAGGED = (
    ("packed", (4, 3, 3, 1), 3, 6, "bs"),
    ("packed, reverse", (5, 5, 2, 1, 1), 4, 17, "bsr"),
    ("packed, nothing saved", (3, 1), 4, 5, "b"),
    ("packed, projected", (4, 2, 2), 3, 7, "bspr"),
)
_BENCH = (
    ("digits T28 B64 I28 H128", 28, 64, 28, 128),
    ("T50 B32 I128 H256", 50, 32, 128, 256),
    ("T100 B1 I256 H512", 100, 1, 256, 512),
    ("T5 B64 I512 H512", 5, 64, 512, 512),
)
_FREE_STEPS = 2  # more let unbounded numbers of the checker's hard families overflow
_COUPLED_STEPS = 4  # more of strongly coupled units are too rough for central differences

Build = Callable[..., Sample]


def _all(build: Build, cell: str) -> tuple[Sample, ...]:
    saves, projects = cell in ("lstm", "gru"), cell == "lstm"
    made = []
    for name, steps, batch, inputs, units, flags in _CASES:
        if ("p" in flags and not projects) or (name == "nothing saved" and not saves):
            continue
        lead = (batch,) if name.startswith("cell") else (steps, batch)
        made.append(build(name, lead, batch, inputs, units, flags, None, steps, False))
    for name, sizes, inputs, units, flags in _RAGGED:
        if ("p" in flags and not projects) or ("saved" in name and not saves):
            continue
        rows, batch, array = (sum(sizes),), sizes[0], _sizes(*sizes)
        made.append(build(name, rows, batch, inputs, units, flags, array, len(sizes), False))
    for name, steps, batch, inputs, units in _BENCH:
        made.append(build(name, (steps, batch), batch, inputs, units, "b", None, steps, True))
    return tuple(made)


def _forward(gates: int, cell: str) -> tuple[Sample, ...]:
    def build(
        name: str, lead: tuple[int, ...], batch: int, inputs: int, units: int, flags: str,
        sizes: Any, steps: int, bench: bool,
    ) -> Sample:  # fmt: skip
        width = 3 if "p" in flags else units
        rows = gates * units
        w_hh: Any = (rows, width)
        biases: tuple[Any, ...] = ((rows,), (rows,)) if "b" in flags else (None, None)
        most = 1.0
        if bench or steps > _COUPLED_STEPS:  # as torch initialises them
            most = units**-0.5
        if cell == "relu" or most < 1:
            w_hh = Within((rows, width), -most, most)
        if cell == "relu" and "b" in flags:  # no sum exactly at the kink
            biases = (biases[0], Within((rows,), -1, 1))
        states: tuple[Any, ...] = ((batch, width), (batch, units))[: 2 if cell == "lstm" else 1]
        more = ((width, units) if "p" in flags else None,) if cell == "lstm" else ()
        arrays = ((*lead, inputs), *states, (rows, inputs), w_hh, *biases, *more, sizes)
        options = {"reverse": "r" in flags}
        if cell in ("lstm", "gru"):
            options["save"] = "s" in flags
        return Sample(name, arrays, options, bench=bench)

    return _all(build, cell)


def _backward(gates: int, cell: str) -> tuple[Sample, ...]:
    def build(
        name: str, lead: tuple[int, ...], batch: int, inputs: int, units: int, flags: str,
        sizes: Any, steps: int, bench: bool,
    ) -> Sample:  # fmt: skip
        width = 3 if "p" in flags else units
        w_hh: Any = (gates * units, width)
        if steps > _FREE_STEPS:
            most = units**-0.5 if bench else 1
            w_hh = Within(w_hh, -most, most)
        y: Any = Within((*lead, units), -1, 1)
        if cell == "relu":
            y = Folded((*lead, units), 0, 1)
        all_gates = Within((*lead, 4 * units), -1, 1)
        g_y, state, c = (*lead, width), (batch, width), (batch, units)
        arrays: tuple[Any, ...] = (g_y, state, y, w_hh, sizes)
        if cell == "lstm":
            w_hr = Within((width, units), -1, 1) if "p" in flags else None
            cells: tuple[Any, Any] = (*lead, units), c
            if steps > 1:
                cells = Within(cells[0], -3, 3), Within(c, -3, 3)
            arrays = (g_y, state, c, all_gates, *cells, w_hh, w_hr, sizes)
        if cell == "gru":
            arrays = (g_y, state, all_gates, y, Within(c, -1, 1), w_hh, sizes)
        return Sample(name, arrays, {"reverse": "r" in flags}, bench=bench)

    made = _all(build, cell)
    return tuple(s for s in made if "saved" not in s.name and s.name != "no inputs")


rnn_tanh, rnn_relu = _forward(1, "tanh"), _forward(1, "relu")
lstm, gru = _forward(4, "lstm"), _forward(3, "gru")
rnn_tanh_backward, rnn_relu_backward = _backward(1, "tanh"), _backward(1, "relu")
lstm_backward, gru_backward = _backward(4, "lstm"), _backward(3, "gru")


# --- bad inputs --------------------------------------------------------------------------------


def _f32(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


def _bad(
    arrays: tuple[Any, ...], cases: tuple[tuple[str, int, Any, type[Exception]], ...],
    *options: str,
) -> tuple[BadInput, ...]:  # fmt: skip
    """The good call with one array at a time replaced, or one option."""

    def call(position: int, a: Any) -> Callable[[], tuple[tuple[Any, ...], dict[str, Any]]]:
        return lambda: ((*arrays[:position], a, *arrays[position + 1 :]), {})

    return (
        *(BadInput(name, call(position, a), error) for name, position, a, error in cases),
        *(BadInput(o, lambda o=o: (arrays, {o: 1}), DTypeError) for o in options),  # type: ignore[misc]
    )


def _packed(position: int, *sizes: int) -> tuple[str, int, Any, type[Exception]]:
    return f"sizes {sizes}", position, _sizes(*sizes), ShapeError


_X, _H = _f32(4, 2, 3), _f32(2, 5)


def _forward_bad(gates: int, cell: str) -> tuple[BadInput, ...]:
    states = (_H, _H) if cell == "lstm" else (_H,)
    w, more = 1 + len(states), (None,) if cell == "lstm" else ()
    rows = gates * 5
    weights = (_f32(rows, 3), _f32(rows, 5), _f32(rows), _f32(rows))
    good = (_X, *states, *weights, *more, None)
    last = len(good) - 1
    cases: tuple[tuple[str, int, Any, type[Exception]], ...] = (
        ("no steps", 0, _f32(0, 2, 3), ShapeError),
        ("one sequence", 0, _f32(4, 3), ShapeError),
        ("1-D", 0, _f32(3), ShapeError),
        ("4-D", 0, _f32(4, 2, 3, 1), ShapeError),
        ("inputs", 0, _f32(4, 2, 4), ShapeError),
        ("batch", 0, _f32(4, 3, 3), ShapeError),
        ("dtypes", 0, np.zeros((4, 2, 3)), DTypeError),
        ("integers", 0, np.zeros((4, 2, 3), np.int64), DTypeError),
        ("complex", 0, np.zeros((4, 2, 3), np.complex64), DTypeError),
        ("a list", 0, [[[1.0]]], DTypeError),
        ("units of h0", 1, _f32(2, 4), ShapeError),
        ("3-D h0", 1, _f32(1, 2, 5), ShapeError),
        ("rows of w_hh", w + 1, _f32(rows + 1, 5), ShapeError),
        ("no units", w, _f32(0, 3), ShapeError),
        ("b_ih", w + 2, _f32(rows + 1), ShapeError),
        ("b_hh, 2-D", w + 3, _f32(1, rows), ShapeError),
        ("sizes of 3-D x", last, _sizes(2, 2, 2, 2), ShapeError),
        *((("c0", 2, _f32(2, 4), ShapeError),) if cell == "lstm" else ()),
        *((("w_hr", 7, _f32(5, 4), ShapeError),) if cell == "lstm" else ()),
    )
    packed = (_f32(8, 3), *good[1:])
    rising: tuple[tuple[str, int, Any, type[Exception]], ...] = (
        ("rising sizes", last, _sizes(2, 1, 2, 3), ArgumentError),
        ("a size of 0", last, _sizes(2, 2, 2, 2, 0), ArgumentError),
        ("float sizes", last, np.full(4, 2.0, np.float32), DTypeError),
        ("2-D sizes", last, np.full((2, 2), 2), ShapeError),
        _packed(last, 2, 2, 2),
        _packed(last, 4, 4),
    )
    options = ("reverse",) if gates == 1 else ("reverse", "save")
    return (*_bad(good, cases, *options), *_bad(packed, rising))


def _backward_bad(gates: int, cell: str) -> tuple[BadInput, ...]:
    lead, w_hh = (4, 2), _f32(gates * 5, 5)
    g_y, y, four = _f32(*lead, 5), _f32(*lead, 5), _f32(*lead, 20)
    good: tuple[Any, ...] = (g_y, _H, y, w_hh, None)
    if cell == "lstm":
        good = (g_y, _H, _H, four, y, _H, w_hh, None, None)
    if cell == "gru":
        good = (g_y, _H, four, y, _H, w_hh, None)
    cases: tuple[tuple[str, int, Any, type[Exception]], ...] = (
        ("batch", 0, _f32(4, 3, 5), ShapeError),
        ("units of g_y", 0, _f32(4, 2, 4), ShapeError),
        ("dtypes", 0, np.zeros((4, 2, 5)), DTypeError),
        ("integers", 0, np.zeros((4, 2, 5), np.int64), DTypeError),
        ("no state's gradient", 1, None, DTypeError),
        *(
            (f"array {i}", i, _f32(*a.shape[:-1], a.shape[-1] + 1), ShapeError)
            for i, a in enumerate(good)
            if isinstance(a, np.ndarray)
        ),
        *((("w_hr", 7, _f32(4, 5), ShapeError),) if cell == "lstm" else ()),
    )
    return _bad(good, cases, "reverse")


rnn_bad, lstm_bad, gru_bad = _forward_bad(1, "rnn"), _forward_bad(4, "lstm"), _forward_bad(3, "gru")
rnn_backward_bad, gru_backward_bad = _backward_bad(1, "rnn"), _backward_bad(3, "gru")
lstm_backward_bad = _backward_bad(4, "lstm")
