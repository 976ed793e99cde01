"""The judge's own test: the table of defects is sound, and defects are told from right kernels.

`fastdl check --self-test` judges all of them; here a few.
"""

import json
from collections import Counter

import numpy as np
import pytest

from fastdl.check.judge import Case
from fastdl.check.mutants import build, kill_table, selftest
from fastdl.check.mutants.gradients import GRADIENTS
from fastdl.check.mutants.harnesses import HARNESSES, passes
from fastdl.check.mutants.patch import Patch
from fastdl.check.mutants.patches import PATCHES
from fastdl.check.mutants.wrappers import WRAPPERS
from fastdl.check.mutants.wrapping import Wrapper
from fastdl.dispatch import make_plan
from fastdl.spec import OPS

MUTANTS = [*PATCHES, *WRAPPERS, *GRADIENTS]
RULES = {*selftest.KERNEL_RULES, "differences"}


def test_there_are_enough_of_every_kind():
    assert len(MUTANTS) >= 200
    assert 2 * len(PATCHES) >= len(MUTANTS)
    assert max(Counter(m.name for m in MUTANTS).values()) == 1
    families = {spec.family for spec in OPS.values()}
    assert {OPS[p.op].family for p in PATCHES} == families
    assert {OPS[w.op].family for w in WRAPPERS} == families


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.name)
def test_names_an_op_a_rule_and_a_sample_that_there_are(mutant):
    spec = OPS[mutant.op]
    assert mutant.rule in RULES
    assert mutant.dtype in spec.dtypes
    assert mutant.sample in ("", *(s.name for s in spec.samples))


needs_sources = pytest.mark.skipif(not build.sources_here(), reason="no C++ sources")


@needs_sources
@pytest.mark.parametrize("file", sorted({p.file for p in PATCHES}))
def test_patches_fit_their_file_once_and_beside_each_other(file):
    mine = [p for p in PATCHES if p.file == file]
    text = build.switched((build.ROOT / file).read_text(), mine)
    for patch in mine:
        assert text.count(f"FD_MUTANT({patch.number})") == 1


def test_a_patch_becomes_a_choice():
    expression = Patch("add", "a", "bound", "x.cpp", "return @[a + b => a - b]@;")
    statement = Patch("add", "b", "bound", "x.cpp", "@[c = 1; => c = 2;]@")
    text = build.switched("int c; c = 1;\n  return a\n + b;", [expression, statement])
    assert f"return (FD_MUTANT({expression.number}) ? (a - b) : (a\n + b));" in text
    assert f"{{ if (FD_MUTANT({statement.number})) {{ c = 2; }} else {{ c = 1; }} }}" in text


@pytest.mark.parametrize("text", ["return a;", "return a + b; return a + b;"])
def test_a_patch_that_does_not_fit_once_is_refused(text):
    patch = Patch("add", "a", "bound", "x.cpp", "return @[a + b => a - b]@;")
    with pytest.raises(build.BrokenPatchError, match="occurs"):
        build.switched(text, [patch])


FEW = [
    "sum: the input is scratch space",
    "roll: the other way round",
    "matmul: Strassen's products: right on integers, lost between scales",
    "exp: the gradient: the derivative is 1",
]


def test_a_few_are_killed_by_their_rules_and_the_right_kernels_are_not():
    for result in selftest.judge_all(FEW, "", 0, 1):
        assert result.killed, result
        assert not result.false_alarm
        assert not result.instead


def test_strassens_products_pass_where_only_integers_are_asked():
    (result,) = selftest.judge_all(FEW[2:3], "", 0, 1)
    assert "benchdnn" not in result.others


def test_no_defect_is_no_kill(tmp_path):
    file = tmp_path / "right.py"
    file.write_text(
        "from fastdl.spec import KERNELS\n"
        "def tril(x, **options):\n"
        "    return KERNELS['tril']['native'][0].fn(x, **options)\n"
    )
    bench = selftest.Bench("", 0)
    try:
        result = bench.judge(Wrapper("tril: right", "tril", str(file), "tril", "bound"))
    finally:
        bench.close()
    assert (result.killed, result.instead, result.others) == (False, "", [])


def case_of(op, *arrays):
    return Case(OPS[op], make_plan(OPS[op], arrays, {}))


@pytest.mark.parametrize(
    ("error", "caught"),
    [
        (1e-9, set()),
        (2e-5, {"torch", "benchdnn"}),
        (1e-3, {"torch", "benchdnn", "KernelBench"}),
        (0.1, {"torch", "benchdnn", "KernelBench", "triton"}),
    ],
)
def test_the_other_harnesses_let_pass_what_they_say(error, caught):
    x = np.float32([0.5, 0.0, -1.25])
    case = case_of("tanh", x)
    y = (np.tanh(x.astype(np.float64)) + error).astype(np.float32)
    assert {h.name for h in HARNESSES if not passes(h, (y,), case)} == caught


def test_the_command_writes_what_it_found(monkeypatch, tmp_path, capsys):
    found = {n: m for n, m in selftest.everything().items() if n in FEW[1:2]}
    found["add: not here"] = Patch("add", "not here", "bound", "x.cpp", "@[a => b]@")
    monkeypatch.setattr(kill_table, "everything", lambda: found)
    monkeypatch.setattr(build, "sources_here", lambda: False)
    file = tmp_path / "kills.json"
    assert kill_table.main(jobs=1, json_file=str(file)) == 2  # not all was tested
    assert "1 patches of the C++ sources: not tested, sources not here" in capsys.readouterr().out
    assert [m["killed"] for m in json.loads(file.read_text())["mutants"]] == [True]
