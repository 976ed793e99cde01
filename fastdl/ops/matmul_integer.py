"""Products of 8-bit integers: ONNX's MatMulInteger and ONNX Runtime's MatMulIntegerToFloat."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from ..backends.reference import matmul_integer as reference
from ..core.dtypes import float32, int32, name_of
from ..core.errors import DTypeError, ShapeError
from ..spec import BadInput, Cost, Ints, Judged, Out, Plan, Sample, exact, gamma, op
from .matmul import product_shape
from .matmul_edges import edge_sizes

BYTES = ("int8", "uint8")


def _checked_shape(name: str, a: np.ndarray, b: np.ndarray) -> tuple[int, ...]:
    for argument, x in (("a", a), ("b", b)):
        if name_of(x.dtype) not in BYTES:
            raise DTypeError(f"{name}: argument {argument} has dtype {x.dtype}, want int8 or uint8")
    return product_shape(name, a, b)


def _check_each(
    op_name: str, name: str, x: np.ndarray | None, dtype: np.dtype, count: int | None, of: str
) -> None:
    """One number for all, or `count` of them (None: there is no such dimension)."""
    if x is None:
        return
    if x.dtype != dtype:
        raise DTypeError(f"{op_name}: argument {name} has dtype {x.dtype}, want {dtype}")
    if x.shape not in ((), (1,), (count,)):
        each = "" if count is None else f" or ({count},), one for each {of}"
        raise ShapeError(f"{op_name}: argument {name} has shape {x.shape}, want (), (1,){each}")


def _check_zero_points(
    name: str, a: np.ndarray, b: np.ndarray, a_zero: np.ndarray | None, b_zero: np.ndarray | None
) -> None:
    rows = a.shape[-2] if a.ndim > 1 else None
    columns = b.shape[-1] if b.ndim > 1 else None
    _check_each(name, "a_zero_point", a_zero, a.dtype, rows, "row of a")
    _check_each(name, "b_zero_point", b_zero, b.dtype, columns, "column of b")


def _integer_shape(
    a: np.ndarray,
    b: np.ndarray,
    a_zero_point: np.ndarray | None = None,
    b_zero_point: np.ndarray | None = None,
) -> Plan:
    shape = _checked_shape("matmul_integer", a, b)
    _check_zero_points("matmul_integer", a, b, a_zero_point, b_zero_point)
    return Plan((Out(shape, int32),), (a, b, a_zero_point, b_zero_point))


def _to_float_shape(
    a: np.ndarray,
    b: np.ndarray,
    a_scale: np.ndarray,
    b_scale: np.ndarray,
    a_zero_point: np.ndarray | None = None,
    b_zero_point: np.ndarray | None = None,
    bias: np.ndarray | None = None,
) -> Plan:
    name = "matmul_integer_to_float"
    shape = _checked_shape(name, a, b)
    columns = b.shape[-1] if b.ndim > 1 else None
    _check_each(name, "a_scale", a_scale, float32, None, "")
    _check_each(name, "b_scale", b_scale, float32, columns, "column of b")
    _check_zero_points(name, a, b, a_zero_point, b_zero_point)
    if bias is not None:
        want = (1 if columns is None else columns,)
        if bias.dtype != float32:
            raise DTypeError(f"{name}: argument bias has dtype {bias.dtype}, want float32")
        if bias.shape != want:
            raise ShapeError(f"{name}: argument bias has shape {bias.shape}, want {want}")
    arrays = (a, b, a_scale, b_scale, a_zero_point, b_zero_point, bias)
    return Plan((Out(shape, float32),), arrays)


def _cost(a: np.ndarray, b: np.ndarray, *rest: np.ndarray | None) -> Cost:
    size = math.prod(product_shape("matmul_integer", a, b))
    moved = sum(x.nbytes for x in (a, b, *rest) if x is not None)
    return Cost(2.0 * size * a.shape[-1], moved + 4 * size)


def _scaled(case: Judged) -> tuple[Any, ...]:
    """γ_4 · (|sum · scales| + |bias|): the sum becomes a float, the scales are multiplied, then
    their product by it, and the bias is added; the sum itself is exact.

    An underflow of the scales' product is off by a denormal step, times the sum.
    """
    *arrays, bias = case.arrays
    sums = reference.matmul_integer(*arrays[:2], *arrays[4:]).astype(np.float64)
    with np.errstate(all="ignore"):
        (y,) = case.spec.run_reference((*arrays, None), case.options)
        added = 0.0 if bias is None else np.abs(bias if arrays[1].ndim > 1 else bias[0])
        bound = gamma(4, case.unit) * (np.abs(y) + added) + (np.abs(sums) + 2) * case.tiny
    return (bound,)


def _bytes(shape: tuple[int, ...], dtype: str, low: int | None = None) -> Ints:
    """Any bytes, or all of one value."""
    info = np.iinfo(dtype)
    if low is not None:
        return Ints(shape, low, low + 1, dtype)
    return Ints(shape, int(info.min), int(info.max) + 1, dtype)


_SHAPES = (
    # tails of register tiles (up to 32 wide) and of words of four bytes, and several blocks of k
    (1, 1, 1), (1, 8, 1), (3, 5, 7), (13, 31, 17), (31, 32, 33), (32, 16, 64), (65, 30, 49),
    (1, 32, 100), (100, 33, 1), (2, 1, 3), (0, 3, 4), (3, 0, 4), (3, 4, 0), (15, 4500, 33),
    (130, 37, 129), (1, 700, 9), (9, 2050, 1),
)  # fmt: skip
_MIXES = (("int8", "int8"), ("uint8", "int8"), ("int8", "uint8"), ("uint8", "uint8"))


def _zero(dtype: str, *shape: int) -> Ints:
    return _bytes(shape, dtype)


INTEGER_SAMPLES = (
    *(
        Sample(f"{m}x{k}x{n} {a} {b}", (_bytes((m, k), a), _bytes((k, n), b), None, None))
        for i, (m, k, n) in enumerate(_SHAPES)
        for a, b in (_MIXES[i % 4], _MIXES[(i + 1) % 4])
    ),
    *(
        Sample(
            f"zero points, {a} {b}",
            (_bytes((17, 45), a), _bytes((45, 35), b), _zero(a, 1), _zero(b)),
        )
        for a, b in _MIXES
    ),
    *(
        Sample(
            f"zero points of rows and columns, {a} {b}",
            (_bytes((17, 2100), a), _bytes((2100, 35), b), _zero(a, 17), _zero(b, 35)),
        )
        for a, b in _MIXES
    ),
    Sample("zero point of a alone", (_bytes((3, 9), "uint8"), _bytes((9, 5), "int8"),
                                     _zero("uint8"), None)),
    Sample("zero points of columns alone", (_bytes((3, 9), "uint8"), _bytes((9, 5), "int8"),
                                            None, _zero("int8", 5))),
    # where an instruction that saturates would
    Sample("largest", (_bytes((5, 64), "uint8", 255), _bytes((64, 35), "int8", 127), None, None)),
    Sample("least", (_bytes((5, 64), "uint8", 255), _bytes((64, 35), "int8", -128), None, None)),
    Sample("least squared", (_bytes((5, 64), "int8", -128), _bytes((64, 35), "int8", -128),
                             None, None)),
    Sample("far from the zero points", (
        _bytes((3, 40), "uint8", 255), _bytes((40, 35), "uint8", 255),
        Ints((), 0, 1, "uint8"), Ints((35,), 0, 1, "uint8"))),
    Sample("past int32", (_bytes((1, 70000), "uint8", 255), _bytes((70000, 2), "uint8", 255),
                          None, None)),
    # more columns than are packed at once
    Sample("wide", (_bytes((5, 9), "uint8"), _bytes((9, 4130), "int8"), _zero("uint8"),
                    _zero("int8", 4130))),
    Sample("dot", (_bytes((37,), "int8"), _bytes((37,), "uint8"), None, _zero("uint8"))),
    Sample("vector-matrix", (_bytes((19,), "int8"), _bytes((19, 33), "int8"), None,
                             _zero("int8", 33))),
    Sample("matrix-vector", (_bytes((33, 19), "uint8"), _bytes((19,), "int8"),
                             _zero("uint8", 33), None)),
    Sample("batch", (_bytes((3, 9, 17), "int8"), _bytes((3, 17, 21), "int8"),
                     _zero("int8", 9), _zero("int8", 21))),
    Sample("batch times one", (_bytes((3, 9, 17), "uint8"), _bytes((17, 21), "int8"),
                               _zero("uint8"), None)),
    Sample("rows of a batch times one", (_bytes((3, 9, 17), "uint8"), _bytes((17, 21), "int8"),
                                         _zero("uint8", 9), None)),
    Sample("broadcast", (_bytes((4, 1, 5, 6), "int8"), _bytes((3, 6, 7), "uint8"), None, None)),
    Sample("empty batch", (_bytes((0, 5, 6), "int8"), _bytes((6, 7), "int8"), None, None)),
    Sample("256", (_bytes((256, 256), "int8"), _bytes((256, 256), "int8"), None, None),
           bench=True),
    Sample("1024", (_bytes((1024, 1024), "int8"), _bytes((1024, 1024), "int8"), None, None),
           bench=True),
    Sample("1024, uint8 by int8",
           (_bytes((1024, 1024), "uint8"), _bytes((1024, 1024), "int8"), None, None), bench=True),
)  # fmt: skip


def _edges(dtype: str) -> Iterator[Sample]:
    """Sizes around the tiles', in all mixes; without zero points, with one and with one of each."""
    for i, ((m, k, n), (a, b)) in enumerate(product(edge_sizes(dtype), _MIXES)):
        zeros = ((None, None), (_zero(a), _zero(b)), (_zero(a, m), _zero(b, n)))[i % 3]
        yield Sample(f"edges {m}x{k}x{n} {a} {b}", (_bytes((m, k), a), _bytes((k, n), b), *zeros))


def _i8(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.int8)


def _u8(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.uint8)


def _f32(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


matmul_integer = op(
    name="matmul_integer",
    family="matmul",
    signature="a[...,M,K], b[...,K,N], a_zero_point?[], b_zero_point?[] -> y[...,M,N]",
    shape=_integer_shape,
    reference=reference.matmul_integer,
    cost=_cost,
    bound=exact,
    samples=INTEGER_SAMPLES,
    edges=_edges,
    dtypes=("int8",),
    bad_inputs=(
        BadInput("inner sizes differ", lambda: ((_i8(2, 3), _i8(4, 5)), {}), ShapeError),
        BadInput("0-d", lambda: ((_i8(), _i8(2, 2)), {}), ShapeError),
        BadInput("batches", lambda: ((_i8(2, 3, 3), _u8(4, 3, 3)), {}), ShapeError),
        BadInput("float", lambda: ((_f32(2, 2), _i8(2, 2)), {}), DTypeError),
        BadInput("int32", lambda: ((_i8(2, 2), np.zeros((2, 2), np.int32)), {}), DTypeError),
        BadInput("list", lambda: (([[1]], _i8(1, 1)), {}), DTypeError),
        BadInput("zero point's dtype", lambda: ((_i8(2, 3), _i8(3, 4), _u8()), {}), DTypeError),
        BadInput("zero points", lambda: ((_i8(2, 3), _i8(3, 4), _i8(3)), {}), ShapeError),
        BadInput("columns", lambda: ((_i8(2, 3), _i8(3, 4), None, _i8(2)), {}), ShapeError),
        BadInput("no columns", lambda: ((_i8(2, 3), _i8(3), None, _i8(3)), {}), ShapeError),
        BadInput("2-D", lambda: ((_i8(2, 3), _i8(3, 4), _i8(2, 1)), {}), ShapeError),
        BadInput("out", lambda: ((_i8(2, 2), _i8(2, 2)), {"out": _i8(2, 2)}), DTypeError),
    ),
)  # fmt: skip

matmul_integer_to_float = op(
    name="matmul_integer_to_float",
    family="matmul",
    signature="a[...,M,K], b[...,K,N], a_scale[], b_scale[], a_zero_point?[], b_zero_point?[],"
    " bias?[N] -> y[...,M,N]",
    shape=_to_float_shape,
    reference=reference.matmul_integer_to_float,
    cost=_cost,
    bound=_scaled,
    dtypes=("float32",),
    samples=(
        *(
            Sample(
                f"{m}x{k}x{n} {a} {b}",
                (_bytes((m, k), a), _bytes((k, n), b), (), (n,) if i % 2 else (),
                 _zero(a) if i % 3 else None, _zero(b, n) if i % 3 == 1 else None,
                 (n,) if i % 4 else None),
            )
            for i, (m, k, n) in enumerate(_SHAPES)
            for a, b in (_MIXES[i % 4], _MIXES[(i + 2) % 4])
        ),
        Sample("matrix-vector", (_bytes((33, 19), "uint8"), _bytes((19,), "int8"), (1,), (1,),
                                 _zero("uint8", 33), None, (1,))),
        Sample("dot", (_bytes((37,), "int8"), _bytes((37,), "int8"), (), (), None, None, None)),
        Sample("batch", (_bytes((3, 9, 17), "int8"), _bytes((3, 17, 21), "int8"), (), (21,),
                         _zero("int8", 9), _zero("int8", 21), (21,))),
        Sample("1024", (_bytes((1024, 1024), "uint8"), _bytes((1024, 1024), "int8"), (), (1024,),
                        _zero("uint8"), None, (1024,)), bench=True),
    ),
    bad_inputs=(
        BadInput("inner sizes differ",
                 lambda: ((_i8(2, 3), _i8(4, 5), _f32(), _f32()), {}), ShapeError),
        BadInput("float", lambda: ((_f32(2, 2), _i8(2, 2), _f32(), _f32()), {}), DTypeError),
        BadInput("no scale", lambda: ((_i8(2, 3), _i8(3, 4), _f32(), None), {}), DTypeError),
        BadInput("integer scale", lambda: ((_i8(2, 3), _i8(3, 4), _i8(), _f32()), {}), DTypeError),
        BadInput("scales of a", lambda: ((_i8(2, 3), _i8(3, 4), _f32(2), _f32()), {}), ShapeError),
        BadInput("scales of b", lambda: ((_i8(2, 3), _i8(3, 4), _f32(), _f32(3)), {}), ShapeError),
        BadInput("bias", lambda: ((_i8(2, 3), _i8(3, 4), _f32(), _f32(), None, None, _f32(3)), {}),
                 ShapeError),
        BadInput("zero point's dtype",
                 lambda: ((_i8(2, 3), _i8(3, 4), _f32(), _f32(), _u8()), {}), DTypeError),
    ),
)  # fmt: skip
