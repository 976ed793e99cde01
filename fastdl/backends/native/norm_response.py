"""local_response_norm: csrc/norm_response.cpp, kernels/cpu/norm_response.inc."""

from __future__ import annotations

from typing import Any

from ... import _native
from ...spec import kernel


@kernel("local_response_norm", backend="native", out=True)
def local_response_norm(
    x: Any, *, size: int, alpha: float, beta: float, k: float, out: Any = None
) -> Any:
    """Planes of channels."""
    return _native.local_response_norm(x, size, alpha, beta, k, out)


@kernel("local_response_norm_backward", backend="native", out=True)
def local_response_norm_backward(
    g: Any, x: Any, *, size: int, alpha: float, beta: float, k: float, out: Any = None
) -> Any:
    """The gradient of x."""
    return _native.local_response_norm_backward(g, x, size, alpha, beta, k, out)
