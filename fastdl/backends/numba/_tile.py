"""The register tile under matrix products and convolutions, and the packing of its operands.

A tile is ROWS x 128 bytes of results, computed from a panel [depth][ROWS] of one operand and one
[depth][128 bytes] of the other. As a loop that LLVM vectorises, the results go through memory at
every step: 77 GFLOP/s of float32 on a 265 GFLOP/s core. So its LLVM code is written out here, with
the results in vectors that stay in registers: 265 GFLOP/s from the first-level cache.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...core.memory import empty
from ._jit import Intrinsic, jit, split

ROWS = 8
ROW_BYTES = 128

Strides = tuple[int, int, int, int]  # of [outer batch, inner batch, row or column, depth]


@Intrinsic
def tile(context: Any, a: Any, at_a: Any, b: Any, at_b: Any, c: Any, at_c: Any, depth: Any) -> Any:
    """c[at_c + i*columns + j] += Σ_k a[at_a + k*ROWS + i] b[at_b + k*columns + j], k in order."""
    from llvmlite import binding, ir
    from numba.core import cgutils, types

    columns = ROW_BYTES * 8 // a.dtype.bitwidth
    # All ROWS rows of one stretch of columns fill the registers; a narrower machine goes by parts.
    features = binding.get_host_cpu_features()
    lanes = columns if features.get("avx512f") else columns // 4
    contract = ("contract",)  # a fused multiply-add where the machine has one

    def generate(compiler: Any, builder: Any, signature: Any, args: Any) -> Any:
        number = compiler.get_value_type(a.dtype)
        vector, index = ir.VectorType(number, lanes), args[6].type
        broadcast = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
        undefined = ir.Constant(vector, ir.Undefined)
        bases = (
            builder.gep(compiler.make_array(signature.args[i])(compiler, builder, args[i]).data,
                        [args[i + 1]]) for i in (0, 2, 4)
        )  # fmt: skip
        left, right, result = bases

        def place(base: Any, row: Any, width: int, column: int) -> Any:
            offset = builder.mul(row, ir.Constant(index, width))
            return builder.gep(base, [builder.add(offset, ir.Constant(index, column))])

        def vector_at(base: Any, row: Any, column: int) -> Any:
            return builder.bitcast(place(base, row, columns, column), vector.as_pointer())

        sums = [cgutils.alloca_once(builder, vector) for _ in range(ROWS)]
        align = a.dtype.bitwidth // 8
        for column in range(0, columns, lanes):
            results = [vector_at(result, ir.Constant(index, i), column) for i in range(ROWS)]
            for total, address in zip(sums, results, strict=True):
                builder.store(builder.load(address, align=align), total)
            with cgutils.for_range(builder, args[6]) as loop:
                factor = builder.load(vector_at(right, loop.index, column), align=align)
                for i, total in enumerate(sums):
                    one = builder.load(place(left, loop.index, ROWS, i))
                    one = builder.insert_element(undefined, one, ir.Constant(ir.IntType(32), 0))
                    one = builder.shuffle_vector(one, undefined, broadcast)
                    product = builder.fmul(one, factor, flags=contract)
                    builder.store(builder.fadd(builder.load(total), product, flags=contract), total)
            for total, address in zip(sums, results, strict=True):
                builder.store(builder.load(total), address, align=align)
        return compiler.get_dummy_value()

    return types.none(a, at_a, b, at_b, c, at_c, depth), generate


@jit
def _pack_panels(first, last, source, strides, inner, count, depth, width, packed):
    panels = (count + width - 1) // width
    for item in range(first, last):
        batch, begin = item // panels, item % panels * width
        start = batch // inner * strides[0] + batch % inner * strides[1] + begin * strides[2]
        panel = packed[item * depth * width : (item + 1) * depth * width]
        here = min(width, count - begin)
        if here < width:
            panel[:] = 0
        if strides[2] == 1:
            for k in range(depth):
                for j in range(here):
                    panel[k * width + j] = source[start + k * strides[3] + j]
        else:
            for j in range(here):
                for k in range(depth):
                    panel[k * width + j] = source[start + j * strides[2] + k * strides[3]]


def pack(
    source: np.ndarray, strides: Strides, batches: tuple[int, int], count: int, depth: int,
    width: int,
) -> np.ndarray:  # fmt: skip
    """Panels [batches][⌈count/width⌉][depth][width] of flat `source`, the last one zero-padded."""
    panels = math.prod(batches) * -(-count // width)
    packed = empty((panels * depth * width,), source.dtype)
    split(_pack_panels, panels, 0.5 * packed.size,
          source, strides, batches[1], count, depth, width, packed)  # fmt: skip
    return packed


def columns_of(dtype: np.dtype) -> int:
    """Columns of a tile."""
    return ROW_BYTES // dtype.itemsize


def nanoseconds(terms: float) -> float:
    """An estimate for so many products."""
    return terms / 50


@jit
def store(c, at, width, y, start, row_stride, column_stride, rows, columns):
    """The leading part of a tile into flat y."""
    for i in range(rows):
        begin = start + i * row_stride
        for j in range(columns):
            y[begin + j * column_stride] = c[at + i * width + j]
