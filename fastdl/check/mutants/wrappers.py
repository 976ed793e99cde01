"""Defects put around native kernels in Python. The child loads this file."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastdl.check.mutants.wrapping import Table

WRAPPERS = Table(globals())
defect = WRAPPERS.defect


@defect("sum", "the result is written over the input", "inputs")
def writes_input(right: Any, x: Any, **options: Any) -> Any:
    y = right(x, **options)
    if x.size and y.size:
        x[(0,) * x.ndim] = y.reshape(-1)[0] + 1
    return y


@defect("cross_entropy", "mean divides by all targets, ignored ones too", "bound")
def mean_of_all(right: Any, x: Any, t: Any, *more: Any, **options: Any) -> Any:
    y = right(x, t, *more, **options)
    if options["reduction"] != "mean" or np.issubdtype(t.dtype, np.floating) or not t.size:
        return y
    kept = (t != options["ignore_index"]).sum()
    return (y * (kept / t.size)).astype(x.dtype)


@defect("tril", "the diagonal is off by one", "bound")
def off_by_one(right: Any, x: Any, **options: Any) -> Any:
    return right(x, **options | {"diagonal": options["diagonal"] - 1})
