"""How long a stranger's call takes, by the judge's clock, and whether that can be true.

A call is timed from laying its inputs out to having read its results, less the same without a
kernel. Inputs are fresh in every call but the ones that ask whether answers are kept. A time is
refused below a quarter of what the arithmetic and the memory traffic of the op take at this
machine's measured peaks: fast algorithms (Winograd's F(4x4, 3x3), Strassen's) save less than four.
"""

from __future__ import annotations

import math
import os
import statistics
import time
from dataclasses import dataclass, field
from functools import cache

from ..bench.roofline import Roofline, measure
from ..spec import Plan, Sample
from . import fills
from .aspects import Found, Subject, planned
from .client import Way
from .judge import Case, Verdict

MOST_SECONDS = 0.5  # that a call of the next larger sample may be expected to take; else one turn
TURNS, MOST_TURNS, MOST_OF_TURNS = 3, 12, 2.0  # at least, at most, and seconds of them
MOST_FLOPS = {"float64": 1e8}  # of a sample: its reference, in longdouble, is slow
TURNS_TO_TELL = 6  # whether answers are kept
SAVING = 4  # arithmetic that a fast algorithm may save, and how much quicker answers are kept
LEAST = 1e-3  # seconds below which nothing is said of kept answers


@dataclass
class Times:
    """Seconds of calls of one sample, by the judge's clock; `own` by the child's.

    With CPU seconds of the child, by the system's account, which tells less of a busy machine.
    """

    fresh: list[float] = field(default_factory=list)
    idle: list[float] = field(default_factory=list)  # of everything but the kernel
    own: list[float] = field(default_factory=list)
    fresh_cpu: list[float] = field(default_factory=list)
    seen_cpu: list[float] = field(default_factory=list)  # with inputs it had been given before
    idle_cpu: list[float] = field(default_factory=list)

    @property
    def net(self) -> float:
        """The kernel's part of its quickest call."""
        return max(0.0, min(self.fresh) - min(self.idle))

    @property
    def doubt(self) -> float:
        """How far the quickest of these calls may be from the quickest of more."""
        return statistics.median(self.idle) - min(self.idle)

    def refusal(self, floor: float) -> str:
        """What cannot be; "" if nothing."""
        if floor / SAVING > self.doubt and self.net + self.doubt < floor / SAVING:
            return (
                f"faster than this machine can be: {_time(self.net)},"
                f" where its peaks allow {_time(floor)}"
            )
        # Of kernels with threads of their own, some calls take many times as long as others.
        rest = min(self.idle_cpu)
        fresh, seen = min(self.fresh_cpu) - rest, statistics.median(self.seen_cpu) - rest
        doubt = statistics.median(self.idle_cpu) - rest
        if len(self.fresh) >= TURNS_TO_TELL and fresh > max(LEAST, SAVING * (seen + doubt)):
            return (
                f"keeps its answers: {_time(fresh)}, but {_time(max(seen, 0))} with numbers that"
                " it has seen"
            )
        if min(self.fresh) > 2 * (min(self.own) + max(self.idle)) + LEAST:
            return (
                f"its clock says {_time(min(self.own))} where the judge's says {_time(self.net)}:"
                " the clock was changed, or work was left for after the return"
            )
        return ""


def clock(subject: Subject, dtype: str) -> Found:
    """Times the largest of the op's samples for the benchmark that is not too large for it."""
    seconds = last_floor = 0.0
    last: tuple[Plan, Sample, Times] | None = None
    for plan, sample, floor in _sized(subject, dtype):
        if last and seconds * floor / last_floor > MOST_SECONDS:
            break
        times, verdict = _timed(subject, sample, dtype)
        if verdict.declined:
            continue
        yield f"timed, sample {sample.name!r}", verdict
        if verdict.why:
            return
        last, last_floor = (plan, sample, times), floor
        seconds = min(*times.fresh, *times.fresh_cpu)
        why = times.refusal(floor)
        if why:  # seen once may be the machine's mood
            peaks.cache_clear()
            times, _ = _timed(subject, sample, dtype, 2 * MOST_TURNS)
            why = times.refusal(_floor(subject, plan, dtype))
        if why:
            yield f"timed, sample {sample.name!r}", Verdict(math.inf, why)
            return
    if last:
        plan, sample, times = last
        floor = _floor(subject, plan, dtype)
        quick = times.net <= times.doubt
        took = f"less than {_time(times.doubt)}" if quick else _time(times.net)
        told = f"{took} for sample {sample.name!r}, {dtype}; the machine's peaks allow"
        yield "timed", Verdict(took=f"{told} {_time(floor)}")


def _sized(subject: Subject, dtype: str) -> list[tuple[Plan, Sample, float]]:
    """The largest sample that was judged, and those for the benchmark from there on, by floors."""
    if subject.spec.cost is None:
        return []
    found = []
    for sample in subject.spec.samples:
        plan = _plan(subject, sample, dtype, 0)
        if subject.takes(plan) and _flops(subject, plan) <= MOST_FLOPS.get(dtype, math.inf):
            found.append((plan, sample, max(_floor(subject, plan, dtype), 1e-9)))
    found.sort(key=lambda one: one[2])
    small = [i for i, (_, sample, _) in enumerate(found) if not sample.bench]
    return found[max(small, default=0) :]


def _plan(subject: Subject, sample: Sample, dtype: str, turn: int) -> Plan:
    rng = fills.seeded(subject.seed, subject.spec.name, sample.name, dtype, "clock", turn)
    return planned(subject.spec, sample.build(rng, dtype, fills.normal), sample)


def _flops(subject: Subject, plan: Plan) -> float:
    assert subject.spec.cost is not None
    return subject.spec.cost(*plan.arrays, **plan.options).flops


def _floor(subject: Subject, plan: Plan, dtype: str) -> float:
    assert subject.spec.cost is not None
    return peaks().floor(subject.spec.cost(*plan.arrays, **plan.options), dtype)


@cache
def peaks() -> Roofline:
    """This machine's, all cores."""
    return measure(len(os.sched_getaffinity(0)), 0.02, sizes=(1 << 15, 1 << 19, 1 << 22, 7 << 22))


def _timed(
    subject: Subject, sample: Sample, dtype: str, begin_at: int = 0
) -> tuple[Times, Verdict]:
    """Fresh inputs, the same again, no kernel, in turns; the verdict on one of the fresh calls.

    What is fresh depends on `begin_at` too.
    """
    times = Times()
    rng = fills.seeded(subject.seed, "turns", begin_at)
    judged = int(rng.integers(1, TURNS + 1))
    verdict, begin = Verdict(), time.perf_counter()
    plan = _plan(subject, sample, dtype, begin_at)
    first = subject.call(plan, sample)  # may compile
    if not first.good:
        return times, subject.verdict(Case(subject.spec, plan), first)
    for turn in range(1, MOST_TURNS + 1):
        slow = bool(times.fresh) and times.fresh[0] > MOST_SECONDS
        if slow or (turn > TURNS and time.perf_counter() - begin > MOST_OF_TURNS):
            break
        before, plan = plan, _plan(subject, sample, dtype, begin_at + turn)
        for kind in rng.permutation(["fresh", "seen", "idle"]):
            answer = subject.call(
                before if kind == "seen" else plan, sample, Way(idle=kind == "idle")
            )
            getattr(times, f"{kind}_cpu").append(answer.cpu_seconds)
            if kind == "idle":
                times.idle.append(answer.seconds)
            if kind == "fresh":
                times.fresh.append(answer.seconds)
                times.own.append(answer.own_seconds)
                if turn == judged or (turn == 1 and answer.seconds > MOST_SECONDS):
                    verdict = subject.verdict(Case(subject.spec, plan), answer)
    return times, verdict


def _time(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"
