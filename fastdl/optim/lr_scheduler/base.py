"""The base of all schedules."""

from __future__ import annotations

from typing import Any

from ...core.errors import DTypeError, StateError
from ..optimizer import Optimizer


def rates_of(optimizer: Optimizer) -> list[float]:
    """The groups' rates."""
    return [group["lr"] for group in optimizer.param_groups]


def check_optimizer(name: str, optimizer: Any) -> None:
    """DTypeError for anything but an Optimizer."""
    if not isinstance(optimizer, Optimizer):
        raise DTypeError(f"{name}: optimizer: got {type(optimizer).__name__}, want an Optimizer")


def saved_of(scheduler: Any, *hidden: str) -> dict[str, Any]:
    """A scheduler's attributes, but for the optimizer and those hidden."""
    return {k: v for k, v in scheduler.__dict__.items() if k not in ("optimizer", *hidden)}


class LRScheduler:
    """Base class: a subclass says in `rate(lr, base)` what a group's rate becomes.

    Args:
        optimizer: whose groups' "lr" is set, now and by every `step()`.
        last_epoch: −1 to begin; otherwise the epoch to go on after, for which the groups must have
            an "initial_lr".

    Attributes:
        last_epoch: how often `step` was called.
        base_lrs: the groups' rates at the beginning.
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        check_optimizer(type(self).__name__, optimizer)
        self.optimizer = optimizer
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise StateError(
                    f"{type(self).__name__}: param_groups[{i}] has no 'initial_lr', which"
                    f" last_epoch={last_epoch} needs"
                )
        self.base_lrs: list[float] = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._initial_step()

    def _initial_step(self) -> None:
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    def rate(self, lr: float, base: float) -> float:
        """The rate in epoch `last_epoch` of a group that has lr now and began with base."""
        raise NotImplementedError(f"{type(self).__name__} has no rate method")

    def closed_form(self, base: float) -> float:
        """The rate in epoch `last_epoch`, whatever it was before."""
        raise NotImplementedError(f"{type(self).__name__} has no closed form")

    def get_lr(self) -> list[float]:
        """The rates of the groups in epoch `last_epoch`."""
        rates = zip(rates_of(self.optimizer), self.base_lrs, strict=True)
        return [self.rate(lr, base) for lr, base in rates]

    def get_last_lr(self) -> list[float]:
        """The rates that the last step set."""
        return self._last_lr

    def step(self, epoch: int | None = None) -> None:
        """Goes to the next epoch, or to a given one (deprecated in torch), and sets the rates."""
        self._step_count += 1
        self._update(epoch)

    def _update(self, epoch: int | None = None) -> None:
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        has_closed_form = type(self).closed_form is not LRScheduler.closed_form
        if epoch is None or not has_closed_form:
            rates = self.get_lr()
        else:
            rates = [self.closed_form(base) for base in self.base_lrs]
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        self._last_lr = rates_of(self.optimizer)

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer."""
        return saved_of(self)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over what `state_dict` returned; the rates themselves are the optimizer's."""
        self.__dict__.update(state_dict)
