"""dtypes and torch's promotion rules.

A dtype is a `numpy.dtype`. bfloat16 is ml_dtypes' and is recognised by name, so ml_dtypes is never
imported here unless somebody asks for `fastdl.bfloat16`.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from .errors import DTypeError

bool_ = np.dtype(np.bool_)
uint8 = np.dtype(np.uint8)
int8 = np.dtype(np.int8)
int32 = np.dtype(np.int32)
int64 = np.dtype(np.int64)
float16 = np.dtype(np.float16)
float32 = np.dtype(np.float32)
float64 = np.dtype(np.float64)

_BY_NAME = {
    dtype.name: dtype for dtype in (bool_, uint8, int8, int32, int64, float16, float32, float64)
}
_ALIASES = {
    "float": "float32",
    "double": "float64",
    "half": "float16",
    "long": "int64",
    "int": "int32",
}
NAMES = (*_BY_NAME, "bfloat16")
# int8 is a dtype of quantized products; elsewhere it is stored, cast and reshaped.
INTEGERS = ("uint8", "int32", "int64")
FLOATS = ("float16", "bfloat16", "float32", "float64")

# torch.result_type: category first (bool < integer < float), then width. uint8 and the wider
# integers never need more than the wider of the two here, since int32 and int64 hold every uint8.
_CATEGORY = {"bool": 0, "int8": 1, **dict.fromkeys(INTEGERS, 1), **dict.fromkeys(FLOATS, 2)}
_RANK = {name: rank for rank, name in enumerate(("bool", "uint8", "int32", "int64"))}
_RANK |= {"int8": 1, "float16": 0, "bfloat16": 0, "float32": 1, "float64": 2}


def bfloat16() -> np.dtype:
    """ml_dtypes' bfloat16 as a numpy.dtype; ImportError naming the extra when it is missing."""
    if "bfloat16" not in _BY_NAME:
        try:
            import ml_dtypes
        except ImportError as error:
            raise ImportError("bfloat16 needs ml_dtypes: pip install 'fastdl[bfloat16]'") from error
        _BY_NAME["bfloat16"] = np.dtype(ml_dtypes.bfloat16)
    return _BY_NAME["bfloat16"]


def as_dtype(dtype: Any, argument: str = "dtype") -> np.dtype:
    """The numpy.dtype meant by a dtype, a scalar type or a name; DTypeError if it is not ours."""
    if isinstance(dtype, str):
        dtype = _ALIASES.get(dtype, dtype)
        if dtype == "bfloat16":
            return bfloat16()
    try:
        found = np.dtype(dtype)
    except TypeError as error:
        raise DTypeError(f"{argument}: got {dtype!r}, want one of {', '.join(NAMES)}") from error
    if found.name not in NAMES or not found.isnative:
        raise DTypeError(
            f"{argument}: got {found}, want one of {', '.join(NAMES)} in native byte order"
        )
    return found


@functools.cache
def name_of(dtype: np.dtype) -> str:
    """`dtype.name`, which NumPy puts together anew (1.5 µs) every time it is asked."""
    return dtype.name


def finfo(dtype: np.dtype) -> Any:
    """`numpy.finfo`, which does not know bfloat16; ml_dtypes' for that."""
    if name_of(dtype) != "bfloat16":
        return np.finfo(dtype)
    import ml_dtypes

    return ml_dtypes.finfo(dtype)


def is_float(dtype: np.dtype) -> bool:
    """Is it one of float16, bfloat16, float32, float64?"""
    return name_of(dtype) in FLOATS


def accumulator(dtype: np.dtype) -> np.dtype:
    """What the reference computes in: float64 for floats up to 32 bits, longdouble for float64."""
    if dtype == float64:
        return np.dtype(np.longdouble)
    return float64 if is_float(dtype) else dtype


def _wider(a: np.dtype, b: np.dtype) -> np.dtype:
    if a == b:
        return a
    rank_a, rank_b = _RANK[a.name], _RANK[b.name]
    if rank_a == rank_b:
        if is_float(a):  # float16 with bfloat16
            return float32
        raise DTypeError(f"{a} with {b}: their common dtype, int16, is none of {', '.join(NAMES)}")
    return a if rank_a > rank_b else b


def scalar_dtype(value: bool | int | float) -> np.dtype:
    """The dtype a Python scalar has on its own: bool, int64 or float32 (torch's default)."""
    if isinstance(value, bool):
        return bool_
    return int64 if isinstance(value, int) else float32


def result_type(*operands: Any) -> np.dtype:
    """torch.result_type over arrays and Python scalars.

    Arrays with dimensions decide before 0-d arrays, those before Python scalars; a lower group
    counts only if its category (bool, integer, float) is higher than that of all above it.
    """
    groups: list[list[np.dtype]] = [[], [], []]
    for x in operands:
        if isinstance(x, (bool, int, float)) and not isinstance(x, np.generic):
            groups[2].append(scalar_dtype(x))
        else:
            groups[0 if x.ndim else 1].append(x.dtype)
    result: np.dtype | None = None
    for group in groups:
        if not group:
            continue
        found = group[0]
        for dtype in group[1:]:
            found = promote(found, dtype)
        if result is None or _CATEGORY[found.name] > _CATEGORY[result.name]:
            result = found
    assert result is not None
    return result


def can_cast(source: np.dtype, target: np.dtype) -> bool:
    """torch.can_cast: may a result be stored as `target`? Not floats as integers or bools, say."""
    return _CATEGORY[source.name] <= _CATEGORY[target.name]


def promote(a: np.dtype, b: np.dtype) -> np.dtype:
    """torch.promote_types of two dtypes."""
    category_a, category_b = _CATEGORY[a.name], _CATEGORY[b.name]
    if category_a != category_b:
        return a if category_a > category_b else b
    return _wider(a, b)
