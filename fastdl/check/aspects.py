"""What is asked of every kernel: right values on every family of inputs, any strides, any allocator
contents, any number of threads, any alignment, `out=`; nothing touched but its results; and right
gradients.

Each aspect is a generator of (label, Verdict). A case is one judged call of the kernel, in a child
process, with every array flush against a page that may not be touched.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .. import autograd
from ..core.config import use_backend
from ..core.dtypes import is_float
from ..core.errors import UnsupportedError
from ..dispatch import make_plan
from ..spec import SUMS, Ints, Kernel, OpSpec, Plan, Sample
from ..tensor import Tensor
from . import fills
from .arena import Restride
from .client import Answer, Child, ChildDiedError, Contestant, Way
from .judge import Case, Verdict, same_bits

THREADS = (1, 2, 3, 5, 8)
# Huge numbers, NaN, and ordinary numbers: what is not finite may be mended by a kernel's own care.
POISONS = (0x7F, 0xFF, 0x3F)
CHANGES = 6  # calls in a row whose inputs differ in one element
LANES = 67  # elements of an array whose every place gets a NaN in a full run
Found = Iterator[tuple[str, Verdict]]
# The narrowest table that counts as an instruction set's own.
_TABLES = {"avx512_bf16": ("avx512", "avx512_bf16")}


def planned(spec: OpSpec, arrays: tuple[Any, ...], sample: Sample) -> Plan:
    """The checked call of a sample."""
    return make_plan(spec, arrays, dict(sample.options))


@dataclass
class Subject:
    """A kernel of an op on one instruction set, in a child."""

    spec: OpSpec
    contestant: Contestant
    isa: str | None
    child: Child
    seed: int
    memo: dict[Any, Any] = field(default_factory=dict)  # cases, shared by the kernels of the op
    _depths: dict[int, int] = field(default_factory=dict)

    def case(self, key: tuple[Any, ...], arrays: tuple[Any, ...], sample: Sample) -> Case:
        """A case by its name; its exact result is computed once for all kernels of the op."""
        key = (self.spec.name, self.seed, sample.name, *key)
        if key not in self.memo:
            self.memo[key] = Case(self.spec, planned(self.spec, arrays, sample))
        return self.memo[key]

    def call(self, plan: Plan, sample: Sample, way: Way | None = None) -> Answer:
        """Calls the kernel in some way on its instruction set."""
        way = replace(way or Way(), isa=self.isa)
        answer = self.child.call(self.spec, self.contestant, plan, dict(sample.options), way)
        own = _TABLES.get(self.isa or "", (self.isa, ""))
        if answer.good and self.isa and answer.isa not in (*own, ""):
            answer.why = f"ran on {answer.isa} where {self.isa} was asked for"
        return answer

    def judged(
        self, case: Case, sample: Sample, way: Way | None = None, integers: bool = False,
        layout: bool = True,
    ) -> Verdict:  # fmt: skip
        """Calls the kernel and judges what it returned; `layout`: the memory format, too."""
        return self.verdict(case, self.call(case.plan, sample, way), integers, layout)

    def verdict(
        self, case: Case, answer: Answer, integers: bool = False, layout: bool = True
    ) -> Verdict:
        """The verdict on an answer."""
        if answer.declined:
            return Verdict(declined=answer.declined)
        if answer.why:
            return Verdict(np.inf, answer.why)
        kernel = self.contestant.kernel
        try:
            depth = self.depth(case.terms)
        except ChildDiedError as death:
            return Verdict(np.inf, f"its depth of {case.terms} terms: {death}")
        verdict = case.judge(
            answer.results,
            depth,
            integers,
            kernel.input_bits,
            kernel.accumulator,
            layout=layout and self.contestant.ours,
        )
        verdict.isa = answer.isa
        return verdict

    def depth(self, terms: int) -> int:
        """The declared depth; of a stranger at most the number of terms.

        No order of adding k numbers is deeper, so a formula beyond that says nothing.
        """
        terms = max(terms, 1)  # formulas have logarithms
        if terms not in self._depths:
            contestant = self.contestant
            if contestant.ours:
                depth = contestant.kernel.depth(terms)
            elif contestant.canonical and contestant.symbol is None:
                depth = min(self.child.depth(self.spec, contestant, terms), terms)
            else:
                depth = min(contestant.kernel.depth(terms), terms)
            self._depths[terms] = depth
        return self._depths[terms]

    def takes(self, plan: Plan) -> bool:
        """May the kernel be asked?"""
        return not self.contestant.why_not(self.spec, plan)


def values(
    subject: Subject, sample: Sample, dtype: str, families: list[str], cases: dict[Any, Case]
) -> Found:
    """Rules 1, 2 and 3: every family of inputs, arrays ending at guard pages, the first also
    beginning at them."""
    spec, kernel = subject.spec, subject.contestant.kernel
    declined: bool | None = None
    for family in families:
        key = (spec.name, sample.name, dtype, family, kernel.input_bits, kernel.accumulator)
        if key not in cases:
            rng = fills.seeded(subject.seed, *key[:4])
            fill = _fill(spec, sample, dtype, family, kernel)
            cases[key] = Case(spec, planned(spec, sample.build(rng, dtype, fill), sample))
        case = cases[key]
        if why := subject.contestant.why_not(spec, case.plan):
            yield family, Verdict(declined=why)
            continue
        integers = family == "integers"
        verdict = subject.judged(case, sample, integers=integers)
        declined = bool(verdict.declined) if declined is None else declined
        if declined != bool(verdict.declined) and verdict.passed and not subject.contestant.ours:
            verdict = Verdict(np.inf, _CHOOSY.format(verdict.declined or "the first"))
        yield family, verdict
        if family == families[0]:
            yield f"{family}, from a guard page", subject.judged(case, sample, Way(at_end=False))
            if late := _late(subject):
                yield "a moment later", Verdict(np.inf, late)


_CHOOSY = "took the sample with some numbers and declined it with others: declined {}"


def of_any_numbers(spec: OpSpec) -> list[str]:
    """The families of inputs of any size, for elementwise ops.

    Ops of several roundings may overflow half-way, and a backward op takes an output of its
    forward op, which has no such range.
    """
    any_numbers = spec.family == "elementwise" and not spec.name.endswith("_backward")
    return ["bit patterns", "hard places"] if any_numbers else []


def _late(subject: Subject) -> str:
    return "" if subject.contestant.ours else subject.child.settle()


def _fill(spec: OpSpec, sample: Sample, dtype: str, family: str, kernel: Kernel) -> fills.Fill:
    if family == "integers":
        arrays = sample.build(np.random.default_rng(0), dtype)
        plan = planned(spec, arrays, sample)
        growth = SUMS.get(spec.bound_of(plan.options), 1)
        terms = growth * spec.terms(*plan.arrays, **plan.options)
        return fills.integers(terms, kernel.input_bits, kernel.accumulator)
    if family == "bit patterns":
        return fills.bit_patterns
    if family == "hard places":
        return fills.hard_places
    return fills.HARD.get(family, fills.normal)


def lanes(subject: Subject, sample: Sample, dtype: str) -> Found:
    """A NaN and an infinity in every place of every small array of any numbers, one at a time."""
    spec = subject.spec
    rng = fills.seeded(subject.seed, spec.name, sample.name, dtype, "lanes")
    arrays = sample.build(rng, dtype, fills.normal)
    for i, a in enumerate(arrays):
        any_number = isinstance(sample.arrays[i], tuple)  # others keep to a range
        if not any_number or not is_float(a.dtype) or not 0 < a.size <= LANES:
            continue
        for place in range(a.size):
            moved = a.copy(order="K")
            moved[np.unravel_index(place, a.shape)] = (np.nan, np.inf, -np.inf)[place % 3]
            changed = (*arrays[:i], moved, *arrays[i + 1 :])
            case = subject.case((dtype, "lanes", i, place), changed, sample)
            if subject.takes(case.plan):
                yield "one special in every place", subject.judged(case, sample)


def changes(subject: Subject, sample: Sample, dtype: str) -> Found:
    """Inputs that differ from the last call's in one element: an answer kept from it shows."""
    spec = subject.spec
    rng = fills.seeded(subject.seed, spec.name, sample.name, dtype, "changes")
    arrays = sample.build(rng, dtype, fills.normal)
    places = [i for i, a in enumerate(arrays) if isinstance(a, np.ndarray) and a.size]
    for turn in range(CHANGES if places else 0):
        i = places[turn % len(places)]
        moved = arrays[i].copy(order="K")
        place = np.unravel_index(int(rng.integers(moved.size)), moved.shape)
        moved[place] = sample.build(rng, dtype, fills.normal)[i][place]
        arrays = (*arrays[:i], moved, *arrays[i + 1 :])
        case = Case(spec, planned(spec, arrays, sample))
        if subject.takes(case.plan):
            yield "one element changed", subject.judged(case, sample)


def strides(subject: Subject, sample: Sample, dtype: str, thorough: bool = False) -> Found:
    """The same numbers behind reversed, padded and transposed strides must meet the bound too.

    `thorough`: also one array at a time, beside the others as they were; from a guard page; numbers
    repeated by strides of 0; and `out` with other strides.
    """
    spec = subject.spec
    rng = fills.seeded(subject.seed, spec.name, sample.name, dtype, "strides")
    arrays = sample.build(rng, dtype, fills.normal)
    places = {i for i, a in enumerate(arrays) if isinstance(a, np.ndarray) and a.ndim}
    any_numbers = {i for i in places if isinstance(sample.arrays[i], (tuple, Ints))}
    for restrided, all_of in ((_RESTRIDED, places), (_REPEATED, any_numbers)):
        layout = restrided is _RESTRIDED  # an operand that repeats itself has none to follow
        if not (layout or thorough):
            continue
        for label, restride in restrided.items():
            for group in _groups(all_of, thorough):
                moved = tuple(restride(a) if i in group else a for i, a in enumerate(arrays))
                which = label if group == all_of else f"{label}, of array {min(group)}"
                case = subject.case((dtype, which), moved, sample)
                if not subject.takes(case.plan):
                    continue
                yield f"strides: {which}", subject.judged(case, sample, layout=layout)
                if thorough and group == all_of:
                    verdict = subject.judged(case, sample, Way(at_end=False), layout=layout)
                    yield f"strides: {which}, from a guard page", verdict
    case = subject.case((dtype, "strides"), arrays, sample)
    outs = thorough and subject.contestant.kernel.out and subject.takes(case.plan)
    for label, restride in _RESTRIDED.items() if outs else ():
        if all(out.shape for out in case.plan.outputs):
            way = Way(out=True, restride=restride)
            verdict = subject.judged(case, sample, way, layout=False)  # that of `out` is given
            yield f"strides: {label}, of out", verdict


def _groups(places: set[int], apart: bool) -> list[set[int]]:
    """All of some arrays, and each alone."""
    return [places, *({i} for i in places if apart and len(places) > 1)] if places else []


def _reversed(a: np.ndarray) -> np.ndarray:
    back = (slice(None, None, -1),) * a.ndim
    return a[back].copy()[back]


def _filler(a: np.ndarray) -> Any:
    """What no kernel may read: NaN, or a number that shows."""
    return np.nan if is_float(a.dtype) else True if a.dtype.kind == "b" else 99


def _padded(a: np.ndarray) -> np.ndarray:
    """Every dimension is a slice of a larger one full of NaN (or of the largest integer)."""
    big = np.full([2 * n + 3 for n in a.shape], _filler(a), a.dtype)
    window = tuple(slice(1, 1 + 2 * n, 2) for n in a.shape)
    big[window] = a
    return big[window]


def _apart(a: np.ndarray) -> np.ndarray:
    """Rows as they are, farther apart: the left part of a wider array."""
    big = np.full((*a.shape[:-1], a.shape[-1] + 5), _filler(a), a.dtype)
    rows = big[..., : a.shape[-1]]
    rows[...] = a
    return rows


def _transposed(a: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(a.T).T


_RESTRIDED: dict[str, Restride] = {
    "reversed": _reversed,
    "every second element": _padded,
    "transposed": _transposed,
    "rows apart": _apart,
}
# These are other numbers.
_REPEATED: dict[str, Restride] = {
    "one row for all": lambda a: np.broadcast_to(a[:1], a.shape),
    "one column for all": lambda a: np.broadcast_to(a[..., :1], a.shape),
}


def _ways(subject: Subject, itemsize: int, thorough: bool, fork: bool) -> Iterator[tuple[str, Way]]:
    """Everything about a call that may not change its bits."""
    yield "again", Way()
    for pattern in POISONS:
        label = f"memory full of {pattern:#x}"
        yield label, Way(memory=("poison", pattern))
    yield "arrays and memory from a guard page", Way(at_end=False)
    for count in THREADS:
        yield f"{count} threads", Way(threads=count)
    steps = range(1, 64 // itemsize) if thorough else (1, 2, 5, 7)
    offsets = [step * itemsize for step in steps]
    for offset in offsets:
        yield f"{offset} bytes off", Way(shift=offset)
    yield "interrupted by signals", Way(signals=True)
    # Numba's thread pools refuse to live on, and a stranger's own may be lost.
    fork &= subject.contestant.owes_bits and subject.contestant.kernel.backend != "numba"
    if fork:
        yield "in a forked process", Way(fork=True)
    if subject.contestant.kernel.out:
        yield "out=", Way(out=True)


def bits(
    subject: Subject, sample: Sample, dtype: str, thorough: bool = False, fork: bool = True
) -> Found:
    """Poisoned memory, repeats, threads, alignment, signals, forks, `out=`: every bit stays.

    Of a stranger that does not declare so, the same bits are not asked, only right ones.
    """
    spec = subject.spec
    rng = fills.seeded(subject.seed, spec.name, sample.name, dtype, "bits")
    case = subject.case((dtype, "bits"), sample.build(rng, dtype, fills.normal), sample)
    if not subject.takes(case.plan):
        return
    first = subject.call(case.plan, sample)
    yield "first call", subject.verdict(case, first)
    if not first.good:
        return
    sizes = [a.itemsize for a in case.plan.arrays if isinstance(a, np.ndarray)]
    itemsize = min(sizes, default=1)  # of wider ones, the arena takes the next place they may have
    for label, way in _ways(subject, itemsize, thorough, fork):
        answer = subject.call(case.plan, sample, way)
        if way.out and answer.declined:
            continue
        if answer.declined and way.at_end and not way.shift:
            yield label, Verdict(np.inf, f"declined what it took before: {answer.declined}")
            return
        if not answer.good or not subject.contestant.owes_bits:
            yield label, subject.verdict(case, answer)
        else:
            good = same_bits(first.results, answer.results)
            why = "" if good else "other bits than the first call"
            yield label, Verdict(0.0 if good else np.inf, why, isa=answer.isa)
        if not answer.good:
            return


@contextmanager
def _listening(calls: list[tuple[OpSpec, tuple[Any, ...], dict[str, Any], Any]]) -> Iterator[None]:
    """Notes every op that runs on arrays, with its arguments and result."""
    original = OpSpec.__call__

    def noted(self: OpSpec, *arrays: Any, out: Any = None, **options: Any) -> Any:
        result = original(self, *arrays, out=out, **options)
        if not any(isinstance(a, Tensor) for a in arrays):
            calls.append((self, arrays, options, result))
        return result

    OpSpec.__call__ = noted  # type: ignore[method-assign]
    try:
        yield
    finally:
        OpSpec.__call__ = original  # type: ignore[method-assign]


def taped(spec: OpSpec, arrays: tuple[Any, ...], sample: Sample) -> tuple[list[Any], Any]:
    """The op on Tensors; every float array requires grad, or the first alone if not all may."""
    floats = [i for i, a in enumerate(arrays) if isinstance(a, np.ndarray) and is_float(a.dtype)]
    for wanted in (floats, floats[:1]):
        tensors = [
            Tensor(a, requires_grad=i in wanted) if isinstance(a, np.ndarray) else a
            for i, a in enumerate(arrays)
        ]
        result = spec(*tensors, **sample.options)
        first = result[0] if isinstance(result, tuple) else result
        if not (isinstance(first, Tensor) and first.requires_grad):
            break
        try:
            first.backward(np.zeros(first.shape, first.dtype), retain_graph=True)
        except UnsupportedError:
            continue
        for t in tensors:
            if isinstance(t, Tensor):
                t.grad = None
        break
    return tensors, first


def gradients(subject: Subject, sample: Sample, dtype: str) -> Found:
    """Every op that the vjp calls, on the operands of a random upstream gradient.

    The vjp itself runs on the reference, here; the kernels of its ops run in the child.
    """
    key = (subject.spec.name, subject.seed, sample.name, dtype, "gradients")
    if key not in subject.memo:
        subject.memo[key] = _calls_of_the_vjp(subject, sample, dtype)
    found, forms = subject.memo[key]
    for case in found:
        inner = case.spec
        kernels = inner.kernels(subject.contestant.kernel.backend)
        index = next((i for i, k in enumerate(kernels) if k.why_not(case.plan) is None), None)
        if index is None:
            continue
        contestant = Contestant(kernels[index], own=index)
        one = Subject(inner, contestant, subject.isa, subject.child, subject.seed)
        verdict = one.judged(case, sample)
        if not verdict.passed:
            verdict.why = f"in the vjp, {inner.name}: {verdict.why}"
        yield "gradient", verdict
    for why in forms:
        yield "gradient's form", Verdict(0, why)


def _calls_of_the_vjp(subject: Subject, sample: Sample, dtype: str) -> tuple[list[Case], list[str]]:
    """The calls of ops within a vjp as cases, and what is wrong with each gradient's form."""
    spec = subject.spec
    rng = fills.seeded(subject.seed, spec.name, sample.name, dtype, "gradients")
    arrays = sample.build(rng, dtype, fills.normal)
    calls: list[Any] = []
    try:
        with use_backend("reference"):
            tensors, y = taped(spec, arrays, sample)
            if not (isinstance(y, Tensor) and y.requires_grad):
                return [], []
            upstream = rng.standard_normal(y.shape).astype(y.dtype)
            with _listening(calls):
                y.backward(upstream)
    except UnsupportedError:
        return [], []
    found = [
        Case(inner, make_plan(inner, operands, options))
        for inner, operands, options, _ in calls
        if not inner.view
    ]
    forms = [
        "" if t.grad.shape == argument.shape and t.grad.dtype == argument.dtype
        else "shape or dtype of another array"
        for argument, t in zip(arrays, tensors, strict=True)
        if isinstance(t, Tensor) and t.requires_grad and t.grad is not None
    ]  # fmt: skip
    return found, forms


def differences(spec: OpSpec, sample: Sample, seed: int) -> Found:
    """The reference's vjp against a central difference of the reference in a random direction.

    The difference is taken in extended precision with steps of 2^-17 and 2^-18, extrapolated, so
    its own relative error is some 1e-13; 1e-9 of the sum of magnitudes is asked, beside what the
    rounding of the results (64 units of them) makes of a difference over so short a step.
    """
    if not spec.smooth:
        return
    rng = fills.seeded(seed, spec.name, sample.name, "differences")
    arrays = sample.build(rng, "float64", fills.moderate)
    with use_backend("reference"):
        tensors, y = taped(spec, arrays, sample)
        if isinstance(y, Tensor) and np.isnan(y._array).any():  # outside the domain of log
            if not any(isinstance(a, np.ndarray) and a.size for a in arrays):
                return
            arrays = tuple(np.abs(a) if isinstance(a, np.ndarray) else a for a in arrays)
            tensors, y = taped(spec, arrays, sample)
        if not (isinstance(y, Tensor) and y.requires_grad and y._array.size):
            return
        if y.dtype != np.float64:  # a cast to less rounds more than the difference may
            return
        finite = np.isfinite(y._array)  # a window of padding alone has the maximum −inf
        upstream = np.where(finite, rng.standard_normal(y.shape), 0)
        wanted = [t for t in tensors if isinstance(t, Tensor) and t.requires_grad]
        found = autograd.grad(y, wanted, upstream, allow_unused=True)
    plan = planned(spec, arrays, sample)
    step = np.longdouble(2.0**-17)
    padded = [*tensors, *(None,) * (len(plan.arrays) - len(tensors))]
    directions = [
        rng.standard_normal(a.shape).astype(np.longdouble)
        if isinstance(t, Tensor) and t.requires_grad
        else None
        for a, t in zip(plan.arrays, padded, strict=True)
    ]

    def value(h: Any) -> Any:
        moved = tuple(
            a if d is None else a.astype(np.longdouble) + h * d
            for a, d in zip(plan.arrays, directions, strict=True)
        )
        with np.errstate(all="ignore"):
            y = spec.run_reference(moved, plan.options)[0]
        return (np.where(finite, y, 0) * upstream).sum()

    wide, narrow = ((value(h) - value(-h)) / (2 * h) for h in (step, step / 2))
    expected = narrow + (narrow - wide) / 3  # Richardson: the error of order h² drops out
    used = [d for d in directions if d is not None]
    parts = [
        (g.numpy() * d, np.abs(g.numpy() * d))
        for g, d in zip(found, used, strict=False)
        if g is not None
    ]
    got = sum(p.sum() for p, _ in parts)
    scale = sum(m.sum() for _, m in parts) + np.abs(expected)
    results = np.abs(np.where(finite, y._array, 0) * upstream).sum()
    noise = 64 * np.finfo(np.longdouble).eps * results / step
    error = float(max(abs(got - expected) - noise, 0) / scale) if scale else 0.0
    good = error <= 1e-9
    why = (
        ""
        if good
        else f"directional derivative {float(got)!r}, central difference {float(expected)!r}"
    )
    yield "central differences", Verdict(error / 1e-9, why)


def widest(child: Child) -> Found:
    """Without being asked, the widest instruction set that runs is in use."""
    asked = os.environ.get("FASTDL_ISA", "auto")
    want = child.isas[-1] if asked == "auto" else asked
    good = child.default_isa == want
    yield "instruction set", Verdict(0, "" if good else f"{child.default_isa} is used, not {want}")


def refusals(spec: OpSpec, child: Child) -> Found:
    """Every declared bad input raises its declared error and modifies nothing."""
    try:
        reply = child.ask("refusals", op=spec.name)
    except ChildDiedError as death:
        yield "bad inputs", Verdict(np.inf, str(death))
        return
    for name, why in reply.get("verdicts") or [["all", str(reply.get("why"))]]:
        yield f"bad input: {name}", Verdict(0.0 if not why else np.inf, why)
