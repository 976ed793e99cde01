"""The judge's end of the child: starts it, lays out arrays, and reads what came of a call."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import shlex
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.dtypes import as_dtype, is_float
from ..core.errors import FastdlError
from ..spec import Kernel, OpSpec, Out, Plan
from .arena import EMULATED_SIZE, SIZE, Arena, Placed, Restride
from .child import send
from .strangers import OURS, CSymbol

TIMEOUT = 120.0  # seconds a call may take; a Numba kernel compiles in its first
GRACE = 3.0  # seconds for a child that hung up to end
SILENCE = "no answer within"
_LONGEST = 1 << 24  # bytes of an answer
_CREDENTIALS = socket.CMSG_SPACE(struct.calcsize("iii"))  # of a message: pid, uid, gid
_START = """import sys
if {native!r}:
    from importlib.machinery import ExtensionFileLoader
    from importlib.util import module_from_spec, spec_from_file_location
    spec = spec_from_file_location("fastdl._native", {native!r})
    sys.modules["fastdl._native"] = module_from_spec(spec)
    spec.loader.exec_module(sys.modules["fastdl._native"])
from fastdl.check.child import main
main({channel}, {memory}, {faults}, {parent})
"""


@dataclass(frozen=True)
class Way:
    """How a call is made, beside its arrays and options."""

    isa: str | None = None
    at_end: bool = True  # arrays end at a guard page, or begin at one
    memory: tuple[str, int] | None = None  # the allocator's mode; by default that of the arrays
    threads: int | None = None
    shift: int = 0  # bytes that arrays begin past a 64-byte line
    out: bool = False
    restride: Restride | None = None  # of what is given as out=
    fork: bool = False
    signals: bool = False
    idle: bool = False  # no kernel is called: what the rest of a call costs

    @property
    def allocator(self) -> tuple[str, int]:
        """The mode and the byte that fills what the allocator hands out."""
        return self.memory or ("guard_end" if self.at_end else "guard_start", 0xFF)


@dataclass
class Answer:
    """What came of a call: results, or why there are none."""

    results: tuple[Any, ...] = ()
    why: str = ""  # what the kernel did that it must not
    declined: str = ""
    isa: str = ""  # the widest table of an instruction set that was used
    seconds: float = 0.0  # that the call took by the judge's clock, with all that goes with it
    own_seconds: float = 0.0  # by the child's, the kernel alone
    cpu_seconds: float = 0.0  # of all the child's threads, by the system's account

    @property
    def good(self) -> bool:
        """Are there results to judge?"""
        return not self.why and not self.declined


class UnjudgeableError(Exception):
    """The request cannot be carried out; exit status 2."""


class ChildDiedError(UnjudgeableError):
    """The child is gone; the message says how."""


# What the judge's own side may raise on a case whose sizes or numbers do not fit an op.
MISFITS = (FastdlError, ArithmeticError, LookupError, TypeError, ValueError, MemoryError)


@dataclass(frozen=True)
class Contestant:
    """A kernel under judgement: fastdl's own, a declared one, a plain function or a C symbol."""

    kernel: Kernel  # what it declares; `fn` is never called here
    own: int | None = None  # its place among the kernels of its op and backend
    where: str = ""  # a stranger's file and name
    place: int = 0  # among what the stranger's file gave
    canonical: bool = True  # called with canonical options, or as fastdl.functional's op is
    symbol: CSymbol | None = None
    implied: bool = False  # that it takes integer arrays (targets, masks) beside its floats

    @property
    def label(self) -> str:
        """For tables: backend:name."""
        return f"{self.kernel.backend}:{self.kernel.name}"

    @property
    def ours(self) -> bool:
        """Does it come with fastdl?"""
        return self.kernel.backend in OURS

    @property
    def owes_bits(self) -> bool:
        """Must any thread count, alignment and repeat give the same bits?"""
        return self.ours or self.kernel.bits

    def why_not(self, spec: OpSpec, plan: Plan) -> str:
        """Why it does not take a call, as far as it declares that; "" if it may."""
        arrays = [a for a in plan.arrays if isinstance(a, np.ndarray)]
        if self.implied and arrays and not any(is_float(a.dtype) for a in arrays):
            return "no float array, and it declares no other dtype"
        if self.symbol is not None:
            return self.symbol.why_not(spec, plan)
        return self.kernel.why_not(plan) or ""


class Child:
    """One child process, started when needed and again after every crash."""

    def __init__(self, native: str = "", timeout: float = TIMEOUT, emulator: str = ""):
        self.native, self.timeout, self.emulator = native, timeout, emulator
        self.arena = Arena(EMULATED_SIZE if emulator else SIZE)
        self.crashes = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._loaded: dict[Any, int] = {}
        self._declared: dict[tuple[str, str], list[dict[str, Any]]] = {}
        self._names: list[str] = []  # of the arrays of the call

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *exception: Any) -> None:
        self.close()

    def close(self) -> None:
        """Ends the process and gives the memory back."""
        self._stop()
        self.arena.close()

    # --- the process ---

    def _start(self) -> None:
        ours, its = socket.socketpair()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        read_fault, write_fault = os.pipe()
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the process)
        code = _START.format(
            native=self.native, channel=its.fileno(), memory=self.arena.fd, faults=write_fault,
            parent=os.getpid(),
        )  # fmt: skip
        self._process = subprocess.Popen(
            [*shlex.split(self.emulator), sys.executable, "-c", code],
            stdin=subprocess.DEVNULL, stdout=self._output, stderr=self._output,
            pass_fds=(its.fileno(), self.arena.fd, write_fault), start_new_session=True,
        )  # fmt: skip
        its.close()
        os.close(write_fault)
        self._channel, self._faults = ours, read_fault
        self._channel.settimeout(TIMEOUT)  # to start is not the kernel's work
        self._number = 0
        self._guarded = 0
        self._loaded.clear()
        hello = self.ask("hello")
        self._channel.settimeout(self.timeout)
        self._address, self.pid = hello["address"], hello["pid"]
        self._isas, self._default_isa = hello["isas"], hello["isa"]

    def _stop(self) -> None:
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):  # what it started goes with it
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._channel.close()
        os.close(self._faults)
        self._output.close()
        self._process = None

    def ask(self, kind: str, **request: Any) -> dict[str, Any]:
        """Sends a request and waits for its answer; ChildDiedError if none comes."""
        if self._process is None:
            self._start()
        request |= {"kind": kind, "guards": self.arena.guards[self._guarded :]}
        self._guarded = len(self.arena.guards)
        try:
            send(self._channel, pickle.dumps(request))
            message = self._hear()
        except TimeoutError:
            self._stop()
            raise ChildDiedError(f"{SILENCE} {self.timeout:g} s") from None
        except OSError:
            message = None
        if message is None:
            raise ChildDiedError(self._obituary())
        try:
            reply = json.loads(message)
        except (ValueError, RecursionError):
            reply = {}
        if not isinstance(reply, dict) or reply.get("number") != self._number:
            self._stop()
            raise ChildDiedError("spoke on the judge's own channel")
        self._number += 1
        return reply

    def _hear(self) -> bytes | None:
        """An answer; None if the child is gone, or what is not one if another process speaks."""
        head = self._bytes_of_child(8)
        if not head:
            return head
        size = struct.unpack("<Q", head)[0]
        return self._bytes_of_child(size) if size <= _LONGEST else b""

    def _bytes_of_child(self, size: int) -> bytes | None:
        """So many bytes; the system says which process wrote them."""
        assert self._process is not None
        parts = bytearray()
        while len(parts) < size:
            part, told, _, _ = self._channel.recvmsg(size - len(parts), _CREDENTIALS)
            if not part:
                return None
            if not told or struct.unpack("iii", told[0][2])[0] != self._process.pid:
                return b""
            parts += part
        return bytes(parts)

    def _obituary(self) -> str:
        """How the child died: the signal, and which byte beside which array it touched."""
        assert self._process is not None
        try:
            status = self._process.wait(GRACE)
        except subprocess.TimeoutExpired:
            self._stop()
            return "closed the judge's own channel"
        os.set_blocking(self._faults, False)
        with contextlib.suppress(BlockingIOError):
            record = os.read(self._faults, 16)
            if len(record) == 16:
                number, address = struct.unpack("<qQ", record)
                self._stop()
                beside = self.arena.locate(address - self._address, self._names)
                where = f", {beside}" if beside else ""
                return f"{_signal_name(number)} at address {address:#x}{where}"
        self._output.seek(0, os.SEEK_END)
        size = self._output.tell()
        self._output.seek(max(0, size - 300))
        words = self._output.read().decode(errors="replace").strip().splitlines()[-1:]
        self._stop()
        how = _signal_name(-status) if status < 0 else f"exit status {status}"
        return f"the process ended: {how}" + (f" ({words[0]})" if words else "")

    def _drain_faults(self) -> None:
        os.set_blocking(self._faults, False)
        with contextlib.suppress(BlockingIOError):
            os.read(self._faults, 1 << 12)

    @property
    def isas(self) -> tuple[str, ...]:
        """The instruction sets that run there, which an emulated machine may have fewer of."""
        if self._process is None:
            self._start()
        return tuple(self._isas)

    @property
    def default_isa(self) -> str:
        """The instruction set in use there when nobody asked for one."""
        if self._process is None:
            self._start()
        return str(self._default_isa)

    def _worked(self) -> float:
        """CPU seconds of the child so far, of its clock in the system (clock_getcpuclockid(3))."""
        if self._process is None:
            return 0.0
        with contextlib.suppress(OSError):
            return time.clock_gettime(~self._process.pid << 3 | 2)
        return 0.0

    # --- kernels ---

    def declared(self, op: str, where: str) -> list[dict[str, Any]]:
        """What a stranger's file declares of its kernels; ChildDiedError if it cannot be run."""
        self._load(op, where)
        return self._declared[op, where]

    def kernels_of(self, path: str) -> list[dict[str, str]]:
        """The kernels that a file declares, as strangers.kernels_of tells it."""
        reply = self.ask("file", path=path)
        if "kernels" not in reply:
            raise ChildDiedError(f"{path}: {reply.get('why', '')}")
        return reply["kernels"]

    def _load(self, op: str, where: str) -> int:
        if self._process is None:
            self._start()
        if (op, where) not in self._loaded:
            reply = self.ask("load", op=op, where=where)
            if "declared" not in reply:
                raise ChildDiedError(str(reply.get("why", "")))
            self._loaded[op, where] = reply["first"]
            self._declared[op, where] = reply["declared"]
        return self._loaded[op, where]

    def _kernel(self, spec: OpSpec, contestant: Contestant) -> int:
        """The child's number of a kernel."""
        if self._process is None:
            self._start()
        if contestant.own is None:
            return self._load(spec.name, contestant.where) + contestant.place
        key = (spec.name, contestant.kernel.backend, contestant.own)
        if key not in self._loaded:
            op, backend, index = key
            self._loaded[key] = self.ask("own", op=op, backend=backend, index=index)["kernel"]
        return self._loaded[key]

    def lacks(self, symbol: CSymbol) -> str:
        """Why a C symbol cannot be called; "" if it can."""
        try:
            return str(self.ask("symbol", library=symbol.library, symbol=symbol.symbol)["why"])
        except ChildDiedError as death:  # a library may do anything when it is loaded
            return str(death)

    def depth(self, spec: OpSpec, contestant: Contestant, terms: int) -> int:
        """The depth a stranger declares for a number of terms; its formula runs in the child."""
        return self.ask("depth", kernel=self._kernel(spec, contestant), terms=terms)["depth"]

    # --- a call ---

    def call(
        self,
        spec: OpSpec,
        contestant: Contestant,
        plan: Plan,
        options: dict[str, Any],
        way: Way,
    ) -> Answer:
        """Calls a kernel; `options` are the sample's own, for one called as functional's op is."""
        begin, worked = time.perf_counter(), self._worked()
        try:
            answer = self._call(spec, contestant, plan, options, way)
            answer.seconds = time.perf_counter() - begin
            answer.cpu_seconds = self._worked() - worked
            return answer
        except ChildDiedError as death:
            self.crashes += 1
            return Answer(why=str(death))

    def _call(
        self, spec: OpSpec, contestant: Contestant, plan: Plan, options: dict[str, Any], way: Way
    ) -> Answer:
        arena = self.arena
        arena.clear()
        self._names = names = []
        placed: list[Any] = []
        at_end = way.at_end and not way.shift
        for i, a in enumerate(plan.arrays):
            if isinstance(a, np.ndarray):
                placed.append(arena.place(a, at_end, way.shift))
                names.append(f"argument {spec.signature.array_name(i)}")
            else:
                placed.append(a)
        outs: list[Any] = []
        kept: list[np.ndarray] = []
        if way.out or contestant.symbol is not None:
            for name, out in zip(spec.signature.outputs, plan.outputs, strict=False):
                where, array = arena.place_output(out, at_end, way.allocator[1], way.restride)
                outs.append(where)
                kept.append(array)
                names.append(f"output {name}")
        rooms = [(arena.room(_bytes(out)), _bytes(out)) for out in plan.outputs] if not outs else []
        if contestant.symbol is not None:
            everything = [*placed, *outs]
            filled = [
                (kind, everything[value] if kind == "array" else value)
                for kind, value in contestant.symbol.bind(spec, plan)
            ]
            kernel: Any = (contestant.symbol.library, contestant.symbol.symbol, filled)
            placed, given = [], {}
        else:
            kernel = self._kernel(spec, contestant)
            given = dict(plan.options if contestant.canonical else options)
            if not contestant.canonical:
                while placed and placed[-1] is None:
                    placed.pop()
        reply = self.ask(
            "call", kernel=kernel, arrays=placed, options=given, rooms=rooms, isa=way.isa,
            threads=way.threads, memory=way.allocator, out=outs or None, fork=way.fork,
            signals=way.signals, watch=not contestant.ours,
            idle=[(out.shape, out.dtype.name) for out in plan.outputs] if way.idle else None,
        )  # fmt: skip
        if way.fork:  # a crash of the forked process is no crash of the child
            self._drain_faults()
        answer = self._read(reply, plan, rooms, kept, contestant)
        answer.own_seconds = float(reply.get("seconds", 0))
        damage = arena.damage(names)
        if damage:
            answer.why = damage
        return answer

    def _read(
        self,
        reply: dict[str, Any],
        plan: Plan,
        rooms: list[tuple[int, int]],
        kept: list[np.ndarray],
        contestant: Contestant,
    ) -> Answer:
        if reply.get("late"):
            return Answer(why="went on writing to its result after it had returned")
        if changed := reply.get("changed"):
            return Answer(why=f"changed {changed[0]}")
        status = reply.get("status")
        if status == "declined":
            return Answer(declined=str(reply.get("why")))
        if status != "returned":
            return Answer(why=f"raised {reply.get('why')}")
        isa = str(reply.get("isa", ""))
        if kept:
            return Answer(tuple(k.copy() for k in kept), isa=isa)
        results = []
        described = reply.get("outputs", [])
        if len(described) != len(plan.outputs):
            return Answer(why=f"returned {len(described)} outputs, want {len(plan.outputs)}")
        for told, out, (offset, room) in zip(described, plan.outputs, rooms, strict=True):
            if told["type"] != "ndarray":
                return Answer(why=f"returned {told['type']}, want numpy.ndarray itself")
            if told["dtype"] != out.dtype.name:
                return Answer(why=f"returned dtype {told['dtype']}, want {out.dtype}")
            shape = tuple(told["shape"])
            if shape != out.shape or int(np.prod(shape)) * out.dtype.itemsize > room:
                return Answer(why=f"returned shape {shape}, want {out.shape}")
            if told["input"] and out.shape and int(np.prod(shape)):
                return Answer(why="returned the memory of its own input")
            if told["again"] and int(np.prod(shape)):
                return Answer(why="returned the memory that it had returned before")
            flat = self.arena.read(offset, shape, as_dtype(told["dtype"]))
            results.append(_laid_out(flat, told["strides"]))
        return Answer(tuple(results), isa=isa)

    def settle(self) -> str:
        """Waits a moment; says so if the last result changed meanwhile."""
        try:
            late = self.ask("settle").get("late")
        except ChildDiedError as death:
            return str(death)
        return "went on writing to its result after it had returned" if late else ""


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"


def _bytes(out: Out) -> int:
    return int(np.prod(out.shape)) * out.dtype.itemsize


def _laid_out(a: np.ndarray, strides: Sequence[int]) -> np.ndarray:
    """The values of a C-contiguous array with dimensions in memory in the order of some strides."""
    order = sorted(range(a.ndim), key=lambda d: (-abs(strides[d]), d))
    if order == list(range(a.ndim)):
        return a
    back = sorted(range(a.ndim), key=order.__getitem__)
    return np.ascontiguousarray(a.transpose(order)).transpose(back)


__all__ = ["Answer", "Child", "ChildDiedError", "Contestant", "Placed", "Way"]
