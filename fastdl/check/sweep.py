"""All 2³² float32 inputs of a function of one variable, on every kernel and instruction set.

Chunks of consecutive bit patterns go through the child process; the reference is the op's own, in
float64. Most elements are compared by a short formula; a chunk in which anything is out of the
ordinary is put before the judge (judge.py), whose word counts.
"""

from __future__ import annotations

import atexit
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress

from ..core.errors import ArgumentError, FastdlError
from ..dispatch import make_plan
from ..spec import OpSpec, Sample, Ulps, exact
from .aspects import Subject
from .client import Child, UnjudgeableError
from .judge import Case
from .tasks import Request, subjects

INPUTS = 1 << 32
CHUNK = 1 << 20  # inputs of a call
BLOCK = 1 << 16  # compared at once, in a core's cache
PIECE = 1 << 25  # inputs of a piece of work


@dataclass
class Swept:
    """What one kernel on one instruction set did."""

    op: str
    kernel: str
    isa: str
    inputs: int = 0
    declared: float | None = None  # ULPs; None where the spec's bound is another
    ulps: float = 0.0  # the worst, in units of the exact result's last place
    at: float = 0.0  # the input that has it
    failed: int = 0  # chunks
    why: str = ""  # the first failure

    @property
    def key(self) -> tuple[str, str, str]:
        """Which kernel it is."""
        return self.op, self.kernel, self.isa

    def merge(self, other: Swept) -> None:
        """Takes on what was seen of another part of the inputs."""
        self.inputs += other.inputs
        self.failed += other.failed
        self.why = self.why or other.why
        if other.ulps > self.ulps:
            self.ulps, self.at = other.ulps, other.at

    def __str__(self) -> str:
        place = f"{self.op}, {self.kernel}" + f" ({self.isa})" * (self.isa != "-")
        told = f"{place}: {self.inputs} inputs, worst {self.ulps:.4g} ULP"
        told += f" at {float(self.at).hex()} ({self.at:.9g})" if self.ulps else ""
        told += f", declared {self.declared:.4g}" if self.declared is not None else ""
        return f"FAILED {told}: {self.why}" if self.failed else told


def sweepable(spec: OpSpec) -> bool:
    """Is it a function of one float32 variable, element by element, without required options?"""
    if spec.family != "elementwise" or len(spec.signature.arrays) != 1 or spec.view:
        return False
    x = np.ones(3, np.float32)
    try:
        plan = make_plan(spec, (x,), {})
    except (FastdlError, TypeError):
        return False
    return len(plan.outputs) == 1 and plan.outputs[0].shape == x.shape


def sweep(request: Request, begin: int, end: int) -> list[Swept]:
    """Judges all kernels of a request on the inputs of some bit patterns."""
    child = _child(request)
    found = []
    for spec in request.specs():
        subjects = list(_subjects(spec, request, child))
        swept = [
            Swept(spec.name, s.contestant.label, s.isa or "-", declared=_declared(spec))
            for s in subjects
        ]
        for first in range(begin, end, CHUNK):
            words = np.arange(first, min(first + CHUNK, end), dtype=np.uint32)
            _chunk(spec, words.view(np.float32), subjects, swept)
        found += swept
    return found


@cache
def _child(request: Request) -> Child:
    """One for all the work of a process on an op."""
    child = request.child()
    atexit.register(child.close)
    return child


def _declared(spec: OpSpec) -> float | None:
    if isinstance(spec.bound, Ulps):
        return spec.bound.n
    return 0.0 if spec.bound is exact else None


def _subjects(spec: OpSpec, request: Request, child: Child) -> Iterator[Subject]:
    for subject in subjects(spec, request, child):
        if "float32" in subject.contestant.kernel.dtypes:
            yield subject


def _chunk(spec: OpSpec, x: np.ndarray, subjects: list[Subject], swept: list[Swept]) -> None:
    sample = Sample("", (x.shape,))
    case = Case(spec, make_plan(spec, (x,), {}))
    seen: list[tuple[np.ndarray, tuple[float, int, int, str]]] = []
    for subject, one in zip(subjects, swept, strict=True):
        answer = subject.call(case.plan, sample)
        if answer.good:
            (got,) = answer.results
            same = next((verdict for y, verdict in seen if _same_bits(y, got)), None)
            verdict = same or _verdict(case, subject, answer, one.declared)
            if same is None:
                seen.append((got, verdict))
        else:
            verdict = 0.0, 0, 1, answer.why or f"declined: {answer.declined}"
        ulps, place, failed, why = verdict
        part = Swept(*one.key, x.size, ulps=ulps, at=float(x[place]), failed=failed, why=why)
        one.merge(part)


def _same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    return a.dtype == b.dtype and bool((a.view(np.uint8) == b.view(np.uint8)).all())


def _verdict(
    case: Case, subject: Subject, answer: Any, declared: float | None
) -> tuple[float, int, int, str]:
    """(worst ULP, its place, 1 if the judge failed it, why)."""
    (got,), (expected,) = answer.results, case.expected
    worst, place, good = 0.0, 0, declared is not None
    for i in range(0, got.size, BLOCK):
        block = slice(i, i + BLOCK)
        ulps, alike = _ulps(got[block], expected[block])
        good &= alike
        if ulps.size and ulps[at := int(np.argmax(ulps))] > worst:
            worst, place = float(ulps[at]), i + at
    if good and worst <= (declared or 0.0):
        return worst, place, 0, ""
    verdict = subject.verdict(case, answer)
    return worst, place, int(not verdict.passed), verdict.why


def _ulps(got: np.ndarray, expected: np.ndarray) -> tuple[np.ndarray, bool]:
    """Errors in units of the last place of the exact result, 0 where one of the two is no finite
    float32; and whether those, and the signs of zeros, are alike."""
    if got.dtype != np.float32:  # truths
        return np.zeros(0), bool((got == expected).all())
    with np.errstate(all="ignore"):
        error = np.abs(got - expected)  # in float64
        power = (expected.view(np.uint64) & np.uint64(0x7FF << 52)).view(np.float64)
        ulps = error / np.maximum(power * 2.0**-23, 2.0**-149)
        if np.isfinite(ulps).all() and expected.all() and np.abs(expected).max() < 2.0**128:
            return ulps, True
        rounded = expected.astype(np.float32)
        plain = np.isfinite(got) & np.isfinite(rounded)
        ulps = np.where(plain, ulps, 0)
        alike = plain | (got == rounded) | (np.isnan(got) & np.isnan(rounded))
        zeros = expected == 0
        signs = (np.signbit(got) == np.signbit(rounded)) | ~zeros
    return ulps, bool((alike & signs).all())


def _one_thread() -> None:
    """Of the children to come: the work is split among processes already."""
    os.environ |= {"FASTDL_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def _together(request: Request, jobs: int) -> dict[tuple[str, str, str], Swept]:
    """Everything, in some processes, with a bar."""
    total: dict[tuple[str, str, str], Swept] = {}
    context = multiprocessing.get_context("spawn")
    pieces = [(i, min(i + PIECE, INPUTS)) for i in range(0, INPUTS, PIECE)]
    with (
        Progress(console=Console(stderr=True)) as progress,
        ProcessPoolExecutor(jobs, mp_context=context, initializer=_one_thread) as pool,
    ):
        bar = progress.add_task(", ".join(request.ops), total=INPUTS)
        futures = {pool.submit(sweep, request, a, b): b - a for a, b in pieces}
        try:
            for future in as_completed(futures):
                for one in future.result():
                    total.setdefault(one.key, Swept(*one.key, declared=one.declared)).merge(one)
                progress.advance(bar, futures[future])
        except BaseException:  # Ctrl-C ends it, not only the piece at hand
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return total


def main(request: Request, jobs: int | None = None, json_file: str | None = None) -> int:
    """The command. Returns 0 if all kernels kept their bounds, 1 if one did not, 2 if none could be
    asked."""
    begin = time.perf_counter()
    try:
        refused = [spec.name for spec in request.specs() if not sweepable(spec)]
        if refused and request.ops:
            raise ArgumentError(f"--exhaustive: {refused[0]} is no function of one variable")
        names = tuple(s.name for s in request.specs() if s.name not in refused)
        found = []
        for name in names:  # one after the other: the first is known before the last
            one = Request(**{**vars(request), "ops": (name,)})
            for swept in _together(one, jobs or len(os.sched_getaffinity(0))).values():
                print(swept, flush=True)
                found.append(swept)
    except (ArgumentError, UnjudgeableError) as error:
        print(f"fastdl check: {error}", file=sys.stderr)
        return 2
    took = time.perf_counter() - begin
    print(f"{sum(one.inputs for one in found)} results in {took:.0f} s")
    if json_file:
        record = {"seconds": round(took, 1), "swept": [asdict(one) for one in found]}
        Path(json_file).write_text(json.dumps(record, indent=1) + "\n")
    return int(any(one.failed for one in found)) if found else 2
