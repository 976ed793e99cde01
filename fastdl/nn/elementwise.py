"""Activation layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from .. import functional as F
from ..core.dtypes import as_dtype
from ..core.errors import ArgumentError
from ..tensor import Parameter
from .module import Module

__all__ = ["CELU", "ELU", "GELU", "GLU", "SELU", "Hardsigmoid", "Hardswish", "Hardtanh", "Identity",
           "LeakyReLU", "LogSigmoid", "Mish", "PReLU", "ReLU", "ReLU6", "SiLU", "Sigmoid",
           "Softplus", "Softsign", "Tanh", "Tanhshrink", "Threshold"]  # fmt: skip


class ReLU(Module):
    """max(x, 0); `inplace=True` overwrites its input."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, x: Any) -> Any:
        """The same shape as x."""
        return F.relu(x, inplace=self.inplace)

    def extra_repr(self) -> str:
        """As torch prints it."""
        return "inplace=True" if self.inplace else ""


class Tanh(Module):
    """The hyperbolic tangent."""

    def forward(self, x: Any) -> Any:
        """The same shape as x."""
        return F.tanh(x)


class Sigmoid(Module):
    """1 / (1 + exp(−x))."""

    def forward(self, x: Any) -> Any:
        """The same shape as x."""
        return F.sigmoid(x)


class _Activation(Module):
    """A layer that is one function of its input, with the options given as attributes.

    A subclass names the function and its options with their defaults; the positional order is
    theirs, as in torch.
    """

    function: Callable[..., Any]
    options: ClassVar[dict[str, Any]] = {}

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__()
        name = type(self).__name__
        given = dict(zip(self.options, args, strict=False))
        if len(args) > len(self.options) or (unknown := options.keys() - self.options.keys()):
            wrong = (
                f"{len(args)} arguments" if len(args) > len(self.options) else sorted(unknown)[0]
            )
            raise ArgumentError(
                f"{name}: got {wrong!r}, want the options {', '.join(self.options) or '(none)'}"
            )
        for option, default in self.options.items():
            setattr(self, option, options.get(option, given.get(option, default)))

    def forward(self, input: Any) -> Any:
        """The function of the input; the same shape unless the class says otherwise."""
        chosen = {option: getattr(self, option) for option in self.options}
        return type(self).function(input, **chosen)

    def extra_repr(self) -> str:
        """The options; `inplace` where it is on."""
        shown = {o: getattr(self, o) for o in self.options if o != "inplace" or self.inplace}
        return ", ".join(f"{option}={value!r}" for option, value in shown.items())


class LeakyReLU(_Activation):
    """The input above 0, negative_slope times it below."""

    function = staticmethod(F.leaky_relu)
    options: ClassVar = {"negative_slope": 0.01, "inplace": False}


class ReLU6(_Activation):
    """min(max(x, 0), 6)."""

    function = staticmethod(F.relu6)
    options: ClassVar = {"inplace": False}


class Hardtanh(_Activation):
    """min(max(x, min_val), max_val)."""

    function = staticmethod(F.hardtanh)
    options: ClassVar = {"min_val": -1.0, "max_val": 1.0, "inplace": False}


class ELU(_Activation):
    """The input above 0, alpha · (e^x − 1) below."""

    function = staticmethod(F.elu)
    options: ClassVar = {"alpha": 1.0, "inplace": False}


class SELU(_Activation):
    """Scaled ELU (Klambauer et al., 2017)."""

    function = staticmethod(F.selu)
    options: ClassVar = {"inplace": False}


class CELU(_Activation):
    """The input above 0, alpha · (e^(x/alpha) − 1) below."""

    function = staticmethod(F.celu)
    options: ClassVar = {"alpha": 1.0, "inplace": False}


class GELU(_Activation):
    """x · Φ(x), Φ by erf or, approximate='tanh', by tanh."""

    function = staticmethod(F.gelu)
    options: ClassVar = {"approximate": "none"}


class SiLU(_Activation):
    """x · sigmoid(x)."""

    function = staticmethod(F.silu)
    options: ClassVar = {"inplace": False}


class Mish(_Activation):
    """x · tanh(softplus(x))."""

    function = staticmethod(F.mish)
    options: ClassVar = {"inplace": False}


class Softplus(_Activation):
    """ln(1 + e^(beta · x)) / beta, x itself where beta · x > threshold."""

    function = staticmethod(F.softplus)
    options: ClassVar = {"beta": 1.0, "threshold": 20.0}


class LogSigmoid(_Activation):
    """ln sigmoid(x)."""

    function = staticmethod(F.logsigmoid)


class Softsign(_Activation):
    """x / (1 + |x|)."""

    function = staticmethod(F.softsign)


class Tanhshrink(_Activation):
    """x − tanh(x)."""

    function = staticmethod(F.tanhshrink)


class Hardsigmoid(_Activation):
    """min(max(x + 3, 0), 6) / 6."""

    function = staticmethod(F.hardsigmoid)
    options: ClassVar = {"inplace": False}


class Hardswish(_Activation):
    """x · Hardsigmoid(x)."""

    function = staticmethod(F.hardswish)
    options: ClassVar = {"inplace": False}


class Threshold(Module):
    """The input above the threshold, `value` elsewhere."""

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__()
        self.threshold, self.value, self.inplace = threshold, value, inplace

    def forward(self, input: Any) -> Any:
        """The same shape as the input."""
        return F.threshold(input, self.threshold, self.value, self.inplace)

    def extra_repr(self) -> str:
        """As torch prints it."""
        inplace = ", inplace=True" if self.inplace else ""
        return f"threshold={self.threshold}, value={self.value}{inplace}"


class GLU(_Activation):
    """a · sigmoid(b) of the halves of a dim, which the output has half of."""

    function = staticmethod(F.glu)
    options: ClassVar = {"dim": -1}


class PReLU(Module):
    """The input above 0, a learnt weight times it below: one, or one for each channel (dim 1)."""

    def __init__(
        self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        self.num_parameters = num_parameters
        self.weight = Parameter(np.full(num_parameters, init, as_dtype(dtype or np.float32)))
        if device is not None:
            self.to(device)

    def forward(self, input: Any) -> Any:
        """The same shape as the input."""
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        """As torch prints it."""
        return f"num_parameters={self.num_parameters}"


class Identity(Module):
    """The input itself, whatever the layer was given."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__()

    def forward(self, input: Any) -> Any:
        """The input."""
        return input
