"""The `fastdl` command. Exit status: 0 done, 1 a check failed, 2 the request makes no sense."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from .core.config import forced_backend, known_backend, show_config
from .core.errors import ArgumentError, BackendError, FastdlError


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, instead of a page of usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def _new_file(text: str) -> str:
    if Path(text).is_dir() or not Path(text).parent.is_dir():  # said before the work, not after
        raise argparse.ArgumentTypeError(f"got {text!r}, want a file in a folder that exists")
    return text


def _threads(text: str) -> list[int]:
    try:
        counts = [int(part) for part in text.split(",")]
    except ValueError:
        counts = [0]
    if min(counts) < 1:
        raise argparse.ArgumentTypeError(f"got {text!r}, want numbers >= 1 like 1,2")
    return counts


def _floats(text: str) -> list[str]:
    names = text.split(",")
    if not set(names) <= {"float32", "float64"}:
        raise argparse.ArgumentTypeError(f"got {text!r}, want float32, float64 or both")
    return names


def _dtype_list(text: str) -> tuple[str, ...]:
    from .core.dtypes import NAMES

    if unknown := [name for name in text.split(",") if name not in NAMES]:
        raise argparse.ArgumentTypeError(f"got {unknown[0]!r}, want some of {', '.join(NAMES)}")
    return tuple(text.split(","))


def _seconds(text: str) -> float:
    units = {"s": 1, "m": 60, "h": 3600}
    number, unit = (text[:-1], text[-1]) if text[-1:] in units else (text, "s")
    try:
        seconds = float(number) * units[unit]
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"got {text!r}, want like 90s, 10m or 1h")
    return seconds


def _at_least(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"got {text!r}, want a number >= {least}")
        return int(text)

    return number


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="fastdl", description="Deep-learning kernels: use, race and check them.")
    commands = parser.add_subparsers(dest="command", required=True, parser_class=_Parser)
    commands.add_parser("info", help="versions, instruction set, threads, caches, peers")
    commands.add_parser("ops", help="the table of ops, backends, dtypes and instruction sets")

    check = commands.add_parser("check", help="judge kernels against the reference")
    check.add_argument("ops", nargs="*", metavar="OP", help="ops to check (all by default)")
    check.add_argument("--backend", help="only this backend's kernels")
    size = check.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="at most 60 seconds")
    size.add_argument("--full", action="store_true", help="every sample, dtype, family and ISA")
    check.add_argument("--time", type=_seconds, metavar="10m", help="fresh cases until it is up")
    check.add_argument("--seed", type=int, help="repeat an earlier run's data")
    check.add_argument("-x", "--exitfirst", action="store_true", help="leave a kernel that failed")
    check.add_argument("--self-test", action="store_true", help="judge kernels with known defects")
    check.add_argument("--jobs", type=_at_least(1), help="judges at once (one a core by default)")
    check.add_argument("--emulator", default="", metavar="COMMAND", help="what runs the kernels'"
                       " process, e.g. 'qemu-x86_64 -cpu SandyBridge'")  # fmt: skip
    check.add_argument("--json", metavar="FILE", type=_new_file, help="write the results")
    check.add_argument("--junit", metavar="FILE", type=_new_file, help="write them as JUnit's XML")
    check.add_argument("--fingerprint", action="store_true", help="instead: the bits, small numbers"
                       " and order of additions of every sum of products")  # fmt: skip
    check.add_argument("--exhaustive", action="store_true", help="instead: all 2^32 float32 inputs"
                       " of functions of one variable")  # fmt: skip
    own = check.add_argument_group("a kernel of your own")
    own.add_argument("--kernel", default="", metavar="FILE:NAME", help="path.py:function, or a"
                     " path.py with @fastdl.kernel, or lib.so:symbol with --signature")  # fmt: skip
    own.add_argument("--signature", default="", help="of a C symbol: 'op(float* a, ..., int n)'")
    own.add_argument("--dtypes", type=_dtype_list, default=(), help="what it takes (float32)")
    own.add_argument("--depth", default="", metavar="FORMULA", help="of its sums of k terms (k)")
    own.add_argument(
        "--input-bits", type=_at_least(2), help="bits of its inputs that it uses, if fewer"
    )
    own.add_argument("--bits", action="store_true", help="it owes the same bits on every call")
    own.add_argument("--timeout", type=_seconds, default=120.0, metavar="120s", help="of one call")
    own.add_argument("--spec", default="", metavar="FILE", help="a file that declares your own op")

    bench = commands.add_parser("bench", help="race kernels against NumPy, torch and others")
    bench.add_argument("ops", nargs="*", metavar="OP", help="ops to time (all by default)")
    bench.add_argument("--vs", metavar="PEERS", help="peers, e.g. numpy,torch (all installed)")
    bench.add_argument("--threads", type=_threads, default=[1, 2], help="e.g. 1,2 (the default)")
    bench.add_argument("--dtypes", type=_floats, default=["float32", "float64"])
    bench.add_argument("--quick", action="store_true", help="one sample an op, fewer turns")
    bench.add_argument("--json", metavar="FILE", type=_new_file, help="write the results")

    demo = commands.add_parser("demo", help="a CNN and an LSTM learn real handwritten digits")
    demo.add_argument("--output", default="demo-output", metavar="FOLDER", help="for the pictures")
    demo.add_argument("--seed", type=int, default=0)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status."""
    args = _parser().parse_args(argv)
    try:
        _check_environment()
        return _run(args)
    except KeyboardInterrupt:
        print(f"fastdl {args.command}: interrupted", file=sys.stderr)
        return 130
    except ImportError as error:
        if error.name not in ("rich", "matplotlib"):
            raise
        extra = "cli" if error.name == "rich" else "demo"
        message = f"needs {error.name}: pip install 'fastdl[{extra}]'"
    except (FastdlError, OSError) as error:
        message = str(error)
    print(f"fastdl {args.command}: {message}", file=sys.stderr)
    return 2


def _check_environment() -> None:
    """FASTDL_BACKEND, which is read before a user's own backends are known, names one."""
    if name := forced_backend.get():
        try:
            known_backend(name)
        except BackendError as error:
            raise BackendError(f"the environment variable FASTDL_BACKEND: {error}") from error


def _run(args: argparse.Namespace) -> int:
    if args.command == "info":
        from .bench import peers

        show_config()
        found = (f"{name} {version}" for name, version in peers.installed().items())
        print(f"contestants for fastdl bench: {', '.join(found)}")
        return 0
    if args.command == "ops":
        from .check.table import print_ops

        print_ops()
        return 0
    if args.command == "check":
        return _check(args)
    if args.command == "bench":
        from . import bench

        vs = args.vs.split(",") if args.vs else None
        return bench.main(args.ops, vs, args.threads, args.quick, args.json, args.dtypes)
    from . import demo

    return demo.main(args.output, args.seed)


# What `fastdl check` takes beside the flags that make it do something else.
_BESIDE = {
    "self_test": {"seed", "jobs", "json"},
    "fingerprint": {"ops", "backend", "seed", "emulator", "json", "kernel", "dtypes", "depth",
                    "input_bits", "signature", "spec", "timeout"},
    "exhaustive": {"ops", "backend", "seed", "emulator", "jobs", "json", "kernel", "signature",
                   "dtypes", "depth", "spec", "timeout"},
}  # fmt: skip


def _ignored(args: argparse.Namespace) -> str:
    """What is wrong with flags that have no meaning together; "" if nothing."""
    plain = vars(_parser().parse_args(["check"]))
    for mode in (mode for mode in _BESIDE if getattr(args, mode)):
        for name, value in vars(args).items():
            if name not in _BESIDE[mode] | {"command", mode} and value != plain[name]:
                return f"--{name} has no meaning beside --{mode}".replace("_", "-")
    return ""


def _check(args: argparse.Namespace) -> int:
    import secrets

    from . import check

    if ignored := _ignored(args):
        raise ArgumentError(ignored)
    if args.self_test:
        from .check.mutants.kill_table import main

        return main(args.seed or 0, args.jobs, args.json)
    request = check.Request(
        tuple(args.ops), "quick" if args.quick else "full" if args.full else "normal",
        secrets.randbits(32) if args.seed is None else args.seed, args.backend, args.kernel,
        args.signature, args.dtypes, args.depth, args.input_bits, args.bits, args.spec,
        timeout=args.timeout, first=args.exitfirst, emulator=args.emulator,
    )  # fmt: skip
    if args.fingerprint:
        from .check import fingerprint

        return fingerprint.main(request, args.json)
    if args.exhaustive:
        from .check import sweep

        return sweep.main(request, args.jobs, args.json)
    return check.main(
        request, seconds=args.time, again=args.time is not None, jobs=args.jobs,
        json_file=args.json, junit_file=args.junit,
    )  # fmt: skip
