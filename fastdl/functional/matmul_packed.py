"""Weights packed once for many products."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from .. import _native
from ..autograd import is_grad_enabled
from ..core.errors import ArgumentError, AutogradError, DTypeError, ShapeError
from ..ops.matmul import linear, matmul
from ..ops.matmul_fused import linear_activation
from ..spec import OpSpec
from ..tensor import Tensor

__all__ = ["PackedWeight", "pack"]

# The ops that run through a weight packed for one of them, and their native functions.
_NATIVE = {
    "matmul": ((matmul, _native.matmul_packed),),
    "linear": ((linear, _native.linear_packed), (linear_activation, _native.linear_packed)),
}


class PackedWeight:
    """A weight in the order in which the products of one instruction set read it; see `pack`.

    Attributes:
        op: what it is packed for, "matmul" or "linear".
        source: the array or Tensor it was made of. The panels are a copy: an array must not change
            while gradients are asked for, of a Tensor every change is noticed.
        shape, dtype: of the source.
        nbytes: of the panels.
        isa: the instruction set they are for.
    """

    __array_ufunc__ = None  # array @ packed is ours to compute
    __slots__ = ("__weakref__", "_panels", "_specs", "_version", "op", "source")

    def __init__(self, op: str, source: Any, panels: Any):
        self.op, self.source, self._panels = op, source, panels
        self._version = _version(source)
        self._specs = {spec.name: _through(panels, spec, native) for spec, native in _NATIVE[op]}

    @property
    def shape(self) -> tuple[int, ...]:
        """The source's shape."""
        return tuple(self.source.shape)

    @property
    def dtype(self) -> np.dtype:
        """The source's dtype."""
        return self.source.dtype

    @property
    def nbytes(self) -> int:
        """Of the panels."""
        return self._panels.nbytes

    @property
    def isa(self) -> str:
        """The instruction set in use when it was packed."""
        return self._panels.isa

    def is_fresh(self) -> bool:
        """Is the source unchanged, as far as its version says, and the instruction set the same?"""
        return self._version == _version(self.source) and self.isa == _native.isa()

    def run(
        self,
        op: str,
        name: str,
        before: tuple[Any, ...],
        after: tuple[Any, ...] = (),
        **options: Any,
    ) -> Any:
        """The op `name` on the arrays around the weight, for the function `op`."""
        if op != self.op:
            raise ArgumentError(
                f"{op}: got a weight packed for {self.op}, want fastdl.pack({op!r}, ...)"
            )
        source = self.source
        if self._version != _version(source):
            raise ArgumentError(f"{op}: the weight was written to after it was packed; pack again")
        if getattr(source, "requires_grad", False) and is_grad_enabled():
            raise AutogradError(
                f"{op}: a packed weight has no gradient, and this one's source requires grad: call"
                " it under no_grad(), pack weight.detach(), or use the weight itself"
            )
        return self._specs[name](*before, source, *after, **options)

    def __rmatmul__(self, other: Any) -> Any:
        return self.run("matmul", "matmul", (other,))

    def __reduce__(self) -> Any:
        return pack, (self.op, self.source)

    def __repr__(self) -> str:
        return (
            f"PackedWeight(op={self.op!r}, shape={self.shape}, dtype={self.dtype},"
            f" nbytes={self.nbytes}, isa={self.isa!r})"
        )


def _through(panels: Any, plain: OpSpec, native: Any) -> OpSpec:
    """The op with its direct kernel reading the panels; what that declines takes the usual way,
    with the source."""

    def direct(x: Any, source: Any, *others: Any, **options: Any) -> Any:
        result = native(x, panels, *others, **options)
        if result is NotImplemented and panels.isa != _native.isa():
            raise ArgumentError(
                f"{plain.name}: the weight is packed for {panels.isa}, {_native.isa()} is in use;"
                " pack again"
            )
        return result

    spec = copy.copy(plain)
    spec.direct = direct
    return spec


def _version(source: Any) -> int:
    return source._counter.value if isinstance(source, Tensor) else 0


def pack(op: str, weight: Any) -> PackedWeight:
    """A weight copied once into the order in which products read it, for many products with it.

    `matmul(a, pack("matmul", b))` takes b[K, N], `linear(x, pack("linear", w), bias)` w[N, K]. The
    results have the bits of the plain call, but where that has at most 8 rows or columns: it then
    sums in another order.

    Gradients reach the other operands, not the weight (AutogradError, if its Tensor requires one).
    ArgumentError for another op, for another instruction set at a later call, or a Tensor written
    to in between; ShapeError unless the weight is a matrix; DTypeError unless it is of float32 or
    float64.
    """
    if op not in _NATIVE:
        raise ArgumentError(f"pack: op: got {op!r}, want 'matmul' or 'linear'")
    array = weight._array if isinstance(weight, Tensor) else weight
    if not isinstance(array, np.ndarray):
        raise DTypeError(f"pack: weight: got {type(weight).__name__}, want an array or a Tensor")
    if array.dtype not in (np.float32, np.float64):
        raise DTypeError(f"pack: weight has dtype {array.dtype}, want float32 or float64")
    if array.ndim != 2:
        raise ShapeError(f"pack: weight has shape {array.shape}, want 2 dimensions")
    panels = _native.Panels.of(op, array)
    if panels is NotImplemented:  # a subclass, foreign byte order, unaligned
        panels = _native.Panels.of(op, np.array(array, array.dtype.newbyteorder("=")))
    return PackedWeight(op, weight, panels)
