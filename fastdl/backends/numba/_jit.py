"""Numba, loaded when a kernel first runs: `import fastdl` never imports it.

`@jit` compiles a function on its first call; jitted functions may call each other. `Elementwise`
has NumPy apply a function of numbers to arrays of any strides, by a loop of Numba's.
`split` runs a jitted function over ranges of its outermost loop, one range a thread. The threads
are Python's (the kernels release the GIL) and not Numba's, whose portable layer aborts the process
when two threads launch at once; serial code also compiles several times faster than a prange.
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections.abc import Callable
from types import FunctionType
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import config

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

_lock = threading.RLock()  # compiling a kernel compiles those it calls
_pool: ThreadPoolExecutor | None = None


class Jitted:
    """A function that Numba compiles when it is first called."""

    def __init__(self, function: Callable[..., Any], **options: bool) -> None:
        assert isinstance(function, FunctionType)
        functools.update_wrapper(self, function)
        self.function, self.options = function, options
        self._compiled: Callable[..., Any] | None = None

    def compiled(self) -> Callable[..., Any]:
        """The Numba dispatcher."""
        if self._compiled is None:
            with _lock:
                if self._compiled is None:
                    self._compiled = self._compile()
        return self._compiled

    def _compile(self) -> Callable[..., Any]:
        import numba

        options = {"nogil": True, "error_model": "numpy", "boundscheck": False}
        return _cached(numba.njit, self.function, **options, **self.options)

    def __call__(self, *args: Any) -> Any:
        return self.compiled()(*args)


class Intrinsic(Jitted):
    """A function that writes LLVM code, for jitted functions to call (`numba.extending`)."""

    def _compile(self) -> Callable[..., Any]:
        from numba.extending import intrinsic

        return intrinsic(self.function)


def _cached(decorator: Any, function: FunctionType, *signatures: Any, **options: Any) -> Any:
    """The function compiled by Numba, kept on disk where there is a folder to keep it in.

    Numba forgets what it kept when the function's own file changes, but does not look at the files
    of functions it calls; one that calls into another file is compiled anew by each process.
    """
    keep = True
    scope = dict(function.__globals__)  # where other jitted functions become their dispatchers
    for name in function.__code__.co_names:
        if isinstance(called := scope.get(name), Jitted):
            keep = keep and called.function.__module__ == function.__module__
            scope[name] = called.compiled()
    resolved = FunctionType(function.__code__, scope, function.__name__, function.__defaults__)
    resolved.__module__, resolved.__qualname__ = function.__module__, function.__qualname__
    if keep:
        with contextlib.suppress(RuntimeError):  # no folder to keep it in
            return decorator(*signatures, cache=True, **options)(resolved)
    return decorator(*signatures, **options)(resolved)


def jit(function: Callable[..., Any]) -> Jitted:
    """Declares a function to be compiled by `numba.njit(nogil=True)`, without fast-math."""
    return Jitted(function)


def inline(function: Callable[..., Any]) -> Jitted:
    """The same, inlined whatever its size, so that loops around it vectorise."""
    assert isinstance(function, FunctionType)
    return Jitted(function, forceinline=True)


# Other integers than int64 run in its loop, converted by NumPy in passing: one loop compiles faster
# than four, and arithmetic modulo 2^64 is also right modulo 2^32 and 2^8.
_LOOPS = {"bool": "int64", "uint8": "int64", "int32": "int64"}


class Elementwise:
    """A function of numbers, applied to arrays by NumPy: broadcasting, any strides, no GIL.

    A loop is compiled when its dtypes are first seen; `exact` compiles it for the very dtype of the
    result. The function takes the result's old value too, as its last argument, and ignores it:
    Numba's loops treat the result as contiguous wherever all operands are.
    """

    def __init__(
        self, function: Callable[..., Any], *, nanoseconds: float = 0.3, exact: bool = False
    ) -> None:
        assert isinstance(function, FunctionType)
        self.function, self.nanoseconds, self.exact = function, nanoseconds, exact
        self._loops: dict[tuple[str, ...], Callable[..., Any]] = {}

    def __call__(self, out: np.ndarray, *arrays: np.ndarray) -> np.ndarray:
        """Writes function(*arrays) into out; returns out."""
        if not out.size:
            return out
        run = self._loop(out, arrays)
        axis = max(range(out.ndim), key=lambda d: out.strides[d] * (out.shape[d] > 1), default=0)

        def part(first: int, last: int) -> None:
            cut = (slice(None),) * axis + (slice(first, last),)
            pieces = (np.broadcast_to(a, out.shape)[cut] for a in arrays)
            with np.errstate(all="ignore"):
                run(*pieces, out[cut], out=out[cut], casting="unsafe")

        nanoseconds = out.size * self.nanoseconds
        if is_short(nanoseconds):
            with np.errstate(all="ignore"):
                run(*arrays, out, out=out, casting="unsafe")
        else:
            split(part, out.shape[axis], nanoseconds)
        return out

    def _loop(self, out: np.ndarray, arrays: tuple[np.ndarray, ...]) -> Callable[..., Any]:
        names = tuple(_LOOPS.get(a.dtype.name, a.dtype.name) for a in (out, *arrays))
        key = (out.dtype.name, *names[1:]) if self.exact else names
        if key not in self._loops:
            import numba

            with _lock:
                result, *operands = (getattr(numba, n.replace("bool", "boolean")) for n in key)
                signature = result(*operands, result)
                self._loops[key] = _cached(numba.vectorize, self.function, [signature])
        return self._loops[key]


def is_short(nanoseconds: float) -> bool:
    """Is the work done before other threads could help?"""
    return nanoseconds <= 100e3 or config.get_num_threads() == 1


def split(kernel: Callable[..., Any], count: int, nanoseconds: float, *args: Any) -> None:
    """Runs `kernel(first, last, *args)` over [0, count), cut into one range a thread.

    An iteration must write its own outputs only. Work estimated below 100 µs stays on this thread.
    """
    run = kernel.compiled() if isinstance(kernel, Jitted) else kernel
    parts = 1 if is_short(nanoseconds) else min(config.get_num_threads(), count)
    if parts <= 1:
        run(0, count, *args)
        return
    cuts = [count * i // parts for i in range(parts + 1)]
    pool = _threads()
    waiting = [pool.submit(run, cuts[i], cuts[i + 1], *args) for i in range(1, parts)]
    run(0, cuts[1], *args)
    for part in waiting:
        part.result()


def _threads() -> ThreadPoolExecutor:
    global _pool  # noqa: PLW0603
    with _lock:
        if _pool is None:
            from concurrent.futures import ThreadPoolExecutor

            _pool = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="fastdl-numba")
        return _pool


def _after_fork() -> None:
    """A child has none of its parent's threads, and may have copied a lock somebody held."""
    global _pool, _lock
    _pool, _lock = None, threading.RLock()


os.register_at_fork(after_in_child=_after_fork)
