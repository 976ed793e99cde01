"""What is asked of every kernel: right values on every family of inputs, any strides, any allocator
contents, any number of threads, any alignment, `out=`; untouched inputs; and right gradients.

Each aspect is a generator of (label, Verdict). A case counts as one judged call of the kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from .. import autograd
from ..core.config import get_num_threads, num_threads, use_backend
from ..core.dtypes import is_float
from ..core.errors import UnsupportedError
from ..core.memory import memory_mode
from ..dispatch import make_plan
from ..spec import Kernel, OpSpec, Plan, Sample
from ..tensor import Tensor
from . import fills
from .judge import Case, Verdict, same_bits

THREADS = (1, 2, 3, 5, 8)
Found = Iterator[tuple[str, Verdict]]


def planned(spec: OpSpec, arrays: tuple[Any, ...], sample: Sample) -> Plan:
    """The checked call of a sample."""
    return make_plan(spec, arrays, dict(sample.options))


def run(kernel: Kernel, plan: Plan, out: Any = None) -> Any:
    """Calls the kernel as dispatch does."""
    extra = {} if out is None else {"out": out}
    with np.errstate(all="ignore"):  # hard inputs overflow; that is no warning's matter
        return kernel.fn(*plan.arrays, **plan.options, **extra)


def values(
    spec: OpSpec, kernel: Kernel, sample: Sample, dtype: str, seed: int, families: list[str],
    cases: dict[Any, Case],
) -> Found:  # fmt: skip
    """Rules 1 and 2 on every family, inputs hashed before and after."""
    for family in families:
        key = (spec.name, sample.name, dtype, family)
        if key not in cases:
            rng = fills.seeded(seed, *key)
            fill = _fill(spec, sample, dtype, family)
            cases[key] = Case(spec, planned(spec, sample.build(rng, dtype, fill), sample))
        case = cases[key]
        if kernel.why_not(case.plan):
            continue
        before = [a.tobytes() for a in case.plan.arrays if isinstance(a, np.ndarray)]
        returned = run(kernel, case.plan)
        after = [a.tobytes() for a in case.plan.arrays if isinstance(a, np.ndarray)]
        verdict = case.judge(returned, kernel, integers=family == "integers")
        if before != after:
            verdict = Verdict(np.inf, "an input was modified")
        yield family, verdict


def _fill(spec: OpSpec, sample: Sample, dtype: str, family: str) -> fills.Fill:
    if family == "integers":
        arrays = sample.build(np.random.default_rng(0), dtype)
        plan = planned(spec, arrays, sample)
        return fills.integers(spec.terms(*plan.arrays, **plan.options))
    if family == "bit patterns":
        return fills.bit_patterns
    return fills.HARD.get(family, fills.normal)


def strides(spec: OpSpec, kernel: Kernel, sample: Sample, dtype: str, seed: int) -> Found:
    """The same numbers behind reversed, padded and transposed strides must meet the bound too."""
    rng = fills.seeded(seed, spec.name, sample.name, dtype, "strides")
    arrays = sample.build(rng, dtype, fills.normal)
    for label, restride in _RESTRIDED.items():
        moved = tuple(restride(a) if isinstance(a, np.ndarray) and a.ndim else a for a in arrays)
        case = Case(spec, planned(spec, moved, sample))
        if not kernel.why_not(case.plan):
            yield f"strides: {label}", case.judge(run(kernel, case.plan), kernel)


def _reversed(a: np.ndarray) -> np.ndarray:
    back = (slice(None, None, -1),) * a.ndim
    return a[back].copy()[back]


def _padded(a: np.ndarray) -> np.ndarray:
    """Every dimension is a slice of a larger one full of NaN (or of the largest integer)."""
    filler = np.nan if a.dtype.kind == "f" else True if a.dtype.kind == "b" else 99
    big = np.full([2 * n + 3 for n in a.shape], filler, a.dtype)
    window = tuple(slice(1, 1 + 2 * n, 2) for n in a.shape)
    big[window] = a
    return big[window]


def _transposed(a: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(a.T).T


_RESTRIDED: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "reversed": _reversed,
    "every second element": _padded,
    "transposed": _transposed,
}


def bits(spec: OpSpec, kernel: Kernel, sample: Sample, dtype: str, seed: int) -> Found:
    """Poisoned allocator, repeats, thread counts, alignment and `out=` leave every bit alone."""
    rng = fills.seeded(seed, spec.name, sample.name, dtype, "bits")
    case = Case(spec, planned(spec, sample.build(rng, dtype, fills.normal), sample))
    plan = case.plan
    if kernel.why_not(plan):
        return
    first = run(kernel, plan)
    kept = tuple(np.array(r) for r in (first if isinstance(first, tuple) else (first,)))

    def same(label: str, returned: Any) -> tuple[str, Verdict]:
        good = same_bits(kept, returned)
        return label, Verdict() if good else Verdict(np.inf, "other bits than the first call")

    for pattern in (0x7F, 0xFF):
        with memory_mode("poison", pattern):
            yield same(f"allocator poisoned with {pattern:#x}", run(kernel, plan))
    if kernel.backend in ("native", "numba"):
        threads = get_num_threads()
        for count in THREADS:
            with num_threads(count):
                yield same(f"{count} threads", run(kernel, plan))
        assert get_num_threads() == threads
        for offset in (4, 8, 20, 60):
            shifted = tuple(_shifted(a, offset) for a in plan.arrays)
            yield same(
                f"{offset} bytes off", run(kernel, Plan(plan.outputs, shifted, plan.options))
            )
    if kernel.out:
        outs = tuple(np.full_like(k, 77) for k in kept)
        returned = run(kernel, plan, outs if len(outs) > 1 else outs[0])
        if returned is not NotImplemented:
            yield same("out=", outs)


def _shifted(a: Any, offset: int) -> Any:
    """The same array (strides too) at an address `offset` bytes past a 64-byte line."""
    if not isinstance(a, np.ndarray) or not a.ndim or not a.size or offset % a.dtype.itemsize:
        return a
    order = sorted(range(a.ndim), key=lambda i: -abs(a.strides[i]))
    dense = np.ascontiguousarray(a.transpose(order))
    room = np.empty(dense.nbytes + 128, np.uint8)
    start = -room.ctypes.data % 64 + offset
    moved = room[start : start + dense.nbytes].view(a.dtype).reshape(dense.shape)
    moved[...] = dense
    return moved.transpose([order.index(i) for i in range(a.ndim)])


# --- gradients ---------------------------------------------------------------------------------


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


def _taped(spec: OpSpec, arrays: tuple[Any, ...], sample: Sample) -> tuple[list[Any], Any]:
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


def gradients(spec: OpSpec, backend: str, sample: Sample, dtype: str, seed: int) -> Found:
    """Every op that the vjp runs on a random upstream gradient is judged by its own bound."""
    rng = fills.seeded(seed, spec.name, sample.name, dtype, "gradients")
    arrays = sample.build(rng, dtype, fills.normal)
    calls: list[Any] = []
    try:
        tensors, y = _taped(spec, arrays, sample)
        if not (isinstance(y, Tensor) and y.requires_grad):
            return
        upstream = rng.standard_normal(y.shape).astype(y.dtype)
        with _listening(calls):
            if backend == "native":  # the default path, with the kernels that check for themselves
                y.backward(upstream)
            else:
                with use_backend(backend):
                    y.backward(upstream)
    except UnsupportedError:
        return
    for inner, operands, options, result in calls:
        if inner.view:
            continue
        plan = make_plan(inner, operands, options)
        kernel = next((k for k in inner.kernels(backend) if k.why_not(plan) is None), None)
        verdict = Case(inner, plan).judge(result, kernel)
        if not verdict.passed:
            verdict.why = f"in the vjp, {inner.name}: {verdict.why}"
        yield "gradient", verdict
    for argument, t in zip(arrays, tensors, strict=True):
        if isinstance(t, Tensor) and t.requires_grad and t.grad is not None:
            good = t.grad.shape == argument.shape and t.grad.dtype == argument.dtype
            yield "gradient's form", Verdict(0, "" if good else "shape or dtype of another array")


def differences(spec: OpSpec, sample: Sample, seed: int) -> Found:
    """The reference's vjp against a central difference of the reference in a random direction.

    The difference is taken in extended precision with steps of 2^-17 and 2^-18, extrapolated, so
    its own relative error is some 1e-13; 1e-9 of the sum of magnitudes is asked.
    """
    if not spec.smooth:
        return
    rng = fills.seeded(seed, spec.name, sample.name, "differences")
    arrays = sample.build(rng, "float64", fills.moderate)
    with use_backend("reference"):
        tensors, y = _taped(spec, arrays, sample)
        if isinstance(y, Tensor) and np.isnan(y._array).any():  # outside the domain of log
            if not any(isinstance(a, np.ndarray) and a.size for a in arrays):
                return
            arrays = tuple(np.abs(a) if isinstance(a, np.ndarray) else a for a in arrays)
            tensors, y = _taped(spec, arrays, sample)
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
    error = float(abs(got - expected) / scale) if scale else 0.0
    good = error <= 1e-9
    why = (
        ""
        if good
        else f"directional derivative {float(got)!r}, central difference {float(expected)!r}"
    )
    yield "central differences", Verdict(error / 1e-9, why)


def refusals(spec: OpSpec) -> Found:
    """Every declared bad input raises its declared error and modifies nothing."""
    for bad in spec.bad_inputs:
        args, kwargs = bad.call()
        arrays = [a for a in (*args, *kwargs.values()) if isinstance(a, np.ndarray)]
        before = [a.tobytes() for a in arrays]
        why = f"no error, want {bad.error.__name__}"
        try:
            spec(*args, **kwargs)
        except bad.error as error:
            why = "" if spec.name in str(error) else f"the message does not name the op: {error}"
        except Exception as error:
            why = f"{type(error).__name__} ({error}), want {bad.error.__name__}"
        if [a.tobytes() for a in arrays] != before:
            why = "an argument was modified"
        yield f"bad input: {bad.name}", Verdict(0.0 if not why else np.inf, why)
