"""The precision fingerprint of a kernel that sums products: what it does with its bits.

How many bits of each operand count, how many its accumulator keeps, which small numbers it loses,
and in which order it adds. Nothing is taken from the kernel's declaration: numbers of one bit and
sums that cancel go through the kernel, in the child process, and tell.

Any op whose output element is Σ c·a·b or Σ c·a for some constant c has one; which elements of its
operands make up the terms is found out from its reference.
"""

from __future__ import annotations

import itertools
import json
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..core.dtypes import FLOATS, finfo, is_float
from ..core.errors import ArgumentError
from ..spec import OpSpec, Plan, Sample
from . import sumtree
from .aspects import Subject, planned
from .client import MISFITS, UnjudgeableError
from .sizes import resized
from .tasks import Request, dtypes_of, subjects

TERMS = 128  # wanted of a sum; its square bounds the number of calls
MOST_SUMS = 4  # offered to a kernel, which may decline some
MOST_ELEMENTS = 1 << 14  # of all operands together
GIANT = 2.0**12  # in sums that show the accumulator; a float16 too
WIDE = 2.0**60  # fits any float of 8 bits of exponent or more
_FORMATS = {53: "float64", 24: "float32", 8: "bfloat16"}


class UnclearError(Exception):
    """A kernel did something that no probe can read; the message says what."""


@dataclass
class Fingerprint:
    """What the probes of one kernel show."""

    op: str
    kernel: str
    isa: str
    dtype: str
    why: str = ""  # there is none
    inputs: tuple[str, ...] = ()  # the effective precision of each operand,
    input_bits: tuple[int, ...] = ()
    accumulator: str = ""
    accumulator_bits: int = 0
    denormals: str = ""
    order: str = ""
    depth: int = 0
    terms: int = 0
    declared_depth: int = 0

    def __str__(self) -> str:
        place = f"{self.op}, {self.kernel}" + f" ({self.isa})" * (self.isa != "-")
        if self.why:
            return f"{place}, {self.dtype}: {self.why}"
        same = len(set(self.inputs)) == 1
        inputs = self.inputs[0] if same else " and ".join(self.inputs)
        beside = "declared" if self.depth <= self.declared_depth else "more than the declared"
        depth = f", depth {self.depth} of" if self.depth else " of"
        declared = f" ({beside} {self.declared_depth})" if self.depth else ""
        return (
            f"{place}, {self.dtype}: inputs {inputs}, accumulator {self.accumulator},"
            f" {self.denormals}, order: {self.order}{depth} {self.terms} terms{declared}"
        )


# --- which elements of the operands are the terms of one element of the result -----------------


@dataclass
class Sum:
    """One element of a result as a sum: y = coefficient · Σ_t Π_f operands[f][places[f][t]]."""

    spec: OpSpec
    sample: Sample
    plan: Plan
    element: tuple[int, ...]
    factors: tuple[int, ...]  # the operands of a product, or of a plain sum the only one
    places: tuple[list[int], ...]  # flat, one list for each of them
    coefficient: float

    @property
    def count(self) -> int:
        """The number of terms."""
        return len(self.places[0])

    @property
    def clean(self) -> bool:
        """Is the coefficient a power of two, which rounds nothing?"""
        return math.frexp(abs(self.coefficient))[0] == 0.5

    def filled(self, values: dict[int, float | tuple[float, ...]]) -> Plan:
        """The call in which some terms have these values (or factors) and all others are 0."""
        arrays = list(self.plan.arrays)
        for i, a in enumerate(arrays):
            if _is_operand(a):
                arrays[i] = np.zeros_like(a)
        for term, value in values.items():
            parts = value if isinstance(value, tuple) else (value, *(1.0,) * len(self.factors[1:]))
            for f, places, part in zip(self.factors, self.places, parts, strict=True):
                arrays[f][np.unravel_index(places[term], arrays[f].shape)] = part
        return replace(self.plan, arrays=tuple(arrays))


def _is_operand(a: Any) -> bool:
    return isinstance(a, np.ndarray) and is_float(a.dtype)


def find_sum(spec: OpSpec, sample: Sample, dtype: str) -> Sum | None:
    """The sum behind one element of a sample's result; None where it is no sum of products."""
    plan = planned(spec, sample.build(np.random.default_rng(1), dtype), sample)
    operands = [i for i, a in enumerate(plan.arrays) if _is_operand(a)]
    sizes = [plan.arrays[i].size for i in operands]
    if not operands or sum(sizes) > MOST_ELEMENTS or not is_float(plan.outputs[0].dtype):
        return None

    def reference(values: dict[int, np.ndarray]) -> np.ndarray:
        arrays = [
            np.reshape(values[i], a.shape) if i in values
            else np.zeros(a.shape) if i in operands else a
            for i, a in enumerate(plan.arrays)
        ]  # fmt: skip
        with np.errstate(all="ignore"):
            return np.asarray(spec.run_reference(arrays, plan.options)[0])

    ones = {i: np.ones(plan.arrays[i].size) for i in operands}
    y = np.abs(reference(ones))
    if not y.size or not np.isfinite(y).all() or not y.max():
        return None
    best = np.flatnonzero(y == y.max())
    element = tuple(int(k) for k in np.unravel_index(best[len(best) // 2], y.shape))

    def at(values: dict[int, np.ndarray]) -> float:
        return float(reference(values)[element])

    alone = [i for i in operands if at({i: ones[i]})]
    pair = tuple(i for i in operands if i not in alone)
    for i in pair or alone[:1]:  # most of what is no such sum is seen at once
        least = {k: ones[k] for k in pair or (i,)}
        if at(least | {i: 2 * ones[i]}) != 2 * at(least):
            return None
    if len(pair) == 2:  # whatever is added to the products (a bias) stays 0
        found = _products(at, pair, [ones[i].size for i in pair])
    elif not pair and alone:  # the others (what is added to) stay 0
        plain = (_plain(at, i, ones[i].size) for i in alone)
        found = max(plain, key=lambda one: len(one[1][0]) if one else 0)
    else:
        return None
    if found is None:
        return None
    factors, places, coefficient = found
    result = Sum(spec, sample, plan, element, factors, places, coefficient)
    rng = np.random.default_rng(2)
    drawn = {i: rng.standard_normal(ones[i].size) for i in factors}
    terms = np.prod([drawn[i][p] for i, p in zip(factors, places, strict=True)], axis=0)
    error = abs(coefficient * terms.sum() - at(drawn))
    return result if error <= 1e-10 * abs(coefficient) * np.abs(terms).sum() else None


Found = tuple[tuple[int, ...], tuple[list[int], ...], float]
At = Callable[[dict[int, np.ndarray]], float]


def _plain(at: At, operand: int, size: int) -> Found | None:
    weights = _met(lambda units: at({operand: units}), size)
    same = len(set(weights.values())) == 1
    return ((operand,), (list(weights),), next(iter(weights.values()))) if same else None


def _products(at: At, pair: tuple[int, ...], sizes: list[int]) -> Found | None:
    """Units in the smaller operand, and numbers in the other, which say what each unit met."""
    small, large = (0, 1) if sizes[0] <= sizes[1] else (1, 0)
    numbers = np.arange(1.0, sizes[large] + 1)
    met = _met(lambda units: at({pair[small]: units, pair[large]: numbers}), sizes[small])
    places = [list(met), [round(number) - 1 for number in met.values()]]
    if not met or min(places[1]) < 0 or max(places[1]) >= sizes[large]:
        return None
    return pair, tuple(places if small == 0 else places[::-1]), 1.0


def _met(value: Callable[[np.ndarray], float], size: int) -> dict[int, float]:
    """The places whose unit changes a sum of positive terms, with what it gives, by halving."""
    found = {}
    ranges = [(0, size)]
    while ranges:
        begin, end = ranges.pop()
        units = np.zeros(size)
        units[begin:end] = 1
        if not (got := value(units)):
            continue
        if end - begin == 1:
            found[begin] = got
        else:
            middle = (begin + end) // 2
            ranges += [(middle, end), (begin, middle)]
    return found


def sums(spec: OpSpec, dtype: str) -> Iterator[Sum]:
    """Sums of about TERMS terms: of the spec's samples, and of ones with another size, since the
    samples of many ops are shorter. Large arrays first, on which a kernel takes its usual path."""
    ranked: list[tuple[int, int, int, int, Sample]] = []
    numbers = itertools.count()
    usual = (s for s in spec.samples if not s.bench and not (spec.plain and s.options))
    for original in usual:
        for sample in (original, *resized(original, (TERMS, TERMS // 4))):
            size = sample.elements
            if size > MOST_ELEMENTS:
                continue
            try:
                plan = planned(spec, sample.build(np.random.default_rng(1), dtype), sample)
                terms = spec.terms(*plan.arrays, **plan.options)
            except MISFITS:
                continue  # the sizes do not fit the op
            if 2 < terms <= 1.25 * TERMS:
                far = round(2 * abs(math.log2(terms / TERMS)))
                ranked.append((far, -size, next(numbers), terms, sample))
    others = []
    for *_, terms, sample in sorted(ranked)[:12]:
        found = find_sum(spec, sample, dtype)
        if found is None or found.count <= max(2, terms // 2):  # padding takes some away
            continue
        if found.clean:
            yield found
        else:
            others.append(found)
    yield from others


# --- the probes --------------------------------------------------------------------------------


class Probe:
    """Calls a kernel with chosen terms and reads the one element that they make up."""

    def __init__(self, subject: Subject, sum_: Sum):
        self.subject, self.sum = subject, sum_
        self.dtype = sum_.plan.arrays[sum_.factors[0]].dtype
        info = finfo(self.dtype)
        self.bits = int(info.nmant) + 1
        self.least, self.lowest = int(info.minexp), int(info.minexp - info.nmant)
        self.most_bits = 1 + min(128, int(math.log2(GIANT)) - self.least)  # that can be told
        self.products = len(sum_.factors) == 2

    def __call__(self, values: dict[int, float | tuple[float, ...]]) -> float:
        """The sum of some terms by the kernel, its constant coefficient taken off."""
        answer = self.subject.call(self.sum.filled(values), self.sum.sample)
        if not answer.good:
            raise UnclearError(answer.why or f"declined: {answer.declined}")
        with np.errstate(all="ignore"):
            return float(answer.results[0][self.sum.element]) / self.sum.coefficient

    def _same(self, got: float, want: float, grain: float) -> bool:
        """Is it that number, but for the rounding of a coefficient?"""
        slack = 0.0 if self.sum.clean else 0.75 * grain
        return abs(got - want) <= slack

    def input_bits(self, factor: int) -> int:
        """Bits of an operand that reach the result, alone or after a 1 has been taken off.

        Both patterns of a mantissa must survive: 1.00…01, and 1.11…11, which no sum of two shorter
        numbers is. A narrow accumulator hides them unless it holds the −1 already.
        """
        last = self.sum.count - 1

        def survives(p: int) -> bool:
            grain = 2.0**-p
            for x in (1 + grain, 2 - grain):
                terms = (x, 1.0) if factor == 0 else (1.0, x)
                value = terms if self.products else x
                if self._same(self({0: value}), x, grain):
                    continue
                if not any(
                    self({at: value, other: -1.0}) == x - 1 for at, other in ((0, last), (last, 0))
                ):
                    return False
            return True

        return 1 + _most(survives, 0, self.bits - 1)

    def accumulator_bits(self) -> int:
        """Bits that a partial sum keeps: of G + g − G, the largest G/g that leaves g, whichever two
        of them meet first."""
        n = self.sum.count
        chosen = ((0, 1, 2), (0, n // 2, n - 1), (0, n // 3, 2 * n // 3), (n - 3, n - 2, n - 1))
        triples = [t for t in chosen if len(set(t)) == 3]

        if any(self({i: GIANT, j: -GIANT}) for i, _, j in triples):
            raise UnclearError("no fingerprint: its terms have rounded weights of their own")

        def survives(p: int) -> bool:
            g = GIANT * 2.0**-p
            return all(
                self._same(self(dict(zip(places, (GIANT, g, -GIANT), strict=True))), g, g / 4)
                for triple in triples
                for places in itertools.permutations(triple)
            )

        return 1 + _most(survives, 0, self.most_bits - 1)

    def range_lost(self) -> tuple[int, int]:
        """The exponents of the least numbers that survive as operands, and as results."""
        back = 2.0 ** (self.bits + 1)  # times a denormal number: a normal one

        def operand(e: int) -> bool:
            if self.products:
                return self({0: (2.0**-e, back)}) > 0 and self({0: (back, 2.0**-e)}) > 0
            return self({0: 2.0**-e}) > 0

        def result(e: int) -> bool:
            if self.products:
                return self({0: (2.0 ** -(e - e // 2), 2.0 ** -(e // 2))}) > 0
            normal = 2.0 ** (self.least + 1)
            return self({0: normal, self.sum.count - 1: 2.0**-e - normal}) > 0

        floor = -self.lowest
        if self.sum.coefficient != 1:  # the least numbers round to 0 when they are divided
            floor += math.floor(math.log2(abs(self.sum.coefficient)))
        operands = _most(operand, 0, floor)
        return operands - floor, _most(result, min(-self.least, floor), floor) - floor

    def wide(self) -> bool:
        """Do operands have the exponents that float16 has not?"""
        return self({0: (WIDE, 1 / WIDE)} if self.products else {0: WIDE}) > 0.5

    def tree(self, bits: int) -> sumtree.Tree:
        """The order of the additions; see sumtree."""
        n = self.sum.count
        spread = bits + 2 + math.ceil(math.log2(n))
        high, low = (spread + 1) // 2, -(spread // 2)

        def power(e: int, sign: float = 1.0) -> float | tuple[float, ...]:
            if self.products:
                return sign * 2.0 ** (e - e // 2), 2.0 ** (e // 2)
            return sign * 2.0**e

        def under(i: int, j: int) -> int:
            terms = dict.fromkeys(range(n), power(low))
            left = self(terms | {i: power(high), j: power(high, -1.0)}) / 2.0**low
            if not (abs(left - round(left)) < 0.1 and 0 <= round(left) <= n - 2):
                raise UnclearError("none that a tree of additions has")
            return n - round(left)

        return sumtree.revealed(n, under)


def _most(good: Callable[[int], bool], low: int, high: int) -> int:
    """The largest number up to `high` for which all below are good, if one bad makes all above bad;
    `low` − 1 if none is."""
    if not good(low):
        return low - 1
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if good(middle) else (low, middle - 1)
    return low


def _denormals(operands: int, results: int, probe: Probe) -> str:
    """What the least numbers that survive say; both exponents count from the least denormal."""
    if operands == results == 0:
        return "denormals kept"
    flushed = probe.lowest - probe.least
    if {operands, results} <= {0, flushed}:
        lost = [name for name, e in (("inputs", operands), ("results", results)) if e]
        return "denormals flushed" if len(lost) == 2 else f"denormal {lost[0]} flushed"
    return f"numbers below 2^{probe.lowest - min(operands, results)} lost"


def _format(bits: int, wide: bool = True) -> str:
    if bits == 11:
        return "11 bits (TF32)" if wide else "11 bits (float16)"
    return f"{bits} bits" + (f" ({_FORMATS[bits]})" if bits in _FORMATS else "")


def fingerprint(subject: Subject, dtype: str, found: list[Sum]) -> Fingerprint:
    """Probes one kernel in one dtype on the first of some sums that it takes."""
    spec = subject.spec
    result = Fingerprint(spec.name, subject.contestant.label, subject.isa or "-", dtype)
    for sum_ in found:
        if subject.takes(sum_.plan) and not subject.call(sum_.plan, sum_.sample).declined:
            break
    else:
        result.why = "declined every sum" if found else "not a sum of products: no fingerprint"
        return result
    probe = Probe(subject, sum_)
    result.terms = sum_.count
    try:
        if not probe._same(probe({0: 1.0}), 1.0, 2.0 ** (1 - probe.bits)):
            raise UnclearError("no fingerprint: 1 times 1 is not 1")
        wide = probe.wide()
        result.input_bits = tuple(probe.input_bits(f) for f in range(len(sum_.factors)))
        result.inputs = tuple(_format(bits, wide) for bits in result.input_bits)
        result.accumulator_bits = bits = probe.accumulator_bits()
        exact = bits == probe.most_bits
        result.accumulator = f"at least {bits} bits" if exact else _format(bits, wide=False)
        if not sum_.clean:  # its digits shift the accumulator's by one
            result.accumulator = f"about {bits} bits"
        result.denormals = _denormals(*probe.range_lost(), probe)
    except UnclearError as error:
        result.why = str(error)
        return result
    result.declared_depth = subject.depth(spec.terms(*sum_.plan.arrays, **sum_.plan.options))
    if exact:
        result.order = "none shows"
        return result
    try:
        tree = probe.tree(bits)
    except UnclearError as error:
        result.order = str(error)
        return result
    fused = sumtree.widest(tree)
    result.order = sumtree.order(tree) + (f", up to {fused} added at once" if fused > 2 else "")
    # A product, or the division of a mean, is one more rounding of each term.
    result.depth = sumtree.depth(tree) + (probe.products or sum_.coefficient != 1)
    return result


# --- the command -------------------------------------------------------------------------------


def fingerprints(request: Request) -> Iterator[Fingerprint]:
    """Those of all kernels that a request asks for, on every instruction set."""
    with request.child() as child:
        for spec in request.specs():
            found: dict[str, list[Sum]] = {}
            for subject in subjects(spec, request, child):
                contestant = subject.contestant
                for dtype in dtypes_of(spec, contestant.kernel):
                    if dtype not in FLOATS:
                        continue
                    if dtype not in found:
                        found[dtype] = list(itertools.islice(sums(spec, dtype), MOST_SUMS))
                    yield fingerprint(subject, dtype, found[dtype])


def main(request: Request, json_file: str | None = None) -> int:
    """Prints a line a kernel, instruction set and dtype. Returns 0, or 2 if there was no kernel."""
    found = []
    try:
        for one in fingerprints(request):
            print(one, flush=True)
            found.append(one)
    except (UnjudgeableError, ArgumentError) as error:
        print(f"fastdl check: {error}", file=sys.stderr)
        return 2
    if json_file:
        record = [{**asdict(one), "text": str(one)} for one in found]
        Path(json_file).write_text(json.dumps({"fingerprints": record}, indent=1) + "\n")
    return 0 if found else 2
