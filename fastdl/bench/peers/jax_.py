"""JAX on the CPU, jitted, timed until the result is there."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from typing import Any

import numpy as np

NAMES: dict[str, dict[str, str]] = {"jax": {"JAX_PLATFORMS": "cpu", "JAX_ENABLE_X64": "1"}}


def version() -> str:
    """JAX's version."""
    return importlib.metadata.version("jax")


def contestant(
    name: str, op: str, arrays: tuple[Any, ...], options: dict[str, Any], channels_last: bool
) -> Callable[[], Any] | None:
    """jax.jit of the jax.numpy or jax.nn function of the same job."""
    import jax
    import jax.numpy as jnp

    simple: dict[str, Callable[..., Any]] = {
        "matmul": jnp.matmul, "add": jnp.add, "mul": jnp.multiply, "div": jnp.divide,
        "relu": jax.nn.relu, "exp": jnp.exp, "log": jnp.log, "tanh": jnp.tanh,
        "sigmoid": jax.nn.sigmoid, "linear": lambda x, w, b=0.0: x @ w.T + b,
        "matmul_integer": lambda a, b: jnp.matmul(a, b, preferred_element_type=jnp.int32),
        "log_softmax": lambda x: jax.nn.log_softmax(x, options.get("dim", -1)),
    }  # fmt: skip
    if op not in simple:
        return None
    compiled = jax.jit(simple[op])
    values = [jnp.asarray(a) for a in arrays if isinstance(a, (np.ndarray, int, float))]
    return lambda: compiled(*values).block_until_ready()
