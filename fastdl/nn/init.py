"""Initial values of parameters, filled in place (torch.nn.init's names and formulas)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..core.errors import ArgumentError, ShapeError
from ..core.random import generator
from ..tensor import Tensor

_GAINS = {"tanh": 5 / 3, "relu": math.sqrt(2), "selu": 3 / 4}
_LINEAR = ("linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d",
           "conv_transpose3d", "sigmoid")  # fmt: skip


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """By how much a nonlinearity shrinks the standard deviation, inverted (torch's table).

    `param` is leaky_relu's slope, 0.01 unless given. ArgumentError for an unknown name.
    """
    if nonlinearity in _LINEAR:
        return 1.0
    if nonlinearity in _GAINS:
        return _GAINS[nonlinearity]
    if nonlinearity == "leaky_relu":
        return math.sqrt(2 / (1 + (0.01 if param is None else param) ** 2))
    known = ", ".join((*_LINEAR, *_GAINS, "leaky_relu"))
    raise ArgumentError(f"calculate_gain: nonlinearity: got {nonlinearity!r}, want {known}")


# --- fills -------------------------------------------------------------------------------------


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0) -> Tensor:
    """Uniform in [a, b)."""
    return _fill(tensor, generator().uniform(a, b, tensor.shape))


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Normal with the given mean and standard deviation."""
    return _fill(tensor, generator().normal(mean, std, tensor.shape))


def trunc_normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0
) -> Tensor:
    """Normal, drawn again where outside [a, b]."""
    if not a < b or std <= 0:
        raise ArgumentError(f"trunc_normal_: got std={std}, a={a}, b={b}, want std > 0 and a < b")
    lo, hi = (0.5 * (1 + math.erf((x - mean) / std / math.sqrt(2))) for x in (a, b))
    if hi - lo < 1e-6:  # a tail, where drawing again would take for ever
        raise ArgumentError(f"trunc_normal_: [{a}, {b}] is too far from the mean {mean}")
    values = generator().normal(mean, std, tensor.shape)
    values = np.asarray(values)
    outside = (values < a) | (values > b)
    while outside.any():
        values[outside] = generator().normal(mean, std, int(outside.sum()))
        outside = (values < a) | (values > b)
    return _fill(tensor, values)


def constant_(tensor: Tensor, val: float) -> Tensor:
    """One value everywhere."""
    tensor._written()[...] = val
    return tensor


def zeros_(tensor: Tensor) -> Tensor:
    """Zero everywhere."""
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """One everywhere."""
    return constant_(tensor, 1.0)


def eye_(tensor: Tensor) -> Tensor:
    """The identity, for a matrix."""
    _rank("eye_", tensor, 2, 2)
    return _fill(tensor, np.eye(tensor.shape[0], tensor.shape[1]))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """A convolution's weight [K, C, ...] that passes its first channels through."""
    _rank("dirac_", tensor, 3, 5)
    if groups < 1 or tensor.shape[0] % groups:
        raise ArgumentError(f"dirac_: groups: got {groups}, want a divisor of {tensor.shape[0]}")
    values = np.zeros(tensor.shape)
    centre = tuple(n // 2 for n in tensor.shape[2:])
    per_group = tensor.shape[0] // groups
    for g in range(groups):
        for c in range(min(per_group, tensor.shape[1])):
            values[(g * per_group + c, c, *centre)] = 1
    return _fill(tensor, values)


def orthogonal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Rows (or columns, if there are fewer) orthonormal times gain (Saxe et al. 2013)."""
    _rank("orthogonal_", tensor, 2)
    rows, columns = tensor.shape[0], math.prod(tensor.shape[1:])
    normal = generator().normal(size=(max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(normal)
    q *= np.sign(np.diag(r))  # uniform over the orthogonal matrices (Mezzadri 2007)
    return _fill(tensor, gain * (q if rows >= columns else q.T).reshape(tensor.shape))


def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01) -> Tensor:
    """Normal, with the fraction `sparsity` of every column zero (Martens 2010)."""
    _rank("sparse_", tensor, 2, 2)
    rows, columns = tensor.shape
    values = generator().normal(0, std, tensor.shape)
    for c in range(columns):
        values[generator().permutation(rows)[: math.ceil(sparsity * rows)], c] = 0
    return _fill(tensor, values)


# --- by fan ------------------------------------------------------------------------------------


def _fans(tensor: Tensor) -> tuple[int, int]:
    """How many inputs feed an output, and outputs an input, of a weight (out, in, *kernel)."""
    _rank("fan", tensor, 2)
    kernel = math.prod(tensor.shape[2:])
    return tensor.shape[1] * kernel, tensor.shape[0] * kernel


def xavier_uniform_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Uniform in ±gain √(6 / (fan_in + fan_out)) (Glorot and Bengio 2010)."""
    bound = gain * math.sqrt(6 / max(sum(_fans(tensor)), 1))
    return uniform_(tensor, -bound, bound)


def xavier_normal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Normal with std gain √(2 / (fan_in + fan_out)) (Glorot and Bengio 2010)."""
    return normal_(tensor, 0.0, gain * math.sqrt(2 / max(sum(_fans(tensor)), 1)))


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ArgumentError(f"kaiming: mode: got {mode!r}, want 'fan_in' or 'fan_out'")
    fan = _fans(tensor)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(max(fan, 1))


def kaiming_uniform_(
    tensor: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu"
) -> Tensor:
    """Uniform in ±gain √(3 / fan), the gain that of a leaky relu of slope a (He et al. 2015)."""
    bound = math.sqrt(3) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound)


def kaiming_normal_(
    tensor: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu"
) -> Tensor:
    """Normal with std gain / √fan, the gain that of a leaky relu of slope a (He et al. 2015)."""
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity))


def default_(weight: Tensor, bias: Tensor | None) -> None:
    """torch's default of Linear and convolutions: both uniform in ±1/√fan_in."""
    kaiming_uniform_(weight, a=math.sqrt(5))
    if bias is not None:
        fan_in = _fans(weight)[0]
        bound = 1 / math.sqrt(fan_in) if fan_in else 0.0
        uniform_(bias, -bound, bound)


def _fill(tensor: Tensor, values: Any) -> Tensor:
    tensor._written()[...] = values
    return tensor


def _rank(op: str, tensor: Tensor, least: int, most: int | None = None) -> None:
    if tensor.ndim < least or (most is not None and tensor.ndim > most):
        want = f"{least} dimensions" if most == least else f"at least {least} dimensions"
        raise ShapeError(f"{op}: got shape {tensor.shape}, want {want}")
