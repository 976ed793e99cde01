"""Samples of other sizes: smaller ones to show a failure on, and ones that no kernel could know."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ..core.errors import FastdlError
from ..dispatch import make_plan
from ..spec import Bools, Folded, NonNegative, OpSpec, Sample, Within
from .fills import seeded

MOST_ELEMENTS = 1 << 17  # of one array of a sample of secret sizes
TRIES = 8


def smaller(sample: Sample) -> Iterator[Sample]:
    """Samples with one of the sizes made smaller wherever it occurs, the smallest first.

    A size that the arrays share (the K of a product) stays shared; whether the rest still fits
    (a kernel no larger than its image) is for the op to say.
    """
    name = sample.name.removesuffix(", smaller")
    sizes = sorted({n for n in _sizes(sample.arrays) if n > 1}, reverse=True)
    for size in sizes:
        for less in dict.fromkeys((1, 2, size // 2, size - 1)):
            if 0 < less < size:
                arrays = _with(sample.arrays, {size: less})
                yield replace(sample, arrays=arrays, name=f"{name}, smaller", bench=False)


def resized(sample: Sample, wanted: Iterable[int]) -> Iterator[Sample]:
    """Samples with one of the sizes made another wherever it occurs; not all make sense."""
    for size in sorted(set(_sizes(sample.arrays))):
        for new in wanted:
            if new != size:
                arrays = _with(sample.arrays, {size: new})
                yield replace(sample, arrays=arrays, name=f"{sample.name}, resized", bench=False)


def secret(spec: OpSpec, seed: int) -> Iterator[Sample]:
    """Each sample once more with other sizes, which depend on the run's seed.

    The samples of a spec are public: a kernel can be right for their sizes alone. Samples whose
    numbers depend on sizes (indices, targets) are left out, as the op's own check of its arguments
    leaves out what does not fit.
    """
    for sample in spec.samples:
        free = (tuple, NonNegative, Within, Folded, Bools, type(None))
        if sample.bench or not all(isinstance(a, free) for a in sample.arrays):
            continue
        rng = seeded(seed, spec.name, sample.name, "secret sizes")
        sizes = sorted({n for n in _sizes(sample.arrays) if n > 1})
        for _ in range(TRIES if sizes else 0):
            changed = {n: int(rng.integers(max(2, n - 3), n + 14)) for n in sizes}
            other = replace(
                sample, arrays=_with(sample.arrays, changed), name=f"{sample.name}, secret sizes"
            )
            if _fits(spec, other):
                yield other
                break


def _fits(spec: OpSpec, sample: Sample) -> bool:
    shapes = [a if isinstance(a, tuple) else getattr(a, "shape", ()) for a in sample.arrays]
    if max(map(math.prod, shapes), default=0) > MOST_ELEMENTS:
        return False
    arrays = sample.build(np.random.default_rng(0), spec.dtypes[-1])
    try:
        plan = make_plan(spec, arrays, dict(sample.options))
    except (FastdlError, ValueError):
        return False
    return all(math.prod(out.shape) <= MOST_ELEMENTS for out in plan.outputs)


def _sizes(arrays: Any) -> Iterator[int]:
    for a in arrays:
        shape = a if isinstance(a, tuple) else getattr(a, "shape", ())
        if not isinstance(a, np.ndarray):
            yield from shape


def _with(arrays: Any, changed: Mapping[int, int]) -> tuple[Any, ...]:
    def other(shape: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(changed.get(n, n) for n in shape)

    def one(a: Any) -> Any:
        if isinstance(a, tuple):
            return other(a)
        if isinstance(a, np.ndarray) or not hasattr(a, "shape"):
            return a
        return replace(a, shape=other(a.shape))

    return tuple(map(one, arrays))
