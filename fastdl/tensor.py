"""`Tensor`: an array with a device, a version and a place on the tape."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import autograd, in_place
from .core import devices, memory
from .core.dtypes import as_dtype, is_float
from .core.errors import (
    ArgumentError,
    AutogradError,
    DTypeError,
    ShapeError,
    UnsupportedError,
)
from .core.shapes import is_channels_last
from .spec import OPS

_OFF_TAPE = -1  # the view version of what `detach` made: no history, so none that can grow stale


class _Counter:
    """How often a storage was written in place; shared by all its views."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0


class Tensor:
    """An n-dimensional array that can record what is done to it.

    Args:
        data: a NumPy array (shared, not copied), a Tensor, a number or nested lists (float64 from
            lists becomes float32, torch's default).
        dtype: cast to this dtype.
        device: "cpu"; "cuda" needs CuPy and a GPU.
        requires_grad: record what is done to it, for float dtypes.

    Views (`reshape`, `permute`, basic indexing, `detach`) share storage and a version counter with
    what they view. In-place operations bump the version; backward through a value that changed
    since it was saved raises AutogradError.
    """

    __slots__ = ("__weakref__", "_array", "_base", "_counter", "_grad_fn", "_requires_grad",
                 "_view_version", "grad")  # fmt: skip
    __array_priority__ = 1000

    def __init__(
        self, data: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False
    ) -> None:
        typed = hasattr(data, "dtype")  # a torch tensor keeps its dtype too
        array = data._array if isinstance(data, Tensor) else np.asarray(data)
        if not typed and array.dtype == np.float64 and dtype is None:
            dtype = np.float32
        wanted = as_dtype(array.dtype if dtype is None else dtype)
        if array.dtype != wanted:
            array = array.astype(wanted)
        target = devices.as_device(device)
        if target != devices.CPU:
            devices.require_cuda(target)
            raise UnsupportedError(f"device {target}: Tensors on CUDA have no kernels yet")
        self._array: np.ndarray = array
        same = isinstance(data, Tensor) and array is data._array
        self._counter: _Counter = data._counter if same else _Counter()
        self._base: Tensor | None = None
        self._view_version = 0
        self._grad_fn: tuple[autograd.Node, int] | None = None
        self._requires_grad = False
        self.grad: Tensor | None = None
        if requires_grad:
            self.requires_grad_()

    if TYPE_CHECKING:  # the methods that functional/_face.py adds: one for each of its functions

        def __getattr__(self, name: str) -> Any: ...

    # --- making Tensors inside -----------------------------------------------------------------

    @classmethod
    def _wrap(cls, array: np.ndarray, base: Any = None) -> Tensor:
        """A Tensor around an array made by an op; `base` is the Tensor it may be a view of."""
        t = Tensor.__new__(Tensor)
        t._array = array
        shared = isinstance(base, Tensor) and np.may_share_memory(array, base._array)
        t._base = None
        if shared:
            t._base = base if base._base is None else base._base
        t._counter = base._counter if shared else _Counter()
        off_tape = shared and base._view_version == _OFF_TAPE
        t._view_version = _OFF_TAPE if off_tape else t._counter.value
        t._grad_fn = None
        t._requires_grad = False
        t.grad = None
        return t

    @classmethod
    def _on_tape(cls, array: np.ndarray, edge: Any, counter: _Counter) -> Tensor:
        """A saved value as it hung on the tape: a Tensor of `edge`, or the leaf itself."""
        if isinstance(edge[0], Tensor):
            return edge[0]
        t = cls._wrap(array)
        t._counter = counter
        t._view_version = counter.value
        t._attach(edge)
        return t

    def _attach(self, edge: tuple[autograd.Node, int]) -> None:
        self._grad_fn = edge
        self._requires_grad = True

    def _edge(self) -> Any:
        """Where a gradient of this tensor goes: (node, output), (leaf, 0), or None."""
        if self._grad_fn is not None:
            return self._grad_fn
        return (self, 0) if self._requires_grad else None

    def accumulate(self, slots: list[Any], create_graph: bool) -> None:
        """Adds the gradient in slots[0] to `.grad`, in the memory format of the tensor's own array.

        It may be the caller's own array, or on its way to another leaf too; where `slots` is all
        that holds it, it becomes `.grad` as it is.
        """
        if create_graph:
            g = slots[0] if isinstance(slots[0], Tensor) else Tensor._wrap(slots[0])
            self.grad = g if self.grad is None else self.grad + g
            return
        if isinstance(slots[0], Tensor):
            slots[0] = slots[0]._array
        if self.grad is None:
            self.grad = Tensor._wrap(memory.own(slots, is_channels_last(self._array)))
        else:
            self.grad = Tensor._wrap(OPS["add"](self.grad._array, slots[0]))

    def _check_fresh(self, op: str) -> None:
        """UnsupportedError for a view whose history is not that of what its storage holds now."""
        if (
            self._base is not None
            and self._view_version not in (self._counter.value, _OFF_TAPE)
            and (self._grad_fn is not None or self._base._grad_fn is not None)
        ):
            raise UnsupportedError(
                f"{op}: this view was recorded before its storage was changed in place; take"
                " the view again from the changed tensor"
            )

    def _written(self) -> np.ndarray:
        """The array, about to be written: bumps the version."""
        self._counter.value += 1
        return self._array

    # --- facts ---------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of the dimensions."""
        return self._array.shape

    @property
    def dtype(self) -> np.dtype:
        """The element type, a numpy.dtype."""
        return self._array.dtype

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return self._array.ndim

    @property
    def device(self) -> devices.Device:
        """Where the storage lives."""
        return devices.CPU

    @property
    def T(self) -> Tensor:
        """The dimensions in reverse order, as a view."""
        return OPS["permute"](self, dims=tuple(reversed(range(self.ndim))))

    @property
    def mT(self) -> Tensor:
        """The last two dimensions swapped, as a view."""
        if self.ndim < 2:
            raise ShapeError(f"mT: got {self.ndim} dimensions, want at least 2")
        order = (*range(self.ndim - 2), self.ndim - 1, self.ndim - 2)
        return OPS["permute"](self, dims=order)

    @property
    def is_cuda(self) -> bool:
        """Does the storage live on a GPU?"""
        return self.device.type == "cuda"

    @property
    def grad_fn(self) -> autograd.Node | None:
        """The node that made this tensor; None for a leaf."""
        return self._grad_fn[0] if self._grad_fn else None

    @property
    def is_leaf(self) -> bool:
        """Was it made by the user, or without recording?"""
        return self._grad_fn is None

    @property
    def requires_grad(self) -> bool:
        """Are operations on it recorded?"""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Turns recording on or off for a leaf; AutogradError for an integer tensor."""
        if requires_grad and not is_float(self.dtype):
            raise AutogradError(
                f"requires_grad: only float tensors can require gradients, this one is {self.dtype}"
            )
        if not requires_grad and self._grad_fn is not None:
            raise AutogradError("requires_grad: only a leaf can be turned off; use detach()")
        self._requires_grad = requires_grad
        return self

    @property
    def data(self) -> Tensor:
        """The same storage without history (torch's `.data`)."""
        return self.detach()

    @data.setter
    def data(self, value: Any) -> None:
        array = value._array if isinstance(value, Tensor) else np.asarray(value)
        if array.shape != self.shape or array.dtype != self.dtype:
            raise ShapeError(
                f"data: got shape {array.shape}, dtype {array.dtype}; want {self.shape},"
                f" {self.dtype}"
            )
        self._array = array
        self._counter.value += 1

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the size of one dimension."""
        return self.shape if dim is None else self.shape[dim]

    def dim(self) -> int:
        """The number of dimensions."""
        return self.ndim

    def numel(self) -> int:
        """The number of elements."""
        return self._array.size

    nelement = numel

    def stride(self, dim: int | None = None) -> Any:
        """The steps between neighbours along each dimension (or one), counted in elements."""
        steps = tuple(s // self._array.itemsize for s in self._array.strides)
        return steps if dim is None else steps[dim]

    def element_size(self) -> int:
        """The bytes of an element."""
        return self._array.itemsize

    @property
    def nbytes(self) -> int:
        """The bytes of all elements."""
        return self._array.nbytes

    def data_ptr(self) -> int:
        """The address of the first element."""
        return self._array.ctypes.data

    def is_floating_point(self) -> bool:
        """Is the dtype a float one?"""
        return is_float(self.dtype)

    def is_contiguous(self, memory_format: str | None = None) -> bool:
        """Is it C-contiguous, or NHWC in memory for memory_format='channels_last'?"""
        return self.contiguous(memory_format) is self

    def __len__(self) -> int:
        if not self.ndim:
            raise DTypeError("len() of a 0-d tensor")
        return self.shape[0]

    def __repr__(self) -> str:
        body = np.array2string(self._array, separator=", ", prefix="tensor(")
        default = self.dtype in (np.float32, np.int64, np.bool_)
        notes = "" if default else f", dtype={self.dtype}"
        if self._grad_fn:
            notes += f", grad_fn={self._grad_fn[0]!r}"
        elif self._requires_grad:
            notes += ", requires_grad=True"
        return f"tensor({body}{notes})"

    # --- out of fastdl -------------------------------------------------------------------------

    def numpy(self) -> np.ndarray:
        """The array itself, sharing storage; AutogradError if the tensor requires grad.

        Read-only for what shares its storage with a Parameter (`p.detach()`, a state_dict's value).
        """
        if self._requires_grad:
            raise AutogradError("numpy: this tensor requires grad; use tensor.detach().numpy()")
        if isinstance(self._base, Parameter):  # see Parameter.numpy
            return _read_only(self._array)
        return self._array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __dlpack__(self, **options: Any) -> Any:
        """A DLPack capsule that shares storage (stream, max_version, dl_device and copy as given).

        AutogradError if the tensor requires grad; BufferError for what DLPack cannot say.
        """
        return self.numpy().__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._array.__dlpack_device__()

    def item(self) -> Any:
        """The one element as a Python number."""
        return self._array.item()

    def tolist(self) -> Any:
        """The elements as (nested lists of) Python numbers."""
        return self._array.tolist()

    def __bool__(self) -> bool:
        return bool(self._array)

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        return self._array.__index__()

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    # --- autograd ------------------------------------------------------------------------------

    def backward(
        self, gradient: Any = None, retain_graph: bool | None = None, create_graph: bool = False
    ) -> None:
        """Adds the gradients of this tensor to the `.grad` of the leaves it came from.

        Args:
            gradient: the upstream gradient; may be left out for a one-element tensor.
            retain_graph: keep what the tape saved, for another backward (default: create_graph).
            create_graph: record the backward pass too, for second derivatives.

        Raises AutogradError for a tensor that does not require grad, for a second backward without
        retain_graph, and for saved values changed in place since.
        """
        start = autograd.starting_gradient(self, gradient, create_graph)
        keep = create_graph if retain_graph is None else retain_graph
        autograd.backward([self], [start], retain_graph=keep, create_graph=create_graph)

    def detach(self) -> Tensor:
        """The same storage and version counter, off the tape."""
        t = Tensor._wrap(self._array)
        t._counter = self._counter
        t._base = self if self._base is None else self._base
        t._view_version = _OFF_TAPE
        return t

    def clone(self) -> Tensor:
        """A copy with a storage of its own; gradients flow through it."""
        return OPS["copy"](self)

    # --- dtype and device ----------------------------------------------------------------------

    def to(
        self,
        *args: Any,
        dtype: Any = None,
        device: Any = None,
        non_blocking: Any = False,
        copy: Any = False,
        memory_format: str | None = None,
    ) -> Tensor:
        """Casts and moves: `.to(dtype)`, `.to(device)`, `.to(device, dtype)`, `.to(other)`.

        Returns the tensor itself where nothing changes, unless `copy`; `memory_format` is that of
        `contiguous`; `non_blocking` changes nothing on a CPU. DeviceError names what 'cuda' is
        missing.
        """
        for a in args:
            if isinstance(a, Tensor):
                dtype, device = a.dtype, a.device
            elif isinstance(a, devices.Device) or (
                isinstance(a, str) and a.partition(":")[0] in ("cpu", "cuda")
            ):
                device = a
            else:
                dtype = a
        target = devices.as_device(device)
        if target != self.device:
            devices.require_cuda(target)
            raise UnsupportedError(f"device {target}: Tensors on CUDA have no kernels yet")
        result = self
        if dtype is not None and as_dtype(dtype) != self.dtype:
            result = OPS["cast"](self, dtype=as_dtype(dtype).name)
        if memory_format is not None and self.ndim == 4:
            result = result.contiguous(memory_format)
        return result.clone() if copy and result is self else result

    def type_as(self, other: Tensor) -> Tensor:
        """Cast to another tensor's dtype."""
        return self.to(other)

    def cpu(self) -> Tensor:
        """The tensor on the CPU."""
        return self.to("cpu")

    def cuda(self, index: int = 0) -> Tensor:
        """The tensor on a GPU; DeviceError names what is missing."""
        return self.to(f"cuda:{index}")

    def float(self) -> Tensor:
        """Cast to float32."""
        return self.to(np.float32)

    def double(self) -> Tensor:
        """Cast to float64."""
        return self.to(np.float64)

    def half(self) -> Tensor:
        """Cast to float16."""
        return self.to(np.float16)

    def bfloat16(self) -> Tensor:
        """Cast to ml_dtypes' bfloat16."""
        return self.to("bfloat16")

    def long(self) -> Tensor:
        """Cast to int64."""
        return self.to(np.int64)

    def char(self) -> Tensor:
        """Cast to int8."""
        return self.to(np.int8)

    def int(self) -> Tensor:
        """Cast to int32."""
        return self.to(np.int32)

    def bool(self) -> Tensor:
        """Cast to bool."""
        return self.to(np.bool_)

    # --- arithmetic ----------------------------------------------------------------------------

    def __add__(self, other: Any) -> Tensor:
        return _binary("add", self, other)

    def __radd__(self, other: Any) -> Tensor:
        return _binary("add", other, self)

    def __sub__(self, other: Any) -> Tensor:
        return _binary("sub", self, other)

    def __rsub__(self, other: Any) -> Tensor:
        return _binary("sub", other, self)

    def __mul__(self, other: Any) -> Tensor:
        return _binary("mul", self, other)

    def __rmul__(self, other: Any) -> Tensor:
        return _binary("mul", other, self)

    def __truediv__(self, other: Any) -> Tensor:
        return _binary("div", self, other)

    def __rtruediv__(self, other: Any) -> Tensor:
        return _binary("div", other, self)

    def __matmul__(self, other: Any) -> Tensor:
        return _binary("matmul", self, other)

    def __rmatmul__(self, other: Any) -> Tensor:
        return _binary("matmul", other, self)

    def __neg__(self) -> Tensor:
        return OPS["neg"](self)

    def __eq__(self, other: object) -> Tensor:  # type: ignore[override]
        return _binary("eq", self, other)

    def __ne__(self, other: object) -> Tensor:  # type: ignore[override]
        return _binary("ne", self, other)

    def __lt__(self, other: Any) -> Tensor:
        return _binary("lt", self, other)

    def __le__(self, other: Any) -> Tensor:
        return _binary("le", self, other)

    def __gt__(self, other: Any) -> Tensor:
        return _binary("gt", self, other)

    def __ge__(self, other: Any) -> Tensor:
        return _binary("ge", self, other)

    __hash__ = object.__hash__

    # --- shape ---------------------------------------------------------------------------------

    def view(self, *shape: Any) -> Tensor:
        """As `reshape`, but ShapeError where a view is impossible."""
        result = OPS["reshape"](self, shape=_sizes(shape))
        if self._array.size and not np.may_share_memory(result._array, self._array):
            raise ShapeError(
                f"view: strides {self._array.strides} of shape {self.shape} allow no view of shape"
                f" {_sizes(shape)}; use reshape"
            )
        return result

    def t(self) -> Tensor:
        """The transpose of a tensor of at most two dimensions."""
        if self.ndim > 2:
            raise ShapeError(f"t: got {self.ndim} dimensions, want at most 2")
        return self.T

    def expand(self, *shape: Any) -> Tensor:
        """A view broadcast to a larger shape."""
        return OPS["expand"](self, shape=_sizes(shape))

    def contiguous(self, memory_format: str | None = None) -> Tensor:
        """C-contiguous, or NHWC for memory_format='channels_last'; self if it is so already."""
        last = memory_format == "channels_last"
        if memory_format not in (None, "contiguous_format", "channels_last"):
            raise ArgumentError(
                f"contiguous: memory_format: got {memory_format!r}, want 'channels_last' or None"
            )
        array = self._array.transpose(0, 2, 3, 1) if last and self.ndim == 4 else self._array
        if array.flags.c_contiguous and (not last or is_channels_last(self._array)):
            return self
        return OPS["copy"](self, channels_last=last)

    def __getitem__(self, index: Any) -> Tensor:
        return OPS["getitem"](self, index=in_place.plain_index(index))

    # --- in place ------------------------------------------------------------------------------

    def __setitem__(self, index: Any, value: Any) -> None:
        in_place.set_item(self, index, value)

    def __iadd__(self, other: Any) -> Tensor:
        return in_place.run(self, "add", (other,))

    def __isub__(self, other: Any) -> Tensor:
        return in_place.run(self, "sub", (other,))

    def __imul__(self, other: Any) -> Tensor:
        return in_place.run(self, "mul", (other,))

    def __itruediv__(self, other: Any) -> Tensor:
        return in_place.run(self, "div", (other,))

    def copy_(self, other: Any) -> Tensor:
        """Overwrites all elements, broadcasting and casting `other`."""
        self[...] = other
        return self

    def fill_(self, value: Any) -> Tensor:
        """Overwrites all elements with a number."""
        self[...] = value
        return self

    def zero_(self) -> Tensor:
        """Overwrites all elements with zero."""
        return self.fill_(0)


def _read_only(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view


def _binary(name: str, a: Any, b: Any) -> Any:
    known = (Tensor, np.ndarray, np.generic, bool, int, float)
    if not (isinstance(a, known) and isinstance(b, known)):
        return NotImplemented
    return OPS[name](a, b)


def _sizes(values: Sequence[Any]) -> tuple[int, ...]:
    """(2, 3), ((2, 3),) and ([2, 3],) all mean (2, 3)."""
    if len(values) == 1 and isinstance(values[0], (tuple, list)):
        return tuple(values[0])
    return tuple(values)


class Parameter(Tensor):
    """A Tensor that a Module counts among its parameters; requires grad unless told not to.

    `numpy()` is read-only unless asked, so what is cached by the version (packed weights) can trust
    that every change bumps it.
    """

    __slots__ = ()

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        super().__init__(data, requires_grad=requires_grad)

    def numpy(self, writeable: bool = False) -> np.ndarray:
        """The array, sharing storage: a read-only view, or the writeable array (a new version)."""
        if writeable:
            return self._written()
        return _read_only(self._array)

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


autograd.Tensor = Tensor  # type: ignore[misc]
