"""Optimiser steps: csrc/optim.cpp, kernels/cpu/optim.inc."""

from __future__ import annotations

from typing import Any

from ... import _native
from ...spec import kernel


@kernel("sgd_step", backend="native", out=True, direct=True)
def sgd_step(
    p: Any, g: Any = None, buf: Any = None, *more: Any,
    lr: Any = 1e-3, momentum: Any = 0.0, dampening: Any = 0.0, weight_decay: Any = 0.0,
    nesterov: Any = False, maximize: Any = False, out: Any = None, **unknown: Any,
) -> Any:  # fmt: skip
    """The new p and buffer, or p alone without momentum; `out` may be exactly the inputs."""
    outs = out if isinstance(out, tuple) else (out,)
    if more or unknown or (out is not None and len(outs) != (2 if momentum else 1)):
        return NotImplemented
    result = _native.sgd_step(
        p, g, buf, lr, momentum, dampening, weight_decay, nesterov, maximize, *outs
    )
    return result if result is NotImplemented or momentum else result[0]
