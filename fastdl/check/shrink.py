"""A failure as small as it gets, and how to see it again."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..spec import OPS, Sample
from .client import MISFITS, SILENCE
from .judge import Verdict
from .sizes import smaller
from .strangers import OURS

if TYPE_CHECKING:
    from .client import Child
    from .tasks import Request, Task

MOST_TRIES = 60
MOST_SECONDS = 20  # none is begun after


@dataclass(frozen=True)
class Failure:
    """One case that did not pass."""

    op: str
    kernel: str
    isa: str
    sample: Sample | None
    dtype: str
    aspect: str
    label: str
    ratio: float
    why: str
    seed: int
    shrunk: bool = False

    @classmethod
    def of(cls, task: Task, label: str, verdict: Verdict, seed: int) -> Failure:
        """What a task's verdict says."""
        return cls(
            task.op, task.kernel, task.isa, task.sample, task.dtype, task.aspect, label,
            verdict.ratio, verdict.why, seed,
        )  # fmt: skip

    def __str__(self) -> str:
        sample = f", sample {self.sample.name!r}" if self.sample else ""
        strange = self.kernel.partition(":")[0] not in (*OURS, "any")
        return (
            f"{self.op}, kernel {self.kernel} ({self.isa}){sample}, {self.dtype}, {self.label}:"
            f" {'refused: ' if strange else ''}{self.why}"
        )

    def reproducer(self, request: Request) -> list[str]:
        """Three lines of Python that show the failure again."""
        if self.sample is None:
            kernel = f" --kernel {request.kernel}" if request.kernel else ""
            return [f"# fastdl check {self.op}{kernel} --seed {self.seed}"]
        asked: dict[str, Any] = {"kernel": request.kernel or self.kernel}
        if self.isa != "-":
            asked["isa"] = self.isa
        for name in ("signature", "dtypes", "depth", "input_bits", "bits", "spec_file", "emulator"):
            if getattr(request, name):
                asked[name] = getattr(request, name)
        options = ", ".join(f"{k}={v!r}" for k, v in asked.items())
        return [
            "from fastdl.check import *",
            f"sample = {_written(self.sample)}",
            f"replay({self.op!r}, sample, {self.dtype!r}, {self.aspect!r}, {self.seed}, {options})",
        ]

    def record(self, request: Request) -> dict[str, Any]:
        """For JSON."""
        return {
            "op": self.op, "kernel": self.kernel, "isa": self.isa,
            "sample": self.sample.name if self.sample else None, "dtype": self.dtype,
            "case": self.label, "why": self.why,
            "ratio": self.ratio if np.isfinite(self.ratio) else None,
            "reproducer": self.reproducer(request),
        }  # fmt: skip


def _written(sample: Sample) -> str:
    """A sample as an expression."""
    parts = [repr(sample.name), _expression(sample.arrays)]
    if sample.options:
        parts.append(_expression(dict(sample.options)))
    if sample.channels_last:
        parts.append("channels_last=True")
    return f"Sample({', '.join(parts)})"


def _expression(value: Any) -> str:
    if isinstance(value, tuple) and type(value) is tuple:
        inside = ", ".join(map(_expression, value))
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    if isinstance(value, np.ndarray):
        return f"np.array({value.tolist()!r}, {value.dtype.name!r})"
    if isinstance(value, np.generic):
        return repr(value.item())
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k!r}: {_expression(v)}" for k, v in value.items()) + "}"
    return repr(value)


def shrunk(failure: Failure, request: Request, child: Child) -> Failure:
    """The same failure on the smallest sample that shows it, of those tried."""
    from .tasks import tasks

    if failure.sample is None or failure.aspect == "differences" or SILENCE in failure.why:
        return failure
    spec = OPS[failure.op]
    before = spec.samples, spec.edges
    spec.edges = lambda dtype: ()
    try:
        tries, end = itertools.count(), time.monotonic() + MOST_SECONDS
        found = True
        while found:
            found = False
            for sample in smaller(failure.sample):
                if next(tries) >= MOST_TRIES or time.monotonic() > end:
                    return failure
                spec.samples = (sample,)
                again = _fails(tasks(replace(request, ops=(spec.name,)), child, {}), failure)
                if again is not None:
                    failure, found = replace(again, sample=sample, shrunk=True), True
                    break
    finally:
        spec.samples, spec.edges = before
    return failure


def _fails(work: Iterator[Task], failure: Failure) -> Failure | None:
    """The failure again, on another sample; None if that passes or makes no sense."""
    wanted = (failure.kernel, failure.isa, failure.dtype, failure.aspect)
    for task in work:
        if (task.kernel, task.isa, task.dtype, task.aspect) != wanted:
            continue
        try:
            for label, verdict in task.run():
                if not verdict.passed:
                    return Failure.of(task, label, verdict, failure.seed)
        except MISFITS:
            return None
    return None
