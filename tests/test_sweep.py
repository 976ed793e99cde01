"""The sweep over float32 inputs: what it covers, what it reports, and what it catches."""

import json

import numpy as np
import pytest

from fastdl import cli
from fastdl.check import Request, fills, sweep
from fastdl.spec import OPS

ONE = 0x3F800000  # the bits of 1.0f
KERNELS = """
import numpy as np

def right(x):
    return np.exp(x.astype(np.float64)).astype(np.float32)

def wrong_once(x):
    y = right(x)
    y[x == np.float32(1.5)] *= np.float32(1.000001)
    return y

def never_negative_zero(x):
    return -x + np.float32(0)

def loses_nan(x):
    return np.nan_to_num(right(x), nan=0.0)
"""


@pytest.fixture
def stranger(tmp_path):
    file = tmp_path / "kernels.py"
    file.write_text(KERNELS)
    return lambda op, name, begin, end: sweep.sweep(
        Request((op,), kernel=f"{file}:{name}"), begin, end
    )


def test_a_right_function_is_within_half_a_unit(stranger):
    (one,) = stranger("exp", "right", ONE, ONE + 2**22)
    assert not one.failed and one.inputs == 2**22 and 0.49 < one.ulps <= 0.5
    assert one.declared == 2


def test_one_wrong_value_among_millions_is_found(stranger):
    (one,) = stranger("exp", "wrong_once", ONE, ONE + 2**22 + 2**21)
    assert one.failed == 1 and one.at == 1.5 and one.ulps > 2
    assert "error/bound" in one.why and str(one).startswith("FAILED exp, mine:wrong_once")


def test_classes_and_signs_count(stranger):
    (one,) = stranger("exp", "loses_nan", 0x7F800000, 0x7F900000)
    assert one.failed
    (one,) = stranger("neg", "never_negative_zero", 0, 2**16)
    assert one.failed and "-0.0" in one.why


@pytest.mark.parametrize("op", ["exp", "sin", "relu", "isnan", "gelu"])
def test_our_kernels_on_the_ends_of_every_exponent(op):
    """A slice of the sweep: around each power of two, specials and denormals included."""
    for begin in range(0, 2**32, 2**28):
        for one in sweep.sweep(Request((op,)), begin, begin + 2**12):
            assert not one.failed, one


def test_what_can_be_swept():
    names = {name for name, spec in OPS.items() if sweep.sweepable(spec)}
    assert {"exp", "tanh", "erf", "sin", "relu", "neg", "gelu", "isnan", "softplus"} <= names
    assert not names & {"add", "softmax", "matmul", "dropout", "sum", "uniform", "glu", "cast"}


def test_the_command(monkeypatch, tmp_path, capsys):
    file = tmp_path / "sweep.json"
    monkeypatch.setattr(sweep, "INPUTS", 1 << 21)
    assert cli.main(["check", "abs", "--exhaustive", "--jobs", "1", "--json", str(file)]) == 0
    rows = json.loads(file.read_text())["swept"]
    assert {r["inputs"] for r in rows} == {1 << 21} and {r["declared"] for r in rows} == {0.0}
    assert "abs, native:abs (baseline): 2097152 inputs, worst 0 ULP" in capsys.readouterr().out
    assert cli.main(["check", "matmul", "--exhaustive"]) == 2


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_hard_places_are_where_functions_turn(dtype):
    x = fills.hard_places(np.random.default_rng(0), (20000,), np.dtype(dtype))
    x = x.astype(np.float64)
    info = np.finfo(dtype)
    eps = 8 * float(info.eps)
    assert np.isfinite(x).all() and (x < 0).any()
    x = np.abs(x)
    for place in (1, np.log(float(info.max)), np.pi / 2, 1.5, float(info.tiny)):
        assert (np.abs(x - place) < eps * place).any(), place
