"""The first slice's functions against torch over random calls, values and gradients in float64.

Shapes with sizes of 0 and 1, any strides, every option. Where torch refuses a call, so must we.
Two orders of summation of some hundred terms may differ by 2⁻⁴⁰ of the largest element.
"""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from agreement import BETWEEN_LIBRARIES, CONFIGS, close  # noqa: E402

import fastdl  # noqa: E402
import fastdl.functional as F  # noqa: E402

TF = torch.nn.functional
pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same'")  # torch's, of its speed


def pick(rng, *choices):
    return choices[rng.integers(len(choices))]


def strided(rng, shape, last=False):
    """Normal numbers of a shape: contiguous, channels-last, transposed, or every second element."""
    shape = tuple(map(int, shape))
    if last and len(shape) == 4:
        n, c, h, w = shape
        return rng.normal(size=(n, h, w, c)).transpose(0, 3, 1, 2)
    way = rng.integers(4)
    if way == 0 and len(shape) > 1:
        return rng.normal(size=shape[::-1]).T
    if way == 1 and shape:
        return rng.normal(size=(*shape[:-1], 2 * shape[-1]))[..., ::2]
    return np.asarray(rng.normal(size=shape))


def random_shape(rng, least=0, most=4):
    return tuple(int(rng.choice([0, 1, 2, 3, 5, 9, 17])) if rng.random() < 0.9 else 0
                 for _ in range(rng.integers(least, most + 1)))  # fmt: skip


def outputs(result, module):
    found = result if isinstance(result, (tuple, list)) else (result,)
    return [y for y in found if isinstance(y, module.Tensor)]


def near(got, want):
    """Of the same class where not finite (the mean of nothing), else close."""
    odd = ~np.isfinite(want)
    np.testing.assert_array_equal(got[odd], want[odd])
    close(np.where(odd, 0, got), np.where(odd, 0, want), BETWEEN_LIBRARIES)


def agree(ours, theirs, *arrays):
    """Both refuse the call, or give the same values and the same gradients."""
    arrays = [np.asarray(a) if isinstance(a, np.generic) else a for a in arrays]
    floats = [isinstance(a, np.ndarray) and a.dtype.kind == "f" for a in arrays]
    mine = [fastdl.Tensor(a, requires_grad=f) if isinstance(a, np.ndarray) else a
            for a, f in zip(arrays, floats, strict=True)]  # fmt: skip
    peer = [torch.from_numpy(a.copy(order="K")).requires_grad_(f)
            if isinstance(a, np.ndarray) else a
            for a, f in zip(arrays, floats, strict=True)]  # fmt: skip
    try:
        wanted = outputs(theirs(*peer), torch)
    except (RuntimeError, ValueError, IndexError, TypeError):
        with pytest.raises(fastdl.errors.FastdlError):
            ours(*mine)
        return
    found = outputs(ours(*mine), fastdl)
    rng = np.random.default_rng(1)
    for y, z in zip(found, wanted, strict=True):
        assert y.shape == tuple(z.shape)
        assert y.dtype == z.detach().numpy().dtype
        if not z.is_floating_point():
            np.testing.assert_array_equal(y.numpy(), z.numpy())
            continue
        near(y.detach().numpy(), z.detach().numpy())
        if not z.requires_grad:
            continue
        upstream = np.asarray(rng.normal(size=y.shape))
        y.backward(upstream, retain_graph=True)
        z.backward(torch.from_numpy(upstream), retain_graph=True)
    for a, b, f in zip(mine, peer, floats, strict=True):
        if f and b.grad is not None:
            near(a.grad.numpy(), b.grad.numpy())


seeds = pytest.mark.parametrize("seed", range(CONFIGS))


@seeds
@pytest.mark.parametrize("name", ["add", "sub", "mul", "div", "eq", "ne", "lt", "le", "gt", "ge"])
def test_two_operands(name, seed):
    rng = np.random.default_rng([seed, len(name)])
    shape = random_shape(rng)
    cut = rng.integers(len(shape) + 1)
    other = tuple(1 if rng.random() < 0.3 else n for n in shape[cut:])
    a, b = strided(rng, shape), strided(rng, other)
    if rng.random() < 0.3:
        a, b = np.round(a), np.round(b)
    if name == "div":
        b = np.where(np.abs(b) < 0.1, 0.5, b)
    if rng.random() < 0.5:
        a, b = b, a
        if name == "div":
            b = np.where(np.abs(b) < 0.1, 0.5, b)
    agree(getattr(F, name), getattr(torch, name), a, b)
    condition = np.asarray(rng.random(shape) < 0.5)
    agree(F.where, torch.where, condition, a, b)


@seeds
@pytest.mark.parametrize("name", ["neg", "relu", "exp", "log", "tanh", "sigmoid", "erf"])
def test_one_operand(name, seed):
    rng = np.random.default_rng([seed, 2])
    x = strided(rng, random_shape(rng))
    x = np.abs(x) + 0.1 if name == "log" else x
    agree(getattr(F, name), getattr(torch.special if name == "erf" else torch, name), x)


@seeds
@pytest.mark.parametrize("name", ["sum", "mean", "amax", "max", "argmax"])
def test_reductions(name, seed):
    rng = np.random.default_rng([seed, 3])
    x = strided(rng, random_shape(rng, 1))
    if rng.random() < 0.3 and name != "max":  # whose ties torch breaks either way
        x = np.round(x)
    dim, keep = int(rng.integers(-x.ndim, x.ndim)), bool(rng.integers(2))
    if name in ("sum", "mean", "amax") and rng.random() < 0.5:
        dim = tuple(int(d) for d in rng.permutation(x.ndim)[: rng.integers(1, x.ndim + 1)])
    if rng.random() < 0.2:
        agree(getattr(F, name), getattr(torch, name), x)
    if name == "argmax" and x.size:
        x = rng.permutation(x.size).reshape(x.shape).astype("f8")  # torch takes any of equal ones
    agree(
        lambda t: getattr(F, name)(t, dim, keep),
        lambda t: getattr(torch, name)(t, dim=dim, keepdim=keep), x,
    )  # fmt: skip


@seeds
def test_matmul_and_linear(seed):
    rng = np.random.default_rng([seed, 4])
    m, k, n = (int(rng.choice([0, 1, 2, 5, 8, 17, 33])) for _ in range(3))
    batch = random_shape(rng, 0, 2)
    left = tuple(1 if rng.random() < 0.3 else b for b in batch[rng.integers(len(batch) + 1) :])
    a, b = strided(rng, (*left, m, k)), strided(rng, (*batch, k, n))
    if rng.random() < 0.2:
        a = strided(rng, (k,))
    if rng.random() < 0.2:
        b = strided(rng, (k,))
    agree(F.matmul, torch.matmul, a, b)
    x, w = strided(rng, (*batch, k)), strided(rng, (n, k))
    bias = strided(rng, (n,)) if rng.random() < 0.5 else None
    agree(F.linear, TF.linear, x, w, bias)


@seeds
def test_conv2d(seed):
    rng = np.random.default_rng([seed, 5])
    groups = int(rng.choice([1, 1, 2, 3]))
    channels, out = groups * int(rng.integers(1, 5)), groups * int(rng.integers(1, 6))
    kernel = rng.integers(1, 5, 2)
    x = strided(rng, (rng.integers(0, 4), channels, *rng.integers(1, 14, 2)), rng.random() < 0.4)
    w = strided(rng, (out, channels // groups, *kernel), rng.random() < 0.4)
    bias = strided(rng, (out,)) if rng.random() < 0.5 else None
    stride, dilation = (tuple(map(int, rng.integers(1, 4, 2))) for _ in range(2))
    padding = pick(rng, 0, 1, (2, 1), "valid", "same")
    if padding == "same":
        stride = 1
    if rng.random() < 0.15:
        x = x[0] if len(x) else x
    agree(
        lambda *t: F.conv2d(*t, stride, padding, dilation, groups),
        lambda *t: TF.conv2d(*t, stride, padding, dilation, groups), x, w, bias,
    )  # fmt: skip


@seeds
def test_pools(seed):
    rng = np.random.default_rng([seed, 6])
    shape = (rng.integers(0, 3), rng.integers(1, 20), *rng.integers(1, 14, 2))
    x = strided(rng, shape, rng.random() < 0.4)
    kernel = tuple(map(int, rng.integers(1, 5, 2)))
    stride = pick(rng, None, 1, 2, (3, 1))
    padding = pick(rng, 0, tuple(k // 2 for k in kernel))
    ceil, dilation = bool(rng.integers(2)), int(rng.integers(1, 3))
    if min(shape[2:]) < dilation:  # a window that steps over the image: torch's gradient goes to an
        dilation = 1  # element that the window does not cover, ours nowhere (test_ops_pool.py)
    agree(
        lambda t: F.max_pool2d(t, kernel, stride, padding, dilation, ceil, True),
        lambda t: TF.max_pool2d(t, kernel, stride, padding, dilation, ceil, True), x,
    )  # fmt: skip
    include, divisor = bool(rng.integers(2)), pick(rng, None, 3, -2)
    agree(
        lambda t: F.avg_pool2d(t, kernel, stride, padding, ceil, include, divisor),
        lambda t: TF.avg_pool2d(t, kernel, stride, padding, ceil, include, divisor), x,
    )  # fmt: skip


@seeds
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax(name, seed):
    rng = np.random.default_rng([seed, 7])
    x = strided(rng, random_shape(rng, 1)) * pick(rng, 1, 30)
    dim = int(rng.integers(-x.ndim, x.ndim))
    agree(lambda t: getattr(F, name)(t, dim), lambda t: getattr(TF, name)(t, dim), x)


@seeds
def test_shapes(seed):
    rng = np.random.default_rng([seed, 8])
    x = strided(rng, random_shape(rng, 1))
    order = tuple(int(d) for d in rng.permutation(x.ndim))
    agree(lambda t: F.permute(t, order), lambda t: torch.permute(t, order), x)
    a, b = (int(d) for d in rng.integers(-x.ndim, x.ndim, 2))
    agree(lambda t: F.transpose(t, a, b), lambda t: torch.transpose(t, a, b), x)
    agree(lambda t: F.flatten(t, a, b), lambda t: torch.flatten(t, a, b), x)
    if x.size:
        agree(lambda t: F.reshape(t, (-1, 1)), lambda t: torch.reshape(t, (-1, 1)), x)
    size = list(x.shape)
    size[a] = int(rng.integers(0, 4))
    y = strided(rng, size)
    agree(lambda *t: F.cat(t, a), lambda *t: torch.cat(t, a), x, y, x)
    index = tuple(
        pick(rng, slice(None), slice(1, None), slice(None, None, 2), slice(0, 1)) if n else
        slice(None) for n in x.shape
    )  # fmt: skip
    agree(lambda t: t[index], lambda t: t[index], x)
    if x.shape[0]:
        rows = rng.integers(-x.shape[0], x.shape[0], (2, 3))
        agree(lambda t: t[rows], lambda t: t[torch.from_numpy(rows)], x)
        agree(lambda t: t[int(rows[0, 0])], lambda t: t[int(rows[0, 0])], x)
    mask = rng.random(x.shape) < 0.5
    agree(lambda t: t[mask], lambda t: t[torch.from_numpy(mask)], x)
