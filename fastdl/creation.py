"""Tensors made from numbers, arrays and nothing, under torch's names."""

from __future__ import annotations

from typing import Any

import numpy as np

from .core.dtypes import as_dtype, float32, is_float, scalar_dtype
from .core.errors import ArgumentError, DTypeError
from .core.memory import empty as empty_array
from .tensor import Tensor

__all__ = [
    "arange", "as_tensor", "empty", "empty_like", "eye", "from_dlpack", "from_numpy", "full",
    "full_like", "linspace", "ones", "ones_like", "tensor", "zeros", "zeros_like",
]  # fmt: skip


def tensor(data: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A new Tensor with a copy of `data`: numbers, nested lists, an array or a Tensor."""
    if isinstance(data, Tensor):
        data = data._array
    if isinstance(data, np.ndarray):
        data = np.array(data)
    elif isinstance(data, (bool, int, float)) and dtype is None:
        dtype = scalar_dtype(data)
    return Tensor(data, dtype, device, requires_grad)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """A Tensor of `data`, sharing storage (and history) where nothing has to change."""
    if isinstance(data, Tensor):
        return data.to(device=device, dtype=dtype)
    return from_numpy(data).to(device=device, dtype=dtype) if isinstance(data, np.ndarray) else (
        tensor(data, dtype, device)
    )  # fmt: skip


def from_numpy(array: np.ndarray) -> Tensor:
    """A Tensor that shares the array's storage; DTypeError for anything but a NumPy array."""
    if not isinstance(array, np.ndarray):
        raise DTypeError(f"from_numpy: got {type(array).__name__}, want a NumPy array")
    return Tensor(array)


def from_dlpack(x: Any) -> Tensor:
    """A Tensor that shares the storage of any array with `__dlpack__` (torch, JAX, CuPy on a CPU).

    Raises DTypeError for an object without it, or a dtype that is not ours.
    """
    if not hasattr(x, "__dlpack__"):
        raise DTypeError(f"from_dlpack: got {type(x).__name__}, want an object with __dlpack__")
    return Tensor(np.from_dlpack(x))


def empty(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A Tensor of some shape whose elements are whatever the memory held."""
    return _made(_empty("empty", _sizes("empty", size), dtype or float32), device, requires_grad)


def zeros(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros of some shape, `zeros(2, 3)` or `zeros((2, 3))`; float32 unless told otherwise."""
    return _filled("zeros", _sizes("zeros", size), 0, dtype or float32, device, requires_grad)


def ones(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones of some shape, `ones(2, 3)` or `ones((2, 3))`; float32 unless told otherwise."""
    return _filled("ones", _sizes("ones", size), 1, dtype or float32, device, requires_grad)


def full(
    size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """`fill_value` everywhere; its dtype (float32 for floats) unless told otherwise."""
    dtype = dtype or scalar_dtype(fill_value)
    return _filled("full", _sizes("full", (size,)), fill_value, dtype, device, requires_grad)


def empty_like(
    input: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """`empty` of the shape and dtype of another."""
    return _made(_empty("empty_like", input.shape, dtype or input.dtype), device, requires_grad)


def zeros_like(
    input: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Zeros of the shape and dtype of another."""
    return full_like(input, 0, dtype=dtype, device=device, requires_grad=requires_grad)


def ones_like(
    input: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Ones of the shape and dtype of another."""
    return full_like(input, 1, dtype=dtype, device=device, requires_grad=requires_grad)


def full_like(
    input: Any, fill_value: Any, *, dtype: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """`fill_value` everywhere, in the shape and dtype of another."""
    dtype = dtype or input.dtype
    return _filled("full_like", tuple(input.shape), fill_value, dtype, device, requires_grad)


def arange(
    start: Any, end: Any = None, step: Any = 1, *, dtype: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """start, start + step, ... below end (`arange(end)` starts at 0).

    int64 if all are ints, else float32. ArgumentError for a step of 0, or one that leads away from
    `end`.
    """
    start, end = (0, start) if end is None else (start, end)
    start, end, step = (v.item() if hasattr(v, "item") else v for v in (start, end, step))
    if step == 0 or (end - start) / step < 0:
        raise ArgumentError(f"arange: step: got {step!r} from {start!r} to {end!r}")
    if dtype is None:
        dtype = np.int64 if all(isinstance(v, int) for v in (start, end, step)) else np.float32
    # Computed in float64 or int64 as start + i * step, as torch does, and rounded once.
    values = start + np.arange(int(np.ceil((end - start) / step))) * step
    return _made(values.astype(as_dtype(dtype)), device, requires_grad)


def linspace(
    start: Any, end: Any, steps: int, *, dtype: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """`steps` values from start to end, both included, float32 unless told otherwise."""
    if not isinstance(steps, int) or steps < 0:
        raise ArgumentError(f"linspace: steps: got {steps!r}, want an int that is not negative")
    values = np.linspace(float(start), float(end), steps)
    return _made(values.astype(as_dtype(dtype or float32)), device, requires_grad)


def eye(
    n: int, m: int | None = None, *, dtype: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Ones on the diagonal of zeros[n, m]."""
    array = _filled_array("eye", _sizes("eye", (n, n if m is None else m)), 0, dtype or float32)
    np.fill_diagonal(array, 1)
    return _made(array, device, requires_grad)


def _sizes(op: str, size: tuple[Any, ...]) -> tuple[int, ...]:
    """(2, 3), ((2, 3),) and ([2, 3],) all mean (2, 3)."""
    if len(size) == 1 and isinstance(size[0], (tuple, list)):
        size = tuple(size[0])
    for n in size:
        if not hasattr(n, "__index__") or n < 0:
            raise ArgumentError(f"{op}: size: got {n!r}, want ints that are not negative")
    return tuple(int(n) for n in size)


def _empty(op: str, shape: Any, dtype: Any) -> np.ndarray:
    return empty_array(tuple(shape), as_dtype(dtype, f"{op}: dtype"))


def _filled_array(op: str, shape: tuple[int, ...], value: Any, dtype: Any) -> np.ndarray:
    array = _empty(op, shape, dtype)
    array[...] = value
    return array


def _filled(
    op: str, shape: tuple[int, ...], value: Any, dtype: Any, device: Any, requires_grad: bool
) -> Tensor:
    return _made(_filled_array(op, shape, value, dtype), device, requires_grad)


def _made(array: np.ndarray, device: Any, requires_grad: bool) -> Tensor:
    if requires_grad and not is_float(array.dtype):
        raise DTypeError(f"requires_grad: got dtype {array.dtype}, want a float one")
    return Tensor(array, array.dtype, device, requires_grad)


# --- methods -----------------------------------------------------------------------------------


def _like(self: Tensor, dtype: Any) -> Any:
    return self.dtype if dtype is None else dtype


def _new_empty(self: Tensor, *size: Any, dtype: Any = None, **options: Any) -> Tensor:
    """`empty` with this tensor's dtype."""
    return empty(*size, dtype=_like(self, dtype), **options)


def _new_zeros(self: Tensor, *size: Any, dtype: Any = None, **options: Any) -> Tensor:
    """`zeros` with this tensor's dtype."""
    return zeros(*size, dtype=_like(self, dtype), **options)


def _new_ones(self: Tensor, *size: Any, dtype: Any = None, **options: Any) -> Tensor:
    """`ones` with this tensor's dtype."""
    return ones(*size, dtype=_like(self, dtype), **options)


def _new_full(
    self: Tensor, size: Any, fill_value: Any, dtype: Any = None, **options: Any
) -> Tensor:
    """`full` with this tensor's dtype."""
    return full(size, fill_value, dtype=_like(self, dtype), **options)


def _new_tensor(self: Tensor, data: Any, dtype: Any = None, **options: Any) -> Tensor:
    """`tensor` with this tensor's dtype."""
    return tensor(data, dtype=_like(self, dtype), **options)


for _function in (_new_empty, _new_zeros, _new_ones, _new_full, _new_tensor):
    setattr(Tensor, _function.__name__[1:], _function)


def plain_array(what: str, value: Any) -> np.ndarray:
    """The values of an array, a Tensor, a torch tensor or a number; DTypeError for other things."""
    if isinstance(value, Tensor):
        return value._array
    if isinstance(value, np.ndarray):
        return value
    if hasattr(value, "detach"):  # a torch tensor; NumPy cannot hold torch's bfloat16
        value = value.detach().cpu()
        return np.asarray(value.float() if "bfloat16" in str(value.dtype) else value)
    if isinstance(value, (np.generic, int, float, bool)):
        return np.asarray(value)
    raise DTypeError(f"{what}: got {type(value).__name__}, want an array")
