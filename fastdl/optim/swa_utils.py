"""Averages of a model's weights, under the names of torch.optim.swa_utils."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import _native
from ..core.dtypes import is_float
from ..core.errors import ArgumentError
from ..nn.module import Module
from ..ops.optim_adaptive import ema_step
from ..tensor import Tensor
from .optimizer import STATES, step_all

__all__ = ["AveragedModel", "get_ema_multi_avg_fn", "get_swa_multi_avg_fn"]


def _approach(averages: Sequence[Tensor], values: Sequence[Tensor], decay: float) -> None:
    """average ← average + (1 − decay)·(value − average), all in one call; integers one by one."""
    rows, outs = [], []
    for average, value in zip(averages, values, strict=True):
        if not is_float(average.dtype):
            mixed = average._array * decay + value._array * (1 - decay)
            np.copyto(average._written(), mixed, casting="unsafe")
            continue
        array = average._written()
        rows.append((array, value._array, *(None,) * STATES, None))
        outs.append((array, *(None,) * STATES))
    if rows:
        step_all(ema_step, _native.ema_step, rows, outs, {"decay": float(decay)})


def get_ema_multi_avg_fn(decay: float = 0.999) -> Callable[..., None]:
    """An exponential moving average for AveragedModel: decay·average + (1 − decay)·weights.

    Raises ArgumentError for a decay outside [0, 1].
    """
    if not 0 <= decay <= 1:
        raise ArgumentError(f"get_ema_multi_avg_fn: decay: got {decay}, want one from 0 to 1")

    def update(averages: Sequence[Tensor], values: Sequence[Tensor], _count: Any) -> None:
        _approach(averages, values, decay)

    return update


def get_swa_multi_avg_fn() -> Callable[..., None]:
    """The mean of all weights so far, for AveragedModel (Izmailov et al. 2018)."""

    def update(averages: Sequence[Tensor], values: Sequence[Tensor], count: Any) -> None:
        _approach(averages, values, 1 - 1 / (float(count) + 1))

    return update


class AveragedModel(Module):
    """A copy of a model whose weights follow the average of the model's weights.

    Args:
        model: copied as it is now, to `module`.
        device: where the copy lives; the CPU.
        avg_fn: (average, weight, count) -> new average, one parameter at a time.
        multi_avg_fn: (averages, weights, count) changes the averages, all at once; the mean of all
            weights unless given, see `get_ema_multi_avg_fn`.
        use_buffers: average the buffers too; otherwise they are copied.

    The first `update_parameters` copies the weights, as in torch.
    """

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: Callable[..., Any] | None = None,
        multi_avg_fn: Callable[..., None] | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise ArgumentError("AveragedModel: got avg_fn and multi_avg_fn, want one of them")
        self.module = copy.deepcopy(model)
        if device is not None:
            self.module.to(device)
        self.register_buffer("n_averaged", Tensor(np.array(0, np.int64)))
        self.avg_fn, self.multi_avg_fn, self.use_buffers = avg_fn, multi_avg_fn, use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the averaged model computes."""
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Takes the model's weights into the average."""
        averages: list[Any] = [p.detach() for p in self.module.parameters()]
        values: list[Any] = [p.detach() for p in model.parameters()]
        buffers = zip(self.module.buffers(), model.buffers(), strict=True)
        for mine, theirs in buffers:
            if self.use_buffers:
                averages.append(mine.detach())
                values.append(theirs.detach())
            else:
                np.copyto(mine._written(), theirs._array)
        count = self.n_averaged
        if int(count) == 0:
            for average, value in zip(averages, values, strict=True):
                np.copyto(average._written(), value._array)
        elif self.avg_fn is None:
            (self.multi_avg_fn or get_swa_multi_avg_fn())(averages, values, count)
        else:
            for average, value in zip(averages, values, strict=True):
                average.copy_(self.avg_fn(average, value, count))
        count._written()[...] += 1
