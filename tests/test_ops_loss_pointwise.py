"""Losses of two arrays agree with torch: values, first and second derivatives, every option."""

import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")
TF = torch.nn.functional

from agreement import CONFIGS, check_gradients, normal  # noqa: E402

import fastdl  # noqa: E402
import fastdl.functional as F  # noqa: E402
from fastdl import errors, nn  # noqa: E402
from fastdl.ops import OPS  # noqa: E402
from fastdl.ops.loss_pointwise import TABLE  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:.*(broadcast|divides|deprecated):UserWarning")

NAMES = sorted(TABLE)
SHAPES = [(), (1,), (7,), (5, 33), (2, 3, 17), (0, 3), (2, 4, 5, 3), (3, 5, 1500)]
UNIT = {np.float32: 2.0**-24, np.float64: 2.0**-53}


def pick(rng, *choices):
    return choices[rng.integers(len(choices))]


def strided(rng, a):
    """The same numbers, perhaps with other strides."""
    if a.ndim == 0 or rng.random() < 0.5:
        return a
    if rng.random() < 0.5:
        return np.asfortranarray(a)
    return np.repeat(a, 2, -1)[..., ::2] if rng.random() < 0.5 else a[..., ::-1].copy()[..., ::-1]


def inputs_of(rng, name, shape, dtype, options):
    x, t = rng.standard_normal(shape) * 3, rng.standard_normal(shape) * 3
    if name == "binary_cross_entropy":
        x = rng.random(shape)
        x = np.where(rng.random(shape) < 0.1, rng.integers(0, 2, shape), x)
    if name.startswith("binary") or (name == "kl_div" and not options.get("log_target")):
        t = rng.random(shape)
        t = np.where(rng.random(shape) < 0.3, rng.integers(0, 2, shape), t)
    if name == "hinge_embedding_loss":
        t = rng.integers(-1, 2, shape)
    if name == "soft_margin_loss":
        t = 2 * rng.integers(0, 2, shape) - 1
    return np.asarray(x).astype(dtype), np.asarray(t).astype(dtype)


def options_of(rng, name, shape, dtype):
    options = {"reduction": pick(rng, "mean", "sum", "none")}
    if name == "smooth_l1_loss":
        options["beta"] = pick(rng, 1.0, 0.25, 3, 0)
    if name == "huber_loss":
        options["delta"] = pick(rng, 1.0, 0.25, 3)
    if name == "hinge_embedding_loss":
        options["margin"] = pick(rng, 1.0, -0.5, 3)
    if name == "kl_div":
        options["log_target"] = pick(rng, False, True)
        options["reduction"] = pick(rng, "mean", "sum", "none", "batchmean")
    broadcast = pick(rng, shape, shape[1:], (1,) * len(shape))
    if name.startswith("binary") and rng.random() < 0.5:
        options["weight"] = np.asarray(rng.random(broadcast)).astype(dtype)
    if name.endswith("logits") and rng.random() < 0.5:
        options["pos_weight"] = np.asarray(rng.random(shape[-1:]) * 4).astype(dtype)
    if name in ("mse_loss", "l1_loss", "huber_loss") and rng.random() < 0.5:
        options["weight"] = np.asarray(rng.random(shape)).astype(dtype)
    return options


def as_torch(options):
    return {k: torch.tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(CONFIGS))
def test_values_and_gradients(name, seed):
    """Held to 64 roundings of the largest term that the formulas hold, for each term summed."""
    rng = np.random.default_rng([seed, NAMES.index(name)])
    shape, dtype = SHAPES[rng.integers(len(SHAPES))], pick(rng, np.float32, np.float64)
    options = options_of(rng, name, shape, dtype)
    x, t = inputs_of(rng, name, shape, dtype, options)
    x, t = strided(rng, x), strided(rng, t)
    wide = {k: v.astype("f8") if isinstance(v, np.ndarray) else v for k, v in options.items()}
    a = torch.tensor(x.astype("f8"), requires_grad=True)
    want = getattr(TF, name)(a, torch.tensor(t.astype("f8")), **as_torch(wide))
    leaf = fastdl.Tensor(x, requires_grad=True)
    got = getattr(F, name)(leaf, t, **options)
    assert tuple(got.shape) == tuple(want.shape) and got.dtype == dtype
    bare = getattr(F, name)(x, t, **options)
    assert np.array_equal(bare, got.detach().numpy(), equal_nan=True)

    most = 1 + max(np.abs(x).max(initial=0), np.abs(t).max(initial=0))
    weights = [np.abs(v).max(initial=0) for v in options.values() if isinstance(v, np.ndarray)]
    scale = most**2 * np.prod([1 + w for w in weights])
    if options.get("log_target"):
        scale *= np.exp(most)
    if name == "binary_cross_entropy":
        scale *= 100  # of a clamped logarithm
    terms = x.size if options["reduction"] in ("sum", "batchmean") else 1
    tolerance = 64 * UNIT[dtype] * scale * max(terms, 1)
    value = want.detach().numpy()
    assert np.array_equal(np.isnan(bare), np.isnan(value))
    assert np.all((np.abs(bare - value) <= tolerance) | np.isnan(value))

    g = np.asarray(rng.standard_normal(tuple(want.shape))).astype(dtype)
    got.backward(g)
    (dx,) = torch.autograd.grad(want, a, torch.tensor(g.astype("f8")))
    found, dx = leaf.grad.numpy(), dx.numpy()
    steepest = 1 / np.maximum(x * (1 - x), 1e-12) if name == "binary_cross_entropy" else 1.0
    limit = 64 * UNIT[dtype] * scale * steepest * (1 + np.abs(g).max(initial=0))
    assert np.all((np.abs(found - dx) <= limit) | (np.isnan(found) & np.isnan(dx)))


CASES = [
    ("mse_loss", {}),
    ("mse_loss", {"reduction": "none"}),
    ("l1_loss", {"reduction": "sum"}),
    ("smooth_l1_loss", {"beta": 0.7}),
    ("huber_loss", {"delta": 0.7, "reduction": "none"}),
    ("soft_margin_loss", {}),
    ("hinge_embedding_loss", {"margin": 0.7}),
    ("binary_cross_entropy", {"reduction": "none"}),
    ("binary_cross_entropy", {}),
    ("binary_cross_entropy_with_logits", {"reduction": "none"}),
    ("binary_cross_entropy_with_logits", {"pos_weight": 1.5}),
    ("kl_div", {"reduction": "batchmean"}),
    ("kl_div", {"log_target": True, "reduction": "none"}),
]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_derivatives(name, options, weighted):
    """First ones against torch and differences, second ones against torch; of targets too."""
    x, t = normal(3, 4, dtype="f8"), normal(3, 4, seed=1, dtype="f8")
    if name == "binary_cross_entropy":
        x = 1 / (1 + np.exp(-x))
    if name.startswith("binary") or name == "kl_div":
        t = 1 / (1 + np.exp(-t))
    taken = ("mse_loss", "l1_loss", "huber_loss")
    if weighted and not (name.startswith("binary") or name in taken):
        return
    fixed = {"weight": np.exp(normal(3, 4, seed=2, dtype="f8"))} if weighted else {}
    if "pos_weight" in options:
        fixed["pos_weight"] = np.full(4, options["pos_weight"])
    options = {k: v for k, v in options.items() if k != "pos_weight"}

    def ours(*arrays):
        extra = {k: v.astype(arrays[0].dtype) for k, v in fixed.items()}
        return getattr(F, name)(
            *arrays, *((t_fixed,) if len(arrays) < 2 else ()), **options, **extra
        )

    def theirs(*arrays):
        t = (torch.tensor(t_fixed),) if len(arrays) < 2 else ()
        return getattr(TF, name)(*arrays, *t, **options, **as_torch(fixed))

    t_fixed = np.sign(t) if name in ("hinge_embedding_loss", "soft_margin_loss") else t
    arrays = (x,) if t_fixed is not t else (x, t)
    # torch has a constant zero for l1, and an epsilon of its own in the second one of bce.
    second = name not in ("l1_loss", "binary_cross_entropy")
    check_gradients(name, *arrays, ours=ours, theirs=theirs, second=second)


def test_second_derivatives_of_bce():
    """t / x² + (1 − t) / (1 − x)² by x, −1 / (x (1 − x)) by x and t."""
    x, t = (1 / (1 + np.exp(-normal(3, 4, seed=i, dtype="f8"))) for i in range(2))
    a, b = fastdl.Tensor(x, requires_grad=True), fastdl.Tensor(t, requires_grad=True)
    loss = F.binary_cross_entropy(a, b, reduction="sum")
    (dx,) = fastdl.grad(loss, [a], create_graph=True)
    dxx, dxt = fastdl.grad(dx.sum(), [a, b])
    np.testing.assert_allclose(dxx.numpy(), t / x**2 + (1 - t) / (1 - x) ** 2, rtol=1e-13)
    np.testing.assert_allclose(dxt.numpy(), -1 / (x * (1 - x)), rtol=1e-13)


@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "huber_loss"])
def test_weights_have_gradients_as_in_torch(name, reduction):
    def of(module):
        return lambda x, t, w: getattr(module, name)(x, t, weight=w, reduction=reduction)

    arrays = normal(3, 4), normal(3, 4, seed=1), np.exp(normal(3, 4, seed=2))
    check_gradients(name, *arrays, ours=of(F), theirs=of(TF), second=name != "l1_loss")


@pytest.mark.parametrize("seed", range(CONFIGS))
def test_margin_ranking(seed):
    rng = np.random.default_rng(seed)
    shape = SHAPES[rng.integers(len(SHAPES))]
    x, y = rng.integers(-3, 4, (2, *shape)).astype("f8")  # ties, and hinges just met
    t = 2.0 * rng.integers(0, 2, shape) - 1
    options = {"margin": pick(rng, 0, 1, 0.5), "reduction": pick(rng, "mean", "sum", "none")}
    mine = [fastdl.Tensor(np.asarray(a), requires_grad=True) for a in (x, y)]
    peers = [torch.tensor(a, requires_grad=True) for a in (x, y)]
    got = F.margin_ranking_loss(*mine, t, **options)
    want = TF.margin_ranking_loss(*peers, torch.tensor(t), **options)
    np.testing.assert_allclose(got.detach().numpy(), want.detach().numpy(), rtol=1e-14)
    got.sum().backward()
    want.sum().backward()
    for a, b in zip(mine, peers, strict=True):
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-14)
    with pytest.raises(errors.ShapeError):
        F.margin_ranking_loss(np.zeros((2, 3)), np.zeros(3), np.zeros((2, 3)))


def test_broadcasting_warns_or_is_refused():
    x, t = normal(3, 4), normal(4)
    with pytest.warns(UserWarning, match="broadcast"):
        got = F.mse_loss(x, t)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        want = TF.mse_loss(torch.tensor(x), torch.tensor(t))
    assert np.isclose(got, want.item())
    for name in ("binary_cross_entropy", "binary_cross_entropy_with_logits"):
        with pytest.raises(errors.ShapeError, match=name):
            getattr(F, name)(np.abs(x) % 1, np.abs(t) % 1)
    with pytest.raises(errors.ShapeError, match="weight"):
        F.mse_loss(x, x, weight=t)
    with pytest.raises(errors.ArgumentError, match="reduction"):
        F.kl_div(x, x, reduction="max")
    with pytest.raises(errors.ArgumentError, match="outside 0 to 1"):
        F.binary_cross_entropy(x - 9, x)


@pytest.mark.parametrize("name", NAMES)
def test_large_inputs(name):
    """No overflow on the way; torch's soft margin alone overflows where it need not."""
    x = np.array([0, 1e-30, 90, -90, 200, 1e4, -1e4], np.float32)
    t = np.where(np.arange(7) % 2, 1, -1).astype(np.float32)
    if name.startswith("binary") or name == "kl_div":
        t = np.abs(t)
    if name == "binary_cross_entropy":
        x = np.clip(x, 0, 1)
    wide = getattr(TF, name)(torch.tensor(x).double(), torch.tensor(t).double(), reduction="none")
    want, got = wide.numpy(), getattr(F, name)(x, t, reduction="none")
    if name == "soft_margin_loss":
        want = np.logaddexp(0, -t.astype("f8") * x)
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-44)


def test_out_and_no_copy_of_the_format():
    x = np.ascontiguousarray(normal(2, 5, 6, 3)).transpose(0, 3, 1, 2)
    y = F.mse_loss(x, x + 1, reduction="none")
    assert y.strides == x.strides
    out = np.empty_like(x)
    spec = OPS["mse_loss"]
    assert spec(x, x + 1, reduction="none", out=out) is out and (out == y).all()
    with pytest.raises(errors.OverlapError):
        spec(x, out, reduction="none", out=out)


LAYERS = [
    (nn.MSELoss, {}), (nn.L1Loss, {"reduction": "sum"}), (nn.SmoothL1Loss, {"beta": 0.5}),
    (nn.HuberLoss, {"delta": 0.5}), (nn.SoftMarginLoss, {}), (nn.HingeEmbeddingLoss, {"margin": 2}),
    (nn.BCEWithLogitsLoss, {"pos_weight": [2.0, 1.0, 0.5, 3.0], "weight": [1.0, 2.0, 3.0, 4.0]}),
    (nn.KLDivLoss, {"reduction": "batchmean"}), (nn.BCELoss, {"weight": [1.0, 2.0, 3.0, 4.0]}),
    (nn.MarginRankingLoss, {"margin": 0.5}),
]  # fmt: skip


@pytest.mark.parametrize(("layer", "options"), LAYERS, ids=str)
def test_layers(layer, options):
    def made(module, make):
        given = {k: make(v) if isinstance(v, list) else v for k, v in options.items()}
        return module(**given)

    count = 3 if layer is nn.MarginRankingLoss else 2
    arrays = [np.abs(normal(3, 4, seed=i)) % 1 for i in range(count)]
    ours = made(layer, lambda v: fastdl.Tensor(np.array(v, np.float32)))
    theirs = made(getattr(torch.nn, layer.__name__), torch.tensor)
    want = theirs(*map(torch.tensor, arrays)).item()
    assert np.isclose(ours(*arrays), want, rtol=1e-5)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert repr(ours).startswith(layer.__name__)
