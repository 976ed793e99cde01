"""Products, variances, norms, log-sum-exp, running sums, and whether any or all are non-zero."""

from __future__ import annotations

import math
from typing import Any

from .. import in_place
from ..core.dtypes import bool_, float32, uint8
from ..core.errors import ArgumentError, UnsupportedError
from ..core.shapes import normalize_dims
from ..ops import elementwise as basic
from ..ops import reduce as reductions
from ..ops import reduce_statistics as ops
from ._face import cast_to, method, shape_of

__all__ = [
    "all",
    "any",
    "count_nonzero",
    "cumprod",
    "cumsum",
    "linalg",
    "logsumexp",
    "norm",
    "prod",
    "std",
    "std_mean",
    "var",
    "var_mean",
]


@method
def prod(
    input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, out: Any = None
) -> Any:
    """Product over one dim, or of all elements. Integers and bools multiply to int64.

    `dtype` casts the input first. Raises IndexRangeError for a dim out of range. As torch.prod.
    """
    return ops.prod(cast_to(input, dtype), dim=dim, keepdim=keepdim, out=out)


def _correction(name: str, dim: Any, unbiased: Any, correction: Any) -> tuple[Any, Any]:
    """The dims and the correction of torch's two forms, (dim, unbiased) and (dim, correction=)."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    if unbiased is not None and correction is not None:
        raise ArgumentError(f"{name}: got unbiased and correction, want one of them")
    if unbiased is not None:
        return dim, int(unbiased)
    return dim, 1 if correction is None else correction


@method
def var(
    input: Any,
    dim: Any = None,
    unbiased: Any = None,
    keepdim: bool = False,
    *,
    correction: Any = None,
    out: Any = None,
) -> Any:
    """Variance over dim (an int or several; None is all): Σ (x − mean)² / (n − correction).

    `unbiased` is a correction of 1 (the default) or 0. NaN where n − correction ≤ 0 and the sum is
    0. Raises DTypeError for integers. As torch.var.
    """
    dim, correction = _correction("var", dim, unbiased, correction)
    return ops.var(input, dim=dim, keepdim=keepdim, correction=correction, out=out)


@method
def std(
    input: Any,
    dim: Any = None,
    unbiased: Any = None,
    keepdim: bool = False,
    *,
    correction: Any = None,
    out: Any = None,
) -> Any:
    """The square root of `var`; no gradient where it is 0. As torch.std."""
    dim, correction = _correction("std", dim, unbiased, correction)
    return ops.std(input, dim=dim, keepdim=keepdim, correction=correction, out=out)


def var_mean(
    input: Any,
    dim: Any = None,
    unbiased: Any = None,
    keepdim: bool = False,
    *,
    correction: Any = None,
) -> tuple[Any, Any]:
    """`var` and `mean` over the same dims. As torch.var_mean."""
    dim, correction = _correction("var_mean", dim, unbiased, correction)
    spread = ops.var(input, dim=dim, keepdim=keepdim, correction=correction)
    return spread, reductions.mean(input, dim=dim, keepdim=keepdim)


def std_mean(
    input: Any,
    dim: Any = None,
    unbiased: Any = None,
    keepdim: bool = False,
    *,
    correction: Any = None,
) -> tuple[Any, Any]:
    """`std` and `mean` over the same dims. As torch.std_mean."""
    dim, correction = _correction("std_mean", dim, unbiased, correction)
    spread = ops.std(input, dim=dim, keepdim=keepdim, correction=correction)
    return spread, reductions.mean(input, dim=dim, keepdim=keepdim)


@method
def norm(
    input: Any,
    p: Any = "fro",
    dim: Any = None,
    keepdim: bool = False,
    out: Any = None,
    dtype: Any = None,
) -> Any:
    """(Σ |x|^p)^(1/p) over dim (an int or several; None is all); "fro" and None are 2.

    p = ±inf is the largest or smallest |x|, 0 the number of non-zeros. UnsupportedError for "nuc".
    As torch.norm.
    """
    if p == "nuc":
        raise UnsupportedError("norm: p: got 'nuc', want a number or 'fro'")
    order = 2.0 if p is None or p == "fro" else p
    return ops.norm(cast_to(input, dtype), dim=dim, keepdim=keepdim, p=order, out=out)


class linalg:  # noqa: N801 (torch's name)
    """What there is of torch.linalg."""

    @staticmethod
    def vector_norm(
        x: Any,
        ord: Any = 2,
        dim: Any = None,
        keepdim: bool = False,
        *,
        dtype: Any = None,
        out: Any = None,
    ) -> Any:
        """(Σ |x|^ord)^(1/ord) over dim (an int or several; None is all).

        As torch.linalg.vector_norm.
        """
        return ops.norm(cast_to(x, dtype), dim=dim, keepdim=keepdim, p=ord, out=out)


@method
def logsumexp(input: Any, dim: Any, keepdim: bool = False, *, out: Any = None) -> Any:
    """ln Σ e^input over dim (an int or several), nothing overflowing; float32 of integers.

    As torch.logsumexp.
    """
    shape_of("logsumexp", input)
    if input.dtype.kind in "biu":
        input = cast_to(input, float32)
    return ops.logsumexp(input, dim=dim, keepdim=keepdim, out=out)


@method
def cumsum(input: Any, dim: Any, *, dtype: Any = None, out: Any = None) -> Any:
    """Running sums along a dim, term by term; int64 of integers and bools. As torch.cumsum."""
    return ops.cumsum(cast_to(input, dtype), dim=dim, reverse=False, out=out)


@method
def cumprod(input: Any, dim: Any, *, dtype: Any = None, out: Any = None) -> Any:
    """Running products along a dim; int64 of integers and bools. As torch.cumprod."""
    return ops.cumprod(cast_to(input, dtype), dim=dim, reverse=False, out=out)


def _in_place(name: str, function: Any) -> None:
    """Attaches the form that writes to a Tensor's storage, once the result is made."""

    def call(self: Any, dim: Any) -> Any:
        return in_place.replace(self, name, lambda x: function(x, dim), (), False)

    method(name=name)(call)


_in_place("cumsum_", cumsum)
_in_place("cumprod_", cumprod)


def _decided(name: str, op: Any, of_none: bool, input: Any, dim: Any, keepdim: bool) -> Any:
    """An extreme of bools; a uint8 input has a uint8 result, as in torch."""
    shape = shape_of(name, input)
    dtype = input.dtype
    flags = input if dtype == bool_ else basic.ne(input, 0)
    dims = normalize_dims(name, dim, len(shape))
    if math.prod(shape[d] for d in dims) == 0:
        zeros = reductions.sum(flags, dim=dims, keepdim=keepdim)
        y = basic.eq(zeros, 0) if of_none else basic.ne(zeros, 0)
    else:
        y = op(flags, dim=dims, keepdim=keepdim)
    return cast_to(y, uint8) if dtype == uint8 else y


@method
def any(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """Is any element over dim (an int or several; None is all) non-zero? As torch.any."""
    return _decided("any", reductions.amax, False, input, dim, keepdim)


@method
def all(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """Are all elements over dim (an int or several; None is all) non-zero? As torch.all."""
    return _decided("all", reductions.amin, True, input, dim, keepdim)


@method
def count_nonzero(input: Any, dim: Any = None) -> Any:
    """int64 number of non-zero elements over dim. As torch.count_nonzero."""
    return reductions.sum(basic.ne(input, 0), dim=dim)
