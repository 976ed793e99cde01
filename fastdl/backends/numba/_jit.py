"""Numba, loaded when a kernel first runs: `import fastdl` never imports it.

`@jit` compiles a function on its first call; jitted functions of one module may call each other.
`split` runs a jitted function over ranges of its outermost loop, one range a thread. The threads
are Python's (the kernels release the GIL) and not Numba's, whose portable layer aborts the process
when two threads launch at once; serial code also compiles several times faster than a prange.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable
from types import FunctionType
from typing import TYPE_CHECKING, Any

from ...core import config

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

_lock = threading.RLock()  # compiling a kernel compiles those it calls
_pool: ThreadPoolExecutor | None = None


class Jitted:
    """A function that Numba compiles when it is first called."""

    def __init__(self, function: FunctionType) -> None:
        functools.update_wrapper(self, function)
        self.function = function
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

        f = self.function
        scope = dict(f.__globals__)  # where the other jitted functions become their dispatchers
        for name in f.__code__.co_names:
            if isinstance(scope.get(name), Jitted):
                scope[name] = scope[name].compiled()
        resolved = FunctionType(f.__code__, scope, f.__name__, f.__defaults__)
        resolved.__module__, resolved.__qualname__ = f.__module__, f.__qualname__
        options: Any = {"nogil": True, "error_model": "numpy", "boundscheck": False}
        try:
            return numba.njit(cache=True, **options)(resolved)
        except RuntimeError:  # no folder to keep the cache in
            return numba.njit(**options)(resolved)

    def __call__(self, *args: Any) -> Any:
        return self.compiled()(*args)


def jit(function: Callable[..., Any]) -> Jitted:
    """Declares a function to be compiled by `numba.njit(nogil=True)`, without fast-math."""
    assert isinstance(function, FunctionType)
    return Jitted(function)


def split(kernel: Jitted, count: int, nanoseconds: float, *args: Any) -> None:
    """Runs `kernel(first, last, *args)` over [0, count), cut into one range a thread.

    An iteration must write its own outputs only. Work estimated below 100 µs stays on this thread.
    """
    run = kernel.compiled()
    parts = min(config.get_num_threads(), count) if nanoseconds > 100e3 else 1
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
    global _pool
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
