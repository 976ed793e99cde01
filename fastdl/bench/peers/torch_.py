"""PyTorch, as called eagerly: NCHW, and channels-last where the op has a 4-D activation."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from typing import Any

import numpy as np

NAMES: dict[str, dict[str, str]] = {"torch": {}, "torch-nhwc": {}}


def version() -> str:
    """torch's version."""
    return importlib.metadata.version("torch")


def contestant(
    name: str, op: str, arrays: tuple[Any, ...], options: dict[str, Any], channels_last: bool
) -> Callable[[], Any] | None:
    """torch's function of the same name, under no_grad."""
    import torch

    run = _function(torch, op, options)
    images = [a for a in arrays if isinstance(a, np.ndarray) and a.ndim == 4]
    # A copy into a memory format is no job for a contestant that has its arrays in that format.
    if run is None or (name == "torch-nhwc" and (not images or op == "copy")):
        return None
    tensors = []
    for a in arrays:
        if op != "copy" and isinstance(a, np.ndarray):  # its job is to change the format
            a = np.ascontiguousarray(a)
        t = torch.from_numpy(a) if isinstance(a, np.ndarray) else a
        if name == "torch-nhwc" and isinstance(t, torch.Tensor) and t.ndim == 4:
            t = t.contiguous(memory_format=torch.channels_last)
        tensors.append(t)

    def call() -> Any:
        with torch.inference_mode():
            return run(*tensors)

    return call


def _function(torch: Any, op: str, o: dict[str, Any]) -> Callable[..., Any] | None:
    functional, aten = torch.nn.functional, torch.ops.aten
    same = ("matmul", "add", "sub", "mul", "div", "neg", "eq", "ne", "lt", "le", "gt", "ge",
            "where",
            "relu", "exp", "log", "tanh", "sigmoid", "erf")  # fmt: skip
    if op in same:
        return getattr(torch.special if op == "erf" else torch, op)
    if op == "linear":
        return functional.linear
    if op in ("sum", "mean", "amax", "argmax", "max"):
        dim, keep = o.get("dim"), o.get("keepdim", False)
        if dim is None:
            return getattr(torch, op)
        return lambda x: getattr(torch, op)(x, dim=dim, keepdim=keep)
    if op == "log_softmax":
        return lambda x: functional.log_softmax(x, o.get("dim", -1))
    if op == "log_softmax_backward":
        return lambda g, y: aten._log_softmax_backward_data(g, y, o.get("dim", -1), y.dtype)
    if op == "cross_entropy":
        return lambda x, t, w=None: functional.cross_entropy(x, t, w, **o)
    if op == "cat":
        return lambda *x: torch.cat(x, o.get("dim", 0))
    if op == "copy":
        last = o.get("channels_last", False)
        form = torch.channels_last if last else torch.contiguous_format
        return lambda x: x.clone(memory_format=form)
    if op.startswith(("conv2d", "max_pool2d", "avg_pool2d")):
        return _image_function(torch, op, o)
    if op.endswith("_layer"):
        return _recurrent_function(torch, op, o)
    return _volume_function(torch, op, o)


def _volume_function(torch: Any, op: str, o: dict[str, Any]) -> Callable[..., Any] | None:
    """Transposed and 3-D convolution, adaptive pools, padding and resampling."""
    functional, grad = torch.nn.functional, torch.nn.grad
    shared = [o.get("stride", 1), o.get("padding", 0), o.get("dilation", 1), o.get("groups", 1)]
    if op == "conv_transpose2d":
        return lambda x, w, b=None: functional.conv_transpose2d(x, w, b, **o)
    if op == "conv3d":
        return lambda x, w, b=None: functional.conv3d(x, w, b, *shared)
    if op == "conv3d_input_grad":
        return lambda g, w: grad.conv3d_input(
            (g.shape[0], w.shape[1] * shared[3], *o["input_size"]), w, g, *shared
        )
    if op == "conv3d_weight_grad":
        return lambda x, g: grad.conv3d_weight(
            x, (g.shape[1], x.shape[1] // shared[3], *o["kernel_size"]), g, *shared
        )
    if op in ("unfold", "fold"):
        windows = {k: v for k, v in o.items() if k != "channels_last"}
        return lambda x: getattr(functional, op)(x, **windows)
    if op == "adaptive_max_pool2d":
        return lambda x: functional.adaptive_max_pool2d(x, o["output_size"], return_indices=True)
    if op == "max_unpool2d":
        size = o["output_size"]
        return lambda x, i: functional.max_unpool2d(
            x, i, tuple(n // m for n, m in zip(size, x.shape[2:], strict=True)), output_size=size
        )
    if op == "pad":
        sides = tuple(n for side in reversed(o["padding"]) for n in side)
        mode, value = o.get("mode", "constant"), o.get("value")
        if mode != "constant":
            sides = sides[:-4]
        return lambda x: functional.pad(x, sides, mode, value)
    if op == "interpolate":
        return lambda x: functional.interpolate(
            x, o["size"], None, o.get("mode", "nearest"), o.get("align_corners")
        )
    return None


def _recurrent_function(torch: Any, op: str, o: dict[str, Any]) -> Callable[..., Any] | None:
    """One layer, one direction; torch alone has neither the reverse one nor single steps."""
    if o.get("reverse"):
        return None
    run, is_lstm = getattr(torch, op.removesuffix("_layer")), op == "lstm_layer"

    def call(x: Any, h0: Any, *rest: Any) -> Any:
        hx = (h0[None], rest[0][None]) if is_lstm else h0[None]
        weights = [w for w in (rest[1:] if is_lstm else rest) if w is not None]
        biases = sum(w.ndim == 1 for w in weights) > 0
        return run(x, hx, weights, biases, 1, 0.0, False, False, False)

    return call


def _image_function(torch: Any, op: str, o: dict[str, Any]) -> Callable[..., Any] | None:
    functional, grad = torch.nn.functional, torch.nn.grad
    conv = [
        o.get("stride", 1),
        _symmetric(o.get("padding", 0)),
        o.get("dilation", 1),
        o.get("groups", 1),
    ]
    if op == "conv2d":
        return lambda x, w, b=None: functional.conv2d(x, w, b, *conv)
    if op == "conv2d_input_grad":

        def input_grad(g: Any, w: Any) -> Any:
            shape = (g.shape[0], w.shape[1] * conv[3], *o["input_size"])
            return grad.conv2d_input(shape, w, g, *conv)

        return input_grad
    if op == "conv2d_weight_grad":

        def weight_grad(x: Any, g: Any) -> Any:
            shape = (g.shape[1], x.shape[1] // conv[3], *o["kernel_size"])
            return grad.conv2d_weight(x, shape, g, *conv)

        return weight_grad
    pool = {k: v for k, v in o.items() if k not in ("input_size", "channels_last")}
    if op == "max_pool2d":
        return lambda x: functional.max_pool2d(x, **pool)
    if op == "max_pool2d_with_indices":
        return lambda x: functional.max_pool2d(x, **pool, return_indices=True)
    if op == "avg_pool2d":
        return lambda x: functional.avg_pool2d(x, **pool)
    return None


def _symmetric(padding: Any) -> Any:
    """((1, 1), (2, 2)) -> (1, 2); what torch takes already is left alone."""
    if isinstance(padding, tuple) and padding and isinstance(padding[0], tuple):
        return tuple(before for before, _ in padding)
    return padding
