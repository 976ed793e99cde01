"""The judge accepts honest kernels, however they are made."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from fastdl import check

HERE = Path(__file__).parent / "strangers"
FILE = HERE / "honest.py"
PRODUCT = "product(const float* a, const float* b, float* c, int m, int n, int k)"

HONEST = {
    "einsum": ("matmul", {}),
    "loops": ("matmul", {}),
    "compiled": ("matmul", {}),
    "pooled": ("matmul", {}),
    "half_inputs": ("matmul", {"input_bits": 11}),
    "float16_arrays": ("matmul", {"dtypes": ("float16",)}),
    "float64_arrays": ("matmul", {"dtypes": ("float64",)}),
    "fortran_order": ("matmul", {}),
    "part_of_more": ("matmul", {}),
    "talkative": ("matmul", {}),
    "instance": ("matmul", {}),
    "shuffled": ("matmul", {}),
    "declared": ("matmul", {}),
    "declining": ("matmul", {}),
    "float_sum": ("sum", {}),
    "pairwise_sum": ("sum", {"depth": "ceil(log2(k)) + 1"}),
    "im2col": ("conv2d", {}),
    "numba_pool": ("max_pool2d", {}),
}
# Without its declaration, each of these is refused.
DECLARING = {"half_inputs": "matmul", "float16_arrays": "matmul"}


def accepted(op, kernel, **asked):
    """Every case of a quick run passes, and there are some."""
    outcome = check.check(op, kernel, mode="quick", seed=4, **asked)
    assert not outcome.failures, str(outcome.failures[0])
    assert outcome.left == 0 and outcome.cases > 20
    assert check.status(outcome) == 0
    return outcome


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_stranger_is_accepted(name):
    op, asked = HONEST[name]
    accepted(op, f"{FILE}:{name}", **asked)


@pytest.mark.parametrize("name", DECLARING)
def test_what_it_does_not_declare_it_may_not_do(name):
    outcome = check.check(DECLARING[name], f"{FILE}:{name}", mode="quick", seed=4, first=True)
    assert check.status(outcome) == 1


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """The C kernels, built."""
    path = tmp_path_factory.mktemp("honest") / "libhonest.so"
    source = FILE.with_suffix(".c")
    subprocess.run(["gcc", "-O2", "-shared", "-fPIC", source, "-o", path], check=True)
    return path


@pytest.mark.parametrize(
    "op, symbol, signature",
    [
        ("matmul", "product", PRODUCT),
        ("relu", "rectify", "rectify(const double* x, double* y, long n)"),
    ],
)
def test_a_c_symbol_is_accepted(op, symbol, signature, library):
    accepted(op, f"{library}:{symbol}", signature=signature)


@pytest.mark.skipif(find_spec("cffi") is None, reason="needs cffi")
def test_a_library_through_cffi_is_accepted(library, monkeypatch):
    monkeypatch.setenv("HONEST_LIBRARY", str(library))
    accepted("matmul", f"{FILE}:foreign")


def command(*words):
    """The command line's exit status and what it prints."""
    run = subprocess.run(
        [sys.executable, "-m", "fastdl", "check", "--seed", "4", *words],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return run.returncode, run.stdout + run.stderr


@pytest.mark.parametrize(
    "kernel", ["own_op.py", "own_op.py:declared", "own_op.py:plain", "own_kernel.py:plain", ""]
)
def test_a_kernel_of_an_own_op_is_accepted(kernel):
    words = ["--kernel", str(HERE / kernel)] if kernel else []
    status, said = command("square_plus", "--spec", str(HERE / "own_op.py"), *words)
    assert status == 0, said
    assert " 0 failed" in said


def test_a_wrong_kernel_of_an_own_op_is_refused():
    file = str(HERE / "own_op.py")
    status, said = command("square_plus", "--spec", file, "--kernel", f"{file}:wrong")
    assert status == 1 and "refused: y: element" in said, said


def test_the_gradient_of_an_own_op_is_judged_with_its_kernel(tmp_path):
    text = (HERE / "own_op.py").read_text()
    vjp = "    vjp=lambda saved, g: (g * {} + g,),\n    saves={{'x': (0,)}},\n"
    for factor, wanted in (("2 * saved.options['a'] * saved.x", 0), ("saved.x", 1)):
        file = tmp_path / f"own_{wanted}.py"
        file.write_text(text.replace("    bound=", vjp.format(factor) + "    bound="))
        status, said = command("square_plus", "--spec", str(file), "--kernel", f"{file}:plain")
        assert status == wanted, said
        assert wanted == 0 or "differences" in said


def test_what_it_declines_is_counted_and_printed():
    outcome = accepted("matmul", f"{FILE}:loops")
    (tally,) = outcome.tallies.values()
    assert tally.declined["matrices only"] > 20


def test_two_kernels_of_one_file_are_both_judged(tmp_path):
    file = tmp_path / "two.py"
    file.write_text(
        "import numpy as np\nimport fastdl\n\n"
        "@fastdl.kernel('matmul', backend='mine')\ndef one(a, b): return np.matmul(a, b)\n\n"
        "@fastdl.kernel('matmul', backend='mine')\ndef two(a, b): return np.matmul(a, b) + 1\n"
    )
    outcome = check.check("matmul", str(file), mode="quick", seed=4, first=True)
    assert sorted(outcome.tallies) == [("matmul", "mine:one", "-"), ("matmul", "mine:two", "-")]
    assert {failure.kernel for failure in outcome.failures} == {"mine:two"}
