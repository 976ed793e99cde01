"""The `fastdl` command. Exit status: 0 done, 1 a check failed, 2 the request makes no sense."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from .core.config import forced_backend, known_backend, show_config
from .core.errors import BackendError, FastdlError


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
    check.add_argument("--seed", type=int, help="repeat an earlier run's data")
    check.add_argument("--json", metavar="FILE", type=_new_file, help="write the results")

    bench = commands.add_parser("bench", help="race kernels against NumPy, torch and others")
    bench.add_argument("ops", nargs="*", metavar="OP", help="ops to time (all by default)")
    bench.add_argument("--vs", metavar="PEERS", help="peers, e.g. numpy,torch (all installed)")
    bench.add_argument("--threads", type=_threads, default=[1, 2], help="e.g. 1,2 (the default)")
    bench.add_argument("--dtypes", type=_floats, default=["float32", "float64"])
    bench.add_argument("--quick", action="store_true", help="one sample an op, fewer turns")
    bench.add_argument("--json", metavar="FILE", type=_new_file, help="write the results")

    demo = commands.add_parser("demo", help="a CNN learns real handwritten digits")
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
        message = f"needs {error.name}: pip install 'fastdl[demo]'"
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
        from . import check

        mode = "quick" if args.quick else "full" if args.full else "normal"
        return check.main(args.ops, args.backend, mode, args.seed, args.json)
    if args.command == "bench":
        from . import bench

        vs = args.vs.split(",") if args.vs else None
        return bench.main(args.ops, vs, args.threads, args.quick, args.json, args.dtypes)
    from . import demo

    return demo.main(args.output, args.seed)
