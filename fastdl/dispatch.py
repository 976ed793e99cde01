"""From a checked call to a kernel: which backend runs it, and why the faster ones do not."""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from . import _native
from .core import config, devices
from .core.dtypes import NAMES, accumulator, is_float, name_of
from .core.errors import (
    ArgumentError,
    BackendError,
    DTypeError,
    FallbackWarning,
    OverlapError,
    ShapeError,
    UnsupportedError,
)
from .spec import KERNELS, OPS, Kernel, OpSpec, Out, Plan

_warned: set[str] = set()
# What most arrays are, and needs no closer look. (Equal dtypes have equal hashes.)
_PLAIN = frozenset(np.dtype(name) for name in NAMES if name != "bfloat16")


def run(spec: OpSpec, arrays: Sequence[Any], options: dict[str, Any], out: Any = None) -> Any:
    """Runs an op on arrays: checks, chooses, calls. The single array, or the tuple, it returns."""
    return run_plan(spec, make_plan(spec, arrays, options), out)


def run_plan(spec: OpSpec, plan: Plan, out: Any = None) -> Any:
    """Runs a checked call on the first kernel that takes it."""
    if spec.view and out is None:
        return spec.reference(*plan.arrays, **plan.options)
    outs = _checked_out(spec, plan, out)
    calls = (_call(spec, kernel, plan, outs) for kernel in candidates(spec, plan, []))
    results = next(r for r in calls if r is not None)
    return results[0] if len(results) == 1 else results


def write_in_place(spec: OpSpec, plan: Plan, target: np.ndarray) -> None:
    """Runs a checked call into `target`, its unpromoted first array; others may overlap it."""
    others = plan.arrays[1:]
    if any(isinstance(a, np.ndarray) and _overlaps(target, a) and not _same_view(target, a)
           for a in others):  # fmt: skip
        copies = (a.copy() if isinstance(a, np.ndarray) else a for a in others)
        plan = Plan(plan.outputs, (plan.arrays[0], *copies), plan.options)
    if plan.arrays[0] is target and spec.elementwise:
        run_plan(spec, plan, out=target)
    else:
        with np.errstate(all="ignore"):  # a wider result may overflow the target, as in torch
            np.copyto(target, run_plan(spec, plan), casting="unsafe")


def make_plan(spec: OpSpec, arrays: Sequence[Any], options: dict[str, Any]) -> Plan:
    """Checks the arguments as arrays, then by the op's own rules."""
    signature = spec.signature
    count = len(signature.arrays)
    if signature.arrays[-1].variadic:
        if len(arrays) < count:
            raise ArgumentError(f"{spec.name}: got no arrays, want at least one")
    elif len(arrays) > count:
        raise ArgumentError(f"{spec.name}: got {len(arrays)} arrays, want {signature.text}")
    else:
        arrays = (*arrays, *(None,) * (count - len(arrays)))
    if not options.keys() <= spec.option_names:
        unknown = [name for name in options if name not in signature.options]
        raise ArgumentError(
            f"{spec.name}: unknown option {unknown[0]!r}; the options are"
            f" {', '.join(signature.options) or 'none'}"
        )
    checked = [
        a if type(a) is np.ndarray and a.dtype in _PLAIN and a.flags.aligned
        else _checked_array(spec, i, a)
        for i, a in enumerate(arrays)
    ]  # fmt: skip
    try:
        return spec.shape(*checked, **options)
    except TypeError as error:
        if missing := _missing_option(spec, error):
            raise missing from None
        raise


def _missing_option(spec: OpSpec, error: TypeError) -> ArgumentError | None:
    """What to raise where Python refused the call of a shape function for want of an option.

    Which options are required is said by the functions' signatures alone, so it is read there.
    """
    found = re.search(r"missing \d+ required .*arguments?: '(\w+)'", str(error))
    if isinstance(error, DTypeError) or not found or found[1] not in spec.option_names:
        return None
    return ArgumentError(f"{spec.name}: {found[1]}: not given, and it has no default")


def _checked_array(spec: OpSpec, position: int, a: Any) -> Any:
    arguments = spec.signature.arrays
    argument = arguments[min(position, len(arguments) - 1)]
    if a is None and argument.optional:
        return None
    if type(a) is not np.ndarray:
        a = _as_array(spec, position, a)
    if isinstance(a, np.ndarray):
        if name_of(a.dtype) not in NAMES or not a.dtype.isnative:
            raise DTypeError(
                f"{spec.name}: argument {spec.signature.array_name(position)} has dtype {a.dtype},"
                f" want one of {', '.join(NAMES)} in native byte order"
            )
        if not a.flags.aligned:
            a = a.copy()  # loads of the element type need it; inputs are never written
    return a


def _as_array(spec: OpSpec, position: int, a: Any) -> Any:
    name = spec.signature.array_name(position)
    if isinstance(a, np.generic):
        return np.asarray(a)
    if isinstance(a, np.ndarray) and not isinstance(a, np.ma.MaskedArray):
        return a.view(np.ndarray)  # memmap and the like
    if spec.scalars and isinstance(a, (bool, int, float)):
        return a
    if devices.is_cupy(a):
        raise UnsupportedError(
            f"{spec.name}: argument {name} is a CuPy array, and there are no CUDA kernels yet;"
            " move it to the CPU with .get()"
        )
    raise DTypeError(f"{spec.name}: argument {name}: got {type(a).__name__}, want a NumPy array")


def _checked_out(spec: OpSpec, plan: Plan, out: Any) -> tuple[np.ndarray, ...] | None:
    """`out` as a tuple, after checking that writing there is what it would be without it."""
    if out is None:
        return None
    outs = out if isinstance(out, tuple) else (out,)
    if spec.view:
        raise ArgumentError(f"{spec.name}: returns a view, so out= has no meaning")
    if len(outs) != len(plan.outputs):
        raise ArgumentError(f"{spec.name}: out: got {len(outs)} arrays, want {len(plan.outputs)}")
    for array, want in zip(outs, plan.outputs, strict=True):
        if not isinstance(array, np.ndarray):
            raise DTypeError(f"{spec.name}: out: got {type(array).__name__}, want a NumPy array")
        if array.shape != want.shape:
            raise ShapeError(f"{spec.name}: out has shape {array.shape}, want {want.shape}")
        if array.dtype != want.dtype:
            raise DTypeError(f"{spec.name}: out has dtype {array.dtype}, want {want.dtype}")
        if not array.flags.writeable:
            raise ArgumentError(f"{spec.name}: out is read-only")
        shared = any(s == 0 and n > 1 for s, n in zip(array.strides, array.shape, strict=True))
        if shared and array.size:
            raise OverlapError(f"{spec.name}: out has elements that share one place, want none")
        for position, source in enumerate(plan.arrays):
            if isinstance(source, np.ndarray) and _overlaps(array, source):
                allowed = spec.elementwise or spec.onto == position
                if allowed and _same_view(array, source):
                    continue
                raise OverlapError(
                    f"{spec.name}: out shares memory with argument"
                    f" {spec.signature.array_name(position)}; want a separate array"
                )
    return outs


def _same_view(a: np.ndarray, b: np.ndarray) -> bool:
    return (
        a.__array_interface__["data"] == b.__array_interface__["data"]
        and a.shape == b.shape
        and a.strides == b.strides
    )


def _overlaps(a: np.ndarray, b: np.ndarray) -> bool:
    if not np.may_share_memory(a, b):
        return False
    try:
        return np.shares_memory(a, b, max_work=10_000)  # type: ignore[arg-type]
    except np.exceptions.TooHardError:
        return True


def candidates(
    spec: OpSpec, plan: Plan, declined: list[tuple[str, str]]
) -> Iterator[Kernel | None]:
    """The kernels that take a planned call, best first; None stands for the reference.

    Why the others do not is appended to `declined`. Raises UnsupportedError at the end of a forced
    backend's kernels.
    """
    if spec.view:
        yield None
        return
    forced = config.forced_backend.get()
    for backend in (forced,) if forced else config.BACKENDS:
        if backend == "reference":
            yield None
            return
        kernels = spec.kernels(backend)
        for kernel in kernels:
            reason = kernel.why_not(plan)
            if reason is None:
                yield kernel
                reason = "declined when called"
            declined.append((f"{backend}:{kernel.name}", reason))
        if not kernels:
            declined.append((backend, _why_none(backend)))
    reasons = "; ".join(f"{name}: {reason}" for name, reason in declined)
    raise UnsupportedError(f"{spec.name}: backend {forced!r} cannot run this call ({reasons})")


def _why_none(backend: str) -> str:
    try:
        config.known_backend(backend)
    except BackendError as error:  # FASTDL_BACKEND is read before users' backends are known
        return str(error)
    if backend == "cuda":
        try:
            devices.require_cuda(devices.Device("cuda", 0))
        except devices.DeviceError as error:
            return str(error)
    return "has no kernel for this op"


def _call(
    spec: OpSpec, kernel: Kernel | None, plan: Plan, outs: tuple[np.ndarray, ...] | None
) -> tuple[Any, ...] | None:
    """Runs one kernel; None if it declined when called."""
    if kernel is None:
        if not spec.view and config.forced_backend.get() is None:
            _warn_fallback(spec, plan)
        results = run_reference(spec, plan)
    else:
        takes_out = kernel.out and outs is not None
        extra = {"out": outs if len(plan.outputs) > 1 else outs[0]} if takes_out and outs else {}
        returned = kernel.fn(*plan.arrays, **plan.options, **extra)
        if returned is NotImplemented:
            return None
        results = returned if isinstance(returned, tuple) else (returned,)
        if takes_out:
            return results
    if outs is None:
        return results
    for array, result in zip(outs, results, strict=True):
        np.copyto(array, result)
    return outs


def run_reference(spec: OpSpec, plan: Plan) -> tuple[np.ndarray, ...]:
    """The oracle's outputs, computed in float64 and rounded once to the planned dtypes."""
    if spec.view:
        return spec.run_reference(plan.arrays, plan.options)

    def widen(a: Any) -> Any:
        if isinstance(a, np.ndarray) and is_float(a.dtype) and a.dtype.itemsize < 8:
            return a.astype(accumulator(a.dtype))
        return a

    with np.errstate(all="ignore"):
        results = spec.run_reference(tuple(map(widen, plan.arrays)), plan.options)
        return tuple(map(_finish, results, plan.outputs))


def _finish(result: np.ndarray, out: Out) -> np.ndarray:
    result = np.asarray(result).astype(out.dtype, copy=False)
    if out.channels_last:
        return np.ascontiguousarray(result.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    return result


def _warn_fallback(spec: OpSpec, plan: Plan) -> None:
    if spec.name in _warned:
        return
    _warned.add(spec.name)
    dtypes = ", ".join(str(a.dtype) for a in plan.arrays if isinstance(a, np.ndarray))
    warnings.warn(
        f"{spec.name}({dtypes}) runs on the slow NumPy reference: no kernel takes it"
        " (fastdl.explain tells why; this is said once per op)",
        FallbackWarning,
        stacklevel=_callers_level(),
    )


def _callers_level() -> int:
    """How far up, seen from `warnings.warn`, the first frame outside this package is."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").startswith("fastdl."):
        level, frame = level + 1, frame.f_back
    return level


@dataclass
class Explanation:
    """Which kernel runs a call, and why the ones asked before it declined."""

    op: str
    backend: str
    kernel: str
    isa: str | None
    threads: int
    declined: list[tuple[str, str]] = field(default_factory=list)

    def __str__(self) -> str:
        isa = f", {self.isa}" if self.isa else ""
        lines = [f"{self.op}: {self.backend}:{self.kernel}{isa}, up to {self.threads} thread(s)"]
        lines += [f"  {name} declined: {reason}" for name, reason in self.declined]
        return "\n".join(lines)


def explain(op: str | OpSpec, *arrays: Any, **options: Any) -> Explanation:
    """Which kernel would run `op` on these arrays or Tensors and options (nothing is computed).

    Raises what the call itself would raise for bad arguments.
    """
    name = op.name if isinstance(op, OpSpec) else getattr(op, "__name__", op)
    if name not in OPS:
        raise ArgumentError(f"explain: unknown op {name!r}; the ops are: {', '.join(sorted(OPS))}")
    spec = OPS[name]
    plan = make_plan(spec, [getattr(a, "_array", a) for a in arrays], options)
    declined: list[tuple[str, str]] = []
    kernel = next(candidates(spec, plan, declined))
    if kernel is None:
        backend, label = ("numpy", "view") if spec.view else ("reference", spec.name)
        return Explanation(name, backend, label, None, 1, declined)
    native = kernel.backend == "native"
    isa = _native.isa() if native else None
    threads = config.get_num_threads() if native or kernel.backend == "numba" else 1
    return Explanation(name, kernel.backend, kernel.name, isa, threads, declined)


def backends_of(spec: OpSpec) -> list[str]:
    """The backends that have a kernel for an op, the reference last."""
    return [*KERNELS.get(spec.name, {}), "reference"]


OpSpec.run_arrays = OpSpec.run = staticmethod(run)
