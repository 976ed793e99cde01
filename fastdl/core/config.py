"""Threads, backends and what this build runs on.

Environment: FASTDL_BACKEND forces a backend, FASTDL_ISA an instruction set,
FASTDL_NUM_THREADS (else OMP_NUM_THREADS) sets the size of the thread pool.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np

from .. import _native
from ..version import __version__
from .errors import ArgumentError, BackendError
from .shapes import as_int

BACKENDS = ("native", "numba", "reference")  # the order in which dispatch asks them
MOST_THREADS = 4096  # what the pool takes
KNOWN_BACKENDS = (*BACKENDS, "cuda")


_user_backends: set[str] = set()
# The environment's choice is the default, so that threads started later see it too.
forced_backend: ContextVar[str | None] = ContextVar(
    "fastdl_backend", default=os.environ.get("FASTDL_BACKEND") or None
)


def known_backend(name: str) -> str:
    """The name itself; BackendError if it is no backend."""
    if name not in KNOWN_BACKENDS and name not in _user_backends:
        choices = ", ".join((*KNOWN_BACKENDS, *sorted(_user_backends)))
        raise BackendError(f"backend: got {name!r}, want one of {choices}")
    return name


def register_backend(name: str) -> None:
    """Makes a user's backend name (the `backend=` of `@kernel`) known to `use_backend`."""
    if name not in KNOWN_BACKENDS:
        _user_backends.add(name)


@contextmanager
def use_backend(name: str) -> Iterator[None]:
    """Forces one backend for the calls inside: 'native', 'numba', 'reference', 'cuda' or a user's.

    Raises BackendError for an unknown name. A call the backend cannot run raises UnsupportedError.
    """
    token = forced_backend.set(known_backend(name))
    try:
        yield
    finally:
        forced_backend.reset(token)


def set_num_threads(n: int) -> None:
    """Sets how many threads native and Numba kernels use, the calling one included (n >= 1)."""
    n = as_int("set_num_threads", "n", n)
    if not 1 <= n <= MOST_THREADS:
        raise ArgumentError(f"set_num_threads: n: got {n}, want 1 to {MOST_THREADS}")
    _native.set_num_threads(n)


def get_num_threads() -> int:
    """How many threads native and Numba kernels use, the calling one included."""
    return _native.num_threads()


@contextmanager
def num_threads(n: int) -> Iterator[None]:
    """`with fastdl.num_threads(1):` sets the number of threads for a block."""
    before = get_num_threads()
    set_num_threads(n)
    try:
        yield
    finally:
        set_num_threads(before)


def show_config() -> str:
    """Prints, and returns, what this build and this machine are: versions, ISA, threads, caches."""
    cpu = _native.cpu_info()
    build = _native.build_info()
    lines = [
        f"fastdl {__version__}, NumPy {np.__version__}, Python {platform.python_version()}",
        f"built by {build['compiler']}",
        f"cpu: {cpu['model']}, {cpu['affinity']} of {cpu['cores']} cores; caches: "
        + ", ".join(f"{level.upper()} {cpu[level] >> 10} KiB" for level in ("l1", "l2", "l3")),
        f"instruction set: {_native.isa()} (runnable: {', '.join(_native.runnable_isas())})",
        f"threads: {get_num_threads()}",
        f"backends, in order: {', '.join(BACKENDS)}; forced: {forced_backend.get() or 'none'}",
    ]
    text = "\n".join(lines)
    print(text)
    return text
