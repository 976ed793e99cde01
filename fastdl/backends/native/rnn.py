"""Recurrent layers: csrc/rnn.cpp, kernels/cpu/rnn.inc."""

from __future__ import annotations

from typing import Any

from ... import _native
from ...spec import kernel

_TANH, _RELU, _LSTM, _GRU = range(4)  # RnnCell of kernels/cpu/rnn.h
_DTYPES = ("float32", "float64", "int64")  # int64: batch_sizes


def _plain(name: str, cell: int) -> None:
    def forward(
        x: Any, h0: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, sizes: Any, *, reverse: bool
    ) -> Any:
        return _native.rnn_forward(
            cell, x, h0, None, w_ih, w_hh, b_ih, b_hh, None, sizes, reverse, False
        )

    def backward(g_y: Any, g_h: Any, y: Any, w_hh: Any, sizes: Any, *, reverse: bool) -> Any:
        return _native.rnn_backward(
            cell, g_y, g_h, None, None, None, y, None, w_hh, None, sizes, reverse
        )

    kernel(name, backend="native", dtypes=_DTYPES, name=name)(forward)
    kernel(f"{name}_backward", backend="native", dtypes=_DTYPES, name=f"{name}_backward")(backward)


_plain("rnn_tanh_layer", _TANH)
_plain("rnn_relu_layer", _RELU)


@kernel("lstm_layer", backend="native", dtypes=_DTYPES)
def lstm_layer(
    x: Any, h0: Any, c0: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, w_hr: Any, sizes: Any, *,
    reverse: bool, save: bool,
) -> Any:  # fmt: skip
    """Any strides; one product of all steps with w_ih, then a fused pass a step."""
    return _native.rnn_forward(_LSTM, x, h0, c0, w_ih, w_hh, b_ih, b_hh, w_hr, sizes, reverse, save)


@kernel("lstm_layer_backward", backend="native", dtypes=_DTYPES)
def lstm_layer_backward(
    g_y: Any, g_h: Any, g_c: Any, gates: Any, cells: Any, c0: Any, w_hh: Any, w_hr: Any, sizes: Any,
    *, reverse: bool,
) -> Any:  # fmt: skip
    """Any strides; a fused pass a step, from the last to the first."""
    return _native.rnn_backward(
        _LSTM, g_y, g_h, g_c, gates, cells, None, c0, w_hh, w_hr, sizes, reverse
    )


@kernel("gru_layer", backend="native", dtypes=_DTYPES)
def gru_layer(
    x: Any, h0: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, sizes: Any, *, reverse: bool,
    save: bool,
) -> Any:  # fmt: skip
    """Any strides; one product of all steps with w_ih, then a fused pass a step."""
    return _native.rnn_forward(
        _GRU, x, h0, None, w_ih, w_hh, b_ih, b_hh, None, sizes, reverse, save
    )


@kernel("gru_layer_backward", backend="native", dtypes=_DTYPES)
def gru_layer_backward(
    g_y: Any, g_h: Any, gates: Any, y: Any, h0: Any, w_hh: Any, sizes: Any, *, reverse: bool
) -> Any:
    """Any strides; a fused pass a step, from the last to the first."""
    return _native.rnn_backward(
        _GRU, g_y, g_h, None, gates, None, y, h0, w_hh, None, sizes, reverse
    )
