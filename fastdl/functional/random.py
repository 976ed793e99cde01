"""Random numbers and dropout, all from `Generator`s: the same ones for any number of threads.

The numbers are those of Philox 4x32-10, but not torch's: torch gives them out in another order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..backends.reference.random import pairs
from ..core import random
from ..core.dtypes import as_dtype, float32, int64, is_float
from ..core.errors import ArgumentError, DTypeError, ShapeError
from ..core.memory import empty
from ..core.random import Generator, default_generator
from ..core.shapes import as_float, as_int
from ..ops import random as ops
from ..ops.elementwise import add, mul
from ..ops.shape import reshape
from ..spec import OpSpec
from ..tensor import Tensor
from ._face import method, shape_of

__all__ = [
    "alpha_dropout", "bernoulli", "dropout", "dropout1d",
    "dropout2d", "dropout3d", "feature_alpha_dropout", "feature_dropout", "get_rng_state",
    "initial_seed", "normal", "rand", "rand_like", "randint", "randint_like", "randn",
    "randn_like", "randperm", "seed", "set_rng_state",
]  # fmt: skip


def _stream(generator: Any) -> Generator:
    if generator is None:
        return default_generator
    if not isinstance(generator, Generator):
        raise DTypeError(f"generator: got {type(generator).__name__}, want a Generator")
    return generator


def _sizes(op: str, size: Sequence[Any]) -> tuple[int, ...]:
    """`f(2, 3)` and `f((2, 3))`."""
    given = size[0] if len(size) == 1 and isinstance(size[0], (tuple, list)) else size
    shape = tuple(as_int(op, "size", n) for n in given)
    if any(n < 0 for n in shape):
        raise ShapeError(f"{op}: size: got {shape}, want sizes that are not negative")
    return shape


def _filled(
    spec: OpSpec, shape: tuple[int, ...], dtype: Any, generator: Any, **options: float
) -> np.ndarray:
    """A new array that a fill has written."""
    wanted = as_dtype(float32 if dtype is None else dtype)
    if not is_float(wanted):
        raise DTypeError(f"{spec.name}: dtype: got {wanted}, want a float")
    array = empty(shape, wanted)
    _fill(spec, array, generator, **options)
    return array


def _fill(spec: OpSpec, array: np.ndarray, generator: Any, **options: Any) -> None:
    start, offset = _stream(generator).take(array.size)
    spec(array, out=array, seed=start, offset=offset, **options)


def _tensor(array: np.ndarray, device: Any, requires_grad: bool) -> Tensor:
    return Tensor(array, None, device, requires_grad)


def rand(
    *size: Any, generator: Any = None, dtype: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """A Tensor of numbers uniform in [0, 1). As torch.rand."""
    array = _filled(ops.uniform, _sizes("rand", size), dtype, generator)
    return _tensor(array, device, requires_grad)


def randn(
    *size: Any, generator: Any = None, dtype: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """A Tensor of standard normal numbers. As torch.randn."""
    array = _filled(ops.normal, _sizes("randn", size), dtype, generator)
    return _tensor(array, device, requires_grad)


def rand_like(
    input: Any, *, generator: Any = None, dtype: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """`rand` of the shape and dtype of another."""
    array = _filled(ops.uniform, shape_of("rand_like", input), dtype or input.dtype, generator)
    return _tensor(array, device, requires_grad)


def randn_like(
    input: Any, *, generator: Any = None, dtype: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """`randn` of the shape and dtype of another."""
    array = _filled(ops.normal, shape_of("randn_like", input), dtype or input.dtype, generator)
    return _tensor(array, device, requires_grad)


def _integers(
    low: int, high: int, shape: tuple[int, ...], generator: Any, dtype: Any
) -> np.ndarray:
    """low + ⌊w · (high − low) / 2^64⌋ of a number w of 64 bits, taken in two halves."""
    if not low < high:
        raise ArgumentError(f"randint: got low {low} and high {high}, want low < high")
    count = math.prod(shape)
    w = pairs(count, *_stream(generator).take(count))
    span, half = high - low, np.uint64(32)
    if span >= 1 << 32:
        values = w % np.uint64(span)
    else:
        lower = ((w & np.uint64(0xFFFFFFFF)) * np.uint64(span)) >> half
        values = ((w >> half) * np.uint64(span) + lower) >> half
    return (values.astype(np.int64) + low).astype(as_dtype(dtype or int64)).reshape(shape)


def randint(
    low: Any, high: Any = None, size: Any = None, *, generator: Any = None, dtype: Any = None,
    device: Any = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Integers low ≤ i < high of a shape: `randint(10, (3,))` or `randint(5, 10, (3,))`.

    int64 unless told otherwise. ArgumentError unless low < high. As torch.randint.
    """
    if size is None or high is None:
        low, high, size = 0, low, high if size is None else size
    bounds = as_int("randint", "low", low), as_int("randint", "high", high)
    array = _integers(*bounds, _sizes("randint", (size,)), generator, dtype)
    return _tensor(array, device, requires_grad)


def randint_like(
    input: Any, low: Any, high: Any = None, *, dtype: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """`randint` of the shape and dtype of another."""
    low, high = (0, low) if high is None else (low, high)
    shape = shape_of("randint_like", input)
    return _tensor(_integers(low, high, shape, None, dtype or input.dtype), device, requires_grad)


def randperm(
    n: int, *, generator: Any = None, dtype: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """0 to n − 1 in random order: the order of as many random numbers. As torch.randperm."""
    (count,) = _sizes("randperm", (n,))
    order = np.argsort(pairs(count, *_stream(generator).take(count)), kind="stable")
    return _tensor(order.astype(as_dtype(dtype or int64)), device, requires_grad)


@method
def bernoulli(input: Any, p: Any = None, *, generator: Any = None, out: Any = None) -> Any:
    """1 with the probability that `input` holds (or `p` everywhere), else 0.

    Raises ArgumentError for a probability that is not in [0, 1]. As torch.bernoulli.
    """
    array = getattr(input, "_array", input)
    if p is not None:
        array = np.full(array.shape, as_float("bernoulli", "p", p), array.dtype)
    if not is_float(array.dtype):
        raise DTypeError(f"bernoulli: input has dtype {array.dtype}, want a float")
    if array.size and not (array.min() >= 0 and array.max() <= 1):
        raise ArgumentError("bernoulli: want probabilities, all in [0, 1]")
    start, offset = _stream(generator).take(array.size)
    into = getattr(out, "_array", out)
    y = ops.bernoulli(array, seed=start, offset=offset, out=into)
    if out is not None:
        return out
    return Tensor._wrap(y) if isinstance(input, Tensor) else y


def normal(
    mean: Any, std: Any = 1.0, size: Any = None, *, generator: Any = None, dtype: Any = None,
    device: Any = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Normal numbers: of one mean and deviation and a size, or of Tensors of them.

    ArgumentError for a deviation below 0. As torch.normal.
    """
    if size is not None:
        options = {"mean": as_float("normal", "mean", mean), "std": as_float("normal", "std", std)}
        array = _filled(ops.normal, _sizes("normal", (size,)), dtype, generator, **options)
        return _tensor(array, device, requires_grad)
    arrays = [np.asarray(getattr(a, "_array", a)) for a in (mean, std)]
    if np.any(arrays[1] < 0):
        raise ArgumentError("normal: std: want numbers that are not negative")
    kind = next((a.dtype for a in arrays if is_float(a.dtype) and a.ndim), float32)
    shape = np.broadcast_shapes(*(a.shape for a in arrays))
    z = _filled(ops.normal, shape, dtype or kind, generator)
    return _tensor((arrays[0] + arrays[1] * z).astype(z.dtype), device, requires_grad)


# --- Tensors filled in place -------------------------------------------------------------------


def _fill_tensor(spec: OpSpec, tensor: Tensor, generator: Any, **options: float) -> Tensor:
    if not is_float(tensor.dtype):
        raise DTypeError(f"{spec.name}_: the tensor has dtype {tensor.dtype}, want a float")
    _fill(spec, tensor.detach()._array, generator, **options)
    tensor._written()
    return tensor


def uniform_(self: Tensor, from_: float = 0.0, to: float = 1.0, *, generator: Any = None) -> Tensor:
    """Fills the tensor with numbers uniform in [from_, to)."""
    return _fill_tensor(ops.uniform, self, generator, low=from_, high=to)


def normal_(self: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Any = None) -> Tensor:
    """Fills the tensor with normal numbers."""
    return _fill_tensor(ops.normal, self, generator, mean=mean, std=std)


def bernoulli_(self: Tensor, p: Any = 0.5, *, generator: Any = None) -> Tensor:
    """Fills the tensor with ones, of probability p (a number or a Tensor), and zeros."""
    p = np.broadcast_to(getattr(p, "_array", p), self.shape).astype(float32)
    self._array[...] = bernoulli(p, generator=generator)
    self._written()
    return self


def random_(
    self: Tensor, from_: int = 0, to: int | None = None, *, generator: Any = None
) -> Tensor:
    """Fills the tensor with integers from_ ≤ i < to (`random_(to)` begins at 0)."""
    if to is None:
        from_, to = (0, from_) if from_ else (0, 1 << 24 if is_float(self.dtype) else 1 << 31)
    self._array[...] = _integers(from_, to, self.shape, generator, self.dtype)
    self._written()
    return self


for _method in (uniform_, normal_, bernoulli_, random_):
    setattr(Tensor, _method.__name__, _method)


# --- the default generator ---------------------------------------------------------------------


def seed() -> int:
    """Starts the default generator from a seed that nobody can foretell, and returns it."""
    return default_generator.seed()


def initial_seed() -> int:
    """The seed of the default generator."""
    return default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """The default generator's state, a uint8 Tensor."""
    return Tensor(default_generator.get_state())


def set_rng_state(new_state: Any) -> None:
    """Takes the default generator back to a state of `get_rng_state`."""
    default_generator.set_state(new_state)


# --- dropout -----------------------------------------------------------------------------------


def _probability(op: str, p: Any) -> float:
    value = as_float(op, "p", p)
    if not 0 <= value <= 1:
        raise ArgumentError(f"{op}: p: got {p}, want 0 to 1")
    return value


def _start(shape: Sequence[int]) -> dict[str, int]:
    """Where in the default stream the numbers of an op of this shape begin."""
    start, offset = random.default_generator.take(math.prod(shape))
    return {"seed": start, "offset": offset}


@method
def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """In training, zeroes elements with probability p and divides the others by 1 − p.

    Nothing is stored for backward: it makes the same random numbers again. As
    torch.nn.functional.dropout.
    """
    p = _probability("dropout", p)
    if not training or p == 0:
        return input
    y = ops.dropout(input, p=p, **_start(shape_of("dropout", input)))
    return _into(input, y) if inplace else y


def _into(input: Any, y: Any) -> Any:
    """Writes y over the input."""
    if isinstance(input, Tensor):
        return input.copy_(y)
    input[...] = y
    return input


def feature_dropout(op: str, input: Any, p: float, training: bool, inplace: bool) -> Any:
    """Dropout of whole channels: of input[N, C, ...]."""
    p = _probability(op, p)
    shape = shape_of(op, input)
    if len(shape) < 2:
        raise ShapeError(f"{op}: input has shape {shape}, want at least 2 dims [N, C, ...]")
    if not training or p == 0:
        return input
    mask = ops.dropout(np.ones(shape[:2], input.dtype), p=p, **_start(shape[:2]))
    y = mul(input, mask.reshape(*shape[:2], *(1,) * (len(shape) - 2)))
    return _into(input, y) if inplace else y


def _channels(op: str, input: Any, dims: int, p: float, training: bool, inplace: bool) -> Any:
    """Of a batch [N, C, ...] of images of `dims`, or of one without a batch [C, ...]."""
    shape = shape_of(op, input)
    if len(shape) == dims + 1:
        one = feature_dropout(op, reshape(input, shape=(1, *shape)), p, training, False)
        y = reshape(one, shape=shape)
        return _into(input, y) if inplace else y
    if len(shape) != dims + 2:
        raise ShapeError(f"{op}: input has shape {shape}, want {dims + 1} or {dims + 2} dims")
    return feature_dropout(op, input, p, training, inplace)


def dropout1d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """`dropout` of whole channels of [N, C, L] or [C, L]. As torch.nn.functional.dropout1d."""
    return _channels("dropout1d", input, 1, p, training, inplace)


def dropout2d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """`dropout` of whole channels of [N, C, H, W], and of the second dim of others, as in torch.

    As torch.nn.functional.dropout2d.
    """
    return feature_dropout("dropout2d", input, p, training, inplace)


def dropout3d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """`dropout` of whole channels of [N, C, D, H, W], and of the second dim of others, as in torch.

    As torch.nn.functional.dropout3d.
    """
    return feature_dropout("dropout3d", input, p, training, inplace)


_ALPHA = 1.7580993408473766  # of SELU: what it goes to far below 0


def _alpha(op: str, input: Any, p: float, training: bool, inplace: bool, features: bool) -> Any:
    p = _probability(op, p)
    shape = shape_of(op, input)
    if not training or p == 0:
        return input
    if p == 1:
        y = mul(input, 0.0)
        return _into(input, y) if inplace else y
    over = (*shape[:2], *(1,) * (len(shape) - 2)) if features else shape
    kept = ops.bernoulli(np.full(over, 1 - p, input.dtype), **_start(over))
    scale = 1 / math.sqrt((_ALPHA**2 * p + 1) * (1 - p))
    y = add(mul(input, kept * kept.dtype.type(scale)), (kept - 1 + p) * (_ALPHA * scale))
    return _into(input, y) if inplace else y


def alpha_dropout(input: Any, p: float = 0.5, training: bool = False, inplace: bool = False) -> Any:
    """Dropout that keeps SELU's mean and variance: to −1.758 instead of 0, and scaled.

    As torch.nn.functional.alpha_dropout (Klambauer et al., 2017).
    """
    return _alpha("alpha_dropout", input, p, training, inplace, False)


def feature_alpha_dropout(
    input: Any, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Any:
    """`alpha_dropout` of whole channels. As torch.nn.functional.feature_alpha_dropout."""
    return _alpha("feature_alpha_dropout", input, p, training, inplace, True)
