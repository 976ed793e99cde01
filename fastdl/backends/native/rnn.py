"""Recurrent layers: csrc/rnn.cpp, kernels/cpu/rnn.inc.

Any strides; one product of all steps with w_ih, then a fused pass a step; backward a fused pass a
step, from the last to the first. The extension checks the arrays itself.
"""

from __future__ import annotations

from typing import Any

from ... import _native
from ...spec import kernel

_TANH, _RELU, _LSTM, _GRU = range(4)  # RnnCell of kernels/cpu/rnn.h
_DTYPES = ("float32", "float64", "int64")  # int64: batch_sizes


def _is_flag(value: Any) -> bool:
    return value is True or value is False


def _plain(name: str, cell: int) -> None:
    def forward(
        x: Any, h0: Any = None, w_ih: Any = None, w_hh: Any = None, b_ih: Any = None,
        b_hh: Any = None, sizes: Any = None, *, reverse: Any = False, out: Any = None,
    ) -> Any:  # fmt: skip
        if out is not None or not _is_flag(reverse):
            return NotImplemented
        return _native.rnn_forward(
            cell, x, h0, None, w_ih, w_hh, b_ih, b_hh, None, sizes, reverse, False
        )

    def backward(
        g_y: Any, g_h: Any = None, y: Any = None, w_hh: Any = None, sizes: Any = None, *,
        reverse: Any = False, out: Any = None,
    ) -> Any:  # fmt: skip
        if out is not None or not _is_flag(reverse):
            return NotImplemented
        return _native.rnn_backward(
            cell, g_y, g_h, None, None, None, y, None, w_hh, None, sizes, reverse
        )

    for op, function in ((name, forward), (f"{name}_backward", backward)):
        kernel(op, backend="native", dtypes=_DTYPES, direct=True, name=op)(function)


_plain("rnn_tanh_layer", _TANH)
_plain("rnn_relu_layer", _RELU)


@kernel("lstm_layer", backend="native", dtypes=_DTYPES, direct=True)
def lstm_layer(
    x: Any, h0: Any = None, c0: Any = None, w_ih: Any = None, w_hh: Any = None, b_ih: Any = None,
    b_hh: Any = None, w_hr: Any = None, sizes: Any = None, *, reverse: Any = False,
    save: Any = False, out: Any = None,
) -> Any:  # fmt: skip
    """c = f·c + i·g, h = o·tanh c, projected by w_hr."""
    if out is not None or not _is_flag(reverse) or not _is_flag(save):
        return NotImplemented
    return _native.rnn_forward(_LSTM, x, h0, c0, w_ih, w_hh, b_ih, b_hh, w_hr, sizes, reverse, save)


@kernel("lstm_layer_backward", backend="native", dtypes=_DTYPES, direct=True)
def lstm_layer_backward(
    g_y: Any, g_h: Any = None, g_c: Any = None, gates: Any = None, cells: Any = None,
    c0: Any = None, w_hh: Any = None, w_hr: Any = None, sizes: Any = None, *, reverse: Any = False,
    out: Any = None,
) -> Any:  # fmt: skip
    """Gradients of the gates' arguments, of h0, of c0 and, with w_hr, of every h."""
    if out is not None or not _is_flag(reverse):
        return NotImplemented
    return _native.rnn_backward(
        _LSTM, g_y, g_h, g_c, gates, cells, None, c0, w_hh, w_hr, sizes, reverse
    )


@kernel("gru_layer", backend="native", dtypes=_DTYPES, direct=True)
def gru_layer(
    x: Any, h0: Any = None, w_ih: Any = None, w_hh: Any = None, b_ih: Any = None, b_hh: Any = None,
    sizes: Any = None, *, reverse: Any = False, save: Any = False, out: Any = None,
) -> Any:  # fmt: skip
    """h = n + z·(h − n)."""
    if out is not None or not _is_flag(reverse) or not _is_flag(save):
        return NotImplemented
    return _native.rnn_forward(
        _GRU, x, h0, None, w_ih, w_hh, b_ih, b_hh, None, sizes, reverse, save
    )


@kernel("gru_layer_backward", backend="native", dtypes=_DTYPES, direct=True)
def gru_layer_backward(
    g_y: Any, g_h: Any = None, gates: Any = None, y: Any = None, h0: Any = None, w_hh: Any = None,
    sizes: Any = None, *, reverse: Any = False, out: Any = None,
) -> Any:  # fmt: skip
    """Gradients of the arguments of r, z and n, of m, and of h0."""
    if out is not None or not _is_flag(reverse):
        return NotImplemented
    return _native.rnn_backward(
        _GRU, g_y, g_h, None, gates, None, y, h0, w_hh, None, sizes, reverse
    )
