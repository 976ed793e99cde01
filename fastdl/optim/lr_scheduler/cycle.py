"""Up and down in one cycle."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ...core.errors import ArgumentError
from ..optimizer import Optimizer
from .base import LRScheduler, check_optimizer


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
        check_optimizer("OneCycleLR", optimizer)
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
