"""`fastdl bench`: contestants in turn, each in its own process, beside the measured roofline."""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import _native
from ..core.config import BACKENDS
from ..core.errors import ArgumentError, FastdlError
from ..spec import OpSpec, Sample, find_ops
from ..version import __version__
from . import peers
from .roofline import Roofline, measure

# Seconds of silence before a block. OpenBLAS's idle workers spin for some 60 ms: after 30 ms of
# silence a product on two threads took up to twice its time beside them, with a spread of 90%.
QUIET = 0.1


class Contestant:
    """A worker process that times one library's calls."""

    def __init__(self, name: str, threads: int):
        self.name = name
        count = str(threads)
        variables = (
            "OMP_NUM_THREADS",
            "OPENBLAS_NUM_THREADS",
            "MKL_NUM_THREADS",
            "FASTDL_NUM_THREADS",
        )
        env = {**os.environ, **dict.fromkeys(variables, count), **peers.modules()[name].NAMES[name]}
        if name == "jax" and threads == 1:
            env["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "fastdl.bench.worker", name, count],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=env,
        )

    def ask(self, job: dict[str, Any]) -> dict[str, Any]:
        """Sends one job and waits for its answer."""
        assert self.process.stdin and self.process.stdout
        try:
            self.process.stdin.write(json.dumps(job) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise FastdlError(f"the process of contestant {self.name} died on {job}")
        return json.loads(line)

    def close(self) -> None:
        """Ends the process."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.close()
        self.process.wait(timeout=10)
        self.process.stdout.close()


def race(
    spec: OpSpec,
    sample: Sample,
    dtype: str,
    contestants: list[Contestant],
    roofline: Roofline,
    *,
    turns: int,
    seconds: float,
    transposed: Sequence[int] = (),
) -> dict[str, Any]:
    """One row: every contestant that has the op, in turns; medians and spread in seconds.

    The sample may be one that the spec does not declare; then it has shapes alone, and the arrays
    `transposed` are views of their transposes.
    """
    job: dict[str, Any] = {"op": spec.name, "sample": sample.name, "dtype": dtype}
    if sample not in spec.samples:
        job |= {"arrays": sample.arrays, "transposed": transposed}
    ready = [c for c in contestants if c.ask(job)["ready"]]
    times: dict[str, list[float]] = {c.name: [] for c in ready}
    for _ in range(turns):
        for c in ready:
            time.sleep(QUIET)
            times[c.name] += c.ask({"seconds": seconds})["times"]
    arrays = sample.build(np.random.default_rng(0), dtype)
    plan = spec.shape(*_padded(spec, arrays), **sample.options)
    cost = spec.cost(*plan.arrays, **plan.options) if spec.cost else None
    row: dict[str, Any] = {"op": spec.name, "sample": sample.name, "dtype": dtype, "results": {}}
    if cost:
        row |= {"flops": cost.flops, "bytes": cost.bytes, "floor": roofline.floor(cost, dtype)}
    for name, t in times.items():
        low, median, high = np.percentile(t, (25, 50, 75))
        row["results"][name] = {"median": median, "low": low, "high": high, "calls": len(t)}
    return row


def _padded(spec: OpSpec, arrays: tuple[Any, ...]) -> tuple[Any, ...]:
    if spec.signature.arrays[-1].variadic:
        return arrays
    return (*arrays, *(None,) * (len(spec.signature.arrays) - len(arrays)))


def main(
    ops: list[str],
    vs: list[str] | None,
    threads: list[int],
    quick: bool,
    json_file: str | None,
    dtypes: Sequence[str] = ("float32", "float64"),
) -> int:
    """The command: races, prints the table, writes the JSON. Returns the exit status."""
    from .report import Report

    specs = [s for s in find_ops(ops) if any(sample.bench for sample in s.samples)]
    if not specs:
        raise ArgumentError(f"no sizes to time are declared for {', '.join(ops)}")
    chosen = peers.choose(vs)
    cores = len(os.sched_getaffinity(0))
    counts = [t for t in threads if t <= cores]
    if not counts:
        raise ArgumentError(f"--threads: got {threads}, but this machine has {cores} core(s)")
    report = Report(chosen, cores, skipped=[t for t in threads if t > cores])
    turns, seconds = (3, 0.03) if quick else (5, 0.06)
    rows = []
    for count in counts:
        roofline = measure(count)
        contestants = [Contestant(name, count) for name in chosen]
        try:
            report.start(count, roofline)
            for spec in specs:
                samples = [s for s in spec.samples if s.bench]
                taken = [d for d in dtypes if d in spec.dtypes] or dtypes[:1]  # of integers: any
                for sample in samples[:1] if quick else samples:
                    for dtype in taken[:1] if quick else taken:
                        row = race(
                            spec, sample, dtype, contestants, roofline, turns=turns, seconds=seconds
                        )
                        row["threads"] = count
                        rows.append(row)
                        report.row(row)
        finally:
            for c in contestants:
                c.close()
    report.finish(rows)
    if json_file:
        Path(json_file).write_text(
            json.dumps({**circumstances(chosen), "rows": rows}, indent=1) + "\n"
        )
    return 0


def _commit() -> str:
    """The commit of this source tree; 'unknown' for an installed package, or without git."""
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        # An installed copy may lie inside somebody else's repository, which does not track it.
        tracked = subprocess.run([*git, "ls-files", "."], capture_output=True, check=False).stdout
        run = subprocess.run(
            [*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
        )
    except OSError:
        return "unknown"
    return (tracked and run.stdout.strip()) or "unknown"


def circumstances(chosen: dict[str, str]) -> dict[str, Any]:
    """What a reader of the numbers must know: machine, versions, commit, command."""
    return {
        "fastdl": __version__,
        "commit": _commit(),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": "fastdl " + " ".join(sys.argv[1:]),
        "cpu": _native.cpu_info(),
        "isa": _native.isa(),
        "backends": BACKENDS,
        "peers": chosen,
    }
