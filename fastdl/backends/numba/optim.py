"""SGD with momentum, one pass over the parameter, computed in float64."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...spec import kernel
from ._jit import jit, split
from ._layout import dense, empty_like, is_channels_last

_NANOSECONDS = 0.5  # an element


@jit
def _direction(p: Any, g: Any, weight_decay: Any, maximize: Any) -> Any:
    """d = ±g + weight_decay·p; without decay, p is not looked at."""
    d = np.float64(-g if maximize else g)
    return d + weight_decay * p if weight_decay != 0 else d


@jit
def _plain(
    first: int, last: int, p: Any, g: Any, new_p: Any,
    lr: float, weight_decay: float, maximize: bool,
) -> None:  # fmt: skip
    p, g, new_p = p[first:last], g[first:last], new_p[first:last]
    for i in range(p.size):
        new_p[i] = p[i] - lr * _direction(p[i], g[i], weight_decay, maximize)


@jit
def _momentum(
    first: int, last: int, p: Any, g: Any, buf: Any, new_p: Any, new_buf: Any, fresh: bool,
    lr: float, weight_decay: float, maximize: bool,
    momentum: float, dampening: float, nesterov: bool,
) -> None:  # fmt: skip
    p, g, buf = p[first:last], g[first:last], buf[first:last]
    new_p, new_buf = new_p[first:last], new_buf[first:last]
    for i in range(p.size):
        d = _direction(p[i], g[i], weight_decay, maximize)
        b = d if fresh else momentum * buf[i] + (1 - dampening) * d
        new_buf[i] = b
        new_p[i] = p[i] - lr * (d + momentum * b if nesterov else b)


@kernel("sgd_step", backend="numba")
def sgd_step(
    p: np.ndarray, g: np.ndarray, buf: np.ndarray | None, *,
    lr: float, momentum: float, dampening: float, weight_decay: float, nesterov: bool,
    maximize: bool,
) -> Any:  # fmt: skip
    """The new parameter, and the new buffer if there is momentum."""
    last = is_channels_last(p)

    def flat(x: np.ndarray) -> np.ndarray:
        return dense(x, last).reshape(-1)

    new_p = empty_like(p)
    cost = p.size * _NANOSECONDS
    if momentum == 0:
        split(_plain, p.size, cost, flat(p), flat(g), flat(new_p), lr, weight_decay, maximize)
        return new_p
    new_buf = empty_like(p)
    fresh = buf is None
    arrays = (flat(a) for a in (p, g, g if buf is None else buf, new_p, new_buf))
    split(
        _momentum, p.size, cost, *arrays, fresh, lr, weight_decay, maximize,
        momentum, dampening, nesterov,
    )  # fmt: skip
    return new_p, new_buf
