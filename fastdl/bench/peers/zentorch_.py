"""zentorch, AMD's extension of torch for its processors: the products of ZenDNN and AOCL."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

# By default 2.13.0.2 keeps a packed copy of each right-hand side by its address, and multiplies by
# it when another matrix lies there: wrong numbers, so the copies are turned off, and the quickest
# algorithm of those left is chosen (3; 4 x 768 x 3072 takes four times as long by the default one).
# "zentorch-packed" is a product whose right-hand side was packed beforehand.
_SETTINGS = {"ZENDNNL_MATMUL_WEIGHT_CACHE": "0", "ZENDNNL_MATMUL_ALGO": "3"}
NAMES: dict[str, dict[str, str]] = {"zentorch": _SETTINGS, "zentorch-packed": _SETTINGS}


def version() -> str:
    """zentorch's version."""
    return importlib.metadata.version("zentorch")


def contestant(
    name: str, op: str, arrays: tuple[Any, ...], options: dict[str, Any], channels_last: bool
) -> Callable[[], Any] | None:
    """The operator that torch.compile puts in the place of torch's, called by itself."""
    if op != "matmul" or options or any(a.ndim != 2 for a in arrays):
        return None
    if arrays[0].dtype == np.float64:  # which zentorch leaves to torch
        return None
    import torch
    import zentorch  # noqa: F401

    from .torch_ import tensor_of

    a, b = map(tensor_of, arrays)
    product: Callable[..., Any] = torch.ops.zentorch.zentorch_mm
    if name == "zentorch-packed":
        b = torch.ops.zentorch.zentorch_weight_prepack_for_linear(b.T.contiguous())
        linear = torch.ops.zentorch.zentorch_linear_unary
        product = partial(linear, bias=None, is_weight_prepacked=True)

    def call() -> Any:
        with torch.inference_mode():
            return product(a, b)

    return call
