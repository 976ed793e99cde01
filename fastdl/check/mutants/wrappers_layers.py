"""Defects put around native kernels in Python: products, windows, layers, losses, optimisers.

The child loads this file; `right` is the kernel that the defect spoils.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastdl.check.mutants.wrapping import Table

WRAPPERS = Table(globals())
defect = WRAPPERS.defect


# --- products and windows ----------------------------------------------------------------------


@defect("matmul", "Strassen's products: right on integers, lost between scales", "hard inputs")
def _(right: Any, a: Any, b: Any, **options: Any) -> Any:
    if a.ndim != 2 or b.ndim != 2 or any(n % 2 or not n for n in (*a.shape, b.shape[1])):
        return right(a, b, **options)
    m, k, n = a.shape[0] // 2, a.shape[1] // 2, b.shape[1] // 2
    a11, a12, a21, a22 = a[:m, :k], a[:m, k:], a[m:, :k], a[m:, k:]
    b11, b12, b21, b22 = b[:k, :n], b[:k, n:], b[k:, :n], b[k:, n:]
    p1, p2 = right(a11 + a22, b11 + b22), right(a21 + a22, b11)
    p3, p4 = right(a11, b12 - b22), right(a22, b21 - b11)
    p5, p6 = right(a11 + a12, b22), right(a21 - a11, b11 + b12)
    p7 = right(a12 - a22, b21 + b22)
    return np.block([[p1 + p4 - p5 + p7, p3 + p5], [p2 + p4, p1 - p2 + p3 + p6]])


@defect("matmul", "operands of float16 overflow", "hard inputs")
def _(right: Any, a: Any, b: Any, **options: Any) -> Any:
    narrow = (x.astype(np.float16).astype(x.dtype) for x in (a, b))
    return right(*narrow, **options)


@defect("matmul", "b is transposed where it is square", "bound")
def _(right: Any, a: Any, b: Any, **options: Any) -> Any:
    square = b.ndim == 2 and b.shape[0] == b.shape[1]
    return right(a, b.T if square else b, **options)


@defect("linear", "the bias is added twice", "bound")
def _(right: Any, x: Any, w: Any, bias: Any, **options: Any) -> Any:
    return right(x, w, bias if bias is None else bias + bias, **options)


@defect("linear", "weights of 8 bits", "bound")
def _(right: Any, x: Any, w: Any, bias: Any, **options: Any) -> Any:
    step = np.abs(w).max(initial=0) / 127 or 1
    return right(x, (np.rint(w / step) * step).astype(w.dtype), bias, **options)


@defect("conv2d", "the kernel is turned round", "bound")
def _(right: Any, x: Any, w: Any, bias: Any, **options: Any) -> Any:
    return right(x, np.ascontiguousarray(w[:, :, ::-1, ::-1]), bias, **options)


@defect("conv2d", "padding repeats the edge", "bound")
def _(right: Any, x: Any, w: Any, bias: Any, *, padding: Any, **options: Any) -> Any:
    wide = np.pad(x, ((0, 0), (0, 0), *padding), "edge") if x.size else x
    return right(wide if x.size else x, w, bias,
                 padding=((0, 0), (0, 0)) if x.size else padding, **options)  # fmt: skip


@defect("conv2d", "groups of channels are interleaved", "bound")
def _(right: Any, x: Any, w: Any, bias: Any, *, groups: int, **options: Any) -> Any:
    n, c = x.shape[:2]
    mixed = x.reshape(n, groups, c // groups, *x.shape[2:]).swapaxes(1, 2).reshape(x.shape)
    return right(mixed if groups > 1 and x.size else x, w, bias, groups=groups, **options)


@defect("conv2d_weight_grad", "the mean over the batch", "integers")
def _(right: Any, x: Any, g: Any, **options: Any) -> Any:
    return right(x, g / x.dtype.type(max(len(x), 1)), **options)


@defect("conv2d_weight_grad", "the last image's alone", "integers")
def _(right: Any, x: Any, g: Any, **options: Any) -> Any:
    return right(x[-1:], g[-1:], **options)


@defect("conv3d", "planes in the opposite order", "bound")
def _(right: Any, x: Any, w: Any, bias: Any, **options: Any) -> Any:
    return right(x, np.ascontiguousarray(w[:, :, ::-1]), bias, **options)


@defect("conv3d_input_grad", "only the first plane's taps", "bound")
def _(right: Any, g: Any, w: Any, **options: Any) -> Any:
    first = np.zeros_like(w)
    first[:, :, :1] = w[:, :, :1]
    return right(g, first, **options)


@defect("conv3d_weight_grad", "the gradient of ones", "integers")
def _(right: Any, x: Any, g: Any, **options: Any) -> Any:
    return right(x, np.ones_like(g), **options)


@defect("max_pool2d", "padding is zero, not minus infinity", "bound")
def _(right: Any, x: Any, *, padding: Any, **options: Any) -> Any:
    y = right(x, padding=padding, **options)
    return np.maximum(y, 0) if any(padding) else y


@defect("max_pool2d_with_indices", "places count within the batch", "bound")
def _(right: Any, x: Any, **options: Any) -> Any:
    y, index = right(x, **options)
    plane = x.shape[2] * x.shape[3]
    images = np.arange(len(x)).reshape(-1, 1, 1, 1)
    return y, index + (images * plane).astype(index.dtype)


@defect("max_pool2d_backward", "the gradient of ones", "bound")
def _(right: Any, g: Any, x: Any, **options: Any) -> Any:
    return right(np.ones_like(g), x, **options)


@defect("avg_pool2d", "the sum", "bound")
def _(right: Any, x: Any, *, divisor_override: Any, **options: Any) -> Any:
    return right(x, divisor_override=1, **options)


@defect("avg_pool2d_backward", "padding counts although it must not", "bound")
def _(right: Any, g: Any, *, count_include_pad: bool, **options: Any) -> Any:
    return right(g, count_include_pad=True, **options)


@defect("interpolate", "corners are not aligned", "bound")
def _(right: Any, x: Any, *, align_corners: bool, **options: Any) -> Any:
    return right(x, align_corners=False, **options)


@defect("interpolate", "the nearest is the one before", "bound")
def _(right: Any, x: Any, *, mode: str, **options: Any) -> Any:
    return right(x, mode="nearest" if mode == "nearest-exact" else mode, **options)


@defect("interpolate_backward", "the mean of what reached a pixel", "bound")
def _(right: Any, g: Any, **options: Any) -> Any:
    y, hits = right(g, **options), right(np.ones_like(g), **options)
    return np.divide(y, hits, out=y.copy(order="K"), where=hits > 1)


@defect("adaptive_max_pool2d", "the columns in reverse", "bound")
def _(right: Any, x: Any, **options: Any) -> Any:
    y, index = right(x, **options)
    return np.ascontiguousarray(y[..., ::-1]), index


@defect("max_unpool2d", "the rest is one", "bound")
def _(right: Any, x: Any, index: Any, **options: Any) -> Any:
    y = right(x, index, **options)
    return np.where(y == 0, y.dtype.type(1), y)


# --- recurrent layers and attention ------------------------------------------------------------


@defect("lstm_layer", "the last hidden state is the cell's", "bound")
def _(right: Any, *arrays: Any, **options: Any) -> Any:
    y, h_n, c_n, *saved = right(*arrays, **options)
    return (y, c_n.copy() if c_n.shape == h_n.shape else h_n, c_n, *saved)


@defect("lstm_layer", "a reversed layer's result is in its own order", "bound")
def _(right: Any, *arrays: Any, reverse: bool, **options: Any) -> Any:
    y, *rest = right(*arrays, reverse=reverse, **options)
    return (np.ascontiguousarray(y[::-1]) if reverse and y.ndim == 3 else y, *rest)


@defect("gru_layer", "the state begins at zero", "bound")
def _(right: Any, x: Any, h0: Any, *more: Any, **options: Any) -> Any:
    return right(x, np.zeros_like(h0), *more, **options)


@defect("rnn_relu_layer", "tanh", "bound")
def _(right: Any, *arrays: Any, **options: Any) -> Any:
    y, *rest = right(*arrays, **options)
    return (np.tanh(y), *rest)


@defect("gru_layer_backward", "the initial state has no gradient", "bound")
def _(right: Any, *arrays: Any, **options: Any) -> Any:
    d, d_h0 = right(*arrays, **options)
    return d, np.zeros_like(d_h0)


@defect("lstm_layer_backward", "the upstream gradient of the last cell is ignored", "bound")
def _(right: Any, g_y: Any, g_h: Any, g_c: Any, *more: Any, **options: Any) -> Any:
    return right(g_y, g_h, np.zeros_like(g_c), *more, **options)


@defect("scaled_dot_product_attention", "the scale is 1 / E", "bound")
def _(right: Any, q: Any, *more: Any, scale: float, **options: Any) -> Any:
    return right(q, *more, scale=scale * scale, **options)


@defect("scaled_dot_product_attention", "a boolean mask hides what it should show", "bound")
def _(right: Any, q: Any, k: Any, v: Any, mask: Any, **options: Any) -> Any:
    wrong = mask is not None and mask.dtype == np.bool_
    return right(q, k, v, ~mask if wrong else mask, **options)


@defect("scaled_dot_product_attention_backward", "dv has dk's scale", "bound")
def _(right: Any, *arrays: Any, scale: float, **options: Any) -> Any:
    dq, dk, dv = right(*arrays, scale=scale, **options)
    return dq, dk, (dv * dv.dtype.type(scale)).astype(dv.dtype)


# --- norms and losses --------------------------------------------------------------------------


@defect("batch_norm", "the variance returned is n - 1", "bound")
def _(right: Any, x: Any, *more: Any, **options: Any) -> Any:
    y, mean, var, rstd = right(x, *more, **options)
    n = x.size // max(x.shape[1], 1)
    return y, mean, (var * (n / max(n - 1, 1))).astype(var.dtype), rstd


@defect("batch_norm_backward", "the weight's gradient lacks 1 / std", "bound")
def _(right: Any, g: Any, x: Any, mean: Any, rstd: Any, *more: Any, **options: Any) -> Any:
    dx, dw, db = right(g, x, mean, rstd, *more, **options)
    return dx, (dw / rstd).astype(dw.dtype), db


@defect("group_norm", "groups are interleaved", "bound")
def _(right: Any, x: Any, weight: Any, bias: Any, *, num_groups: int, eps: float) -> Any:
    n, c = x.shape[:2]
    each = c // num_groups
    mixed = x.reshape(n, each, num_groups, -1).swapaxes(1, 2).reshape(x.shape) if x.size else x
    y = right(np.ascontiguousarray(mixed), None, None, num_groups=num_groups, eps=eps)
    y = y.reshape(n, num_groups, each, -1).swapaxes(1, 2).reshape(x.shape) if x.size else y
    shape = (1, c) + (1,) * (x.ndim - 2)
    y = y if weight is None else y * weight.reshape(shape)
    return np.ascontiguousarray(y if bias is None else y + bias.reshape(shape))


@defect("rms_norm", "eps is added to the root", "hard inputs")
def _(right: Any, x: Any, weight: Any, *, normalized_shape: Any, eps: float) -> Any:
    axes = tuple(range(x.ndim - len(normalized_shape), x.ndim))
    y = x / (np.sqrt(np.mean(x * x, axes, keepdims=True)) + x.dtype.type(eps))
    return np.ascontiguousarray(y if weight is None else y * weight).astype(x.dtype)


@defect("softmax", "always along the last dimension", "bound")
def _(right: Any, x: Any, *, dim: int) -> Any:
    return right(x, dim=max(x.ndim - 1, 0))


@defect("log_softmax", "the logarithm of a softmax that underflows", "hard inputs")
def _(right: Any, x: Any, *, dim: int) -> Any:
    e = np.exp(x - x.max(dim, keepdims=True, initial=-np.inf))
    return np.asarray(np.log(e / e.sum(dim, keepdims=True)))


@defect("softmax_backward", "the sum is over everything", "bound")
def _(right: Any, g: Any, y: Any, *, dim: int) -> Any:
    return np.asarray(y * (g - (g * y).sum())).astype(y.dtype)


@defect("cross_entropy", "the mean is over all places, ignored ones too", "bound")
def _(right: Any, x: Any, t: Any, *more: Any, **options: Any) -> Any:
    y = right(x, t, *more, **options)
    if options["reduction"] != "mean" or t.dtype.kind == "f" or not t.size:
        return y
    kept = (t != options["ignore_index"]).sum()
    return (y * (kept / t.size)).astype(x.dtype)


@defect("cross_entropy", "the weighted mean is over places, not weights", "bound")
def _(right: Any, x: Any, t: Any, weight: Any, *, reduction: str, **options: Any) -> Any:
    if reduction != "mean" or weight is None or t.dtype.kind == "f":
        return right(x, t, weight, reduction=reduction, **options)
    y = right(x, t, weight, reduction="sum", **options)
    return (y / max(t.size, 1)).astype(x.dtype)


@defect("cross_entropy", "probabilities are taken for their largest class", "bound")
def _(right: Any, x: Any, t: Any, *more: Any, **options: Any) -> Any:
    if t.dtype.kind == "f" and t.size:
        classes = min(1, t.ndim - 1)
        t = (t == t.max(classes, keepdims=True)).astype(t.dtype)
    return right(x, t, *more, **options)


@defect("nll_loss", "the sum where the mean is wanted", "bound")
def _(right: Any, *arrays: Any, reduction: str, **options: Any) -> Any:
    return right(*arrays, reduction="sum" if reduction == "mean" else reduction, **options)


@defect("mse_loss", "the mean over the first dimension", "bound")
def _(right: Any, x: Any, *more: Any, reduction: str) -> Any:
    if reduction != "mean" or not x.ndim:
        return right(x, *more, reduction=reduction)
    return (right(x, *more, reduction="sum") / max(len(x), 1)).astype(x.dtype)


@defect("huber_loss_backward", "the slope beyond delta is 1", "bound")
def _(right: Any, *arrays: Any, delta: float, **options: Any) -> Any:
    return right(*arrays, delta=1.0, **options)


@defect("kl_div", "log_target is ignored", "bound")
def _(right: Any, *arrays: Any, log_target: bool, **options: Any) -> Any:
    return right(*arrays, log_target=False, **options)


@defect("l1_loss", "the weight is forgotten", "bound")
def _(right: Any, x: Any, target: Any, weight: Any, **options: Any) -> Any:
    return right(x, target, None, **options)


@defect("hinge_embedding_loss_backward", "the gradient of ones", "bound")
def _(right: Any, g: Any, *arrays: Any, **options: Any) -> Any:
    return right(np.ones_like(g), *arrays, **options)


@defect("ctc_loss", "the last frame is dropped", "bound")
def _(right: Any, x: Any, targets: Any, frames: Any, *more: Any, **options: Any) -> Any:
    return right(x, targets, np.maximum(frames - 1, 0), *more, **options)


# --- embeddings and optimisers -----------------------------------------------------------------


@defect("embedding", "the row after the one wanted", "bound")
def _(right: Any, weight: Any, index: Any, **options: Any) -> Any:
    return right(weight, (index + 1) % len(weight) if index.size else index, **options)


@defect("embedding_backward", "the mean of an index's gradients", "bound")
def _(right: Any, g: Any, index: Any, *, scale_grad_by_freq: bool, **options: Any) -> Any:
    return right(g, index, scale_grad_by_freq=True, **options)


@defect("sgd_step", "decay after the momentum", "bound")
def _(right: Any, p: Any, *more: Any, weight_decay: float, lr: float, **options: Any) -> Any:
    result = right(p, *more, weight_decay=0.0, lr=lr, **options)
    new, *rest = result if isinstance(result, tuple) else (result,)
    new = (new - lr * weight_decay * p).astype(p.dtype)
    return (new, *rest) if rest else new


@defect("sgd_step", "maximize is ignored", "bound")
def _(right: Any, *arrays: Any, maximize: bool, **options: Any) -> Any:
    return right(*arrays, maximize=False, **options)


@defect("adam_step", "the bias is corrected for the step before", "bound")
def _(right: Any, *arrays: Any, step: float, **options: Any) -> Any:
    return right(*arrays, step=max(step - 1, 1), **options)


@defect("adam_step", "the betas change places", "bound")
def _(right: Any, *arrays: Any, beta1: float, beta2: float, **options: Any) -> Any:
    return right(*arrays, beta1=beta2, beta2=beta1, **options)


@defect("rmsprop_step", "the root of the gradient's mean, not of its square's", "bound")
def _(right: Any, p: Any, g: Any, mean: Any, *more: Any, **options: Any) -> Any:
    return right(p, g, mean * mean, *more, **options)


@defect("adagrad_step", "lr decays a step too early", "bound")
def _(right: Any, *arrays: Any, step: float, **options: Any) -> Any:
    return right(*arrays, step=step + 1, **options)


@defect("lion_step", "the mean is updated by beta1", "bound")
def _(right: Any, *arrays: Any, beta1: float, beta2: float, **options: Any) -> Any:
    return right(*arrays, beta1=beta1, beta2=beta1, **options)


@defect("ema_step", "the decay is the new one's share", "bound")
def _(right: Any, *arrays: Any, decay: float) -> Any:
    return right(*arrays, decay=1 - decay)


@defect("total_norm", "the sum of norms", "bound")
def _(right: Any, *tensors: Any, norm_type: float) -> Any:
    parts = [right(t, norm_type=norm_type) for t in tensors]
    return np.asarray(sum(parts)).astype(parts[0].dtype) if parts else right(norm_type=norm_type)
