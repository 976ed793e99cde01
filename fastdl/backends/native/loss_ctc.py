"""CTC: csrc/loss_ctc.cpp, kernels/cpu/loss_ctc.inc."""

from __future__ import annotations

from typing import Any

from ... import _native
from ...spec import kernel
from .reduce import sum_depth

_DTYPES = ("float32", "float64", "int64")


@kernel("ctc_loss", backend="native", dtypes=_DTYPES, depth=sum_depth, out=True, direct=True)
def ctc_loss(
    *arrays: Any, blank: Any = 0, reduction: Any = "mean", zero_infinity: Any = False,
    out: Any = None, **unknown: Any,
) -> Any:  # fmt: skip
    """One sequence is one piece of parallel work."""
    if len(arrays) != 4 or unknown:
        return NotImplemented
    return _native.ctc_loss(*arrays, blank, reduction, zero_infinity, out)


@kernel("ctc_loss_backward", backend="native", dtypes=_DTYPES, out=True, direct=True)
def ctc_loss_backward(
    *arrays: Any, blank: Any = 0, reduction: Any = "mean", zero_infinity: Any = False,
    out: Any = None, **unknown: Any,
) -> Any:  # fmt: skip
    """Computes the forward rows again and keeps them."""
    if len(arrays) != 5 or unknown:
        return NotImplemented
    return _native.ctc_loss_backward(*arrays, blank, reduction, zero_infinity, out)
