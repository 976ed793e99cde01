"""Rates that go down by a rule (and up again, where it is a cosine)."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from types import FunctionType
from typing import Any

from ...core.errors import ArgumentError
from ..optimizer import Optimizer
from .base import LRScheduler, check_optimizer, rates_of, saved_of


class StepLR(LRScheduler):
    """The rate times gamma every step_size epochs."""

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def rate(self, lr: float, base: float) -> float:
        """lr·gamma at multiples of step_size."""
        ends = self.last_epoch != 0 and self.last_epoch % self.step_size == 0
        return lr * self.gamma if ends else lr

    def closed_form(self, base: float) -> float:
        """base·gamma^⌊epoch/step_size⌋."""
        return base * self.gamma ** (self.last_epoch // self.step_size)


class MultiStepLR(LRScheduler):
    """The rate times gamma at every milestone (twice at one named twice)."""

    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Iterable[int],
        gamma: float = 0.1,
        last_epoch: int = -1,
    ) -> None:
        self.milestones, self.gamma = Counter(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def rate(self, lr: float, base: float) -> float:
        """lr·gamma at the milestones."""
        times = self.milestones.get(self.last_epoch, 0)
        return lr * self.gamma**times if times else lr

    def closed_form(self, base: float) -> float:
        """base·gamma^(milestones reached)."""
        reached = bisect_right(sorted(self.milestones.elements()), self.last_epoch)
        return base * self.gamma**reached


class ConstantLR(LRScheduler):
    """The rate times factor for the first total_iters epochs."""

    def __init__(
        self,
        optimizer: Optimizer,
        factor: float = 1.0 / 3,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if not 0 <= factor <= 1:
            raise ArgumentError(f"ConstantLR: factor: got {factor}, want a number from 0 to 1")
        self.factor, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def rate(self, lr: float, base: float) -> float:
        """lr·factor at first, undone at total_iters."""
        if self.last_epoch == 0:
            return lr * self.factor
        return lr * (1.0 / self.factor) if self.last_epoch == self.total_iters else lr

    def closed_form(self, base: float) -> float:
        """base·factor, then base."""
        return base * (self.factor + (self.last_epoch >= self.total_iters) * (1 - self.factor))


class LinearLR(LRScheduler):
    """The rate times a factor that goes from start_factor to end_factor in total_iters epochs."""

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if not 0 < start_factor <= 1:
            raise ArgumentError(
                f"LinearLR: start_factor: got {start_factor}, want one above 0, at most 1"
            )
        if not 0 <= end_factor <= 1:
            raise ArgumentError(f"LinearLR: end_factor: got {end_factor}, want one from 0 to 1")
        self.start_factor, self.end_factor = start_factor, end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def rate(self, lr: float, base: float) -> float:
        """The ratio of two factors, one epoch apart, times lr."""
        if self.last_epoch == 0:
            return lr * self.start_factor
        if self._is_initial or self.last_epoch > self.total_iters:
            return lr
        slope = self.end_factor - self.start_factor
        before = self.total_iters * self.start_factor + (self.last_epoch - 1) * slope
        return lr * (1.0 + slope / before)

    def closed_form(self, base: float) -> float:
        """Base times the factor on the line."""
        slope = self.end_factor - self.start_factor
        done = min(self.total_iters, self.last_epoch) / self.total_iters
        return base * (self.start_factor + slope * done)


class ExponentialLR(LRScheduler):
    """The rate times gamma every epoch."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def rate(self, lr: float, base: float) -> float:
        """lr·gamma."""
        return lr if self._is_initial else lr * self.gamma

    def closed_form(self, base: float) -> float:
        """base·gamma^epoch."""
        return base * self.gamma**self.last_epoch


class PolynomialLR(LRScheduler):
    """The rate falls as (1 − epoch/total_iters)^power, to 0 at total_iters."""

    def __init__(
        self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1
    ) -> None:
        self.total_iters, self.power = total_iters, power
        super().__init__(optimizer, last_epoch)

    def rate(self, lr: float, base: float) -> float:
        """The ratio of two powers, one epoch apart, times lr."""
        if self._is_initial or self.last_epoch > self.total_iters:
            return lr
        now = 1.0 - self.last_epoch / self.total_iters
        before = 1.0 - (self.last_epoch - 1) / self.total_iters
        return lr * (now / before) ** self.power

    def closed_form(self, base: float) -> float:
        """base·(1 − epoch/total_iters)^power."""
        done = min(self.total_iters, self.last_epoch) / self.total_iters
        return base * (1.0 - done) ** self.power


class CosineAnnealingLR(LRScheduler):
    """Half a cosine from the first rate to eta_min in T_max epochs (Loshchilov and Hutter 2017),
    and back up if it goes on."""

    def __init__(
        self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def rate(self, lr: float, base: float) -> float:
        """The ratio of two heights of the cosine, one epoch apart, times the height lr has."""
        epoch, period = self.last_epoch, self.T_max
        if self._is_initial:
            return lr
        if self._step_count == 1 and epoch > 0:
            return self.closed_form(base)
        if (epoch - 1 - period) % (2 * period) == 0:  # from the bottom there is no ratio
            return lr + (base - self.eta_min) * (1 - math.cos(math.pi / period)) / 2
        now = 1 + math.cos(math.pi * epoch / period)
        before = 1 + math.cos(math.pi * (epoch - 1) / period)
        return now / before * (lr - self.eta_min) + self.eta_min

    def closed_form(self, base: float) -> float:
        """eta_min + (base − eta_min)·(1 + cos(π·epoch/T_max))/2."""
        height = 1 + math.cos(math.pi * self.last_epoch / self.T_max)
        return self.eta_min + (base - self.eta_min) * height / 2


class CosineAnnealingWarmRestarts(LRScheduler):
    """Half a cosine from the first rate to eta_min, again and again (Loshchilov and Hutter 2017).

    Args:
        optimizer, last_epoch: as for LRScheduler.
        T_0: epochs of the first period.
        T_mult: a period is so many times as long as the one before.
        eta_min: the rate at the end of a period.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        if not isinstance(T_0, int) or T_0 <= 0:
            raise ArgumentError(f"CosineAnnealingWarmRestarts: T_0: got {T_0}, want an int > 0")
        if not isinstance(T_mult, int) or T_mult < 1:
            raise ArgumentError(f"CosineAnnealingWarmRestarts: T_mult: got {T_mult}, want an int")
        self.T_0, self.T_i, self.T_mult, self.eta_min = T_0, T_0, T_mult, eta_min
        self.T_cur: float = last_epoch
        super().__init__(optimizer, last_epoch)

    def rate(self, lr: float, base: float) -> float:
        """The cosine's height at T_cur of T_i."""
        height = 1 + math.cos(math.pi * self.T_cur / self.T_i)
        return self.eta_min + (base - self.eta_min) * height / 2

    def step(self, epoch: float | None = None) -> None:
        """Goes to the next epoch, or to any (also a fraction of one)."""
        if epoch is None and self.last_epoch < 0:
            epoch = 0
        if epoch is None:
            epoch = self.last_epoch + 1
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur %= self.T_i
                self.T_i *= self.T_mult
        elif epoch < 0:
            raise ArgumentError(f"CosineAnnealingWarmRestarts: epoch: got {epoch}, want one >= 0")
        else:
            self._go_to(epoch)
        self.last_epoch = math.floor(epoch)
        for group, rate in zip(self.optimizer.param_groups, self.get_lr(), strict=True):
            group["lr"] = rate
        self._last_lr = rates_of(self.optimizer)

    def _go_to(self, epoch: float) -> None:
        if epoch < self.T_0:
            self.T_i, self.T_cur = self.T_0, epoch
        elif self.T_mult == 1:
            self.T_cur = epoch % self.T_0
        else:  # the sum of a geometric series says how many periods are over
            m = self.T_mult
            n = int(math.log(epoch / self.T_0 * (m - 1) + 1, m))
            self.T_cur = epoch - self.T_0 * (m**n - 1) / (m - 1)
            self.T_i = self.T_0 * m**n

    def _update(self, epoch: int | None = None) -> None:
        self.step(epoch)


class LambdaLR(LRScheduler):
    """The first rate times lr_lambda(epoch): one function, or one for each group."""

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        check_optimizer("LambdaLR", optimizer)
        count = len(optimizer.param_groups)
        given = list(lr_lambda) if isinstance(lr_lambda, (list, tuple)) else [lr_lambda] * count
        if len(given) != count:
            raise ArgumentError(f"LambdaLR: lr_lambda: got {len(given)}, want {count}")
        self.lr_lambdas: list[Any] = given
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The rates of the groups in epoch `last_epoch`."""
        functions = zip(self.base_lrs, self.lr_lambdas, strict=True)
        return [base * function(self.last_epoch) for base, function in functions]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer; of callable objects their attributes, of functions None."""
        saved = [None if isinstance(f, FunctionType) else dict(f.__dict__) for f in self.lr_lambdas]
        return {**saved_of(self, "lr_lambdas"), "lr_lambdas": saved}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over what `state_dict` returned."""
        self.__dict__.update({k: v for k, v in state_dict.items() if k != "lr_lambdas"})
        for function, saved in zip(self.lr_lambdas, state_dict["lr_lambdas"], strict=True):
            if saved is not None:
                function.__dict__.update(saved)
