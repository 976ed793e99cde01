"""1-D, 3-D and transposed convolution against torch, over random calls; and their second
derivatives."""

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from agreement import CONFIGS, close
from derivatives import check_second
from own_memory import run_guarded
from product_agreement import FLOATS, check_products, draw, pick

import fastdl
import fastdl.functional as F

TF = torch.nn.functional
ignore_same = pytest.mark.filterwarnings("ignore:Using padding='same'")  # torch's, on an odd total


def numbers(rng, axes, low, high):
    """An option as one number or as one for each dimension."""
    return pick(rng, int(rng.integers(low, high)), tuple(map(int, rng.integers(low, high, axes))))


def random_convolution(rng, axes, transposed=False):
    groups, n = pick(rng, 1, 1, 2, 3), pick(rng, 1, 2, 2, 0)
    a, b = int(groups * rng.integers(1, 4)), int(rng.integers(1, 4))
    size = tuple(map(int, rng.integers(1, 7 if axes == 3 else 12, axes)))
    kernel = tuple(map(int, rng.integers(1, 4 if axes == 3 else 5, axes)))
    options = {
        "stride": pick(rng, 1, numbers(rng, axes, 1, 4)),
        "padding": pick(rng, 0, numbers(rng, axes, 0, 3)),
        "dilation": pick(rng, 1, numbers(rng, axes, 1, 4)),
        "groups": groups,
    }
    if transposed:
        options["output_padding"] = pick(rng, 0, numbers(rng, axes, 0, 3))
        if n == 0:  # torch then checks neither
            options |= {"padding": 0, "output_padding": 0}
        c, w, k = a, (a, b, *kernel), b * groups
    else:
        if rng.random() < 0.3:
            options |= {"padding": pick(rng, "same", "valid"), "stride": 1}
        c, w, k = b * groups, (a, b, *kernel), a
    dtype, last = pick(rng, *FLOATS), bool(rng.integers(2))
    shape = (n, c, *size)
    if rng.random() < 0.2:
        shape = shape[1:]
    arrays = [draw(rng, shape, dtype, last), draw(rng, w, dtype, bool(rng.integers(2)))]
    if last and len(shape) == 3 and axes == 1:  # [N, L, C] in memory
        arrays[0] = np.ascontiguousarray(arrays[0].swapaxes(1, 2)).swapaxes(1, 2)
    if rng.random() < 0.3:  # a slice of something larger
        arrays[0] = np.repeat(arrays[0], 2, -1)[..., ::2]
    if rng.random() < 0.5:
        arrays.append(draw(rng, (k,), dtype))
    return arrays, options


@ignore_same
@pytest.mark.parametrize("seed", range(2 * CONFIGS))
@pytest.mark.parametrize("axes", [1, 3])
def test_convolution(axes, seed):
    arrays, options = random_convolution(np.random.default_rng([axes, seed]), axes)
    name = f"conv{axes}d"
    check_products(getattr(F, name), getattr(TF, name), arrays, **options)


@pytest.mark.parametrize("seed", range(2 * CONFIGS))
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_transposed_convolution(axes, seed):
    rng = np.random.default_rng([axes, seed, 7])
    arrays, options = random_convolution(rng, axes, transposed=True)
    name = f"conv_transpose{axes}d"
    spans = zip(arrays[0].shape[-axes:], arrays[1].shape[2:], *(
        np.broadcast_to(options[k], axes).tolist()
        for k in ("stride", "padding", "output_padding", "dilation")
    ), strict=True)  # fmt: skip
    if any((n - 1) * s - 2 * p + d * (k - 1) + more + 1 == 0 for n, k, s, p, more, d in spans):
        # Nothing is left: torch refuses that of images, and gives it of volumes. Here both are.
        with pytest.raises(fastdl.errors.FastdlError):
            getattr(F, name)(*arrays, **options)
        return
    check_products(getattr(F, name), getattr(TF, name), arrays, **options)


@pytest.mark.parametrize("seed", range(CONFIGS))
def test_one_pixel_images_are_a_product(seed):
    rng = np.random.default_rng([seed, 11])
    groups, dtype = pick(rng, 1, 2), pick(rng, *FLOATS)
    c, k, kernel = groups * int(rng.integers(1, 9)), int(rng.integers(1, 9)), rng.integers(1, 5, 2)
    arrays = [
        draw(rng, (int(rng.integers(1, 5)), c, 1, 1), dtype),
        draw(rng, (c, k, *kernel), dtype),
    ]
    if rng.random() < 0.5:
        arrays.append(draw(rng, (k * groups,), dtype))
    options = {"stride": pick(rng, 1, 2), "groups": groups}
    check_products(F.conv_transpose2d, TF.conv_transpose2d, arrays, **options)


@pytest.mark.parametrize(
    "options",
    [
        {"stride": 2, "padding": 1, "output_padding": 1},
        {"stride": (1, 2), "padding": (0, 3), "output_padding": (2, 2), "dilation": 3},
    ],
)
def test_second_derivatives_of_conv_transpose2d(options):
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 4, 4, 5)), rng.standard_normal((4, 3, 2, 3))
    check_second("conv_transpose2d", [x, w], **options)


@pytest.mark.parametrize("seed", range(2 * CONFIGS))
def test_unfold_and_fold(seed):
    rng = np.random.default_rng([seed, 13])
    options = {
        "kernel_size": numbers(rng, 2, 1, 4),
        "dilation": numbers(rng, 2, 1, 3),
        "padding": numbers(rng, 2, 0, 4),
        "stride": numbers(rng, 2, 1, 4),
    }
    size = tuple(map(int, rng.integers(1, 9, 2)))
    shape = (pick(rng, 1, 2), int(rng.integers(1, 5)), *size)
    x = draw(rng, shape[rng.random() < 0.2 :], pick(rng, *FLOATS), bool(rng.integers(2)))
    if check_products(F.unfold, TF.unfold, [x], **options) is None:
        return
    columns = draw(rng, F.unfold(x, **options).shape, x.dtype.name)
    check_products(F.fold, TF.fold, [columns], output_size=size, **options)


def test_infinite_weights_meet_no_padding():
    """0 · inf of a padding that is no term must not make NaN."""
    w = np.ones((1, 1, 2, 2), np.float32)
    w[0, 0, 0, 0] = np.inf
    x = np.ones((1, 1, 3, 3), np.float32)
    y = F.conv_transpose2d(x, w)
    assert (
        not np.isnan(y).any() and np.isinf(y[..., :3, :3]).all() and np.isfinite(y[..., 3, :]).all()
    )
    wide = F.conv_transpose3d(x[None], w[None])
    np.testing.assert_array_equal(wide[0], y)


def test_errors_name_the_function():
    with pytest.raises(fastdl.errors.ShapeError, match="conv1d: argument input"):
        F.conv1d(np.ones((1, 2, 3, 4)), np.ones((1, 2, 3)))
    with pytest.raises(fastdl.errors.ArgumentError, match="conv1d: stride"):
        F.conv1d(np.ones((1, 2, 3)), np.ones((1, 2, 3)), stride=(1, 2))
    with pytest.raises(fastdl.errors.ArgumentError, match="output_padding"):
        F.conv_transpose2d(np.ones((1, 1, 3, 3)), np.ones((1, 1, 3, 3)), output_padding=1)


def test_large_volumes_are_cut_into_blocks(monkeypatch):
    """Blocks of images agree with one block, forward and backward."""
    from fastdl.core import volumes

    rng = np.random.default_rng(3)
    arrays = [rng.standard_normal((5, 2, 4, 5, 3)), rng.standard_normal((3, 2, 3, 3, 2))]

    def run():
        x, w = (fastdl.Tensor(a, requires_grad=True) for a in arrays)
        y = F.conv3d(x, w, stride=(2, 1, 1), padding=1)
        y.backward(np.ones(y.shape))
        return y.detach().numpy(), x.grad.numpy(), w.grad.numpy()

    whole = run()
    monkeypatch.setattr(volumes, "BLOCK", 1)
    for got, want in zip(run(), whole, strict=True):
        close(got, want, 2.0**-40)


@pytest.mark.parametrize("mode", ["guard_end", "guard_start"])
@pytest.mark.parametrize("name", ["conv_transpose2d", "conv3d", "unfold"])
def test_touches_only_its_own_memory(name, mode):
    run_guarded(name, mode)
