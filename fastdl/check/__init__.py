"""`fastdl check`: the judge of kernels, fastdl's and anyone's, by bounds instead of tolerances.

tasks.py says what is asked, aspects.py asks it, judge.py gives the verdict, running.py keeps count.
Kernels run in a child process only (child.py), on memory between guard pages (arena.py).
"""

from __future__ import annotations

import json
import os
import secrets
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from .. import _native
from ..core.errors import ArgumentError
from ..spec import Bools, Folded, Ints, NonNegative, Sample, Within
from ..version import __version__
from .client import UnjudgeableError
from .running import Outcome, judge, together
from .strangers import OURS
from .tasks import Mode, Request, tasks

__all__ = [
    "Bools", "Folded", "Ints", "NonNegative", "Request", "Sample", "UnjudgeableError", "Within",
    "check", "judge", "np", "replay",
]  # fmt: skip

QUICK_SECONDS = 60.0


def check(
    ops: Any, kernel: str = "", *, mode: Mode = "normal", seed: int | None = None,
    seconds: float | None = None, **asked: Any,
) -> Outcome:  # fmt: skip
    """Judges kernels of some ops in this process's child; quietly, for tests and notebooks.

    Args:
        ops: a name, or several.
        kernel: a stranger, `path.py:function`, `path.py` or `lib.so:symbol`; fastdl's own if empty.
        mode: "quick", "normal" or "full"; in quick mode at most `seconds` (60).
        seed: repeats an earlier run's data.
        asked: the other fields of `Request`: signature, dtypes, depth, input_bits, bits, backend,
            spec_file, timeout (the seconds that a call may take), first (its first failure ends
            a kernel's turn).

    Returns the outcome: `.failures`, `.tallies`, `.cases`. Raises UnjudgeableError where the kernel
    cannot be loaded, ArgumentError for an unknown op.
    """
    names = (ops,) if isinstance(ops, str) else tuple(ops)
    seed = secrets.randbits(32) if seed is None else seed
    request = Request(names, mode, seed, kernel=kernel, **asked)
    if mode == "quick" and seconds is None:
        seconds = QUICK_SECONDS
    return judge(request, seconds, False, lambda *_: None)


def replay(
    op: str, sample: Sample, dtype: str, aspect: str, seed: int, kernel: str = "", **asked: Any
) -> bool:
    """Asks one thing of one kernel again and prints every verdict that is no pass; True if none.

    What a failure's reproducer calls; `kernel` is "backend:name" or a stranger's file and name.
    """
    from ..spec import OPS

    isa = asked.pop("isa", None)
    ours = kernel.partition(":")[0] in (*OURS, "any")
    request = Request(
        (op,), "full", seed, kernel="" if ours else kernel, isas=(isa,) if isa else (), **asked
    )
    request.specs()
    spec = OPS[op]
    samples, spec.samples = spec.samples, (sample,)
    failures, cases = 0, 0
    try:
        with request.child() as child:
            for task in tasks(request, child, {}):
                if task.aspect != aspect or task.dtype != dtype or (ours and task.kernel != kernel):
                    continue
                if task.sample is None or task.sample.name != sample.name:  # of secret sizes
                    continue
                for label, verdict in task.run():
                    cases += 1
                    if not verdict.passed:
                        failures += 1
                        print(f"{label}: {verdict.why}")
    finally:
        spec.samples = samples
    print(f"{op}, {kernel}: {cases} cases, {failures} failed")
    return bool(cases) and not failures


def main(
    request: Request,
    *,
    seconds: float | None = None,
    again: bool = False,
    jobs: int | None = None,
    json_file: str | None = None,
    junit_file: str | None = None,
) -> int:
    """The command. Returns 0 if all passed, 1 if a case failed, 2 if nothing could be judged."""
    from .report import Report, write_junit

    begin = time.perf_counter()
    if request.mode == "quick" and seconds is None:
        seconds = QUICK_SECONDS - 3
    try:
        jobs = min(jobs or len(os.sched_getaffinity(0)), len(request.specs()))
        with Report(request) as report:
            if jobs > 1:
                outcome = together(request, seconds, again, jobs, report.tell)
            else:
                outcome = judge(request, seconds, again, report.progress)
    except (UnjudgeableError, ArgumentError) as error:
        print(f"fastdl check: {error}", file=sys.stderr)
        return 2
    took = time.perf_counter() - begin
    report.finish(outcome, took)
    if json_file:
        Path(json_file).write_text(json.dumps(record(request, outcome, took), indent=1) + "\n")
    if junit_file:
        write_junit(junit_file, request, outcome, took)
    return status(outcome)


def status(outcome: Outcome) -> int:
    """0, 1 or 2; a kernel that declined every case was not judged."""
    if outcome.failures:
        return 1
    # Before a deadline a kernel may have met only what it declines.
    silent = any(not t.cases and t.declined for t in outcome.tallies.values()) and not outcome.left
    return 2 if silent or not outcome.cases else 0


def record(request: Request, outcome: Outcome, took: float) -> dict[str, Any]:
    """The report as JSON: every kernel on every ISA, and every failure."""
    known = ("baseline", "avx2", "avx512", "avx512_bf16")
    tested = {t.isa for t in outcome.tallies.values() if t.cases}
    return {
        "fastdl": __version__,
        "mode": request.mode,
        "seed": request.seed,
        "seconds": round(took, 1),
        "cpu": _native.cpu_info(),
        "isas": {isa: "tested" if isa in tested else "not tested" for isa in known},
        "cases": outcome.cases,
        "rounds": outcome.rounds,
        "tasks_left_at_deadline": outcome.left,
        "kernels": [t.record() for t in outcome.tallies.values()],
        "failures": [f.record(request) for f in outcome.failures],
    }
