"""What the units of the instruction sets may define: one table each, and nothing weak.

A weak symbol (an inline function of a header, a template) compiled with AVX-512 could be the copy
the linker keeps for everybody, and kill the process on a CPU without it.
"""

import shutil
import subprocess
from pathlib import Path

import pytest

from fastdl import _native

ROOT = Path(__file__).parent.parent
UNITS = sorted(ROOT.glob("build/objects/build/units/*.o"))


def test_the_objects_are_here():
    """Or the next test would have nothing to look at, and nobody would know."""
    built = Path(_native.__file__).parent == ROOT / "fastdl"
    assert UNITS or not built, f"{ROOT}/build/objects is gone: python setup.py build_ext --inplace"


@pytest.mark.skipif(not shutil.which("nm"), reason="no nm")
@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.stem)
def test_a_unit_defines_its_table_only(unit):
    stem = unit.stem  # pool_avx2, bfloat16_avx512_bf16
    isa = next(s for s in ("avx512_bf16", "avx512", "avx2", "baseline") if stem.endswith("_" + s))
    family = stem.removesuffix("_" + isa)
    lines = subprocess.run(
        ["nm", "-C", "--defined-only", str(unit)], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    symbols = [line.split(maxsplit=2)[1:] for line in lines]
    weak = [name for kind, name in symbols if kind in "WVuwv"]
    assert not weak
    assert [name for kind, name in symbols if kind.isupper()] == [f"fd::{isa}::{family}"]
