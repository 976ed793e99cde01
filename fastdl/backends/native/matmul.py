"""Matrix products: csrc/matmul{,_call,_bf16}.cpp, kernels/cpu/matmul{,_bf16}.inc."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import _native
from ...spec import kernel


def _depth(terms: int) -> int:
    """Chains of at most 1024 terms, added up in order; linear's bias is one of the terms."""
    return min(terms, 1025 + terms // 1024)


# Sums in order, one term after the other.
_OF_BFLOAT16: dict[str, Any] = {
    "dtypes": ("bfloat16",),
    "accumulator": "float32",
    "out": True,
}


@kernel("matmul", backend="native", **_OF_BFLOAT16)
def matmul_bf16(a: np.ndarray, b: np.ndarray, out: Any = None) -> Any:
    """a[..., K] @ b[K, N] in float32, rounded once."""
    return _native.matmul_bf16(a, b, out)


@kernel("linear", backend="native", **_OF_BFLOAT16)
def linear_bf16(x: np.ndarray, w: np.ndarray, bias: Any = None, out: Any = None) -> Any:
    """x[..., K] @ w[N, K]^T + bias[N] in float32, rounded once."""
    return _native.linear_bf16(x, w, bias, out)


def _finished(terms: int) -> int:
    """A scaled sum and a scaled addend, which count among the terms, are up to two more."""
    return min(terms, _depth(terms) + 2)


# Products with a packed weight (functional.pack), made kernels of the op for the checker's sake:
# dispatch asks the newest kernel first, and these take nothing that those below do not.


@kernel("matmul", backend="native", depth=_depth, out=True)
def matmul_packed(a: np.ndarray, b: np.ndarray, out: Any = None) -> Any:
    """a[..., K] @ b[K, N] through panels of b."""
    panels = _native.Panels.of("matmul", b)
    return panels if panels is NotImplemented else _native.matmul_packed(a, panels, out)


@kernel("linear", backend="native", depth=_depth, out=True)
def linear_packed(x: np.ndarray, w: np.ndarray, bias: Any = None, out: Any = None) -> Any:
    """x[..., K] @ w[N, K]^T + bias[N] through panels of w."""
    panels = _native.Panels.of("linear", w)
    return panels if panels is NotImplemented else _native.linear_packed(x, panels, bias, out=out)


@kernel("linear_activation", backend="native", depth=_finished, out=True)
def linear_activation_packed(
    x: np.ndarray, w: np.ndarray, bias: Any = None, residual: Any = None, **options: Any
) -> Any:
    """activation(alpha · x @ w^T + bias + residual) through panels of w."""
    panels = _native.Panels.of("linear", w)
    if panels is NotImplemented:
        return panels
    return _native.linear_packed(x, panels, bias, residual, **options)


kernel("matmul", backend="native", depth=_depth, out=True, direct=True)(_native.matmul)
kernel("linear", backend="native", depth=_depth, out=True, direct=True)(_native.linear)
for _name in ("linear_activation", "addmm", "baddbmm"):
    kernel(_name, backend="native", depth=_finished, out=True, direct=True)(getattr(_native, _name))
