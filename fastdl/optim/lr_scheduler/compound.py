"""Several schedules as one, and one that looks at a metric."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from ...core.errors import ArgumentError
from ..optimizer import Optimizer
from .base import LRScheduler, check_optimizer, rates_of, saved_of


class SequentialLR(LRScheduler):
    """One scheduler after the other: the next one takes over at each milestone.

    Raises ArgumentError for schedulers of another optimizer, or milestones that do not lie between
    them.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: Sequence[LRScheduler],
        milestones: Sequence[int],
        last_epoch: int = -1,
    ) -> None:
        check_optimizer("SequentialLR", optimizer)
        if not schedulers or len(milestones) != len(schedulers) - 1:
            raise ArgumentError(
                f"SequentialLR: milestones: got {len(milestones)} for {len(schedulers)} schedulers,"
                " want one between each two"
            )
        _check_same("SequentialLR", optimizer, schedulers)
        self._schedulers, self._milestones = list(schedulers), list(milestones)
        self.last_epoch, self.optimizer = last_epoch + 1, optimizer
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        _undo(self)  # every scheduler took its first step when it was made
        first = self._schedulers[bisect_right(self._milestones, 0)]
        first._initial_step()
        self._last_lr = first.get_last_lr()

    def step(self, epoch: int | None = None) -> None:
        """Goes to the next epoch."""
        if epoch is not None:
            raise ArgumentError("SequentialLR: epoch: got a number, want None")
        self.last_epoch += 1
        i = bisect_right(self._milestones, self.last_epoch)
        scheduler = self._schedulers[i]
        if i > 0 and self._milestones[i - 1] == self.last_epoch:
            scheduler._update(0)
        else:
            scheduler.step()
        self._last_lr = scheduler.get_last_lr()

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer, with the states of the schedulers."""
        states = [scheduler.state_dict() for scheduler in self._schedulers]
        return {**saved_of(self, "_schedulers"), "_schedulers": states}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over what `state_dict` returned."""
        self.__dict__.update({k: v for k, v in state_dict.items() if k != "_schedulers"})
        for scheduler, state in zip(self._schedulers, state_dict["_schedulers"], strict=True):
            scheduler.load_state_dict(state)


class ChainedScheduler(SequentialLR):
    """Several schedulers that all step every time, each on the rates the one before left."""

    def __init__(
        self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None
    ) -> None:
        if not schedulers:
            raise ArgumentError("ChainedScheduler: schedulers: got none, want at least one")
        self.optimizer = optimizer or schedulers[0].optimizer
        _check_same("ChainedScheduler", self.optimizer, schedulers)
        self._schedulers = list(schedulers)
        self._last_lr = rates_of(self.optimizer)

    def step(self, epoch: int | None = None) -> None:
        """Every scheduler goes to its next epoch."""
        for scheduler in self._schedulers:
            scheduler.step(epoch)
        self._last_lr = rates_of(self.optimizer)


def _check_same(name: str, optimizer: Optimizer, schedulers: Sequence[Any]) -> None:
    for i, scheduler in enumerate(schedulers):
        if isinstance(scheduler, ReduceLROnPlateau):
            raise ArgumentError(
                f"{name}: schedulers[{i}] steps by a metric, want one that does not"
            )
        if getattr(scheduler, "optimizer", None) is not optimizer:
            raise ArgumentError(f"{name}: schedulers[{i}] is of another optimizer")


def _undo(scheduler: Any) -> None:
    inner = getattr(scheduler, "_schedulers", None)
    if inner is None:
        scheduler.last_epoch -= 1
    for one in inner or ():
        _undo(one)


class ReduceLROnPlateau(LRScheduler):
    """The rate times factor when a metric has not improved for more than `patience` epochs.

    Args:
        optimizer: whose groups' rates are set.
        mode: "min" or "max": which way the metric shall go.
        factor: below 1.
        patience: epochs without improvement that are let pass.
        threshold, threshold_mode: what counts as one: by a part of the best ("rel"), or more
            ("abs").
        cooldown: epochs after a reduction in which nothing is counted.
        min_lr: the least rate, or one for each group.
        eps: a smaller change of the rate is not made.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | Sequence[float] = 0,
        eps: float = 1e-8,
    ) -> None:
        name = "ReduceLROnPlateau"
        check_optimizer(name, optimizer)
        if factor >= 1.0:
            raise ArgumentError(f"{name}: factor: got {factor}, want one below 1")
        if mode not in ("min", "max"):
            raise ArgumentError(f"{name}: mode: got {mode!r}, want 'min' or 'max'")
        if threshold_mode not in ("rel", "abs"):
            raise ArgumentError(
                f"{name}: threshold_mode: got {threshold_mode!r}, want 'rel' or 'abs'"
            )
        self.optimizer = optimizer
        count = len(optimizer.param_groups)
        self.min_lrs = list(min_lr) if isinstance(min_lr, (list, tuple)) else [min_lr] * count
        if len(self.min_lrs) != count:
            raise ArgumentError(f"{name}: min_lr: got {len(self.min_lrs)} values, want {count}")
        self.mode, self.factor, self.patience = mode, factor, patience
        self.threshold, self.threshold_mode = threshold, threshold_mode
        self.cooldown, self.eps, self.last_epoch = cooldown, eps, 0
        self.mode_worse = math.inf if mode == "min" else -math.inf
        self._last_lr = rates_of(optimizer)
        self._reset()

    def _reset(self) -> None:
        self.best, self.num_bad_epochs, self.cooldown_counter = self.mode_worse, 0, 0

    @property
    def in_cooldown(self) -> bool:
        """Was the rate reduced less than `cooldown` epochs ago?"""
        return self.cooldown_counter > 0

    def is_better(self, metric: float) -> bool:
        """Is it an improvement on the best so far?"""
        sign = -1 if self.mode == "min" else 1
        if self.threshold_mode == "rel":
            edge = self.best * (1.0 + sign * self.threshold)
        else:
            edge = self.best + sign * self.threshold
        return metric < edge if self.mode == "min" else metric > edge

    def step(self, metrics: Any, epoch: int | None = None) -> None:  # type: ignore[override]
        """Takes the metric of an epoch; reduces the rates if it is time."""
        metric = float(metrics)
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        if self.is_better(metric):
            self.best, self.num_bad_epochs = metric, 0
        else:
            self.num_bad_epochs += 1
        if self.in_cooldown:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            for group, least in zip(self.optimizer.param_groups, self.min_lrs, strict=True):
                reduced = max(group["lr"] * self.factor, least)
                if group["lr"] - reduced > self.eps:
                    group["lr"] = reduced
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
        self._last_lr = rates_of(self.optimizer)
