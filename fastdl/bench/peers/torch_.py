"""PyTorch, as called eagerly: NCHW, and channels-last where the op has a 4-D activation."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from typing import Any

import numpy as np

NAMES: dict[str, dict[str, str]] = {"torch": {}, "torch-nhwc": {}}
WITH_GRADIENTS = (
    "mse_loss", "smooth_l1_loss", "huber_loss", "soft_margin_loss", "binary_cross_entropy",
)  # fmt: skip
LOSSES = (
    *WITH_GRADIENTS, "l1_loss", "hinge_embedding_loss", "binary_cross_entropy_with_logits",
    "kl_div", "nll_loss", "ctc_loss", "pairwise_distance", "triplet_margin_loss",
)  # fmt: skip


ELEMENTWISE = {
    "abs", "sign", "square", "sqrt", "rsqrt", "reciprocal", "floor", "ceil", "trunc", "round",
    "sin", "cos", "log1p", "expm1", "exp2", "log2", "log10", "isnan", "isinf", "isfinite",
    "logical_not", "bitwise_not", "maximum", "minimum", "pow", "floor_divide", "remainder",
    "logical_and", "logical_or", "logical_xor", "bitwise_and", "bitwise_or", "bitwise_xor",
    "clamp", "addcmul", "addcdiv", "lerp",
}  # fmt: skip
ACTIVATIONS = {
    "leaky_relu", "elu", "gelu", "silu", "mish", "softplus", "logsigmoid", "softsign", "hardtanh",
    "hardsigmoid", "hardswish", "relu6", "selu", "celu",
}  # fmt: skip
PLAIN_GRADIENTS = {"gelu", "silu", "mish", "hardswish", "hardsigmoid"}  # aten's take (g, x) alone
REDUCTIONS = {"sum", "mean", "amax", "argmax", "max", "amin", "argmin", "min", "prod", "var", "std",
              "norm", "logsumexp"}  # fmt: skip


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
        t = tensor_of(a) if isinstance(a, np.ndarray) else a
        if isinstance(t, torch.Tensor) and op != "copy":  # whose job is to change the format
            t = t.contiguous()
        if name == "torch-nhwc" and isinstance(t, torch.Tensor) and t.ndim == 4:
            t = t.contiguous(memory_format=torch.channels_last)
        tensors.append(t)

    def call() -> Any:
        with torch.inference_mode():
            return run(*tensors)

    return call


def _int_mm(a: Any, b: Any, *_: Any) -> Any:
    import torch

    if {a.dtype, b.dtype} != {torch.int8}:
        raise NotImplementedError
    return torch._int_mm(a, b)


def tensor_of(a: np.ndarray) -> Any:
    """The array as a tensor that shares its memory, of bfloat16 too."""
    import torch

    if a.dtype.name != "bfloat16":
        return torch.from_numpy(a)
    return torch.from_numpy(a.view(np.int16)).view(torch.bfloat16)


def _function(torch: Any, op: str, o: dict[str, Any]) -> Callable[..., Any] | None:
    functional, aten = torch.nn.functional, torch.ops.aten
    if op in ELEMENTWISE:
        return getattr(torch, op)
    if op in ACTIVATIONS or op == "glu":
        return lambda x: getattr(functional, op)(x, **o)
    if op.removesuffix("_backward") in PLAIN_GRADIENTS:
        return getattr(aten, op)
    same = ("matmul", "add", "sub", "mul", "div", "neg", "eq", "ne", "lt", "le", "gt", "ge",
            "where",
            "relu", "exp", "log", "tanh", "sigmoid", "erf")  # fmt: skip
    if op == "matmul_integer":
        return _int_mm
    if op in same:
        return getattr(torch.special if op == "erf" else torch, op)
    if op == "linear":
        return functional.linear
    if op in ("cumsum", "cumprod"):
        return lambda x: getattr(torch, op)(x, o["dim"])
    if op in REDUCTIONS:
        dim, keep = o.get("dim"), o.get("keepdim", False)
        if dim is None:
            return getattr(torch, op)
        more = {"p": o["p"]} if "p" in o else {}
        return lambda x: getattr(torch, op)(x, dim=dim, keepdim=keep, **more)
    if op == "log_softmax":
        return lambda x: functional.log_softmax(x, o.get("dim", -1))
    if op == "log_softmax_backward":
        return lambda g, y: aten._log_softmax_backward_data(g, y, o.get("dim", -1), y.dtype)
    if op == "cross_entropy":
        return lambda x, t, w=None: functional.cross_entropy(x, t, w, **o)
    if op in LOSSES or op.removesuffix("_backward") in LOSSES:
        return _loss_function(torch, op, o)
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
    topics = (_volume_function, _shape_function, _norm_function, _network_function)
    return next((found for topic in topics if (found := topic(torch, op, o))), None)


def _shape_function(torch: Any, op: str, o: dict[str, Any]) -> Callable[..., Any] | None:
    if op in ("gather", "index_select"):
        return lambda x, i: getattr(torch, op)(x, o["dim"], i)
    if op in ("scatter", "scatter_add", "index_add"):
        return lambda x, i, s: getattr(torch, op)(x, o["dim"], i, s)
    if op == "sort":
        return lambda x: torch.sort(x, stable=True, **o)
    if op in ("topk", "flip", "roll", "tril", "triu"):
        return lambda x: getattr(torch, op)(x, **o)
    if op == "repeat":
        return lambda x: x.repeat(o["repeats"])
    if op == "total_norm":
        return lambda *x: torch.nn.utils.get_total_norm(x, **o)
    return None


def _norm_function(torch: Any, op: str, o: dict[str, Any]) -> Callable[..., Any] | None:
    """Normalisations; the moments that torch keeps for backward are made outside the clock."""
    functional, aten = torch.nn.functional, torch.ops.aten
    shape, eps, groups = o.get("normalized_shape"), o.get("eps", 1e-5), o.get("num_groups", 1)
    kept: list[Any] = []

    def layer_backward(g: Any, x: Any, w: Any) -> Any:
        kept[:] = kept or aten.native_layer_norm(x, shape, w, w, eps)[1:]
        return aten.native_layer_norm_backward(g, x, shape, *kept, w, w, [True] * 3)

    def group_backward(g: Any, x: Any, w: Any) -> Any:
        sizes = x.shape[0], x.shape[1], x[0, 0].numel()
        kept[:] = kept or aten.native_group_norm(x, w, w, *sizes, groups, eps)[1:]
        return aten.native_group_norm_backward(g, x, *kept, w, *sizes, groups, [True] * 3)

    def batch_backward(g: Any, x: Any, mean: Any, rstd: Any, w: Any) -> Any:
        training = o.get("training", True)
        return aten.native_batch_norm_backward(
            g, x, w, mean, rstd, mean, rstd, training, eps, [True] * 3
        )

    found: dict[str, Callable[..., Any]] = {
        "layer_norm": lambda x, w=None, b=None: functional.layer_norm(x, shape, w, b, eps),
        "layer_norm_backward": layer_backward,
        "rms_norm": lambda x, w=None: functional.rms_norm(x, shape, w, eps),
        "group_norm": lambda x, w=None, b=None: functional.group_norm(x, groups, w, b, eps),
        "group_norm_backward": group_backward,
        "instance_norm": lambda x, w=None, b=None: functional.instance_norm(
            x, None, None, w, b, eps=eps
        ),
        "batch_norm": lambda x, w=None, b=None: functional.batch_norm(x, None, None, w, b, True),
        "batch_norm_eval": lambda x, m, v, w=None, b=None: functional.batch_norm(x, m, v, w, b),
        "batch_norm_backward": batch_backward,
        "normalize": lambda x: functional.normalize(x, **o),
        "cosine_similarity": lambda a, b: functional.cosine_similarity(a, b, **o),
        "local_response_norm": lambda x: functional.local_response_norm(x, **o),
    }
    return found.get(op)


def _network_function(torch: Any, op: str, o: dict[str, Any]) -> Callable[..., Any] | None:
    """Softmax, attention, embedding, and random numbers (its own)."""
    functional, aten = torch.nn.functional, torch.ops.aten
    dim, rows, p = o.get("dim", -1), o.get("num_embeddings", 0), o.get("p", 0.0)
    causal, scale = o.get("is_causal", False), o.get("scale")

    def attention(q: Any, k: Any, v: Any, mask: Any = None) -> Any:
        return functional.scaled_dot_product_attention(q, k, v, mask, p, causal, scale=scale)

    found: dict[str, Callable[..., Any]] = {
        "softmax": lambda x: functional.softmax(x, dim),
        "one_hot": lambda index: functional.one_hot(index, o.get("num_classes", -1)),
        "softmax_backward": lambda g, y: aten._softmax_backward_data(g, y, dim, y.dtype),
        "embedding": lambda w, index: functional.embedding(index, w),
        "embedding_backward": lambda g, index: aten.embedding_dense_backward(
            g, index, rows, -1, False
        ),
        "scaled_dot_product_attention": attention,
        "dropout": lambda x: functional.dropout(x, p),
        "uniform": lambda x: torch.empty_like(x).uniform_(o["low"], o["high"]),
        "normal": lambda x: torch.empty_like(x).normal_(o["mean"], o["std"]),
    }
    return found.get(op)


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
    if op in ("lp_pool2d", "lp_pool3d"):
        return lambda x: getattr(functional, op)(x, **o)
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


def _loss_function(torch: Any, op: str, o: dict[str, Any]) -> Callable[..., Any] | None:
    """A loss with its options, or its gradient where torch has it as a function of its own."""
    name = op.removesuffix("_backward")
    if name == op:
        if op == "kl_div":  # whose public face warns at every call
            return lambda x, t: torch.kl_div(x, t, 1, log_target=o.get("log_target", False))
        return lambda *arrays: getattr(torch.nn.functional, op)(*arrays, **o)
    found = getattr(torch.ops.aten, op, None)
    if name not in WITH_GRADIENTS or found is None or o.get("reduction", "mean") != "mean":
        return None
    mean = (None, 1) if name == "binary_cross_entropy" else (1,)
    option = {"smooth_l1_loss": ("beta",), "huber_loss": ("delta",)}.get(name, ())
    return lambda g, x, t: found(g, x, t, *mean, *(o.get(key, 1.0) for key in option))


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
