"""The judge refuses every known cheat, and says why."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from fastdl import check
from fastdl.check.tasks import UnjudgeableError

CHEATS = Path(__file__).parent / "strangers" / "cheats.py"
WRONG = r"\[.*\] is .*, exact .*elements wrong"
WRITING = "went on writing to its result after it had returned"

REFUSED = {
    "searches_memory": WRONG,
    "uninitialised": WRONG,
    "caches_by_pointer": WRONG,
    "caches_by_a_few_elements": WRONG,
    "caches_by_shape": WRONG,
    "same_buffer": "returned the memory that it had returned before|" + WRITING,
    "two_buffers_in_turn": "returned the memory that it had returned before|" + WRITING,
    "right_once": WRONG,
    "right_for_first_samples": WRONG,
    "reads_the_seed": WRONG,
    "zeroes_its_inputs": "modified its input argument a",
    "swaps_its_inputs": "modified its input argument a",
    "restores_its_inputs": f"modified its input argument a|{WRONG}",
    "nan_everywhere": "is np.float32\\(nan\\), exact",
    "lazy_subclass": "returned Lazy, want numpy.ndarray itself",
    "lazy_object": "returned Later, want numpy.ndarray itself",
    "works_on_after_return": f"{WRONG}|{WRITING}",
    "improves_after_return": WRITING,
    "infinity_swallowed": r"is np.float32\(7.0\), exact np.float64\(-?inf\)",
    "half_inside": WRONG,
    "tf32_inside": WRONG,
    "bfloat16_inside": WRONG,
    "skips_the_tail": WRONG,
    "adds_to_its_output": WRONG,
    "patches_the_clock": "changed a clock",
    "patches_allclose": "changed a function of NumPy",
    "patches_the_judge": "changed a function of the judge",
    "patches_the_watch": "changed a function of the judge",
    "patches_the_op": "changed an op's declaration",
    "changes_the_threads": "changed fastdl's number of threads",
    "changes_the_environment": "changed the environment",
    "changes_the_directory": "changed the working directory",
    "changes_the_error_state": "changed NumPy's error state",
    "changes_sigint": "changed the handler of SIGINT",
    "changes_sigsegv": "changed the handler of SIGSEGV",
    "declines_once_and_leaves_a_trap": "changed the environment",
    "leaves": "the process ended: exit status 0",
    "exits": "raised SystemExit",
    "raises": r"raised RuntimeError: out of luck \(cheats.py:\d+\)",
    "hangs": "no answer within 1 s",
    "answers_itself": "spoke on the judge's own channel|returned 0 outputs",
    "shouts": "spoke on the judge's own channel",
    "hangs_up": "closed the judge's own channel",
    "lets_a_child_answer": "spoke on the judge's own channel",
    "takes_all_memory": "raised .*MemoryError",
    "declines_hard_numbers": "took the sample with some numbers and declined it with others",
    "declines_the_second_time": "declined",
}
REFUSED_RELU = {
    "right_for_all_samples": WRONG,
    "returns_its_input": "modified its input argument x|returned the memory of its own input",
    "returns_its_input_untouched": "returned the memory of its own input",
}
REFUSED_C = {
    "flushes": "changed MXCSR",
    "adds": WRONG,
    "overreads": r"SIGSEGV at address .* past the end of argument a",
    "overwrites": r"wrote past the end of output|SIGSEGV at address .* past the end of output",
    "underwrites": r"wrote before the start of output|SIGSEGV at address .* before output",
    "scratches": "modified its input argument a",
    "idles": WRONG,
    "overflows": "SIGSEGV at address",
    "exits": "the process ended: exit status 0",
    "bfloat16": WRONG,
}


def refusal(op, kernel, timeout=5, **asked):
    """All that the judge holds against a kernel, a line each."""
    outcome = check.check(op, kernel, mode="quick", seed=4, first=True, timeout=timeout, **asked)
    assert check.status(outcome) == 1
    return "\n".join({failure.why: str(failure) for failure in outcome.failures}.values())


@pytest.mark.parametrize("cheat", REFUSED)
def test_a_matmul_that_cheats_is_refused(cheat):
    timeout = 1 if cheat in ("hangs", "lets_a_child_answer") else 5
    why = refusal("matmul", f"{CHEATS}:{cheat}", timeout=timeout)
    assert re.search(f"refused: .*({REFUSED[cheat]})", why), why


@pytest.mark.parametrize("cheat", REFUSED_RELU)
def test_a_relu_that_cheats_is_refused(cheat):
    why = refusal("relu", f"{CHEATS}:{cheat}")
    assert re.search(f"refused: .*({REFUSED_RELU[cheat]})", why), why


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """The C cheats, built."""
    path = tmp_path_factory.mktemp("cheats") / "libcheats.so"
    source = CHEATS.with_suffix(".c")
    subprocess.run(["gcc", "-O1", "-shared", "-fPIC", source, "-o", path], check=True)
    return path


@pytest.mark.parametrize("cheat", REFUSED_C)
def test_a_c_matmul_that_cheats_is_refused(cheat, library):
    signature = "matmul(float* a, float* b, float* c, int m, int n, int k)"
    why = refusal("matmul", f"{library}:{cheat}", signature=signature)
    assert re.search(f"refused: .*({REFUSED_C[cheat]})", why), why


def test_a_symbol_that_is_not_in_the_library_is_not_judged(library):
    signature = "matmul(float* a, float* b, float* c, int m, int n, int k)"
    with pytest.raises(UnjudgeableError, match="undefined symbol: absent"):
        check.check("matmul", f"{library}:absent", signature=signature)


def test_a_kernel_that_declines_everything_has_not_passed():
    outcome = check.check("matmul", f"{CHEATS}:declines_everything", mode="quick", seed=4)
    assert not outcome.cases and check.status(outcome) == 2


@pytest.mark.parametrize(
    "code, why",
    [
        ("import time; time.perf_counter = lambda: 0.0", "changed a clock"),
        ("np.allclose = lambda *_: True", "changed a function of NumPy"),
        ("from fastdl.check import child; child._state = dict", "changed a function of the judge"),
        ("import faulthandler; faulthandler.enable()", "changed the handler of SIGSEGV"),
    ],
)
def test_what_a_file_changes_when_it_is_loaded_counts(code, why, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(f"import numpy as np\n{code}\n\ndef f(a, b):\n    return a @ b\n")
    assert f"refused: {why}" in refusal("matmul", f"{file}:f")


@pytest.mark.parametrize(
    "code, why",
    [
        ("import os; os._exit(0)", "the process ended: exit status 0"),
        ("import sys; sys.exit(0)", "SystemExit"),
        ("while True: pass", "no answer within 1 s"),
        ("syntax error", "SyntaxError"),
    ],
)
def test_a_file_that_cannot_be_loaded_is_not_judged(code, why, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(f"{code}\n\ndef f(a, b):\n    return a @ b\n")
    with pytest.raises(UnjudgeableError, match=why):
        check.check("matmul", f"{file}:f", timeout=1)


@pytest.mark.parametrize("formula", ["k * 1000000", "2 ** 24 - 1", "1e30"])
def test_a_depth_beyond_the_number_of_terms_buys_nothing(formula):
    assert "elements wrong" in refusal("matmul", f"{CHEATS}:tf32_inside", depth=formula)


def test_a_depth_that_ends_the_process_is_refused(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "import os\nimport fastdl\n\n\n"
        "@fastdl.kernel('matmul', backend='mine', depth=lambda k: os._exit(0))\n"
        "def f(a, b):\n    return a @ b\n"
    )
    assert "refused: its depth of" in refusal("matmul", str(file))


@pytest.mark.parametrize("cheat, why", [("half_inside", "elements wrong"), ("leaves", "exit")])
def test_the_command_line_says_refused_and_exits_with_1(cheat, why):
    command = [sys.executable, "-m", "fastdl", "check", "matmul", "--quick", "-x", "--seed", "4"]
    run = subprocess.run(
        [*command, "--kernel", f"{CHEATS}:{cheat}"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 1
    assert re.search(rf"FAILED matmul, kernel mine:{cheat} .*refused: .*{why}", run.stdout)
