"""Every schedule has torch's values, step by step, and goes on from its state."""

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import fastdl  # noqa: E402
from fastdl import errors, optim  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

CASES = {
    "step": ("StepLR", {"step_size": 4, "gamma": 0.3}),
    "milestones": ("MultiStepLR", {"milestones": [3, 7, 7, 12]}),
    "constant": ("ConstantLR", {"factor": 0.25, "total_iters": 6}),
    "linear": ("LinearLR", {"start_factor": 0.2, "end_factor": 0.8, "total_iters": 9}),
    "exponential": ("ExponentialLR", {"gamma": 0.9}),
    "polynomial": ("PolynomialLR", {"total_iters": 8, "power": 2.0}),
    "cosine, and up again": ("CosineAnnealingLR", {"T_max": 5, "eta_min": 0.01}),
    "restarts": ("CosineAnnealingWarmRestarts", {"T_0": 3, "T_mult": 2, "eta_min": 0.01}),
    "equal restarts": ("CosineAnnealingWarmRestarts", {"T_0": 4}),
    "lambda": ("LambdaLR", {"lr_lambda": lambda epoch: 0.95**epoch}),
    "lambdas": ("LambdaLR", {"lr_lambda": [lambda e: 1 / (1 + e), lambda e: 0.5**e]}),
    "one cycle": ("OneCycleLR", {"max_lr": 1.0, "total_steps": 21}),
    "one cycle of three": ("OneCycleLR", {"max_lr": [1.0, 0.5], "epochs": 3, "steps_per_epoch": 7,
                                          "three_phase": True, "anneal_strategy": "linear",
                                          "pct_start": 0.25}),
    "one cycle, no momentum": ("OneCycleLR", {"max_lr": 1.0, "total_steps": 30,
                                              "cycle_momentum": False}),
}  # fmt: skip


def optimizers(kind="SGD"):
    """One of ours and torch's, each of two groups."""
    options = {"lr": 0.1, "momentum": 0.9} if kind == "SGD" else {"lr": 0.1}
    made = []
    for library, maker in ((optim, fastdl.Parameter), (torch.optim, torch.nn.Parameter)):
        tensor = fastdl.tensor if library is optim else torch.tensor
        groups = [{"params": [maker(tensor([1.0]))]},
                  {"params": [maker(tensor([2.0]))], "lr": 0.05}]  # fmt: skip
        made.append(getattr(library, kind)(groups, **options))
    return made


def schedules(build, kind="SGD"):
    ours, theirs = optimizers(kind)
    return build(optim.lr_scheduler, ours), build(torch.optim.lr_scheduler, theirs)


def same_groups(ours, theirs):
    for mine, peer in zip(ours.param_groups, theirs.param_groups, strict=True):
        for name in ("lr", "momentum", "betas", "initial_lr"):
            assert mine.get(name) == peer.get(name), name


def follow(ours, theirs, steps, advance=lambda s, t: s.step()):
    same_groups(ours.optimizer, theirs.optimizer)
    for t in range(steps):
        advance(ours, t)
        advance(theirs, t)
        same_groups(ours.optimizer, theirs.optimizer)
        assert ours.get_last_lr() == theirs.get_last_lr()


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", ["SGD", "Adam"])
def test_step_by_step(case, kind):
    name, options = CASES[case]
    follow(*schedules(lambda library, o: getattr(library, name)(o, **options), kind), 20)


@pytest.mark.parametrize("case", CASES)
def test_steps_to_an_epoch(case):
    name, options = CASES[case]
    ours, theirs = schedules(lambda library, o: getattr(library, name)(o, **options))
    follow(ours, theirs, 12, lambda s, t: s.step((7 * t + 3) % 13))


@pytest.mark.parametrize("case", CASES)
def test_goes_on_from_its_state(case):
    name, options = CASES[case]

    def build():
        o = optimizers()[0]
        return o, getattr(optim.lr_scheduler, name)(o, **options)

    optimizer, scheduler = build()
    for _ in range(6):
        scheduler.step()
    saved = copy.deepcopy((optimizer.state_dict(), scheduler.state_dict()))
    other_optimizer, other = build()
    other_optimizer.load_state_dict(saved[0])
    other.load_state_dict(saved[1])
    for _ in range(8):
        scheduler.step()
        other.step()
        assert other.get_last_lr() == scheduler.get_last_lr()


@pytest.mark.parametrize("case", [c for c in CASES if "one cycle" not in c])
def test_resumed_at_an_epoch(case):
    name, options = CASES[case]

    def build(library, o):
        for group in o.param_groups:
            group["initial_lr"] = 2 * group["lr"]
        return getattr(library, name)(o, **options, last_epoch=4)

    follow(*schedules(build), 8)


def test_random_sequences():
    """Warm-up, then one or two of the others, chained or one after the other."""
    rng = np.random.default_rng(0)
    names = [c for c in CASES if "one cycle" not in c]
    for _ in range(20):
        chosen = [str(c) for c in rng.choice(names, rng.integers(2, 4))]
        milestones = sorted(int(m) for m in rng.choice(np.arange(1, 15), len(chosen) - 1, False))
        chained = rng.random() < 0.3

        def build(library, o, chosen=chosen, milestones=milestones, chained=chained):
            parts = [getattr(library, CASES[c][0])(o, **CASES[c][1]) for c in chosen]
            if chained:
                return library.ChainedScheduler(parts)
            return library.SequentialLR(o, parts, milestones)

        follow(*schedules(build), 20)


@pytest.mark.parametrize("options", [
    {}, {"mode": "max", "factor": 0.5, "patience": 1}, {"patience": 2, "cooldown": 3},
    {"threshold_mode": "abs", "threshold": 0.05, "patience": 0, "min_lr": 0.02},
    {"mode": "max", "threshold_mode": "abs", "patience": 1, "min_lr": [0.03, 0.01]},
    {"patience": 0, "eps": 0.01},
], ids=str)  # fmt: skip
def test_plateau(options):
    ours, theirs = schedules(lambda library, o: library.ReduceLROnPlateau(o, **options))
    metrics = np.round(np.random.default_rng(1).random(40), 2)
    follow(ours, theirs, 40, lambda s, t: s.step(metrics[t]))
    assert ours.num_bad_epochs == theirs.num_bad_epochs and ours.best == theirs.best


def test_refused():
    o = optimizers()[0]
    schedule = optim.lr_scheduler
    for call in (
        lambda: schedule.ConstantLR(o, factor=2),
        lambda: schedule.LinearLR(o, start_factor=0),
        lambda: schedule.CosineAnnealingWarmRestarts(o, T_0=0),
        lambda: schedule.OneCycleLR(o, max_lr=1.0),
        lambda: schedule.LambdaLR(o, [abs]),
        lambda: schedule.ReduceLROnPlateau(o, factor=1.0),
        lambda: schedule.ReduceLROnPlateau(o, mode="low"),
        lambda: schedule.SequentialLR(o, [schedule.StepLR(o, 1)], [3]),
        lambda: schedule.SequentialLR(
            o, [schedule.StepLR(o, 1), schedule.StepLR(optimizers()[0], 1)], [3]
        ),
    ):
        with pytest.raises(errors.ArgumentError):
            call()
    with pytest.raises(errors.DTypeError):
        schedule.StepLR(torch.nn.Linear(1, 1), 1)
    with pytest.raises(errors.StateError, match="initial_lr"):
        schedule.StepLR(optimizers()[0], 1, last_epoch=3)
    cycle = schedule.OneCycleLR(optimizers()[0], max_lr=1.0, total_steps=2)
    with pytest.raises(errors.ArgumentError):
        for _ in range(5):
            cycle.step()
