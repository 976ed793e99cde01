"""The pytest plugin, in pytest runs of its own."""

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

KERNELS = """
import numpy as np
import fastdl

def plain(x):
    return np.negative(x)

def wrong(x):
    return np.negative(x) + 1

@fastdl.kernel("neg", backend="mine", dtypes=("float32",))
def good(x):
    return np.negative(x)

@fastdl.kernel("sum", backend="mine", dtypes=("float32",), declines=lambda *a, **o: "never")
def shy(x, dim, keepdim):
    return x
"""


@pytest.fixture
def run(pytester, monkeypatch):
    """Runs pytest with the plugin on a test file beside the kernels."""
    root = Path(__file__).parents[1]
    monkeypatch.setenv("PYTHONPATH", str(root))
    pytester.makepyfile(kernels=KERNELS)

    def run(source, *words):
        pytester.makepyfile(test_it=source)
        plugin = ("-p", "pytest_fastdl", "-p", "no:cacheprovider", "-W", "error")
        return pytester.runpytest_subprocess(*plugin, *words)

    return run


def test_the_fixture_takes_a_place_or_a_function(run):
    result = run(
        """
        import kernels

        def test_place(fastdl_judge):
            assert fastdl_judge("neg", "kernels.py:plain").cases > 50

        def test_function(fastdl_judge):
            fastdl_judge("neg", kernels.plain)
        """
    )
    result.assert_outcomes(passed=2)


def test_a_refusal_fails_with_the_reproducer(run):
    result = run(
        """
        def test_wrong(fastdl_judge):
            fastdl_judge("neg", "kernels.py:wrong", first=True)

        def test_nothing_judged(fastdl_judge):
            fastdl_judge("sum", "kernels.py:shy")
        """
    )
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        [
            "*neg, kernel mine:wrong*refused: y: element*",
            "    from fastdl.check import *",
            "    replay('neg', sample, 'float32', *kernel='kernels.py:wrong')",
            "*no case was judged*",
        ]
    )


def test_every_kernel_of_a_file_is_a_test(run):
    result = run("def test_nothing(): pass", "--fastdl-kernels", "kernels.py", "-v")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines_random(["*neg?good? PASSED*", "*sum?shy? FAILED*"])
    chosen = run("def test_nothing(): pass", "--fastdl-kernels", "kernels.py", "-k", "good")
    chosen.assert_outcomes(passed=1, deselected=2)


def test_a_file_that_cannot_be_run_is_said_in_one_line(run, pytester):
    pytester.makepyfile(broken="1 / 0")
    result = run("def test_nothing(): pass", "--fastdl-kernels", "broken.py")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*broken.py*ZeroDivisionError*"])


def test_the_files_may_stand_in_the_settings(run, pytester):
    pytester.makeini("[pytest]\nfastdl_kernels = kernels.py")
    run("", "-k", "good").assert_outcomes(passed=1, deselected=1)


def test_cases_parametrise_a_test(run):
    result = run(
        """
        import pytest
        from fastdl.check.pytest_plugin import cases

        @pytest.mark.parametrize("op, kernel", cases("kernels.py"))
        def test_kernel(op, kernel, fastdl_judge):
            fastdl_judge(op, kernel)
        """,
        "-k", "neg-good",
    )  # fmt: skip
    result.assert_outcomes(passed=1, deselected=1)


def test_unused_it_imports_nothing_of_fastdl(run):
    result = run(
        """
        import sys

        def test_light():
            assert not {"numpy", "fastdl", "numba"} & set(sys.modules)
        """
    )
    result.assert_outcomes(passed=1)


def test_a_function_in_no_file_is_a_usage_error(run):
    result = run("def test_it(fastdl_judge): fastdl_judge('neg', lambda x: -x)")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*is not at the top of a file*"])
