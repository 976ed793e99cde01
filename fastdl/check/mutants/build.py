"""A test extension with every patch of patches.py in it, each behind a switch.

csrc and kernels/cpu are copied to build/mutants with the patches applied: the code of a patch runs
when `_native.set_mutant` was given its number, the original otherwise. One extension for all of
them takes as long to build as one for any of them. Only one instruction set is compiled.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sysconfig
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby, pairwise
from pathlib import Path
from shutil import which

from ... import _native
from ...core.errors import FastdlError
from .patch import Patch
from .patches import PATCHES

ROOT = Path(__file__).parents[3]  # of the repository
FOLDER = ROOT / "build" / "mutants"
_COMMON = [
    "-std=c++17", "-g0", "-fPIC", "-fvisibility=hidden", "-ffp-contract=off", "-fno-math-errno",
    "-fno-trapping-math", "-w", "-Wno-psabi", "-pthread",
    "-fno-tree-sra",  # gcc 12 has an internal error there, at -O1, in norm_length.inc
]  # fmt: skip
_ISAS = {
    "baseline": ["-march=x86-64-v2", "-mno-mmx"],
    "avx2": ["-march=x86-64-v3", "-mno-mmx"],
}
# Its one unit is of an instruction set of its own.
_BFLOAT16 = [
    *_ISAS["avx2"], "-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl", "-mavx512cd",
    "-mavx512bf16", "-mavx512vnni",
]  # fmt: skip
_INCLUDED = ("vec", "math", "logsumexp", "random_philox")  # by other units
_SWITCH = """#pragma once
namespace fd {
extern int mutant;  // the number of the patch that is on
}
#define FD_MUTANT(number) __builtin_expect(fd::mutant == (number), 0)
namespace {
// With c = 2^s + 1, a of s bits fewer (Veltkamp, 1968).
template <class X>
__attribute__((always_inline, unused)) inline X fewer_bits(X a, X c) {
  const X t = a * c;
  return t - (t - a);
}
}  // namespace
"""
_TABLE = """#pragma once
#define FD_DECLARE_TABLE(Type, name) \\
  namespace fd::{isa} {{ \\
  extern const Type name; \\
  }}
#define FD_DECLARE_WIDE_TABLE(Type, name) FD_DECLARE_TABLE(Type, name)
#define FD_TABLE(name) (*fd::pick(&fd::{isa}::name, &fd::{isa}::name, &fd::{isa}::name))
#define FD_WIDE_TABLE(name) FD_TABLE(name)
"""
_BIND = '\n  m.def("set_mutant", [](int number) { fd::mutant = number; });\n}\n'


class NotBuiltError(Exception):
    """What building takes is not here; the message says what."""


class BrokenPatchError(FastdlError):
    """A patch does not fit the sources any more."""


def isa() -> str:
    """The one instruction set of the test extension."""
    return "avx2" if "avx2" in _native.runnable_isas() else "baseline"


def sources_here() -> bool:
    """Are the C++ sources there? They do not come with an installed wheel."""
    return (ROOT / "csrc" / "module.cpp").exists() and (ROOT / "kernels" / "cpu").is_dir()


def find(text: str, patch: Patch) -> list[re.Match[str]]:
    """Where a patch's code stands in a file, whatever its spaces and lines."""
    before, original, _, after = (
        r"\s*".join(map(re.escape, re.findall(r"\w+|[^\w\s]", part))) for part in patch.parts
    )
    pattern = rf"{before}\s*(?P<original>{original})\s*{after}"
    return list(re.finditer(pattern, text))


def switched(text: str, patches: Iterable[Patch]) -> str:
    """A file's text with all its patches, each behind its switch."""
    found = []
    for patch in patches:
        matches = find(text, patch)
        if len(matches) != 1:
            raise BrokenPatchError(f"{patch.name}: its code occurs {len(matches)} times")
        found.append((matches[0].span("original"), patch))
    found.sort(key=lambda pair: pair[0], reverse=True)
    for (later, one), (earlier, other) in pairwise(found):
        if later != earlier and earlier[1] > later[0]:
            raise BrokenPatchError(f"{one.name} and {other.name} change the same code")
    for (begin, end), group in groupby(found, key=lambda pair: pair[0]):
        original = code = text[begin:end]
        for _, patch in group:
            mutated = patch.parts[2]
            if original.endswith(";"):
                code = f"{{ if (FD_MUTANT({patch.number})) {{ {mutated} }} else {{ {code} }} }}"
            else:
                code = f"(FD_MUTANT({patch.number}) ? ({mutated}) : ({code}))"
        text = text[:begin] + code + text[end:]
    return text


def _write(path: Path, text: str) -> None:
    """Writes a file unless it has that text already, so that its objects stay fresh."""
    if not path.exists() or path.read_text() != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def copy_sources() -> list[tuple[Path, list[str]]]:
    """Writes the patched copies; returns what to compile, with flags."""
    mine = isa()
    for pattern in ("csrc/*", "kernels/cpu/*"):
        for path in sorted(ROOT.glob(pattern)):
            name = str(path.relative_to(ROOT))
            text = switched(path.read_text(), (p for p in PATCHES if p.file == name))
            if name == "kernels/cpu/table.h":
                text = _TABLE.format(isa=mine)
            if name == "csrc/module.cpp":
                text = text.rstrip().removesuffix("}") + _BIND
            _write(FOLDER / name, text)
    _write(FOLDER / "switch.h", _SWITCH)
    _write(FOLDER / "units" / "switch.cpp", '#include "../switch.h"\nint fd::mutant = 0;\n')
    units = [(FOLDER / "units" / "switch.cpp", _ISAS["baseline"])]
    for path in sorted((ROOT / "csrc").glob("*.cpp")):
        units.append((FOLDER / "csrc" / path.name, _ISAS["baseline"]))
    for path in sorted((ROOT / "kernels" / "cpu").glob("*.inc")):
        if path.stem in _INCLUDED:
            continue
        one, flags = ("avx512_bf16", _BFLOAT16) if path.stem == "bfloat16" else (mine, _ISAS[mine])
        unit = FOLDER / "units" / f"{path.stem}_{one}.cpp"
        _write(unit, f'#define FD_ISA {one}\n#include "../kernels/cpu/{path.stem}.inc"\n')
        units.append((unit, flags))
    return units


def _is_fresh(obj: Path) -> bool:
    depfile = obj.with_suffix(".d")
    if not (obj.exists() and depfile.exists()):
        return False
    names = depfile.read_text().replace("\\\n", " ").split(":", 1)[1].split()
    built = obj.stat().st_mtime
    return all(os.path.exists(n) and os.path.getmtime(n) <= built for n in names)


def _run(command: Sequence[str | Path]) -> str:
    """Runs the compiler; returns what it says if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return f"{command[-1]}: {done.stderr[:2000]}\n" if done.returncode else ""


def build(jobs: int) -> Path:
    """Builds the extension, as far as it is not fresh; returns its path.

    NotBuiltError where there are no sources or tools, BrokenPatchError where they do not compile.
    """
    if not sources_here():
        raise NotBuiltError("sources not here")
    if platform.machine() not in ("x86_64", "AMD64"):
        raise NotBuiltError("they are for x86-64")
    compiler = which(os.environ.get("CXX", "g++"))
    try:
        import pybind11
    except ImportError:
        raise NotBuiltError("pybind11 not here") from None
    if compiler is None:
        raise NotBuiltError("no C++ compiler")
    include = [f"-I{pybind11.get_include()}", f"-I{sysconfig.get_paths()['include']}",
               "-include", str(FOLDER / "switch.h"), '-DFASTDL_BUILD_FLAGS="mutants"']  # fmt: skip
    units = copy_sources()
    compile_one = [compiler, *_COMMON, *include]
    objects = [path.with_suffix(".o") for path, _ in units]
    stale = [(path, flags) for path, flags in units if not _is_fresh(path.with_suffix(".o"))]
    stale.sort(key=lambda unit: -unit[0].stat().st_size if unit[0].parent.name == "csrc" else -1e9)
    with ThreadPoolExecutor(jobs) as pool:
        errors = pool.map(
            lambda unit: _run([*compile_one, "-O1", *unit[1], "-MMD", "-c", "-o",
                               unit[0].with_suffix(".o"), unit[0]]),
            stale,
        )  # fmt: skip
    if failed := "".join(errors):
        raise BrokenPatchError(failed)
    library = FOLDER / f"_native{sysconfig.get_config_var('EXT_SUFFIX')}"
    if stale or not library.exists():
        link = [compiler, "-shared", "-pthread", "-Wl,-s", "-o", str(library), *map(str, objects)]
        if failed := _run(link):
            raise BrokenPatchError(failed)
    return library
