"""The commands: what they print, and their exit status (0 done, 1 failed, 2 makes no sense)."""

import json
import os
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest

from fastdl import cli
from fastdl.spec import KERNELS, kernel


def fastdl(*args, **env):
    return subprocess.run(
        [sys.executable, "-m", "fastdl", *args],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **env},
        check=False,
    )


def test_info():
    out = fastdl("info")
    assert out.returncode == 0
    assert "instruction set" in out.stdout and "threads" in out.stdout


def test_ops_lists_every_op():
    from fastdl.spec import OPS

    out = fastdl("ops", COLUMNS="250")
    assert out.returncode == 0
    assert all(name in out.stdout for name in OPS)


def test_check_passes_and_writes_json(tmp_path):
    file = tmp_path / "check.json"
    out = fastdl("check", "relu", "--seed", "7", "--backend", "native", "--json", str(file))
    assert out.returncode == 0, out.stdout
    result = json.loads(file.read_text())
    assert result["seed"] == 7 and not result["failures"]
    assert {k["isa"] for k in result["kernels"]} >= {"baseline"}


WRONG = """import numpy as np

def slightly_wrong(x):
    return np.exp(x) * x.dtype.type(1 + 1e-6)

def not_a_number(x):
    return np.full_like(x, np.nan)

def declines(x):
    raise NotImplementedError("nothing")
"""


def judged(tmp_path, function, *arguments):
    file = tmp_path / "wrong.py"
    file.write_text(WRONG)
    return cli.main(["check", "exp", "--kernel", f"{file}:{function}", *arguments])


def test_check_fails_with_op_kernel_sample_and_ratio(tmp_path, capsys):
    assert judged(tmp_path, "slightly_wrong", "--seed", "1") == 1
    printed = capsys.readouterr().out
    assert "exp, kernel mine:slightly_wrong" in printed and "error/bound" in printed
    assert "replay('exp', sample, 'float32'" in printed


def test_a_spec_that_cannot_be_run_is_said_with_status_2(tmp_path, capsys):
    (tmp_path / "spec.py").write_text("1 / 0")
    assert cli.main(["check", "exp", "--spec", str(tmp_path / "spec.py")]) == 2
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_a_kernels_file_names_the_ops_itself(tmp_path, capsys):
    file = tmp_path / "mine.py"
    file.write_text(
        "import numpy as np\nimport fastdl\n\n"
        "@fastdl.kernel('exp', backend='mine')\n"
        "def f(x): return np.exp(x.astype('g')).astype(x.dtype)\n"
    )
    assert cli.main(["check", "--kernel", str(file), "--seed", "1"]) == 0
    assert "exp" in capsys.readouterr().out
    file.write_text("")
    assert cli.main(["check", "--kernel", str(file)]) == 2
    assert "declares no kernel" in capsys.readouterr().err


def test_a_kernel_that_declines_everything_has_not_passed(tmp_path, capsys):
    assert judged(tmp_path, "declines") == 2
    assert "cases: nothing" in capsys.readouterr().out


def test_a_kernel_of_this_process_that_no_file_holds_cannot_be_judged(capsys):
    kernel("exp", backend="here")(np.exp)
    try:
        assert cli.main(["check", "exp", "--backend", "here"]) == 2
    finally:
        KERNELS["exp"].pop("here")
    assert "not at the top of a file" in capsys.readouterr().err


def test_junit_names_kernels_and_failures(tmp_path):
    file = tmp_path / "check.xml"
    assert judged(tmp_path, "slightly_wrong", "--junit", str(file)) == 1
    suite = ElementTree.parse(file).getroot()
    assert suite.get("tests") == "1" and suite.get("failures") == "1"
    assert "replay(" in suite.find("testcase/failure").text


def test_bench_writes_json(tmp_path):
    file = tmp_path / "bench.json"
    out = fastdl("bench", "relu", "--vs", "numpy", "--threads", "1", "--quick", "--json", str(file))
    assert out.returncode == 0, out.stderr
    rows = json.loads(file.read_text())["rows"]
    assert rows and {"fastdl", "numpy"} <= rows[0]["results"].keys()


@pytest.mark.parametrize(
    "args",
    [
        ["check", "no_such_op"],
        ["bench", "no_such_op"],
        ["check", "--backend", "no_such_backend"],
        ["check", "--no-such-flag"],
        ["check", "relu", "--quick", "--full"],
        ["check", "--self-test", "--quick"],
        ["check", "matmul", "--fingerprint", "--junit", "x.xml"],
        ["check", "--kernel", "mine.py:f"],
        ["bench", "relu", "--vs", "no_such_peer"],
        ["bench", "relu", "--threads", "0"],
        ["no_such_command"],
        [],
    ],
    ids=" ".join,
)
def test_what_makes_no_sense_is_one_line_and_status_2(args):
    out = fastdl(*args)
    assert out.returncode == 2
    assert len(out.stderr.strip().splitlines()) == 1, out.stderr
    assert "Traceback" not in out.stderr


def test_missing_peer(monkeypatch, capsys):
    from fastdl.bench import peers

    monkeypatch.setattr(peers.modules()["torch"], "version", missing)
    assert cli.main(["bench", "relu", "--vs", "torch"]) == 2
    assert "torch is not installed" in capsys.readouterr().err


def missing():
    raise ImportError


@pytest.mark.parametrize("command", ["-m", "script"])
@pytest.mark.parametrize(
    ("variable", "value"),
    [("FASTDL_ISA", "sse9"), ("FASTDL_NUM_THREADS", "many"), ("FASTDL_BACKEND", "abacus")],
)
def test_a_bad_environment_is_one_line_and_status_2(variable, value, command, tmp_path):
    script = tmp_path / "fastdl"  # what pip writes for the entry point
    script.write_text("import sys\nfrom fastdl.cli import main\nsys.exit(main())\n")
    start = ["-m", "fastdl"] if command == "-m" else [str(script)]
    out = subprocess.run(
        [sys.executable, *start, "info"], capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "PYTHONPATH": os.getcwd(), variable: value},
    )  # fmt: skip
    assert out.returncode == 2
    assert len(out.stderr.splitlines()) == 1, out.stderr
    assert variable in out.stderr and value in out.stderr and not out.stdout


def test_import_names_a_bad_environment():
    out = subprocess.run(
        [sys.executable, "-c", "import fastdl"], capture_output=True, text=True, timeout=120,
        env={**os.environ, "FASTDL_ISA": "sse9"}, check=False,
    )  # fmt: skip
    assert out.returncode == 1
    assert out.stderr.splitlines()[-1].startswith(
        "ImportError: the environment variable FASTDL_ISA"
    )


def test_the_environment_chooses():
    out = fastdl("info", FASTDL_ISA="baseline")
    assert out.returncode == 0 and "instruction set: baseline" in out.stdout


@pytest.mark.parametrize(
    "words",
    [
        ["check", "matmul", "--backend", "reference"],
        ["check", "neg", "--json", "no/such/folder/x.json"],
        ["bench", "neg", "--json", "no/such/folder/x.json"],
        ["bench", "reshape"],
        ["bench", "neg", "--threads", "4096"],
    ],
)
def test_what_would_do_nothing_is_refused_at_once(words, capsys):
    try:
        status = cli.main(words)
    except SystemExit as exit:
        status = exit.code
    assert status == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1


def test_json_has_no_infinity(tmp_path):
    file = tmp_path / "check.json"
    assert judged(tmp_path, "not_a_number", "--json", str(file)) == 1
    result = json.loads(file.read_text(), parse_constant=pytest.fail)
    assert result["failures"][0]["ratio"] is None


def test_unknown_backend_of_the_environment_is_named():
    code = "import numpy as np, fastdl; fastdl.exp(np.ones(2))"
    out = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "FASTDL_BACKEND": "nativ"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "got 'nativ', want one of native, numba" in out.stderr
