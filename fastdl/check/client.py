"""The judge's end of the child: starts it, lays out arrays, and reads what came of a call."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
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

from ..core.dtypes import as_dtype
from ..spec import Kernel, OpSpec, Out, Plan
from .arena import Arena, Placed
from .child import receive, send
from .strangers import OURS, CSymbol

TIMEOUT = 120.0  # seconds a call may take; a Numba kernel compiles in its first
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
    fork: bool = False
    signals: bool = False

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

    @property
    def good(self) -> bool:
        """Are there results to judge?"""
        return not self.why and not self.declined


class ChildDiedError(Exception):
    """The child is gone; the message says how."""


@dataclass(frozen=True)
class Contestant:
    """A kernel under judgement: fastdl's own, a declared one, a plain function or a C symbol."""

    kernel: Kernel  # what it declares; `fn` is never called here
    own: int | None = None  # its place among the kernels of its op and backend
    where: str = ""  # a stranger's file and name
    place: int = 0  # among what the stranger's file gave
    canonical: bool = True  # called with canonical options, or as fastdl.functional's op is
    symbol: CSymbol | None = None

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
        if self.symbol is not None:
            return self.symbol.why_not(spec, plan)
        return self.kernel.why_not(plan) or ""


class Child:
    """One child process, started when needed and again after every crash."""

    def __init__(self, native: str = "", timeout: float = TIMEOUT):
        self.native, self.timeout = native, timeout
        self.arena = Arena()
        self.crashes = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._loaded: dict[Any, int] = {}
        self._declared: dict[str, list[dict[str, Any]]] = {}
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
        read_fault, write_fault = os.pipe()
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the process)
        code = _START.format(
            native=self.native, channel=its.fileno(), memory=self.arena.fd, faults=write_fault,
            parent=os.getpid(),
        )  # fmt: skip
        os.set_inheritable(self.arena.fd, True)
        self._process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.DEVNULL, stdout=self._output, stderr=self._output,
            pass_fds=(its.fileno(), self.arena.fd, write_fault),
        )  # fmt: skip
        its.close()
        os.close(write_fault)
        self._channel, self._faults = ours, read_fault
        self._channel.settimeout(self.timeout)
        self._number = 0
        self._guarded = 0
        self._loaded.clear()
        hello = self.ask("hello")
        self._address, self.pid = hello["address"], hello["pid"]

    def _stop(self) -> None:
        if self._process is None:
            return
        self._process.kill()
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
            message = receive(self._channel)
        except TimeoutError:
            self._stop()
            raise ChildDiedError(f"no answer within {self.timeout:g} s") from None
        except OSError:
            message = None
        if message is None:
            raise ChildDiedError(self._obituary())
        try:
            reply = json.loads(message)
        except ValueError:
            reply = {}
        if not isinstance(reply, dict) or reply.get("number") != self._number:
            self._stop()
            raise ChildDiedError("spoke on the judge's own channel")
        self._number += 1
        return reply

    def _obituary(self) -> str:
        """How the child died: the signal, and which byte beside which array it touched."""
        assert self._process is not None
        status = self._process.wait()
        os.set_blocking(self._faults, False)
        with contextlib.suppress(BlockingIOError):
            record = os.read(self._faults, 16)
            if len(record) == 16:
                number, address = struct.unpack("<qQ", record)
                self._stop()
                beside = self.arena.locate(address - self._address, self._names)
                where = f", {beside}" if beside else ""
                return f"{signal.Signals(number).name} at address {address:#x}{where}"
        self._output.seek(0, os.SEEK_END)
        size = self._output.tell()
        self._output.seek(max(0, size - 300))
        words = self._output.read().decode(errors="replace").strip().splitlines()[-1:]
        self._stop()
        how = signal.Signals(-status).name if status < 0 else f"exit status {status}"
        return f"the process ended: {how}" + (f" ({words[0]})" if words else "")

    # --- kernels ---

    def declared(self, op: str, where: str) -> list[dict[str, Any]]:
        """What a stranger's file declares of its kernels; ChildDiedError if it cannot be run."""
        self._load(op, where)
        return self._declared[where]

    def _load(self, op: str, where: str) -> int:
        if self._process is None:
            self._start()
        if where not in self._loaded:
            reply = self.ask("load", op=op, where=where)
            if "declared" not in reply:
                raise ChildDiedError(str(reply.get("why", "")))
            self._loaded[where] = reply["first"]
            self._declared[where] = reply["declared"]
        return self._loaded[where]

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
        try:
            return self._call(spec, contestant, plan, options, way)
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
                where, array = arena.place_output(
                    out.shape, out.dtype, at_end, way.allocator[1], out.channels_last
                )
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
            signals=way.signals,
        )  # fmt: skip
        answer = self._read(reply, plan, rooms, kept, contestant)
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
        status = reply.get("status")
        if status == "declined":
            return Answer(declined=str(reply.get("why")))
        if status != "returned":
            return Answer(why=f"raised {reply.get('why')}")
        if changed := reply.get("changed"):
            return Answer(why=f"changed {changed[0]}")
        isa = str(reply.get("isa", ""))
        if kept:
            return Answer(tuple(k.copy(order="K") for k in kept), isa=isa)
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

    def seconds(self, kind: str, **request: Any) -> float:
        """How long a request takes by this process's clock."""
        begin = time.perf_counter()
        self.ask(kind, **request)
        return time.perf_counter() - begin


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
