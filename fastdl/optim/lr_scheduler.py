"""Learning rates by schedule, with torch.optim.lr_scheduler's names and, step by step, its values.

Most schedules change the rate that a group has now, so that several may be combined and a rate set
by hand is kept; where torch has a closed form too, it is used for `step(epoch)` only.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from types import FunctionType
from typing import Any

from ..core.errors import ArgumentError, DTypeError, StateError
from .optimizer import Optimizer

__all__ = [
    "ChainedScheduler", "ConstantLR", "CosineAnnealingLR", "CosineAnnealingWarmRestarts",
    "ExponentialLR", "LRScheduler", "LambdaLR", "LinearLR", "MultiStepLR", "OneCycleLR",
    "PolynomialLR", "ReduceLROnPlateau", "SequentialLR", "StepLR",
]  # fmt: skip


def _rates(optimizer: Optimizer) -> list[float]:
    return [group["lr"] for group in optimizer.param_groups]


def _check_optimizer(name: str, optimizer: Any) -> None:
    if not isinstance(optimizer, Optimizer):
        raise DTypeError(f"{name}: optimizer: got {type(optimizer).__name__}, want an Optimizer")


def _saved(scheduler: Any, *hidden: str) -> dict[str, Any]:
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
        _check_optimizer(type(self).__name__, optimizer)
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
        rates = zip(_rates(self.optimizer), self.base_lrs, strict=True)
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
        self._last_lr = _rates(self.optimizer)

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer."""
        return _saved(self)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over what `state_dict` returned; the rates themselves are the optimizer's."""
        self.__dict__.update(state_dict)


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
        self._last_lr = _rates(self.optimizer)

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
        _check_optimizer("LambdaLR", optimizer)
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
        return {**_saved(self, "lr_lambdas"), "lr_lambdas": saved}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over what `state_dict` returned."""
        self.__dict__.update({k: v for k, v in state_dict.items() if k != "lr_lambdas"})
        for function, saved in zip(self.lr_lambdas, state_dict["lr_lambdas"], strict=True):
            if saved is not None:
                function.__dict__.update(saved)


class OneCycleLR(LRScheduler):
    """Up to max_lr and down to almost nothing in one cycle, momentum the other way (Smith 2017).

    Args:
        optimizer, last_epoch: as for LRScheduler.
        max_lr: the highest rate, or one for each group.
        total_steps: steps of the cycle; or epochs times steps_per_epoch.
        pct_start: the part of the cycle that goes up.
        anneal_strategy: "cos" or "linear".
        cycle_momentum: also move momentum (or the first beta) from max_momentum to base_momentum.
        div_factor: the first rate is max_lr / div_factor.
        final_div_factor: the last one is the first / final_div_factor.
        three_phase: down to the first rate symmetrically, and then to the last.

    Raises ArgumentError for a step past the end.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | Sequence[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | Sequence[float] = 0.85,
        max_momentum: float | Sequence[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        _check_optimizer("OneCycleLR", optimizer)
        self.optimizer = optimizer
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ArgumentError("OneCycleLR: want total_steps, or epochs and steps_per_epoch")
            total_steps = epochs * steps_per_epoch
        if not isinstance(total_steps, int) or total_steps <= 0:
            raise ArgumentError(f"OneCycleLR: total_steps: got {total_steps}, want an int > 0")
        if not 0 <= pct_start <= 1:
            raise ArgumentError(f"OneCycleLR: pct_start: got {pct_start}, want one from 0 to 1")
        if anneal_strategy not in ("cos", "linear"):
            raise ArgumentError(
                f"OneCycleLR: anneal_strategy: got {anneal_strategy!r}, want 'cos' or 'linear'"
            )
        self.total_steps, self.cycle_momentum = total_steps, cycle_momentum
        self._anneal_func_type = anneal_strategy
        rise, end = float(pct_start * total_steps) - 1, total_steps - 1
        # Where a phase ends, and between which of a group's rates and momenta it leads.
        up = (rise, "initial_lr", "max_lr", "max_momentum", "base_momentum")
        down = ("max_lr", "min_lr", "base_momentum", "max_momentum")
        self._schedule_phases: list[tuple[Any, ...]] = [up, (end, *down)]
        if three_phase:
            back = float(2 * pct_start * total_steps) - 2
            second = (back, "max_lr", "initial_lr", "base_momentum", "max_momentum")
            third = (end, "initial_lr", "min_lr", "max_momentum", "max_momentum")
            self._schedule_phases = [up, second, third]
        if cycle_momentum and not {"momentum", "betas"} & optimizer.defaults.keys():
            raise ArgumentError(
                "OneCycleLR: cycle_momentum: the optimizer has no momentum or betas"
            )
        self.use_beta1 = cycle_momentum and "betas" in optimizer.defaults
        if last_epoch == -1:
            highest = self._for_groups("max_lr", max_lr)
            for group, rate in zip(optimizer.param_groups, highest, strict=True):
                group["initial_lr"] = rate / div_factor
                group["max_lr"] = rate
                group["min_lr"] = group["initial_lr"] / final_div_factor
            if cycle_momentum:
                least = self._for_groups("base_momentum", base_momentum)
                most = self._for_groups("max_momentum", max_momentum)
                for group, low, high in zip(optimizer.param_groups, least, most, strict=True):
                    self._set_momentum(group, high)
                    group["max_momentum"], group["base_momentum"] = high, low
        super().__init__(optimizer, last_epoch)

    def _for_groups(self, name: str, value: Any) -> list[float]:
        count = len(self.optimizer.param_groups)
        values = list(value) if isinstance(value, (list, tuple)) else [value] * count
        if len(values) != count:
            raise ArgumentError(f"OneCycleLR: {name}: got {len(values)} values, want {count}")
        return values

    def _set_momentum(self, group: dict[str, Any], momentum: float) -> None:
        if self.use_beta1:
            group["betas"] = (momentum, *group["betas"][1:])
        else:
            group["momentum"] = momentum

    def _between(self, start: float, end: float, part: float) -> float:
        if self._anneal_func_type == "linear":
            return (end - start) * part + start
        return end + (start - end) / 2.0 * (math.cos(math.pi * part) + 1)

    def get_lr(self) -> list[float]:
        """The rates of the groups at step `last_epoch`; sets their momenta."""
        step = self.last_epoch
        if step > self.total_steps:
            raise ArgumentError(f"OneCycleLR: step {step} of {self.total_steps}")
        begin: float = 0.0
        for phase in self._schedule_phases:
            end, from_rate, to_rate, from_momentum, to_momentum = phase
            if step <= end or phase is self._schedule_phases[-1]:
                break
            begin = end
        part = (step - begin) / (end - begin)
        rates = []
        for group in self.optimizer.param_groups:
            rates.append(self._between(group[from_rate], group[to_rate], part))
            if self.cycle_momentum:
                moved = self._between(group[from_momentum], group[to_momentum], part)
                self._set_momentum(group, moved)
        return rates


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
        _check_optimizer("SequentialLR", optimizer)
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
        return {**_saved(self, "_schedulers"), "_schedulers": states}

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
        self._last_lr = _rates(self.optimizer)

    def step(self, epoch: int | None = None) -> None:
        """Every scheduler goes to its next epoch."""
        for scheduler in self._schedulers:
            scheduler.step(epoch)
        self._last_lr = _rates(self.optimizer)


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
        _check_optimizer(name, optimizer)
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
        self._last_lr = _rates(optimizer)
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
        self._last_lr = _rates(self.optimizer)
