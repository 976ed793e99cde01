"""The child: the one process that runs kernels under judgement.

It is told what to call on which arrays of the shared memory (arena.py), and answers, in JSON, what
came of it; no word of it is trusted that the judge can find out for itself. It knows neither seeds
nor references nor bounds. It leaves by os._exit, so that nothing a kernel registered runs then.

Started by client.py as `main(channel, memory, faults)`, the numbers of three file descriptors.
"""

from __future__ import annotations

import ctypes
import json
import os
import pickle
import resource
import signal
import socket
import struct
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from .. import _native
from ..core.config import get_num_threads, set_num_threads
from ..core.dtypes import as_dtype
from ..spec import KERNELS, OPS
from . import strangers
from .arena import Placed, View

_PERTURB = -6  # glibc's M_PERTURB: malloc fills what it hands out with a byte
_ALARM = 0.0005  # seconds between two signals while a kernel is interrupted
_KEPT = 8  # results that are watched, so that a kernel with a few buffers in turn is seen
_KEPT_BYTES = 1 << 20  # of each of them but the last
_ndarray = np.ndarray
_SCALARS = frozenset(np.dtype(c).type for c in "?bBhHiIlLqQefd")
_clock = time.perf_counter
_ignore_errors = np.errstate  # hard inputs overflow; that is no warning's matter


def send(channel: socket.socket, message: bytes) -> None:
    """Writes a message with its length in front."""
    channel.sendall(struct.pack("<Q", len(message)) + message)


def receive(channel: socket.socket) -> bytes | None:
    """Reads a message; None if the other end is gone."""
    head = _exactly(channel, 8)
    return None if head is None else _exactly(channel, struct.unpack("<Q", head)[0])


def _exactly(channel: socket.socket, size: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < size:
        part = channel.recv(min(size - len(parts), 1 << 20))
        if not part:
            return None
        parts += part
    return bytes(parts)


def _state() -> dict[str, Any]:
    """What a call must leave as it was."""
    return {
        "fastdl's number of threads": get_num_threads(),
        "MXCSR": _native.mxcsr(),
        "the environment": dict(os.environ),
        "the working directory": os.getcwd(),
        "NumPy's error state": np.geterr(),
        "the handler of SIGINT": signal.getsignal(signal.SIGINT),
    }


def _lasting_state() -> dict[str, Any]:
    """What must stay as it was before any file of a kernel was run: loading counts, too."""
    return {
        "the handler of SIGSEGV": _fault_handler(),
        "a clock": [vars(time)[name] for name in _CLOCKS],
        "a function of NumPy": [vars(np)[name] for name in _NUMPY],
        "a function of the judge": [
            (name, value, getattr(value, "__code__", None))
            for scope in (globals(), vars(Child), vars(View), vars(strangers))
            for name, value in list(scope.items())
            if callable(value)
        ],
        "an op's declaration": [
            (spec, spec.reference, spec.shape, spec.bound, spec.samples) for spec in _SPECS
        ],
    }


_CLOCKS = ("perf_counter", "perf_counter_ns", "time", "time_ns", "monotonic", "monotonic_ns",
           "process_time", "sleep")  # fmt: skip
_NUMPY = ("allclose", "array_equal", "isclose", "ndarray", "empty", "asarray", "copyto",
          "isnan", "isfinite", "abs", "may_share_memory", "shares_memory")  # fmt: skip
_SPECS = tuple(OPS.values())
_sigaction = ctypes.CDLL(None).sigaction


def _fault_handler() -> bytes:
    """The address of the handler of SIGSEGV, the first field of a struct sigaction."""
    action = ctypes.create_string_buffer(256)
    _sigaction(int(signal.SIGSEGV), None, action)
    return action.raw[: ctypes.sizeof(ctypes.c_void_p)]


class Child:
    """The kernels loaded so far, and how each request is answered."""

    def __init__(self, memory: int):
        self.view = View(memory)
        self.kernels: list[Callable[..., Any]] = []
        self.libc = ctypes.CDLL(None)
        self.kept: deque[tuple[np.ndarray, int]] = deque(maxlen=_KEPT)  # results and checksums

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Does what a request asks."""
        late = self._changed_since()
        self.view.guard(request.pop("guards", []))
        reply: dict[str, Any] = getattr(self, f"_{request.pop('kind')}")(**request)
        if late:
            reply["late"] = True
        return reply

    def _hello(self) -> dict[str, Any]:
        isas = _native.runnable_isas()
        return {
            "address": self.view.address, "pid": os.getpid(), "isas": isas, "isa": _native.isa(),
        }  # fmt: skip

    def _settle(self) -> dict[str, Any]:
        time.sleep(0.005)
        return {"late": self._changed_since()}

    def _changed_since(self) -> bool:
        return any(_checksum(a) != checksum for a, checksum in self.kept)

    def _own(self, op: str, backend: str, index: int) -> dict[str, Any]:
        """Takes a kernel that fastdl (or a spec's file) declares."""
        self.kernels.append(KERNELS[op][backend][index].fn)
        return {"kernel": len(self.kernels) - 1}

    def _file(self, path: str) -> dict[str, Any]:
        """What a file declares, whatever the op."""
        return {"kernels": strangers.kernels_of(path)}

    def _load(self, op: str, where: str) -> dict[str, Any]:
        """Takes a stranger's function from its file."""
        functions, declared = strangers.load(op, where)
        first = len(self.kernels)
        self.kernels += functions
        return {"first": first, "declared": declared}

    def _symbol(self, library: str, symbol: str) -> dict[str, Any]:
        """Is there such a C function?"""
        try:
            getattr(ctypes.CDLL(library), symbol)
        except (OSError, AttributeError) as error:
            return {"why": str(error)}
        return {"why": ""}

    def _mutate(self, number: int) -> dict[str, Any]:
        """Switches on one defect of the test extension (mutants/build.py), or none for 0."""
        _native.set_mutant(number)
        return {}

    def _depth(self, kernel: int, terms: int) -> dict[str, Any]:
        return {"depth": int(strangers.declared_depth(self.kernels[kernel])(terms))}

    def _refusals(self, op: str) -> dict[str, Any]:
        """Every declared bad input raises its declared error and modifies nothing."""
        return {"verdicts": [[bad.name, _refusal(op, bad)] for bad in OPS[op].bad_inputs]}

    def _call(self, fork: bool = False, signals: bool = False, **request: Any) -> dict[str, Any]:
        if fork:
            return self._forked(request)
        if signals:
            return self._interrupted(request)
        return self._once(**request)

    def _forked(self, request: dict[str, Any]) -> dict[str, Any]:
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.write(write, json.dumps(self._once(**request)).encode())
            finally:
                os._exit(0)
        os.close(write)
        with os.fdopen(read, "rb") as pipe:
            text = pipe.read()
        _, status = os.waitpid(pid, 0)
        self.kept.clear()
        return json.loads(text) if text else {"status": "raised", "why": f"exit status {status}"}

    def _interrupted(self, request: dict[str, Any]) -> dict[str, Any]:
        before = signal.signal(signal.SIGALRM, lambda *_: None)
        signal.setitimer(signal.ITIMER_REAL, _ALARM, _ALARM)
        try:
            return self._once(**request)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

    def _once(
        self,
        kernel: Any,
        arrays: list[Any],
        options: dict[str, Any],
        rooms: list[tuple[int, int]],
        isa: str | None = None,
        threads: int | None = None,
        memory: tuple[str, int] = ("normal", 0),
        out: list[Placed] | None = None,
        idle: list[tuple[tuple[int, ...], str]] | None = None,
    ) -> dict[str, Any]:
        """One call: arrays in, results left in the shared memory, and whatever else changed."""
        operands = [self.view.array(a) if isinstance(a, Placed) else a for a in arrays]
        outs = tuple(self.view.array(a) for a in out or ())
        call, extra = self._prepared(kernel, outs)
        if idle is not None:
            call, extra = partial(_nothing, idle), {}
        if isa is not None and _native.isa() != isa:
            _native.set_isa(isa)
        team = get_num_threads()
        if threads is not None:
            set_num_threads(threads)
        if memory[0] != "normal":
            self.libc.mallopt(_PERTURB, memory[1] ^ 0xFF)  # it hands out the complement
        _native.set_memory_mode(*memory)
        returned: Any = None
        reply: dict[str, Any] = {"status": "returned"}
        with _ignore_errors(all="ignore"):
            before = _state()
            _native.forget_isa()
            begin = _clock()
            try:
                returned = call(*operands, **options, **extra)
            except NotImplementedError as error:
                reply = {"status": "declined", "why": str(error) or "NotImplementedError"}
            except BaseException as error:
                reply = {"status": "raised", "why": _described(error)}
            reply["seconds"] = _clock() - begin
            reply["isa"] = _native.ran_isa()
            after = _state()
        _native.set_memory_mode("normal", 0)
        if threads is not None:
            set_num_threads(team)
        if returned is NotImplemented:
            reply |= {"status": "declined", "why": "declined when called"}
        reply["changed"] = [name for name in before if after[name] != before[name]]
        if out is None and reply["status"] == "returned":
            reply["outputs"] = self._left(returned, operands, rooms)
        return reply

    def _prepared(self, kernel: Any, outs: tuple[np.ndarray, ...]) -> tuple[Any, dict[str, Any]]:
        """The function to call, and `out=` for it; a C symbol's arguments hold its outputs."""
        if isinstance(kernel, tuple):
            library, symbol, arguments = kernel
            return strangers.c_call(library, symbol, arguments, self.view), {}
        extra = {"out": outs if len(outs) > 1 else outs[0]} if outs else {}
        return self.kernels[kernel], extra

    def _left(
        self, returned: Any, operands: list[Any], rooms: list[tuple[int, int]]
    ) -> list[dict[str, Any]]:
        """What was returned, its values where the judge reads them."""
        results = returned if type(returned) is tuple else (returned,)
        # What NumPy's own functions return for a 0-d array.
        results = tuple(np.asarray(r) if type(r) in _SCALARS else r for r in results)
        described: list[dict[str, Any]] = []
        for i, result in enumerate(results):
            if type(result) is not _ndarray:
                described.append({"type": type(result).__name__})
                continue
            shares = [
                k for k, a in enumerate(operands)
                if type(a) is _ndarray and np.may_share_memory(a, result)
            ]  # fmt: skip
            again = any(np.may_share_memory(a, result) for a, _ in self.kept)
            described.append(
                {
                    "type": "ndarray", "shape": result.shape, "strides": result.strides,
                    "dtype": result.dtype.name, "input": shares[:1], "again": again,
                }
            )  # fmt: skip
            if i < len(rooms) and result.nbytes <= rooms[i][1] and result.dtype.name != "object":
                self.view.leave(rooms[i][0], result)
        small = [pair for pair in self.kept if pair[0].nbytes <= _KEPT_BYTES]
        new = [
            (r, _checksum(r)) for r, told in zip(results, described, strict=True)
            if told["type"] == "ndarray" and r.dtype.name != "object" and not told["input"]
        ]  # fmt: skip
        self.kept = deque([*small, *new], maxlen=_KEPT)
        return described


def _nothing(idle: list[tuple[tuple[int, ...], str]], *arrays: Any, **options: Any) -> Any:
    """What is called where the cost of a call without its kernel is wanted."""
    return tuple(np.empty(shape, as_dtype(dtype)) for shape, dtype in idle)


def _checksum(a: np.ndarray) -> int:
    return crc32(a.tobytes())


def _described(error: BaseException) -> str:
    """An exception in one line, with the place in the stranger's file."""
    frames = traceback.extract_tb(error.__traceback__)
    at = f" ({os.path.basename(frames[-1].filename)}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {str(error)[:300]}{at}"


def _refusal(op: str, bad: Any) -> str:
    args, kwargs = bad.call()
    arrays = [a for a in (*args, *kwargs.values()) if isinstance(a, np.ndarray)]
    before = [a.tobytes() for a in arrays]
    why = f"no error, want {bad.error.__name__}"
    try:
        OPS[op](*args, **kwargs)
    except bad.error as error:
        why = "" if op in str(error) else f"the message does not name the op: {error}"
    except Exception as error:
        why = f"{type(error).__name__} ({error}), want {bad.error.__name__}"
    return why if [a.tobytes() for a in arrays] == before else "an argument was modified"


def _limit_memory() -> None:
    """A kernel that asks for more memory than there is fails, and nobody else."""
    most = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard == resource.RLIM_INFINITY or hard > most:
        resource.setrlimit(resource.RLIMIT_DATA, (most, hard))
    with suppress(OSError):  # the first to go where memory runs out all the same
        Path("/proc/self/oom_score_adj").write_text("1000")


def main(channel_fd: int, memory_fd: int, fault_fd: int, parent: int) -> None:
    """Answers requests until the judge is gone.

    What is watched is found by local names, where no kernel's file can put something else.
    """
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: no orphans
    if os.getppid() != parent:
        os._exit(0)
    _limit_memory()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the judge's to hear
    channel = socket.socket(fileno=channel_fd)
    child = Child(memory_fd)
    _native.watch_faults(fault_fd)
    look, first = _lasting_state, _lasting_state()
    number = 0
    while (message := receive(channel)) is not None:
        request = pickle.loads(message)
        watch = request.pop("watch", False)
        try:
            reply = child.answer(request)
        except BaseException as error:
            reply = {"status": "failed", "why": _described(error)}
        if watch:
            now = look()
            changed = [name for name in first if now[name] != first[name]]
            reply["changed"] = [*reply.get("changed", []), *changed]
        reply["number"] = number
        number += 1
        sys.stdout.flush()
        send(channel, json.dumps(reply).encode())
    os._exit(0)


__all__ = ["main", "receive", "send"]
