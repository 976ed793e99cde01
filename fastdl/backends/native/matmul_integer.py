"""Products of 8-bit integers: csrc/matmul_int8.cpp, kernels/cpu/matmul_int8.inc."""

from __future__ import annotations

from ... import _native
from ...spec import kernel

BYTES = ("int8", "uint8")
kernel("matmul_integer", backend="native", dtypes=BYTES, out=True, direct=True)(
    _native.matmul_integer
)
kernel(
    "matmul_integer_to_float", backend="native", dtypes=(*BYTES, "float32"), out=True, direct=True
)(_native.matmul_integer_to_float)
