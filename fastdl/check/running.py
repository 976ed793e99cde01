"""Carrying tasks out: tallies and failures, in as many judges as there are cores."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, fields, replace
from multiprocessing.connection import Connection, wait
from typing import Any

import numpy as np

from . import aspects
from .client import MISFITS, Child, ChildDiedError
from .judge import Verdict
from .shrink import Failure, shrunk
from .tasks import Request, Task, tasks

_PR_SET_PDEATHSIG = 1
_GRACE = 1.0  # seconds for a judge to end its child and itself
MOST_CRASHES = 3  # of one kernel; what is left of it is not asked any more


@dataclass
class Tally:
    """What one kernel, forced on one ISA, has to show."""

    op: str
    kernel: str
    isa: str
    cases: int = 0
    failed: int = 0
    ratio: float = 0.0  # the worst error / bound,
    terms: int = 1  # of a sum of so many terms,
    depth: int = 1  # whose declared depth is this
    ran: Counter[str] = field(default_factory=Counter)  # calls by the ISA whose table was used
    samples: dict[str, list[str]] = field(default_factory=dict)  # names of samples by that ISA
    declined: Counter[str] = field(default_factory=Counter)  # calls by why they were not taken
    crashes: int = 0
    took: str = ""  # by a call of a stranger, in words
    skipped: int = 0  # tasks after too many crashes

    def add(self, sample: str, verdict: Verdict) -> None:
        """Counts one verdict."""
        if verdict.declined:
            self.declined[verdict.declined] += 1
            return
        self.cases += 1
        self.failed += not verdict.passed
        self.took = verdict.took or self.took
        if verdict.isa:
            self.ran[verdict.isa] += 1
            names = self.samples.setdefault(verdict.isa, [])
            if sample not in names:
                names.append(sample)
        if verdict.passed and verdict.ratio > self.ratio:
            self.ratio, self.terms, self.depth = verdict.ratio, verdict.terms, verdict.depth

    def record(self) -> dict[str, Any]:
        """For JSON, which has no infinity."""
        ratio = self.ratio if np.isfinite(self.ratio) else None
        return {f.name: getattr(self, f.name) for f in fields(self)} | {"ratio": ratio}


@dataclass
class Outcome:
    """All that a run found."""

    tallies: dict[tuple[str, str, str], Tally] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    done: int = 0
    left: int = 0  # tasks at the deadline
    rounds: int = 1

    @property
    def cases(self) -> int:
        """Judged kernel calls."""
        return sum(t.cases for t in self.tallies.values())

    def merge(self, other: Outcome) -> None:
        """Takes on what another judge found, or the same one in another round."""
        for key, t in other.tallies.items():
            mine = self.tallies.setdefault(key, Tally(*key))
            for name in ("cases", "failed", "crashes", "skipped"):
                setattr(mine, name, getattr(mine, name) + getattr(t, name))
            mine.ran += t.ran
            mine.took = t.took or mine.took
            mine.declined += t.declined
            for isa, names in t.samples.items():
                known = mine.samples.setdefault(isa, [])
                known += [n for n in names if n not in known]
            if t.ratio > mine.ratio:
                mine.ratio, mine.terms, mine.depth = t.ratio, t.terms, t.depth
        self.failures += other.failures
        self.done += other.done
        self.left += other.left


def perform(
    work: Iterable[Task], child: Child, request: Request, deadline: float,
    progress: Callable[[int, Task, int], None], outcome: Outcome | None = None,
) -> Outcome:  # fmt: skip
    """Runs tasks until the deadline."""
    outcome = outcome or Outcome()
    for task in work:
        if time.perf_counter() > deadline:
            outcome.left += 1
            continue
        key = (task.op, task.kernel, task.isa)
        tally = outcome.tallies.setdefault(key, Tally(*key))
        if tally.crashes >= MOST_CRASHES or (request.first and tally.failed):
            tally.skipped += 1
            continue
        crashes = child.crashes
        failed_before = tally.failed
        for label, verdict in _guarded(task):
            tally.add(task.sample.name if task.sample else "-", verdict)
            if not verdict.passed:
                outcome.failures.append(Failure.of(task, label, verdict, request.seed))
            if tally.crashes + child.crashes - crashes >= MOST_CRASHES:
                break
        tally.crashes += child.crashes - crashes
        if tally.failed and not failed_before:  # one failure of a kernel is made small, not all
            outcome.failures[-1] = shrunk(outcome.failures[-1], request, child)
        outcome.done += 1
        progress(1, task, len(outcome.failures))
    return outcome


def _guarded(task: Task) -> aspects.Found:
    """What the judge's own side of a task raises is a failure of the case; the run goes on."""
    try:
        yield from task.run()
    except (*MISFITS, ChildDiedError) as error:
        yield task.aspect, Verdict(np.inf, f"raised {type(error).__name__}: {error}")


def judge(
    request: Request, seconds: float | None, again: bool,
    progress: Callable[[int, Task | None, int], None], share: tuple[int, int] = (0, 1),
) -> Outcome:  # fmt: skip
    """One judge's share of a request: every `share[1]`-th op, from `share[0]` on.

    `again`: when all is done before the time is up, it begins anew with fresh seeds.
    """
    begin = time.perf_counter()
    deadline = begin + (seconds if seconds is not None else 1e9)
    names = [spec.name for spec in request.specs()]
    mine = replace(request, ops=tuple(names[share[0] :: share[1]]))
    total = Outcome()
    if not mine.ops:
        return total
    with request.child() as child:
        while True:
            work = list(tasks(mine, child))
            if seconds is not None:
                work.sort(key=lambda task: task.rank)
            progress(0, None, len(work))
            total.merge(perform(_consumed(work), child, mine, deadline, progress))
            if not again or time.perf_counter() > deadline:
                return total
            total.rounds += 1
            mine = replace(mine, seed=mine.seed + 1)


def _consumed(work: list[Task]) -> Iterator[Task]:
    """The tasks, each forgotten once it is done, and so the cases of an op that is done."""
    work.reverse()
    while work:
        yield work.pop()


def _worker(
    link: Connection, request: Request, seconds: float | None, again: bool, share: tuple[int, int]
) -> None:
    """A judge in a process of its own, which ends with the one that started it."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    last = [0.0, 0]

    def tell(count: int, task: Task | None, number: int) -> None:
        if task is None:
            link.send(("work", number))
            return
        last[1] += count
        if time.perf_counter() - last[0] > 0.05:
            link.send(("done", last[1], f"{task.op} {task.kernel} {task.isa}", number))
            last[:] = [time.perf_counter(), 0]

    try:
        link.send(("outcome", judge(request, seconds, again, tell, share)))
    except KeyboardInterrupt:
        pass
    except Exception as error:
        with contextlib.suppress(OSError):  # nobody listens any more
            link.send(("error", error))


def together(
    request: Request, seconds: float | None, again: bool, jobs: int,
    tell: Callable[..., None],
) -> Outcome:  # fmt: skip
    """Several judges at once, each with a child of its own; `tell` hears of their progress."""
    context = multiprocessing.get_context("spawn")
    links: dict[Connection, Any] = {}
    total = Outcome()
    total.rounds = 0
    try:
        for i in range(jobs):
            ours, theirs = context.Pipe()
            arguments = (theirs, request, seconds, again, (i, jobs))
            process = context.Process(target=_worker, args=arguments, daemon=True)
            process.start()
            theirs.close()
            links[ours] = process
        for message in _messages(links):
            if message[0] == "outcome":
                total.merge(message[1])
                total.rounds = max(total.rounds, message[1].rounds)
            elif message[0] == "error":
                raise message[1]
            else:
                tell(*message)
    finally:
        for link, process in links.items():
            link.close()
            process.join(_GRACE)
            process.terminate()
            process.join()
    return total


def _messages(links: dict[Connection, Any]) -> Iterator[tuple[Any, ...]]:
    open_links = list(links)
    while open_links:
        for link in wait(open_links):
            assert isinstance(link, Connection)
            try:
                message = link.recv()
            except EOFError:
                raise RuntimeError("a judge's process ended without an outcome") from None
            yield message
            if message[0] == "outcome":
                open_links.remove(link)
