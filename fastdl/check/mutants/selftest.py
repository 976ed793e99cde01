"""`fastdl check --self-test`: does the judge kill every defect, and by the rule that must?

A mutant is a patch of the C++ sources (patches*.py, built by build.py), a function around a native
kernel (wrappers*.py) or a spoiled vjp (gradients.py). Each is given to the rule it names; the right
kernel, on the same cases, must pass. Beside it, on the mutant: the rules of other harnesses.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ...core.errors import FastdlError
from ...spec import OPS, OpSpec, Sample
from .. import aspects, fills
from ..client import MISFITS, Answer, Child, ChildDiedError, Contestant, Way
from ..judge import Case, Verdict
from . import build, gradients
from .gradients import Gradient
from .harnesses import HARNESSES, Harness, passes
from .patch import Patch
from .patches import PATCHES
from .wrappers import WRAPPERS
from .wrapping import Wrapper

Mutant = Patch | Wrapper | Gradient

# What is asked of a kernel, in the order in which a mutant that its own rule spares meets it.
KERNEL_RULES = (
    "integers", "bound", "hard inputs", "poison", "guard pages", "inputs", "strides", "repeat",
    "threads", "alignment", "out=", "state",
)  # fmt: skip
TIMEOUT = 10.0  # seconds a call may take; no sample needs a tenth of one
MOST_CRASHES = 3  # that are not what a mutant's rule is about
_PLAIN = Way(shift=64, memory=("normal", 0))  # no guard page beside an array, no poison


@dataclass
class Result:
    """What became of a mutant."""

    name: str
    family: str
    op: str
    kind: str  # patch, wrapper or gradient
    rule: str  # that must kill it
    killed: bool = False
    where: str = ""  # sample and case that showed it
    why: str = ""
    instead: str = ""  # another rule that killed it, where its own did not
    false_alarm: str = ""  # what the judge said of the right kernel on that case
    others: list[str] = field(default_factory=list)  # the harnesses that caught it


class MutantChild(Child):
    """A child with one defect switched on, again after every crash."""

    number = 0

    def switch(self, number: int) -> None:
        """Switches a patch on, all others off; 0 for none."""
        self.number = number
        try:
            self.ask("mutate", number=number)
        except ChildDiedError:  # what the last defect did to its memory showed only now
            self._start()

    def _start(self) -> None:
        super()._start()
        if self.native:
            self.ask("mutate", number=self.number)


def rules_of(label: str, why: str) -> set[str]:
    """The rules a failed case counts for: what was asked, and what the kernel did."""
    for start, rule in _DEEDS.items():
        if why.startswith(start):
            return {rule}
    beside = {"guard pages"} if "SIG" in why or why.startswith("wrote") else set()
    for part, rule in _LABELS.items():
        if part in label:
            return {rule, *beside}
    if label in fills.HARD or label in ("bit patterns", "one special in every place"):
        return {"hard inputs", *beside}
    # What the allocator hands out is full of NaN: an element that nobody wrote shows as one.
    stale = {"poison"} if "nan" in why.partition(", exact")[0] else set()
    return beside or {"bound", *stale}


_DEEDS = {
    "modified its input": "inputs",
    "returned the memory of its own input": "inputs",
    "returned the memory that it had returned": "repeat",
    "changed": "state",
}
_LABELS = {
    "memory full": "poison",
    "threads": "threads",
    "bytes off": "alignment",
    "again": "repeat",
    "strides": "strides",
    "out=": "out=",
    "integers": "integers",
    "central": "differences",
}


def asked(
    rule: str, subject: aspects.Subject, sample: Sample, dtype: str, cases: dict[Any, Case]
) -> aspects.Found:
    """The cases of a rule on a sample."""
    spec = subject.spec
    if rule in ("integers", "bound", "inputs"):
        family = "integers" if rule == "integers" else "normal"
        yield from aspects.values(subject, sample, dtype, [family], cases)
    elif rule == "hard inputs":
        families = [*fills.HARD, *aspects.of_any_numbers(spec)]
        yield from aspects.values(subject, sample, dtype, families, cases)
        yield from aspects.lanes(subject, sample, dtype)
    elif rule == "strides":
        yield from aspects.strides(subject, sample, dtype)
    elif rule == "differences":
        yield from aspects.differences(spec, sample, subject.seed)
    elif rule in ("poison", "guard pages"):
        yield from aspects.values(subject, sample, dtype, ["normal"], cases)
        yield from aspects.bits(subject, sample, dtype)
    else:
        yield from aspects.bits(subject, sample, dtype)


def guarded(rule: str, found: aspects.Found) -> aspects.Found:
    """What the judge's own side raises is a failure of the rule."""
    try:
        yield from found
    except MISFITS as error:
        yield rule, Verdict(np.inf, f"raised {type(error).__name__}: {error}")


@dataclass
class Trial:
    """A mutant as two subjects, one for the defect, one without, and how to change over."""

    mutant: Mutant
    wrong: aspects.Subject
    right: aspects.Subject
    turn: Callable[[bool], object]  # True: the defect is on

    def subject(self, wrong: bool) -> aspects.Subject:
        """The defective kernel, or the right one."""
        self.turn(wrong)
        return self.wrong if wrong else self.right


class Bench:
    """One process's children, and what it computed for the op at hand."""

    def __init__(self, library: str, seed: int):
        self.seed, self.isa = seed, build.isa() if library else None
        self.patched = MutantChild(native=library, timeout=TIMEOUT)
        self.shipped = Child(timeout=TIMEOUT)
        self.op = ""
        self.cases: dict[Any, Case] = {}
        self.alarms: dict[Any, bool] = {}

    def close(self) -> None:
        """Ends the children."""
        self.patched.close()
        self.shipped.close()

    def judge(self, mutant: Mutant) -> Result:
        """Gives a mutant to its rule, then to the other harnesses."""
        spec = OPS[mutant.op]
        if mutant.op != self.op:
            self.op = mutant.op
            self.cases.clear()
            self.alarms.clear()
        trial = self.trial(mutant, spec)
        kind = type(mutant).__name__.lower()
        result = Result(mutant.name, spec.family, mutant.op, kind, mutant.rule)
        try:
            self.kill(trial, result)
            for harness in HARNESSES:
                if isinstance(mutant, Gradient):
                    caught = gradients.caught(harness, mutant, self.seed)
                else:
                    caught = self.caught(harness, trial)
                if caught:
                    result.others.append(harness.name)
        except MISFITS as error:
            result.instead = f"the judge raised {type(error).__name__}: {error}"
        finally:
            trial.turn(False)
        return result

    def trial(self, mutant: Mutant, spec: OpSpec) -> Trial:
        """How to ask for a mutant's op, with the defect and without."""
        kernels = spec.kernels("native") or OPS["copy"].kernels("native")  # a view has none
        place = next((i for i, k in enumerate(kernels) if mutant.dtype in k.dtypes), 0)
        kernel = kernels[place]
        own = aspects.Subject(spec, Contestant(kernel, own=place), None, self.shipped, self.seed)
        if isinstance(mutant, Gradient):
            return Trial(mutant, own, own, mutant.turn)
        if isinstance(mutant, Wrapper):
            contestant = Contestant(
                replace(kernel, name=mutant.function, out=False), where=mutant.where
            )
            return Trial(mutant, replace(own, contestant=contestant), own, lambda on: None)
        number = mutant.number
        patched = replace(own, isa=self.isa, child=self.patched)
        return Trial(mutant, patched, patched, lambda on: self.patched.switch(number if on else 0))

    def kill(self, trial: Trial, result: Result) -> None:
        """Asks for what the mutant's rule asks until it kills; else, whether another one does."""
        mutant = trial.mutant
        others = () if isinstance(mutant, Gradient) else KERNEL_RULES
        child = trial.wrong.child
        most = child.crashes + MOST_CRASHES
        for rule in (mutant.rule, *others):
            for sample in samples(trial.right.spec, mutant.sample if rule == mutant.rule else ""):
                wrong = trial.subject(True)
                found = asked(rule, wrong, sample, mutant.dtype, self.cases)
                for label, verdict in guarded(rule, found):
                    if verdict.passed:
                        continue
                    rules = {rule} if label == rule else rules_of(label, verdict.why)
                    where = f"{sample.name}, {label}"
                    if mutant.rule in rules:
                        result.killed, result.instead = True, ""
                        result.where, result.why = where, verdict.why
                        right = trial.subject(False)
                        for case, again in asked(rule, right, sample, mutant.dtype, self.cases):
                            if not again.passed:
                                result.false_alarm = f"{sample.name}, {case}: {again.why}"
                        return
                    if child.crashes > most:
                        return
                    result.instead = f"{'/'.join(sorted(rules))} ({where}: {verdict.why})"
            if result.instead and rule != mutant.rule:
                return

    def caught(self, harness: Harness, trial: Trial) -> bool:
        """Does a harness find the mutant on some sample on which it lets the right kernel pass?"""
        dtype = trial.mutant.dtype
        for sample in samples(trial.right.spec):
            if self.good(harness, trial.subject(True), sample, dtype):
                continue
            key = (harness.name, sample.name, dtype)
            if key not in self.alarms:
                self.alarms[key] = not self.good(harness, trial.subject(False), sample, dtype)
            if not self.alarms[key]:
                return True
        return False

    def good(self, harness: Harness, subject: aspects.Subject, sample: Sample, dtype: str) -> bool:
        """Does a harness let a kernel pass on a sample?"""
        for trial in range(harness.trials):
            key = (harness.fill, sample.name, dtype, trial)
            if key not in self.cases:
                rng = fills.seeded(self.seed, "harness", sample.name, trial)
                arrays = sample.build(rng, dtype, harness.fill)
                try:
                    plan = aspects.planned(subject.spec, arrays, sample)
                except FastdlError:  # 8 is no probability: the harness has nothing to ask
                    return True
                self.cases[key] = Case(subject.spec, plan)
            case = self.cases[key]
            if not subject.takes(case.plan):
                return True
            answer = subject.call(case.plan, sample, _PLAIN)
            if not ended(answer) or (answer.results and not passes(harness, answer.results, case)):
                return False
        return True


def ended(answer: Answer) -> bool:
    """Did the call end well, as far as one can tell without guard pages and hashes?"""
    unseen = ("changed", "returned the memory", "modified", "wrote")
    return bool(answer.results or answer.declined or answer.why.startswith(unseen))


def samples(spec: OpSpec, name: str = "") -> list[Sample]:
    """The samples of an op, or the one of a name."""
    return [s for s in spec.samples if not s.bench and name in ("", s.name)]


def everything() -> dict[str, Mutant]:
    """All mutants by their names."""
    mutants: list[Mutant] = [*PATCHES, *WRAPPERS, *gradients.GRADIENTS]
    return {mutant.name: mutant for mutant in mutants}


def _judged(work: tuple[list[str], str, int]) -> list[Result]:
    """One process's share, by name: functions do not travel."""
    names, library, seed = work
    mutants = everything()
    bench = Bench(library, seed)
    try:
        return [bench.judge(mutants[name]) for name in names]
    finally:
        bench.close()


def judge_all(
    names: Iterable[str], library: str, seed: int, jobs: int,
    progress: Callable[[int], object] = lambda done: None,
) -> list[Result]:  # fmt: skip
    """The results of some mutants; those of an op go to one process together."""
    mutants = everything()
    shares: dict[str, list[str]] = {}
    for name in names:
        shares.setdefault(mutants[name].op, []).append(name)
    work = [(share, library, seed) for share in shares.values()]
    found: list[Result] = []
    if jobs == 1:
        for one in work:
            found += _judged(one)
            progress(len(found))
        return found
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        for results in pool.imap_unordered(_judged, work):
            found += results
            progress(len(found))
    return found
