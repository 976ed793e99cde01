"""Recurrent layers and cells."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from .. import functional as F
from ..core.dtypes import as_dtype
from ..core.errors import ArgumentError, DTypeError, ShapeError
from ..tensor import Parameter, Tensor
from . import init
from .module import Module
from .utils.rnn import PackedSequence

__all__ = ["GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNBase", "RNNCell", "RNNCellBase"]

_MODES = {"LSTM": ("lstm", 4), "GRU": ("gru", 3), "RNN_TANH": ("rnn_tanh", 1),
          "RNN_RELU": ("rnn_relu", 1)}  # fmt: skip


def _uniform(module: Module, hidden_size: int) -> None:
    """torch's initial values: all uniform in ±1/√hidden_size."""
    bound = 1 / math.sqrt(hidden_size)
    for parameter in module.parameters():
        init.uniform_(parameter, -bound, bound)


def _sizes(name: str, **sizes: Any) -> None:
    for option, size in sizes.items():
        if not isinstance(size, int) or isinstance(size, bool):
            raise DTypeError(f"{name}: {option}: got {size!r}, want an int")
        if size < 1:
            raise ArgumentError(f"{name}: {option}: got {size}, want at least 1")


class RNNBase(Module):
    """What RNN, LSTM and GRU share: parameters by torch's names, and the forms of input.

    The parameters of layer k are weight_ih_l{k}, weight_hh_l{k}, with `bias` bias_ih_l{k} and
    bias_hh_l{k}, with `proj_size` weight_hr_l{k}; those of the reverse direction end in _reverse.
    """

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        if mode not in _MODES:
            raise ArgumentError(f"{name}: mode: got {mode!r}, want one of {', '.join(_MODES)}")
        _sizes(name, input_size=input_size, hidden_size=hidden_size, num_layers=num_layers)
        for option, value in (("bias", bias), ("batch_first", batch_first)):
            if not isinstance(value, bool):
                raise DTypeError(f"{name}: {option}: got {value!r}, want a bool")
        if isinstance(dropout, bool) or not 0 <= dropout <= 1:
            raise ArgumentError(f"{name}: dropout: got {dropout!r}, want a number in [0, 1]")
        if dropout and num_layers == 1:
            warnings.warn(
                f"{name}: dropout={dropout} has no effect on num_layers=1: it is that of each"
                " layer's output but the last",
                stacklevel=3,
            )
        if not 0 <= proj_size < hidden_size or (proj_size and mode != "LSTM"):
            raise ArgumentError(
                f"{name}: proj_size: got {proj_size}, want less than hidden_size={hidden_size}, and"
                " 0 for all but an LSTM"
            )
        self.mode, self.input_size, self.hidden_size = mode, input_size, hidden_size
        self.num_layers, self.bias, self.batch_first = num_layers, bias, batch_first
        self.dropout, self.bidirectional, self.proj_size = float(dropout), bidirectional, proj_size
        dtype, width = as_dtype(dtype or np.float32), proj_size or hidden_size
        rows, directions = _MODES[mode][1] * hidden_size, 2 if bidirectional else 1
        self._names: list[list[str]] = []
        for layer in range(num_layers):
            inputs = input_size if layer == 0 else width * directions
            shapes: dict[str, tuple[int, ...]] = {
                "weight_ih": (rows, inputs),
                "weight_hh": (rows, width),
            }
            if bias:
                shapes.update(bias_ih=(rows,), bias_hh=(rows,))
            if proj_size:
                shapes["weight_hr"] = (proj_size, hidden_size)
            for suffix in ("", "_reverse")[:directions]:
                self._names.append([f"{kind}_l{layer}{suffix}" for kind in shapes])
                for label, shape in zip(self._names[-1], shapes.values(), strict=True):
                    setattr(self, label, Parameter(np.empty(shape, dtype)))
        self.reset_parameters()
        if device is not None:
            self.to(device)

    def reset_parameters(self) -> None:
        """Draws new initial values: uniform in ±1/√hidden_size."""
        _uniform(self, self.hidden_size)

    def flatten_parameters(self) -> None:
        """Nothing: torch lays out parameters for cuDNN here."""

    @property
    def all_weights(self) -> list[list[Any]]:
        """The parameters of each layer and direction."""
        return [[getattr(self, name) for name in names] for names in self._names]

    def forward(self, input: Any, hx: Any = None) -> Any:
        """Whole sequences through all layers: (output, last states).

        Args:
            input: [T, B, input_size], [B, T, input_size] with `batch_first`, [T, input_size]
                without a batch, or a PackedSequence.
            hx: the initial states: h_0, or (h_0, c_0) of an LSTM, each [layers·directions, B,
                features] ([layers·directions, features] without a batch); zeros if not given.

        Returns output [T, B, directions·features] (laid out as input) and the states after the last
        step, shaped as hx; features are hidden_size, or proj_size for h of a projected LSTM.
        """
        states: Any
        packed = isinstance(input, PackedSequence)
        name = type(self).__name__
        unbatched = False
        x = input.data if packed else input
        if not packed:
            rank = getattr(x, "ndim", 0)
            if rank not in (2, 3):
                raise ShapeError(
                    f"{name}: input has {rank} dimensions, want [T, B, I] or, for one, [T, I]"
                )
            unbatched = rank == 2
            if unbatched:
                x = x[:, None] if not self.batch_first else x[None]
        pair = self.mode == "LSTM"
        if hx is None:
            batch = int(input.batch_sizes[0]) if packed else x.shape[0 if self.batch_first else 1]
            states = self._zeros(batch, x.dtype)
        else:
            states = tuple(hx) if pair else (hx,)
            for state in states:
                want = 2 if unbatched else 3
                if getattr(state, "ndim", 0) != want:
                    raise ShapeError(
                        f"{name}: hx has shape {tuple(getattr(state, 'shape', ()))}, want {want}"
                        f" dimensions for input of shape {tuple(x.shape)}"
                    )
            if unbatched:
                states = tuple(state[:, None] for state in states)
            elif packed and input.sorted_indices is not None:
                states = tuple(_permuted(state, input.sorted_indices) for state in states)
        weights = [w for group in self.all_weights for w in group]
        options = (weights, self.bias, self.num_layers, self.dropout, self.training,
                   self.bidirectional)  # fmt: skip
        run = getattr(F, _MODES[self.mode][0])
        initial = states if pair else states[0]
        if packed:
            y, *last = run(x, input.batch_sizes, initial, *options)
            y = PackedSequence(y, *input[1:])
            if input.unsorted_indices is not None:
                last = [_permuted(state, input.unsorted_indices) for state in last]
        else:
            y, *last = run(x, initial, *options, self.batch_first)
        if unbatched:
            y = y[0] if self.batch_first else y[:, 0]
            last = [state[:, 0] for state in last]
        return y, tuple(last) if pair else last[0]

    def _zeros(self, batch: int, dtype: Any) -> tuple[np.ndarray, ...]:
        layers = self.num_layers * (2 if self.bidirectional else 1)
        sizes = [self.proj_size or self.hidden_size, self.hidden_size]
        count = 2 if self.mode == "LSTM" else 1
        return tuple(np.zeros((layers, batch, size), dtype) for size in sizes[:count])

    def extra_repr(self) -> str:
        """Sizes and options, as torch prints them."""
        text = f"{self.input_size}, {self.hidden_size}"
        for name, default in (("proj_size", 0), ("num_layers", 1), ("bias", True),
                              ("batch_first", False), ("dropout", 0),
                              ("bidirectional", False)):  # fmt: skip
            value = getattr(self, name)
            text += "" if value == default else f", {name}={value}"
        return text


def _permuted(state: Any, indices: Any) -> Any:
    indices = indices._array if isinstance(indices, Tensor) else indices
    return state[:, indices]


class RNN(RNNBase):
    """h = tanh(W_ih·x + b_ih + W_hh·h + b_hh), or with nonlinearity 'relu' max(..., 0).

    RNN(input_size, hidden_size, num_layers=1, nonlinearity='tanh', bias=True, batch_first=False,
    dropout=0.0, bidirectional=False, device=None, dtype=None). As torch.nn.RNN.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ArgumentError(f"RNN: nonlinearity: got {nonlinearity!r}, want 'tanh' or 'relu'")
        super().__init__(
            f"RNN_{nonlinearity.upper()}", input_size, hidden_size, num_layers, bias, batch_first,
            dropout, bidirectional, 0, device, dtype,
        )  # fmt: skip
        self.nonlinearity = nonlinearity


class LSTM(RNNBase):
    """Long short-term memory, see functional.lstm. As torch.nn.LSTM.

    LSTM(input_size, hidden_size, num_layers=1, bias=True, batch_first=False, dropout=0.0,
    bidirectional=False, proj_size=0, device=None, dtype=None).
    """

    def __init__(self, input_size: int, hidden_size: int, *args: Any, **kwargs: Any) -> None:
        super().__init__("LSTM", input_size, hidden_size, *args, **kwargs)


class GRU(RNNBase):
    """Gated recurrent units, see functional.gru. As torch.nn.GRU.

    GRU(input_size, hidden_size, num_layers=1, bias=True, batch_first=False, dropout=0.0,
    bidirectional=False, device=None, dtype=None).
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            "GRU", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
            0, device, dtype,
        )  # fmt: skip


class RNNCellBase(Module):
    """What the cells share: weight_ih, weight_hh, bias_ih and bias_hh (None without `bias`)."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool,
        num_chunks: int,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        _sizes(type(self).__name__, input_size=input_size, hidden_size=hidden_size)
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        dtype, rows = as_dtype(dtype or np.float32), num_chunks * hidden_size
        self.weight_ih = Parameter(np.empty((rows, input_size), dtype))
        self.weight_hh = Parameter(np.empty((rows, hidden_size), dtype))
        for name in ("bias_ih", "bias_hh"):
            self.register_parameter(name, Parameter(np.empty(rows, dtype)) if bias else None)
        self.reset_parameters()
        if device is not None:
            self.to(device)

    def reset_parameters(self) -> None:
        """Draws new initial values: uniform in ±1/√hidden_size."""
        _uniform(self, self.hidden_size)

    def _zeros(self, x: Any) -> np.ndarray:
        return np.zeros((*x.shape[:-1], self.hidden_size), x.dtype)

    def _weights(self) -> tuple[Any, ...]:
        return self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh

    def extra_repr(self) -> str:
        """Sizes and options, as torch prints them."""
        text = f"{self.input_size}, {self.hidden_size}"
        text += "" if self.bias else ", bias=False"
        kind = getattr(self, "nonlinearity", "tanh")
        return text if kind == "tanh" else f"{text}, nonlinearity={kind}"


class RNNCell(RNNCellBase):
    """One step of RNN: input[B, I] or [I] and hx (zeros if not given) -> h. As torch.nn.RNNCell."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ArgumentError(
                f"RNNCell: nonlinearity: got {nonlinearity!r}, want 'tanh' or 'relu'"
            )
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Any, hx: Any = None) -> Any:
        """input[B, I], hx[B, H] -> [B, H]; also without B."""
        hx = self._zeros(input) if hx is None else hx
        cell = F.rnn_tanh_cell if self.nonlinearity == "tanh" else F.rnn_relu_cell
        return cell(input, hx, *self._weights())


class LSTMCell(RNNCellBase):
    """One step of LSTM: input[B, I] or [I] and (h, c) (zeros if not given) -> (h, c)."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        """input[B, I], hx = (h[B, H], c[B, H]) -> (h, c); also without B."""
        if hx is None:
            hx = self._zeros(input), self._zeros(input)
        return F.lstm_cell(input, hx, *self._weights())


class GRUCell(RNNCellBase):
    """One step of GRU: input[B, I] or [I] and hx (zeros if not given) -> h. As torch.nn.GRUCell."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input: Any, hx: Any = None) -> Any:
        """input[B, I], hx[B, H] -> [B, H]; also without B."""
        return F.gru_cell(input, self._zeros(input) if hx is None else hx, *self._weights())
