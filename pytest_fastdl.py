"""fastdl's judge of kernels in a project's own tests; pytest loads this where fastdl is installed.

    def test_matmul(fastdl_judge):
        fastdl_judge("matmul", "kernels.py:matmul")

    pytest --fastdl-kernels kernels.py

The second makes a test of every kernel that the file declares with @fastdl.kernel; a list of files
may stand in pytest's settings as fastdl_kernels. fastdl is imported when one of them is used, so
this module lies outside of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds --fastdl-kernels, --fastdl-mode and the setting fastdl_kernels."""
    group = parser.getgroup("fastdl", "fastdl's judge of kernels")
    group.addoption(
        "--fastdl-kernels", action="append", default=[], metavar="FILE",
        help="judge every kernel that the file declares with @fastdl.kernel",
    )  # fmt: skip
    group.addoption(
        "--fastdl-mode", choices=("quick", "normal", "full"), default="quick",
        help="how much the judge asks (quick)",
    )  # fmt: skip
    parser.addini("fastdl_kernels", "files whose kernels are judged", type="paths", default=[])


@pytest.fixture
def fastdl_judge(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """`fastdl_judge(op, kernel, **asked)` fails the test where the kernel is refused.

    `kernel` is "path.py:function", "lib.so:symbol" (with signature=...), or a function at the top
    of a file; `asked` are the arguments of `fastdl.check.check`. Returns the outcome.
    """
    from fastdl.check.pytest_plugin import RefusedError, judged

    def judge(op: str, kernel: Any, **asked: Any) -> Any:
        __tracebackhide__ = True
        asked.setdefault("mode", request.config.getoption("--fastdl-mode"))
        try:
            return judged(op, kernel, **asked)
        except RefusedError as refusal:
            why = str(refusal)
        pytest.fail(why, pytrace=False)

    return judge


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Adds the tests of the files that the options name."""
    files = [*config.getoption("--fastdl-kernels"), *map(str, config.getini("fastdl_kernels"))]
    if files:
        from fastdl.check.pytest_plugin import add_tests

        add_tests(session, files, items)
