"""Builds the one extension module, fastdl._native.

Every kernels/cpu/FAMILY.inc is compiled once per instruction set, through a two-line unit written
here into the build folder; csrc/*.cpp is compiled once, for the baseline. No unit sees
-march=native or -ffast-math. An object is rebuilt only when a file it includes has
changed (gcc's depfiles).
"""

import os
import platform
from pathlib import Path

from pybind11.setup_helpers import ParallelCompile, Pybind11Extension
from setuptools import setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parent
X86 = platform.machine() in ("x86_64", "AMD64")
# -mno-mmx: gcc may park an integer in an MMX register, which breaks the caller's long doubles.
NO_MMX = ["-mno-mmx"]
# -fno-schedule-insns: as gcc does for x86 anyway; elsewhere it would load the operands of a tile
# ahead of each other and spill its sums.
V2 = ["-march=x86-64-v2", *NO_MMX] if X86 else ["-fno-schedule-insns"]
AVX512 = ["-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl", "-mavx512cd"]
ISA_FLAGS = {"baseline": V2}
if X86:
    ISA_FLAGS["avx2"] = ["-march=x86-64-v3", *NO_MMX]
    ISA_FLAGS["avx512"] = [*ISA_FLAGS["avx2"], *AVX512, "-mprefer-vector-width=512"]
    ISA_FLAGS["avx512_bf16"] = [*ISA_FLAGS["avx512"], "-mavx512bf16", "-mavx512vnni"]
# Families whose kernels exist for other instruction sets than the first three.
ISAS = {"bfloat16": ["avx512_bf16"], "matmul_bf16": [*ISA_FLAGS],
        "matmul_int8": [*ISA_FLAGS], "roofline": [*ISA_FLAGS]}  # fmt: skip
COMMON = [
    "-O3", "-g0", "-fvisibility=hidden", "-ffp-contract=off", "-fno-math-errno",
    "-fno-trapping-math", "-Wall", "-Wextra", "-Wno-unused-parameter", "-Wno-psabi", "-pthread",
]  # fmt: skip


def write_units() -> dict[str, list[str]]:
    """Unit source path -> its ISA flags."""
    folder = Path("build/units")
    folder.mkdir(parents=True, exist_ok=True)
    units = {}
    for source in sorted((ROOT / "kernels/cpu").glob("*.inc")):
        family = source.stem
        if family in ("vec", "math", "logsumexp", "random_philox"):  # included by the others
            continue
        for isa, flags in ISA_FLAGS.items():
            if isa not in ISAS.get(family, ["baseline", "avx2", "avx512"]):
                continue
            path = folder / f"{family}_{isa}.cpp"
            text = f'#define FD_ISA {isa}\n#include "../../kernels/cpu/{family}.inc"\n'
            if not path.exists() or path.read_text() != text:
                path.write_text(text)
            units[str(path)] = flags
    return units


UNITS = write_units()


def is_fresh(obj: str) -> bool:
    """Is the object newer than every file its depfile names?"""
    depfile = Path(obj).with_suffix(".d")
    if not (depfile.exists() and os.path.exists(obj)):
        return False
    names = depfile.read_text().replace("\\\n", " ").split(":", 1)[1].split()
    built = os.path.getmtime(obj)
    names.append(__file__)
    return all(os.path.exists(name) and os.path.getmtime(name) <= built for name in names)


class BuildExt(build_ext):
    """Adds the ISA flags of each unit, and skips objects that are up to date."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.build_temp = "build/objects"  # an editable install would throw them away

    def build_extensions(self) -> None:
        compile_one = self.compiler._compile

        def compile_fresh(obj, src, ext, cc_args, extra_postargs, pp_opts):
            if is_fresh(obj):
                return
            flags = UNITS.get(src, V2)
            depfile = ["-MMD", "-MF", str(Path(obj).with_suffix(".d"))]
            compile_one(obj, src, ext, cc_args, [*extra_postargs, *flags, *depfile], pp_opts)

        self.compiler._compile = compile_fresh
        self.force = True  # the depfiles decide, not the timestamp of the module
        super().build_extensions()


ParallelCompile("FASTDL_BUILD_JOBS", default=os.cpu_count() or 1).install()

setup(
    packages=[
        "fastdl", "fastdl.kernels",
        *(f"fastdl.{path.parent.relative_to(ROOT / 'fastdl').as_posix().replace('/', '.')}"
          for path in sorted((ROOT / "fastdl").glob("*/**/__init__.py"))),
    ],
    package_dir={"fastdl.kernels": "kernels"},
    package_data={
        "fastdl": ["py.typed", "_native.pyi"],
        "fastdl.kernels": ["cuda/*.cu", "cuda/*.cuh"],
    },
    include_package_data=False,
    ext_modules=[
        Pybind11Extension(
            "fastdl._native",
            sorted(str(p.relative_to(ROOT)) for p in (ROOT / "csrc").glob("*.cpp")) + sorted(UNITS),
            cxx_std=17,
            extra_compile_args=COMMON,
            define_macros=[("FASTDL_BUILD_FLAGS", f'"{" ".join(COMMON)}"')],  # for `fastdl info`
            extra_link_args=["-pthread", "-Wl,-s"],
        )
    ],
    cmdclass={"build_ext": BuildExt},
)  # fmt: skip
