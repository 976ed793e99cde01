"""Optimisers, clipping and averages agree with torch's over random options, shapes and strides."""

import copy
from contextlib import nullcontext

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from agreement import CONFIGS  # noqa: E402

import fastdl  # noqa: E402
from fastdl import errors, nn, optim  # noqa: E402
from fastdl.nn import utils  # noqa: E402
from fastdl.optim import swa_utils  # noqa: E402

STEPS = 4


def pick(rng, *values):
    return values[rng.integers(len(values))]


def options_of(kind, rng):
    """Random options that both take."""
    o = {"lr": pick(rng, 1e-3, 0.05, 0.5), "weight_decay": pick(rng, 0, 0.01, 0.2),
         "maximize": pick(rng, False, True)}  # fmt: skip
    if kind == "SGD":
        o |= {"momentum": pick(rng, 0, 0.9), "dampening": pick(rng, 0, 0.3)}
        o["nesterov"] = o["momentum"] > 0 and o["dampening"] == 0 and pick(rng, False, True)
    if kind in ("Adam", "AdamW"):
        o |= {"betas": (pick(rng, 0.0, 0.3, 0.9), pick(rng, 0.5, 0.999)),
              "eps": pick(rng, 1e-8, 1e-3), "amsgrad": pick(rng, False, True)}  # fmt: skip
    if kind == "Adam":
        o["decoupled_weight_decay"] = pick(rng, False, True)
    if kind == "RMSprop":
        o |= {"alpha": pick(rng, 0.3, 0.99), "momentum": pick(rng, 0, 0.9),
              "centered": pick(rng, False, True), "eps": 1e-3}  # fmt: skip
    if kind == "Adagrad":
        o |= {"lr_decay": pick(rng, 0, 0.1), "initial_accumulator_value": pick(rng, 0, 0.5)}
    return o


def leaves(rng, dtype):
    """Parameters of ours and torch's with the same numbers, of any rank and in any order."""
    mine, theirs = [], []
    for _ in range(rng.integers(1, 6)):
        shape = tuple(int(n) for n in rng.integers(0, 6, rng.integers(0, 5)))
        a = np.asarray(rng.standard_normal(shape)).astype(dtype)
        mine.append(fastdl.Parameter(fastdl.from_numpy(np.array(a, order=pick(rng, "C", "F")))))
        theirs.append(torch.nn.Parameter(torch.tensor(a)))
    return mine, theirs


def give_gradients(rng, mine, theirs, missing=0.2):
    for p, q in zip(mine, theirs, strict=True):
        if rng.random() < missing:
            p.grad = q.grad = None
            continue
        g = np.asarray(rng.standard_normal(p.shape)).astype(p.dtype)
        strided = np.repeat(g[..., None], 2, -1)[..., 0]
        p.grad = fastdl.from_numpy(strided if rng.random() < 0.3 else g)
        q.grad = torch.tensor(g)


def agree(p, q, dtype):
    """A step is some ten roundings of numbers that step and root keep near one; STEPS of them."""
    mine, theirs = p.detach().numpy(), q.detach().numpy()
    assert mine.dtype == theirs.dtype and mine.shape == theirs.shape
    unit = np.finfo(dtype).eps
    scale = 1 + np.max(np.abs(theirs), initial=0)
    # Torch divides by another rounding of √v/root + eps; where v is tiny that is a quotient of two
    # small numbers, each with its own relative error.
    assert np.max(np.abs(mine - theirs), initial=0) <= 64 * STEPS * unit * scale


@pytest.mark.parametrize("kind", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad"])
@pytest.mark.parametrize("backend", [None, "numba", "reference"])
def test_steps_agree(kind, backend):
    count = CONFIGS if backend is None else max(CONFIGS // 4, 2)
    for config in range(count):
        rng = np.random.default_rng([config, len(kind)])
        dtype = pick(rng, np.float32, np.float64)
        mine, theirs = leaves(rng, dtype)
        o = options_of(kind, rng)
        own = {"lr": 0.02}
        half = len(mine) // 2
        groups = [[{"params": part[:half], **own}, {"params": part[half:]}] if half else part
                  for part in (mine, theirs)]  # fmt: skip
        ours, peer = (
            getattr(optim, kind)(groups[0], **o),
            getattr(torch.optim, kind)(groups[1], **o),
        )
        for _ in range(STEPS):
            give_gradients(rng, mine, theirs)
            with fastdl.use_backend(backend) if backend else nullcontext():
                ours.step()
            peer.step()
        for p, q in zip(mine, theirs, strict=True):
            agree(p, q, dtype)
        saved, wanted = ours.state_dict(), peer.state_dict()
        assert saved["param_groups"] == wanted["param_groups"]
        assert saved["state"].keys() == wanted["state"].keys()
        for i, state in wanted["state"].items():
            assert saved["state"][i].keys() == state.keys()
            for name, value in state.items():
                agree(saved["state"][i][name], value, dtype)


def test_lion_is_its_formula():
    rng = np.random.default_rng(0)
    p, m = rng.standard_normal(37), np.zeros(37)
    leaf = fastdl.Parameter(fastdl.from_numpy(p.copy()))
    optimizer = optim.Lion([leaf], lr=0.1, weight_decay=0.5)
    for _ in range(5):
        g = rng.standard_normal(37)
        leaf.grad = fastdl.from_numpy(g)
        optimizer.step()
        p = p * (1 - 0.1 * 0.5) - 0.1 * np.sign(0.9 * m + 0.1 * g)
        m = 0.99 * m + 0.01 * g
    np.testing.assert_allclose(leaf.detach().numpy(), p, rtol=0, atol=1e-14)
    assert optimizer.state_dict()["state"][0].keys() == {"exp_avg"}


@pytest.mark.parametrize("kind", ["SGD", "Adam", "RMSprop", "Adagrad", "Lion"])
def test_resumed_training_has_the_same_bits(kind):
    rng = np.random.default_rng(1)
    o = {"lr": 0.01} | ({"momentum": 0.9} if kind in ("SGD", "RMSprop") else {})
    mine = [fastdl.Parameter(fastdl.from_numpy(rng.standard_normal(s).astype("f4")))
            for s in ((3, 4), (5,), (2, 3, 4, 4))]  # fmt: skip
    first = getattr(optim, kind)(mine, **o)
    gradients = [[fastdl.from_numpy(rng.standard_normal(p.shape).astype("f4")) for p in mine]
                 for _ in range(6)]  # fmt: skip

    def run(parameters, optimizer, these):
        for step in these:
            for p, g in zip(parameters, step, strict=True):
                p.grad = g
            optimizer.step()

    run(mine, first, gradients[:3])
    again = [fastdl.Parameter(p.detach().clone()) for p in mine]
    second = getattr(optim, kind)(again, lr=1.0)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    run(mine, first, gradients[3:])
    run(again, second, gradients[3:])
    for p, q in zip(mine, again, strict=True):
        np.testing.assert_array_equal(p.numpy(), q.numpy())


def test_state_of_torch_is_taken_over():
    model = torch.nn.Linear(3, 4)
    theirs = list(model.parameters())
    mine = [fastdl.Parameter(fastdl.from_numpy(q.detach().numpy().copy())) for q in theirs]
    peer, ours = torch.optim.Adam(theirs, 0.1, amsgrad=True), optim.Adam(mine)
    rng = np.random.default_rng(2)
    for _ in range(3):
        give_gradients(rng, mine, theirs, 0)
        peer.step()
    for p, q in zip(mine, theirs, strict=True):
        p.data = q.detach().numpy().copy()
    ours.load_state_dict(peer.state_dict())
    give_gradients(rng, mine, theirs, 0)
    ours.step()
    peer.step()
    for p, q in zip(mine, theirs, strict=True):
        agree(p, q, np.float32)
    assert float(ours.state[mine[0]]["step"]) == 4


def test_closure_groups_and_zero_grad():
    p, q = fastdl.Parameter(fastdl.ones(3)), fastdl.Parameter(fastdl.ones(2))
    optimizer = optim.Adam([p], lr=0.1)
    optimizer.add_param_group({"params": q, "lr": 0.0})

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum() + q.sum()
        loss.backward()
        return loss

    assert float(optimizer.step(closure)) == 5
    assert np.allclose(p.numpy(), 0.9) and (q.numpy() == 1).all()
    optimizer.zero_grad(set_to_none=False)
    assert (p.grad.numpy() == 0).all()
    optimizer.zero_grad()
    assert p.grad is None
    with pytest.raises(errors.ArgumentError, match="twice"):
        optimizer.add_param_group({"params": [p]})
    assert "lr: 0.1" in repr(optimizer)


def test_a_step_is_seen_by_the_tape():
    p = fastdl.Parameter(fastdl.ones(3))
    y = (p * p).sum()
    p.grad = fastdl.ones(3)
    optim.Adam([p]).step()
    with pytest.raises(errors.AutogradError):
        y.backward()


def test_options_refused():
    p = [fastdl.Parameter(fastdl.ones(1))]
    for kind, bad in (("Adam", {"betas": (1.0, 0.9)}), ("Adam", {"betas": (0.9,)}),
                      ("Adam", {"lr": -1}), ("AdamW", {"eps": -1}), ("RMSprop", {"alpha": -1}),
                      ("Adagrad", {"lr_decay": -1}), ("Lion", {"betas": (0.1, 2)}),
                      ("SGD", {"momentum": -1}), ("SGD", {"nesterov": True})):  # fmt: skip
        with pytest.raises(errors.ArgumentError, match=kind.removesuffix("W")):
            getattr(optim, kind)(p, **bad)
    with pytest.raises(errors.UnsupportedError, match="differentiable"):
        optim.Adam(p, differentiable=True)
    optimizer = optim.Adam(p)
    p[0].grad = fastdl.ones(1)
    optimizer.step()
    state = optimizer.state_dict()
    state["state"][0]["exp_avg"] = np.ones(2)
    with pytest.raises(errors.ShapeError, match="exp_avg"):
        optimizer.load_state_dict(state)


def test_other_dtypes_are_stepped_too():
    p = fastdl.Parameter(fastdl.from_numpy(np.ones(5, np.float16)))
    p.grad = fastdl.from_numpy(np.ones(5, np.float16))
    with pytest.warns(errors.FallbackWarning):
        optim.Adam([p], lr=0.5, eps=1e-4).step()
    assert p.dtype == np.float16 and np.allclose(p.numpy(), 0.5, atol=2e-3)


# --- gradients together ------------------------------------------------------------------------


@pytest.mark.parametrize("config", range(max(CONFIGS, 8)))
def test_clipping_agrees(config):
    rng = np.random.default_rng(config)
    dtype = pick(rng, np.float32, np.float64)
    mine, theirs = leaves(rng, dtype)
    give_gradients(rng, mine, theirs)
    power = [1.0, 2, 3.5, "inf", float("inf"), 2.0, 2.0, 1][config % 8]
    limit = pick(rng, 0.01, 1.0, 1e3)
    wide = [q.grad.double().reshape(-1) for q in theirs if q.grad is not None]
    want = torch.linalg.vector_norm(torch.cat([*wide, torch.zeros(1)]), float(power))
    full = [q for q in theirs if q.grad is not None and q.numel()]  # torch has no norm of nothing
    if full:
        torch.nn.utils.clip_grad_norm_(full, limit, power)
    found = utils.clip_grad_norm_(mine, limit, power)
    # Summed in float64 and rounded once; the powers other than 1, 2 and inf lose some more.
    assert abs(float(found) - float(want)) <= 8 * np.finfo(dtype).eps * float(want)
    utils.clip_grad_value_(mine, 0.3)
    if any(q.grad is not None for q in theirs):  # torch fails on no gradients at all
        torch.nn.utils.clip_grad_value_(theirs, 0.3)
    for p, q in zip(mine, theirs, strict=True):
        assert (p.grad is None) == (q.grad is None)
        if p.grad is not None:  # torch sums the norm in the dtype itself
            np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-5, atol=0)


def test_clipping_of_what_is_not_finite():
    p = fastdl.Parameter(fastdl.ones(2))
    p.grad = fastdl.tensor([1.0, float("inf")])
    assert issubclass(errors.NonFiniteError, RuntimeError)
    with pytest.raises(errors.NonFiniteError):
        utils.clip_grad_norm_(p, 1.0, error_if_nonfinite=True)
    assert np.isinf(float(utils.clip_grad_norm_(p, 1.0)))
    assert p.grad.tolist()[0] == 0 and np.isnan(p.grad.tolist()[1])
    assert float(utils.clip_grad_norm_([], 1.0)) == 0
    assert float(utils.get_total_norm([fastdl.tensor([3.0]), fastdl.tensor([4.0])])) == 5
    with pytest.raises(errors.DTypeError):
        utils.clip_grad_norm_([np.ones(2)], 1.0)


def test_parameters_as_a_vector():
    model = nn.Linear(3, 4)
    vector = utils.parameters_to_vector(model.parameters())
    assert vector.shape == (16,)
    (vector * vector).sum().backward()
    np.testing.assert_array_equal(model.bias.grad.numpy(), 2 * model.bias.numpy())
    new = fastdl.arange(16).float()
    utils.vector_to_parameters(new, model.parameters())
    np.testing.assert_array_equal(utils.parameters_to_vector(model.parameters()).detach(), new)
    with pytest.raises(errors.ShapeError):
        utils.vector_to_parameters(new[:3], model.parameters())


# --- averages ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ema", "swa", "function"])
def test_averaged_model(kind):
    rng = np.random.default_rng(0)
    theirs, mine = torch.nn.Linear(3, 4), nn.Linear(3, 4)
    mine.load_state_dict(theirs.state_dict())

    def average(library, model):
        if kind == "ema":
            return library.AveragedModel(model, multi_avg_fn=library.get_ema_multi_avg_fn(0.9))
        if kind == "swa":
            return library.AveragedModel(model)
        return library.AveragedModel(model, avg_fn=lambda a, p, n: 0.5 * a + 0.5 * p)

    ours, peer = average(swa_utils, mine), average(torch.optim.swa_utils, theirs)
    for _ in range(4):
        for p, q in zip(mine.parameters(), theirs.parameters(), strict=True):
            value = rng.standard_normal(p.shape).astype(np.float32)
            p.data = value
            q.data = torch.tensor(value)
        ours.update_parameters(mine)
        peer.update_parameters(theirs)
    assert ours.state_dict().keys() == peer.state_dict().keys()
    for p, q in zip(ours.parameters(), peer.parameters(), strict=True):
        np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=0, atol=2e-6)
    assert int(ours.n_averaged) == 4
    assert ours(fastdl.ones(2, 3)).shape == (2, 4)
    assert ours.module.weight is not mine.weight
