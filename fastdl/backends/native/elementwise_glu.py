"""glu: csrc/elementwise_glu.cpp, kernels/cpu/elementwise_glu.inc."""

from __future__ import annotations

from typing import Any

from ... import _native
from ...spec import kernel


@kernel("glu", backend="native", out=True, direct=True)
def glu(x: Any, *more: Any, dim: Any = -1, out: Any = None, **unknown: Any) -> Any:
    """Along any dim, any strides."""
    return NotImplemented if more or unknown else _native.glu(x, dim, out)


@kernel("glu_backward", backend="native", out=True, direct=True)
def glu_backward(
    g: Any, x: Any = None, *more: Any, dim: Any = -1, out: Any = None, **unknown: Any
) -> Any:
    """The gradient of x."""
    return NotImplemented if more or unknown else _native.glu_backward(g, x, dim, out)
