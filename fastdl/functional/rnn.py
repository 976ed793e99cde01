"""Recurrent networks: stacks of layers, both directions, and single steps (cells).

The names and arguments are those of torch's functions (`torch.lstm`, `torch.lstm_cell`, ...), which
`nn.LSTM` and its kin call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .. import functional
from ..autograd import is_grad_enabled
from ..core.errors import ArgumentError, ShapeError
from ..ops import rnn as ops
from ..ops.shape import cat, getitem, permute, reshape
from ..tensor import Tensor
from ._face import shape_of

__all__ = [
    "gru",
    "gru_cell",
    "lstm",
    "lstm_cell",
    "rnn_relu",
    "rnn_relu_cell",
    "rnn_tanh",
    "rnn_tanh_cell",
]

Layer = Callable[..., tuple[Any, ...]]
_faces: Any = functional  # other families' functions, looked up when they are called


def _recorded(*arrays: Any) -> bool:
    return is_grad_enabled() and any(isinstance(a, Tensor) and a.requires_grad for a in arrays)


def _plain_layer(op: Any) -> Layer:
    def layer(
        x: Any, states: Sequence[Any], weights: Sequence[Any], sizes: Any, reverse: bool
    ) -> tuple[Any, ...]:
        return op(x, *states, *weights[:4], sizes, reverse=reverse)

    return layer


def _lstm_layer(
    x: Any, states: Sequence[Any], weights: Sequence[Any], sizes: Any, reverse: bool
) -> tuple[Any, ...]:
    save = _recorded(x, *states, *weights)
    return ops.lstm_layer(x, *states, *weights, sizes, reverse=reverse, save=save)[:3]


def _gru_layer(
    x: Any, states: Sequence[Any], weights: Sequence[Any], sizes: Any, reverse: bool
) -> tuple[Any, ...]:
    save = _recorded(x, *states, *weights)
    return ops.gru_layer(x, *states, *weights[:4], sizes, reverse=reverse, save=save)[:2]


_tanh_layer, _relu_layer = _plain_layer(ops.rnn_tanh_layer), _plain_layer(ops.rnn_relu_layer)


def _by_layer(
    op: str, params: Sequence[Any], has_biases: bool, count: int, projected: bool
) -> list[tuple[Any, ...]]:
    """The weights of each layer and direction: w_ih, w_hh, b_ih, b_hh, w_hr (None: has none)."""
    each = 2 + 2 * bool(has_biases) + projected
    if len(params) != each * count:
        raise ArgumentError(
            f"{op}: params: got {len(params)} arrays, want {each} for each of {count} layers and"
            " directions"
        )
    found = []
    for start in range(0, len(params), each):
        w_ih, w_hh, *more = params[start : start + each]
        w_hr = more.pop() if projected else None
        b_ih, b_hh = more or (None, None)
        found.append((w_ih, w_hh, b_ih, b_hh, w_hr))
    return found


def _checked_states(op: str, states: Sequence[Any], layers: int, batch: int) -> None:
    for state, name in zip(states, ("h_0", "c_0"), strict=False):
        shape = shape_of(op, state)
        if len(shape) != 3 or shape[:2] != (layers, batch):
            raise ShapeError(
                f"{op}: {name} has shape {tuple(shape)}, want ({layers}, {batch}, features): layers"
                " times directions, sequences"
            )


def _one(states: Any, index: int) -> Any:
    """Row `index` of [layers, B, H]; a view where there is only one."""
    if states.shape[0] == 1:
        return reshape(states, shape=states.shape[1:])
    return getitem(states, index=(index,))


def _stacked(states: Sequence[Any]) -> Any:
    parts = [reshape(s, shape=(1, *s.shape)) for s in states]
    return parts[0] if len(parts) == 1 else cat(*parts, dim=0)


def _run(
    op: str, layer: Layer, x: Any, sizes: Any, states: Sequence[Any], params: Sequence[Any],
    has_biases: bool, num_layers: int, dropout: float, train: bool, bidirectional: bool,
) -> tuple[Any, ...]:  # fmt: skip
    """Every layer and direction over x, time first or packed; the output and the last states."""
    directions = 2 if bidirectional else 1
    projected = len(states) == 2 and states[0].shape[-1:] != states[1].shape[-1:]
    weights = _by_layer(op, params, has_biases, num_layers * directions, projected)
    batch = x.shape[1] if sizes is None else int(sizes[0])
    _checked_states(op, states, num_layers * directions, batch)
    last: list[tuple[Any, ...]] = []
    for number in range(num_layers):
        outputs = []
        for direction in range(directions):
            index = number * directions + direction
            initial = [_one(state, index) for state in states]
            y, *final = layer(x, initial, weights[index], sizes, direction == 1)
            outputs.append(y)
            last.append(tuple(final))
        x = outputs[0] if directions == 1 else cat(*outputs, dim=outputs[0].ndim - 1)
        if dropout and train and number < num_layers - 1:
            x = _faces.dropout(x, dropout, True)
    return x, *(_stacked(states_of_a_kind) for states_of_a_kind in zip(*last, strict=True))


def _network(op: str, layer: Layer, kinds: int, x: Any, args: tuple[Any, ...]) -> Any:
    """torch's two forms: (input, hx, ..., batch_first) and (data, batch_sizes, hx, ...)."""
    if len(args) != 8:
        raise ArgumentError(f"{op}: got {len(args) + 1} arguments, want 9: see its docstring")
    packed = getattr(args[0], "ndim", None) == 1
    sizes, (hx, params, *options) = (args[0], args[1:]) if packed else (None, args[:-1])
    states = tuple(hx) if kinds == 2 and isinstance(hx, (tuple, list)) else (hx,)
    if len(states) != kinds:
        raise ArgumentError(f"{op}: hx: want a pair (h_0, c_0)")
    rank = 2 if packed else 3
    if len(shape_of(op, x)) != rank:
        raise ShapeError(f"{op}: input has shape {tuple(x.shape)}, want {rank} dimensions")
    if packed:
        sizes = sizes._array if isinstance(sizes, Tensor) else sizes
        return _run(op, layer, x, sizes, states, params, *options)
    if not args[-1]:
        return _run(op, layer, x, None, states, params, *options)
    y, *last = _run(op, layer, permute(x, dims=(1, 0, 2)), None, states, params, *options)
    return permute(y, dims=(1, 0, 2)), *last


def lstm(input: Any, *args: Any) -> Any:
    """Long short-term memory: (output, h_n, c_n) of whole sequences (torch.lstm).

    i, f, g, o = σ, σ, tanh, σ of W_ih·x + b_ih + W_hh·h + b_hh; c = f·c + i·g; h = o·tanh c, or
    W_hr·(o·tanh c) where h_0 and c_0 differ in size (Hochreiter and Schmidhuber 1997).

    Two forms, in which every argument is given, by position:

    lstm(input, hx, params, has_biases, num_layers, dropout, train, bidirectional, batch_first)
    lstm(data, batch_sizes, hx, params, has_biases, num_layers, dropout, train, bidirectional)

    Args:
        input: [T, B, I], or [B, T, I] with `batch_first`.
        data, batch_sizes: a packed batch of sequences, `nn.utils.rnn.PackedSequence`'s.
        hx: (h_0[L·D, B, R], c_0[L·D, B, H]) for L layers of D directions.
        params: for each layer and direction w_ih[4H, inputs], w_hh[4H, R], with `has_biases`
            b_ih[4H] and b_hh[4H], and if projected w_hr[R, H].
        dropout: of each layer's output but the last, while `train` is set.

    Raises ShapeError for ranks or sizes that do not fit, ArgumentError for a wrong number of
    arguments, states or params or for sizes that rise, DTypeError for different dtypes.
    """
    return _network("lstm", _lstm_layer, 2, input, args)


def gru(input: Any, *args: Any) -> Any:
    """Gated recurrent units: (output, h_n) of whole sequences (torch.gru).

    r, z = σ(W_ih·x + b_ih + W_hh·h + b_hh); n = tanh(W_in·x + b_in + r·(W_hn·h + b_hn));
    h = (1 − z)·n + z·h (Cho et al. 2014). Arguments and errors as of `lstm`, with hx one array
    h_0[L·D, B, H] and weights of 3H rows.
    """
    return _network("gru", _gru_layer, 1, input, args)


def rnn_tanh(input: Any, *args: Any) -> Any:
    """h = tanh(W_ih·x + b_ih + W_hh·h + b_hh): (output, h_n) of whole sequences (torch.rnn_tanh).

    Arguments and errors as of `gru`, with weights of H rows.
    """
    return _network("rnn_tanh", _tanh_layer, 1, input, args)


def rnn_relu(input: Any, *args: Any) -> Any:
    """h = max(W_ih·x + b_ih + W_hh·h + b_hh, 0): (output, h_n) of whole sequences (torch.rnn_relu).

    Arguments and errors as of `gru`, with weights of H rows.
    """
    return _network("rnn_relu", _relu_layer, 1, input, args)


# --- cells -------------------------------------------------------------------------------------


def _cell(op: str, layer: Layer, x: Any, states: Sequence[Any], weights: Sequence[Any]) -> Any:
    """One step of [B, I] or [I]: the new states, h the layer's output."""
    rank = len(shape_of(op, x))
    if rank not in (1, 2):
        raise ShapeError(f"{op}: input has shape {tuple(x.shape)}, want [B, I] or [I]")
    for state in states:
        if len(shape_of(op, state)) != rank:
            raise ShapeError(
                f"{op}: hx has shape {tuple(state.shape)}, want {rank} dimensions, as input"
            )
    if rank == 1:
        x, states = (
            reshape(x, shape=(1, *x.shape)),
            [reshape(s, shape=(1, *s.shape)) for s in states],
        )
    y, _, *more = layer(x, states, (*weights, None), None, False)
    new = [y, *more]
    return [reshape(s, shape=s.shape[1:]) for s in new] if rank == 1 else new


def lstm_cell(
    input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None
) -> tuple[Any, Any]:
    """One step of `lstm`: (h, c) from input[B, I] and hx = (h[B, H], c[B, H]), or without B.

    w_ih[4H, I], w_hh[4H, H], b_ih[4H], b_hh[4H]. Errors as of `lstm`. As torch.lstm_cell.
    """
    if not isinstance(hx, (tuple, list)) or len(hx) != 2:
        raise ArgumentError("lstm_cell: hx: want a pair (h, c)")
    h, c = _cell("lstm_cell", _lstm_layer, input, hx, (w_ih, w_hh, b_ih, b_hh))
    return h, c


def gru_cell(input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> Any:
    """One step of `gru`: h from input[B, I] and hx[B, H], or without B.

    w_ih[3H, I], w_hh[3H, H], b_ih[3H], b_hh[3H]. Errors as of `gru`. As torch.gru_cell.
    """
    return _cell("gru_cell", _gru_layer, input, [hx], (w_ih, w_hh, b_ih, b_hh))[0]


def rnn_tanh_cell(
    input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None
) -> Any:
    """One step of `rnn_tanh`: h from input[B, I] and hx[B, H], or without B.

    w_ih[H, I], w_hh[H, H], b_ih[H], b_hh[H]. Errors as of `rnn_tanh`. As torch.rnn_tanh_cell.
    """
    return _cell("rnn_tanh_cell", _tanh_layer, input, [hx], (w_ih, w_hh, b_ih, b_hh))[0]


def rnn_relu_cell(
    input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None
) -> Any:
    """One step of `rnn_relu`: h from input[B, I] and hx[B, H], or without B.

    w_ih[H, I], w_hh[H, H], b_ih[H], b_hh[H]. Errors as of `rnn_relu`. As torch.rnn_relu_cell.
    """
    return _cell("rnn_relu_cell", _relu_layer, input, [hx], (w_ih, w_hh, b_ih, b_hh))[0]
