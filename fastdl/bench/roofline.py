"""The machine's measured ceilings: flops of multiply-adds by dtype, bytes read by size of data."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from .. import _native
from ..core.config import num_threads
from ..spec import Cost


class Roofline(NamedTuple):
    """Flops a second by dtype, and (bytes, bytes a second) of each level that was measured."""

    flops: dict[str, float]
    bandwidth: list[tuple[int, float]]

    def floor(self, cost: Cost, dtype: str) -> float:
        """The seconds below which no call of that cost can get on this machine."""
        peak = self.flops.get(dtype, max(self.flops.values()))
        rate = next((r for size, r in self.bandwidth if cost.bytes <= size), self.bandwidth[-1][1])
        return max(cost.flops / peak, cost.bytes / rate)


SIZES = (1 << 15, 1 << 19, 1 << 22, 7 << 22, 1 << 28)  # bytes a thread


def measure(threads: int, seconds: float = 0.05, sizes: Sequence[int] = SIZES) -> Roofline:
    """Measures them with a number of threads, on this machine, now."""

    def best(call: Callable[[], Any], amount: float) -> float:
        rate, end = 0.0, time.perf_counter() + seconds
        while time.perf_counter() < end:
            begin = time.perf_counter()
            call()
            rate = max(rate, amount / (time.perf_counter() - begin))
        return rate

    with num_threads(threads):
        flops = {}
        for dtype in ("float32", "float64", "bfloat16", "int8"):
            done = _native.flops_burst(dtype, 100_000)
            if done:  # of narrow dtypes only where an instruction multiplies them
                flops[dtype] = best(partial(_native.flops_burst, dtype, 100_000), done)
        bandwidth = []
        for each in sizes:
            size = each * threads
            x = np.ones(size // 4, np.float32)
            repeats = max(1, (1 << 23) // each)  # small sizes: the call itself must not count
            bandwidth.append((size, best(partial(_native.read_burst, x, repeats), size * repeats)))
    return Roofline(flops, bandwidth)
