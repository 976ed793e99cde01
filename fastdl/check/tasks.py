"""What a run of the judge consists of: every kernel, instruction set, sample, dtype and aspect."""

from __future__ import annotations

import ast
import inspect
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..core.config import known_backend
from ..core.dtypes import FLOATS, NAMES
from ..core.errors import ArgumentError, BackendError
from ..spec import KERNELS, Kernel, OpSpec, Sample, find_ops
from . import aspects, fills
from .client import TIMEOUT, Child, ChildDiedError, Contestant, UnjudgeableError
from .clock import clock
from .judge import Case
from .sizes import secret
from .strangers import OURS, CSymbol, run_file, split

Mode = Literal["quick", "normal", "full"]
CLOCKED_RANK = 3  # a stranger is timed when it has shown that it is right for a few samples
QUICK_FAMILIES = ["normal", "integers", "specials"]
FORKED_RANKS = 2  # samples of a kernel that are also called in a forked process (9 ms a call)
BENCH_FAMILIES = ["normal", "integers"]
# Operations of one call that the reference may be asked for: in float64, for float32 kernels, NumPy
# has BLAS; in extended precision it does one at a time.
AFFORDABLE = {"float32": 1e8, "float64": 4e6}
FULL_FAMILIES = ["normal", "integers", *fills.HARD]


@dataclass(frozen=True)
class Request:
    """What is to be judged and how. Every judge makes the same tasks of the same request."""

    ops: tuple[str, ...] = ()
    mode: Mode = "normal"
    seed: int = 0
    backend: str | None = None
    kernel: str = ""  # a stranger: path.py:function, path.py or lib.so:symbol
    signature: str = ""  # of a C symbol
    dtypes: tuple[str, ...] = ()
    depth: str = ""  # a formula in k
    input_bits: int | None = None
    bits: bool = False
    spec_file: str = ""  # of the user's own ops
    isas: tuple[str, ...] = ()  # all that run there by default
    emulator: str = ""  # what the child is run by: "qemu-x86_64 -cpu SandyBridge"
    timeout: float = TIMEOUT  # seconds that one call may take
    first: bool = False  # failure of a kernel ends its turn

    def child(self) -> Child:
        """A process for the kernels."""
        return Child(timeout=self.timeout, emulator=self.emulator)

    def specs(self) -> list[OpSpec]:
        """The ops asked for; the user's own are declared first."""
        if self.spec_file and self.spec_file not in _ran:
            try:
                run_file(self.spec_file)
            except Exception as error:  # it is anyone's code
                raise UnjudgeableError(f"--spec {self.spec_file}: {error!r}") from error
            _ran.add(self.spec_file)
        return find_ops(self.ops or self._of_kernel())

    def _of_kernel(self) -> tuple[str, ...]:
        """The ops that the stranger's file declares kernels of, where none is named."""
        if not self.kernel:
            return ()
        path, name = split(self.kernel)
        if name or self.signature:
            raise UnjudgeableError(f"--kernel {self.kernel}: name the op that it is a kernel of")
        if path not in _declaring:
            try:
                with self.child() as child:
                    told = child.kernels_of(path)
            except ChildDiedError as death:
                raise UnjudgeableError(f"--kernel {death}") from None
            _declaring[path] = tuple(dict.fromkeys(kernel["op"] for kernel in told))
        if not _declaring[path]:
            raise UnjudgeableError(
                f"--kernel {path}: declares no kernel; name an op and a function: OP --kernel"
                f" {path}:function"
            )
        return _declaring[path]


_ran: set[str] = set()
_declaring: dict[str, tuple[str, ...]] = {}  # a stranger's file: the ops of its kernels


@dataclass
class Task:
    """A piece of work: all cases of one aspect for one kernel, ISA, sample and dtype."""

    rank: int  # a quick run does every kernel's rank 0 first, then rank 1, ...
    op: str
    kernel: str
    isa: str
    sample: Sample | None
    dtype: str
    aspect: str
    run: Callable[[], aspects.Found] = field(repr=False)


def dtypes_of(spec: OpSpec, kernel: Kernel | None) -> list[str]:
    """The dtypes to fill a spec's samples with: the floats it has, else what the kernel takes."""
    taken = [d for d in spec.dtypes if kernel is None or d in kernel.dtypes]
    if kernel is not None and kernel.backend not in OURS:
        return [d for d in taken if d in FLOATS] or taken[:1]
    judged = [d for d in taken if d not in ("float16", "bfloat16")]
    alone = [d for d in FLOATS if kernel is not None and d in kernel.dtypes and not judged]
    return judged or [d for d in alone if d != "bfloat16" or find_spec("ml_dtypes")]


def contestants(spec: OpSpec, request: Request, child: Child) -> list[Contestant]:
    """The kernels to judge of an op: fastdl's and registered ones, or the stranger asked for."""
    if request.kernel:
        return _strangers(spec, request, child)
    names = [b for b in KERNELS.get(spec.name, {}) if b not in ("reference", "cuda")]
    found = []
    for name in sorted(names, key=lambda b: ("native", "numba", b).index(b)):
        if request.backend is not None and name != request.backend:
            continue
        for i, kernel in enumerate(spec.kernels(name)):
            if name in OURS:
                found.append(Contestant(kernel, own=i))
            else:
                found.append(_registered(spec, kernel))
    return found


def _registered(spec: OpSpec, kernel: Kernel) -> Contestant:
    """A kernel that this process declared: the child runs the same file."""
    try:
        path, name = inspect.getsourcefile(kernel.fn), kernel.fn.__qualname__
    except (TypeError, AttributeError):  # not a Python function
        path, name = None, ""
    if not path or "<" in name or not Path(path).exists():
        raise UnjudgeableError(
            f"{spec.name}, kernel {kernel.backend}:{kernel.name}: its function is not at the top"
            " of a file, so the child process cannot load it"
        )
    return Contestant(kernel, where=f"{path}:{name}")


def _strangers(spec: OpSpec, request: Request, child: Child) -> list[Contestant]:
    path, name = split(request.kernel)
    if not Path(path).is_file():
        raise UnjudgeableError(f"--kernel: no file {path}")
    depth = depth_formula(request.depth) if request.depth else None
    if request.signature:
        symbol = CSymbol.parse(request.kernel, request.signature)
        if why := child.lacks(symbol):
            raise UnjudgeableError(f"--kernel {request.kernel}: {why}")
        kernel = _kernel(spec, request, {"name": name, "backend": "c"}, depth, symbol.dtypes)
        return [Contestant(kernel, where=request.kernel, symbol=symbol)]
    if path.endswith((".so", ".dylib")):
        raise UnjudgeableError(
            "--kernel of a library needs --signature 'op(float* a, ..., int n, ...)'"
        )
    try:
        declared = child.declared(spec.name, request.kernel)
    except ChildDiedError as death:
        raise UnjudgeableError(f"--kernel {request.kernel}: {death}") from None
    return [
        Contestant(
            _kernel(spec, request, told, depth, ()),
            where=request.kernel,
            place=i,
            canonical=bool(told["canonical"]),
            implied=set(request.dtypes or told.get("dtypes") or ()) <= set(FLOATS)
            and not set(spec.dtypes).isdisjoint(FLOATS),
        )
        for i, told in enumerate(declared)
    ]


def _kernel(
    spec: OpSpec, request: Request, told: dict[str, Any],
    depth: Callable[[int], int] | None, dtypes: tuple[str, ...],
) -> Kernel:  # fmt: skip
    """A stranger's declaration: the command's word, else the file's, else float32 and depth k.

    Integer and bool arrays of an op (targets, masks) come with it.
    """
    taken = request.dtypes or tuple(told.get("dtypes") or dtypes or ("float32",))
    others = tuple(d for d in NAMES if d not in FLOATS)
    bits = request.input_bits if request.input_bits is not None else told.get("input_bits")
    backend = str(told["backend"] or "mine")
    backend = "mine" if backend in OURS else backend  # it is the child's word
    return Kernel(
        op=spec.name, backend=backend, name=str(told["name"]),
        fn=_never, dtypes=(*taken, *(others if set(taken) <= set(FLOATS) else ())),
        depth=depth or (lambda terms: terms), out=bool(told.get("out")), direct=False,
        declines=None, bits=request.bits or bool(told.get("bits")), input_bits=bits,
        accumulator=told["accumulator"] if told.get("accumulator") in FLOATS else None,
    )  # fmt: skip


def _never(*arrays: Any, **options: Any) -> Any:
    raise AssertionError("a stranger's kernel runs in the child only")


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "ceil": math.ceil, "floor": math.floor, "log2": math.log2, "sqrt": math.sqrt,
    "min": min, "max": max,
}  # fmt: skip


def depth_formula(text: str) -> Callable[[int], int]:
    """`"k/8 + 3"` as a function of k: numbers, k, + − * / // **, ceil floor log2 sqrt min max."""
    allowed = (ast.Expression, ast.BinOp, ast.UnaryOp, ast.operator, ast.unaryop, ast.Constant,
               ast.Name, ast.Load, ast.Call)  # fmt: skip
    try:
        tree = ast.parse(text, mode="eval")
        good = all(isinstance(node, allowed) for node in ast.walk(tree)) and all(
            node.id in ("k", *_FUNCTIONS) for node in ast.walk(tree) if isinstance(node, ast.Name)
        )
        code = compile(tree, "--depth", "eval")

        def depth(k: int) -> int:
            return max(1, math.ceil(eval(code, {"__builtins__": {}}, {**_FUNCTIONS, "k": k})))

        if good:
            depth(7)
            return depth
    except (SyntaxError, TypeError, ValueError, ArithmeticError, NameError):
        pass
    raise ArgumentError(
        f"--depth: got {text!r}, want a formula in k like 'k', 'k/8 + 3' or 'ceil(log2(k))'"
    )


def subjects(
    spec: OpSpec, request: Request, child: Child, memo: dict[Any, Any] | None = None
) -> Iterator[aspects.Subject]:
    """The kernels to judge of an op, native ones on each instruction set that runs there."""
    memo = {} if memo is None else memo
    for contestant in contestants(spec, request, child):
        native = contestant.kernel.backend == "native"
        for isa in request.isas or child.isas if native else (None,):
            yield aspects.Subject(spec, contestant, isa, child, request.seed, memo)


def tasks(request: Request, child: Child, cases: dict[Any, Case] | None = None) -> Iterator[Task]:
    """Everything a request asks, op by op; `cases` are shared by the kernels of an op."""
    specs = request.specs()
    backend = request.backend and known_backend(request.backend)
    if backend and not any(spec.kernels(backend) for spec in specs):
        raise BackendError(
            f"backend {backend} has no kernel of {', '.join(request.ops) or 'any op'} to check"
        )
    if not request.kernel and specs:
        run = partial(aspects.widest, child)
        yield Task(0, specs[0].name, "any", "-", None, "-", "instruction set", run)
    for spec in specs:
        memo: dict[Any, Any] = {} if cases is None else cases
        if not request.kernel:
            yield from _of_the_op(spec, request, child)
        elif request.spec_file:  # a vjp that is judged nowhere else
            yield from _differences(spec, request)
        judged = list(subjects(spec, request, child, memo))
        for subject in judged:
            yield from _of_a_kernel(subject, request.mode, memo)
        if request.mode == "full":
            yield from _at_edges(spec, judged)


def _of_the_op(spec: OpSpec, request: Request, child: Child) -> Iterator[Task]:
    """What is asked of the spec itself: its refusals, and its vjp against differences."""
    if spec.bad_inputs:
        run = partial(aspects.refusals, spec, child)
        yield Task(0, spec.name, "any", "-", None, "-", "refusals", run)
    yield from _differences(spec, request)


def _differences(spec: OpSpec, request: Request) -> Iterator[Task]:
    if spec.vjp is not None:
        for rank, sample in enumerate(s for s in spec.samples if not s.bench):
            yield Task(
                rank, spec.name, "reference", "-", sample, "float64", "differences",
                partial(aspects.differences, spec, sample, request.seed),
            )  # fmt: skip


def _affordable(spec: OpSpec, sample: Sample, dtype: str, memo: dict[Any, Any]) -> bool:
    """Can a sample of a network's size be judged in a second or so?"""
    key = (sample.name, dtype, "affordable")
    if key in memo:
        return memo[key]
    arrays = sample.build(np.random.default_rng(0), dtype, lambda _, *form: np.zeros(*form))
    plan = aspects.planned(spec, arrays, sample)
    cost = spec.cost(*plan.arrays, **plan.options) if spec.cost else None
    memo[key] = cost is not None and max(cost.flops, cost.bytes) <= AFFORDABLE.get(dtype, 0)
    return memo[key]


def _own_code(subject: aspects.Subject) -> bool:
    """Has the instruction set code of its own for the kernel?"""
    narrow = not {"bfloat16", "int8"}.isdisjoint(subject.contestant.kernel.dtypes)
    return subject.isa != "avx512_bf16" or narrow


def _of_a_kernel(subject: aspects.Subject, mode: Mode, cases: dict[Any, Case]) -> Iterator[Task]:
    spec, contestant = subject.spec, subject.contestant
    families = QUICK_FAMILIES if mode == "quick" else FULL_FAMILIES
    families = [*families, *aspects.of_any_numbers(spec)]
    # Where an instruction set adds no code to the one below, a few cases show that it runs.
    most = sys.maxsize if _own_code(subject) else FORKED_RANKS
    rank = 0
    for sample in (s for s in spec.samples if not s.bench or mode == "full"):
        for dtype in dtypes_of(spec, contestant.kernel):
            if rank >= most:
                return
            if sample.bench:
                if _affordable(spec, sample, dtype, cases):
                    large = partial(aspects.values, subject, sample, dtype, BENCH_FAMILIES, cases)
                    yield Task(
                        rank, spec.name, contestant.label, subject.isa or "-", sample, dtype,
                        "values", large,
                    )  # fmt: skip
                continue
            own = families if dtype in FLOATS else ["normal"]
            asked: list[tuple[str, Callable[[], aspects.Found]]] = [
                ("values", partial(aspects.values, subject, sample, dtype, own, cases)),
                ("strides", partial(aspects.strides, subject, sample, dtype, mode == "full")),
                (
                    "bits",
                    partial(
                        aspects.bits,
                        subject,
                        sample,
                        dtype,
                        thorough=mode == "full",
                        fork=rank < FORKED_RANKS,
                    ),
                ),
            ]
            if not contestant.ours:
                asked.append(("changes", partial(aspects.changes, subject, sample, dtype)))
            if spec.vjp is not None and dtype in FLOATS and contestant.ours:
                asked.append(("gradients", partial(aspects.gradients, subject, sample, dtype)))
            if mode == "full" and dtype in FLOATS:
                asked.append(("lanes", partial(aspects.lanes, subject, sample, dtype)))
            for aspect, run in asked:
                yield Task(
                    rank, spec.name, contestant.label, subject.isa or "-", sample, dtype, aspect,
                    run,
                )  # fmt: skip
            rank += 1
    for rank, sample in enumerate(() if contestant.ours else secret(spec, subject.seed)):
        for dtype in (d for d in dtypes_of(spec, contestant.kernel) if d in FLOATS):
            yield Task(
                rank, spec.name, contestant.label, "-", sample, dtype, "values",
                partial(aspects.values, subject, sample, dtype, families, cases),
            )  # fmt: skip
    if not contestant.ours:
        for dtype in [d for d in dtypes_of(spec, contestant.kernel) if d in FLOATS][:1]:
            yield Task(
                CLOCKED_RANK, spec.name, contestant.label, "-", None, dtype, "clock",
                partial(clock, subject, dtype),
            )  # fmt: skip


def _at_edges(spec: OpSpec, judged: list[aspects.Subject]) -> Iterator[Task]:
    """Values and strides of the sizes at a spec's edges, one after the other for all kernels: there
    are too many cases to keep."""
    for dtype in spec.dtypes:
        families = FULL_FAMILIES if dtype in FLOATS else ["normal"]
        mine = [s for s in judged if dtype in dtypes_of(spec, s.contestant.kernel) and _own_code(s)]
        for sample in spec.edges(dtype) if mine else ():
            memo: dict[Any, Any] = {}
            for subject in (replace(s, memo=memo) for s in mine):
                for aspect, run in (
                    ("values", partial(aspects.values, subject, sample, dtype, families, memo)),
                    ("strides", partial(aspects.strides, subject, sample, dtype, thorough=True)),
                ):
                    yield Task(
                        0, spec.name, subject.contestant.label, subject.isa or "-", sample, dtype,
                        aspect, run,
                    )  # fmt: skip
