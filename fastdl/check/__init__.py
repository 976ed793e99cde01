"""`fastdl check`: every kernel against the reference, by bounds instead of tolerances."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from .. import _native
from ..core.config import known_backend
from ..core.dtypes import FLOATS
from ..core.errors import BackendError, FastdlError
from ..spec import Kernel, OpSpec, Sample, find_ops
from ..version import __version__
from . import aspects, fills
from .judge import Case, Verdict

QUICK_SECONDS = 60.0
_QUICK_FAMILIES = ["normal", "integers", "specials"]
_FULL_FAMILIES = ["normal", "integers", *fills.HARD]


@dataclass
class Failure:
    """One case that did not pass."""

    op: str
    kernel: str
    isa: str
    sample: str
    dtype: str
    aspect: str
    ratio: float
    why: str

    def __str__(self) -> str:
        return (
            f"{self.op}, kernel {self.kernel} ({self.isa}), sample {self.sample!r}, {self.dtype},"
            f" {self.aspect}: {self.why}"
        )


@dataclass
class Tally:
    """What one kernel on one ISA has to show: cases judged, worst error / bound, failures."""

    op: str
    kernel: str
    isa: str
    cases: int = 0
    failed: int = 0
    ratio: float = 0.0


@dataclass
class Task:
    """A piece of work: all cases of one aspect for one kernel, ISA, sample and dtype."""

    rank: int  # a quick run does every kernel's rank 0 first, then rank 1, ...
    spec: OpSpec
    kernel: str
    isa: str
    sample: str
    dtype: str
    run: Callable[[], aspects.Found]


def _dtypes(spec: OpSpec, kernel: Kernel | None) -> list[str]:
    """The dtypes to fill a spec's samples with: the floats it has, else what the kernel takes."""
    taken = [d for d in spec.dtypes if kernel is None or d in kernel.dtypes]
    judged = [d for d in taken if d not in ("float16", "bfloat16")]
    return judged or [d for d in FLOATS if kernel is not None and d in kernel.dtypes]


def tasks(
    specs: list[OpSpec], backend: str | None, mode: str, seed: int, cases: dict[Any, Case]
) -> Iterator[Task]:
    """Everything a mode asks, kernel by kernel."""
    families = _QUICK_FAMILIES if mode == "quick" else _FULL_FAMILIES
    for spec in specs:
        if spec.bad_inputs:
            yield Task(0, spec, "any", "-", "-", "-", partial(aspects.refusals, spec))
        small = [s for s in spec.samples if not s.bench or mode == "full"]
        if spec.vjp is not None:
            for rank, sample in enumerate(s for s in small if not s.bench):
                yield Task(
                    rank, spec, "reference", "-", sample.name, "float64",
                    partial(aspects.differences, spec, sample, seed),
                )  # fmt: skip
        for name in ("native", "numba", *_others(spec)):
            if backend is not None and name != backend:
                continue
            for kernel in spec.kernels(name):
                isas = _native.runnable_isas() if name == "native" else ["-"]
                for isa in isas:
                    yield from _kernel_tasks(spec, kernel, isa, small, families, seed, cases)


def _others(spec: OpSpec) -> list[str]:
    """Backends of the user's own."""
    from ..spec import KERNELS

    known = ("native", "numba", "reference", "cuda")
    return [b for b in KERNELS.get(spec.name, {}) if b not in known]


def _kernel_tasks(
    spec: OpSpec, kernel: Kernel, isa: str, samples: list[Sample], families: list[str], seed: int,
    cases: dict[Any, Case],
) -> Iterator[Task]:  # fmt: skip
    # Ops of several roundings may overflow half-way, and a backward op takes an output of its
    # forward op, which has no such range.
    sweeps = spec.family == "elementwise" and not spec.name.endswith("_backward")
    own = [*families, "bit patterns"] if sweeps else families
    rank = 0
    for sample in samples:
        for dtype in _dtypes(spec, kernel):
            own_here = own if dtype in FLOATS else ["normal"]

            def values(
                sample: Sample = sample, dtype: str = dtype, own: list[str] = own_here
            ) -> aspects.Found:
                return aspects.values(spec, kernel, sample, dtype, seed, own, cases)

            def rest(sample: Sample = sample, dtype: str = dtype) -> aspects.Found:
                yield from aspects.strides(spec, kernel, sample, dtype, seed)
                yield from aspects.bits(spec, kernel, sample, dtype, seed)

            def gradients(sample: Sample = sample, dtype: str = dtype) -> aspects.Found:
                return aspects.gradients(spec, kernel.backend, sample, dtype, seed)

            label = f"{kernel.backend}:{kernel.name}"
            yield Task(rank, spec, label, isa, sample.name, dtype, values)
            yield Task(rank, spec, label, isa, sample.name, dtype, rest)
            if spec.vjp is not None and dtype in FLOATS:
                yield Task(rank, spec, label, isa, sample.name, dtype, gradients)
            rank += 1


def perform(
    work: list[Task], deadline: float, progress: Callable[[int, int, int], None]
) -> tuple[dict[tuple[str, str, str], Tally], list[Failure], int]:
    """Runs tasks until the deadline; returns tallies, failures and how many tasks were left."""
    tallies: dict[tuple[str, str, str], Tally] = {}
    failures: list[Failure] = []
    before = _native.isa()
    mxcsr = _native.mxcsr()
    try:
        for done, task in enumerate(work):
            if time.perf_counter() > deadline:
                return tallies, failures, len(work) - done
            key = (task.spec.name, task.kernel, task.isa)
            tally = tallies.setdefault(key, Tally(*key))
            if task.isa != "-":
                _native.set_isa(task.isa)
            for aspect, verdict in _guarded(task):
                tally.cases += 1
                tally.ratio = max(tally.ratio, verdict.ratio)
                if not verdict.passed:
                    tally.failed += 1
                    failures.append(
                        Failure(*key, task.sample, task.dtype, aspect, verdict.ratio, verdict.why)
                    )
            if _native.mxcsr() != mxcsr:
                failures.append(
                    Failure(*key, task.sample, task.dtype, "MXCSR", np.inf, "was changed")
                )
                return tallies, failures, len(work) - done
            _native.set_isa(before)
            progress(done + 1, len(work), len(failures))
    finally:
        _native.set_isa(before)
    return tallies, failures, 0


def _guarded(task: Task) -> aspects.Found:
    """A kernel that raises has failed the case; the run goes on."""
    try:
        yield from task.run()
    except (
        FastdlError,
        ArithmeticError,
        TypeError,
        ValueError,
        IndexError,
        AttributeError,
    ) as error:
        yield "call", Verdict(np.inf, f"raised {type(error).__name__}: {error}")


def _plain(record: Tally | Failure) -> dict[str, Any]:
    """For JSON, which has no infinity: the ratio of what is wrong by no number is null."""
    return {**asdict(record), "ratio": record.ratio if np.isfinite(record.ratio) else None}


def main(
    ops: list[str],
    backend: str | None,
    mode: str,
    seed: int | None,
    json_file: str | None,
    *,
    seconds: float | None = None,
) -> int:
    """The command. Returns 0 if every case passed, 1 if one failed."""
    from .report import Report

    begin = time.perf_counter()
    seed = secrets.randbits(32) if seed is None else seed
    if mode == "quick" and seconds is None:
        seconds = QUICK_SECONDS - 2
    specs = find_ops(ops)
    backend = backend and known_backend(backend)
    if backend and not any(spec.kernels(backend) for spec in specs):
        raise BackendError(
            f"backend {backend} has no kernel of {', '.join(ops) or 'any op'} to check"
        )
    cases: dict[Any, Case] = {}
    work = list(tasks(specs, backend, mode, seed, cases))
    if seconds is not None:
        work.sort(key=lambda task: task.rank)
    deadline = begin + (seconds if seconds is not None else 1e9)
    with Report(mode, seed, len(work)) as report:
        tallies, failures, left = perform(work, deadline, report.progress)
    took = time.perf_counter() - begin
    report.finish(list(tallies.values()), failures, left, took)
    if json_file:
        result = {
            "fastdl": __version__,
            "mode": mode,
            "seed": seed,
            "seconds": round(took, 1),
            "cpu": _native.cpu_info(),
            "isas": _native.runnable_isas(),
            "tasks_left_at_deadline": left,
            "kernels": [_plain(t) for t in tallies.values()],
            "failures": [_plain(f) for f in failures],
        }
        Path(json_file).write_text(json.dumps(result, indent=1, default=str) + "\n")
    judged = sum(t.cases for t in tallies.values())
    return 1 if failures or not judged else 0
