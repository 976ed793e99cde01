"""What stands behind the pytest plugin (pytest_fastdl.py): tests of a project's own kernels."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from . import Request, check, status
from .client import Child, ChildDiedError
from .running import Outcome
from .strangers import split

MOST_FAILURES = 3  # printed


class RefusedError(Exception):
    """A kernel did not pass; the message holds the failures and how to see each again."""


def place_of(kernel: Any) -> str:
    """A kernel's place for the judge: `path.py:function` of a function, a string as it is."""
    if isinstance(kernel, (str, Path)):
        return str(kernel)
    function = inspect.unwrap(getattr(kernel, "py_func", kernel))  # Numba's dispatcher
    name, path = getattr(function, "__qualname__", "<none>"), inspect.getsourcefile(function)
    if not path or "<" in name:
        raise pytest.UsageError(f"{kernel!r} is not at the top of a file; the judge runs files")
    return f"{path}:{name}"


def judged(op: str, kernel: Any, *, mode: Any = "quick", **asked: Any) -> Outcome:
    """Judges a kernel: the outcome, or RefusedError with the reproducers of the first failures."""
    place = place_of(kernel)
    outcome = check(op, place, mode=mode, **asked)
    if status(outcome) == 0:
        return outcome
    asked.pop("seconds", None)
    request = Request((op,), mode, kernel=place, **asked)
    lines = []
    for failure in outcome.failures[-MOST_FAILURES:]:
        lines += [str(failure), *(f"    {line}" for line in failure.reproducer(request))]
    if not outcome.failures:
        lines.append(f"{op}, {place}: no case was judged")
        lines += [f"    declined: {why}" for t in outcome.tallies.values() for why in t.declined]
    raise RefusedError("\n".join(lines))


def cases(*files: str | Path) -> list[Any]:
    """One parameter `(op, place)` for each kernel that files declare, with a readable id.

    @pytest.mark.parametrize("op, kernel", cases("kernels.py"))
    def test_kernels(op, kernel, fastdl_judge):
        fastdl_judge(op, kernel)

    The files are run in a process of their own.
    """
    return [pytest.param(op, place, id=f"{op}-{name}") for op, place, name in _declared(files)]


def _declared(files: Any) -> Iterator[tuple[str, str, str]]:
    with Child() as child:
        for file in files:
            path = str(Path(file).resolve())
            try:
                declared = child.kernels_of(path)
            except ChildDiedError as death:
                raise pytest.UsageError(f"fastdl's judge cannot run {death}") from None
            for told in declared:
                yield told["op"], told["place"], told["name"]


def add_tests(session: pytest.Session, files: list[str], items: list[pytest.Item]) -> None:
    """Adds a test for each kernel of some files."""
    parent = KernelFiles.from_parent(session, name="fastdl")
    items += [
        KernelTest.from_parent(parent, name=f"{op}[{name}]", op=op, place=place)
        for op, place, name in _declared(files)
    ]


class KernelFiles(pytest.Collector):
    """What the tests of kernels hang from."""

    def collect(self) -> list[Any]:
        """Nothing: the tests come from the options."""
        return []


class KernelTest(pytest.Item):
    """One declared kernel before the judge."""

    def __init__(self, *, op: str, place: str, **rest: Any):
        super().__init__(**rest)
        self.op, self.place = op, place

    def runtest(self) -> None:
        """Judges it."""
        judged(self.op, self.place, mode=self.config.getoption("--fastdl-mode"))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """A refusal in its own words."""
        if isinstance(excinfo.value, RefusedError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        """Where it is."""
        return Path(split(self.place)[0]), None, f"fastdl check {self.op} {self.place}"
