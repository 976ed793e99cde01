"""The layers of docs/architecture.md hold: imports go down, stems agree, files stay readable."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "fastdl"
LAYERS = [
    ("core", "launch", "version"),
    ("spec",),
    ("backends",),
    ("ops",),
    ("dispatch",),
    ("autograd", "in_place", "tensor", "creation"),
    ("functional", "nn", "optim", "data", "utils", "serialization", "cuda", "fit", "history"),
    ("check", "bench", "demo", "cli", "__main__"),
]
LAYER = {name: i for i, names in enumerate(LAYERS) for name in names}
# A family may be split by topic: ops/elementwise_activation.py belongs to elementwise.
FAMILIES = {path.stem.split("_")[0] for path in (PACKAGE / "ops").glob("[a-z]*.py")}
MODULES = [p for p in sorted(PACKAGE.rglob("*.py")) if p != PACKAGE / "__init__.py"]


def top(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """Names of fastdl's top-level parts that a module imports at run time."""
    package = ("fastdl", *path.relative_to(PACKAGE).parts[:-1])
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):  # `if TYPE_CHECKING:` blocks do not run
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            node.body = []
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            base += node.module.split(".") if node.module else []
            for alias in node.names:
                full = [*base, alias.name]
                if full[0] == "fastdl" and len(full) > 1:
                    found.add(full[1])
        elif isinstance(node, ast.Import):
            for alias in node.names:
                parts = alias.name.split(".")
                if parts[0] == "fastdl" and len(parts) > 1:
                    found.add(parts[1])
    return found & LAYER.keys()


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_only_go_down(path):
    own = LAYER[top(path)]
    upward = {name for name in imported(path) if LAYER[name] > own}
    assert not upward, f"{path.relative_to(ROOT)} (layer {own}) imports {upward} from above"


def test_every_part_has_a_layer():
    parts = {top(path) for path in MODULES}
    assert parts == set(LAYER), parts ^ set(LAYER)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_family_has_one_stem_everywhere(family):
    assert list((PACKAGE / "backends/reference").glob(f"{family}*.py"))
    assert [
        *(ROOT / "tests").glob(f"test_{family}*.py"),
        *(ROOT / "tests").glob(f"test_ops_{family}*"),
    ]


@pytest.mark.parametrize(
    "folder", ["backends/numba", "backends/native", "backends/reference", "functional"]
)
def test_no_stem_of_its_own(folder):
    stems = {p.stem.split("_")[0] for p in (PACKAGE / folder).glob("[a-z]*.py")}
    assert stems <= FAMILIES, stems - FAMILIES


def test_native_stems():
    """Kernels and bindings carry their family's stem: pool.inc, pool_last.inc, csrc/pool.cpp."""
    shared = {"vec", "math", "logsumexp", "table", "bfloat16", "roofline"}
    runtime = {
        "module",
        "runtime",
        "array",
        "layout",
        "loops",
        "parts",
        "plan",
        "memory",
        "threads",
        "isa",
        "faults",
    }
    stems = {p.stem.split("_")[0] for p in (ROOT / "kernels/cpu").iterdir()}
    assert stems <= FAMILIES | shared, stems - FAMILIES - shared
    stems = {p.stem.split("_")[0] for p in (ROOT / "csrc").iterdir()}
    assert stems <= FAMILIES | shared | runtime, stems - FAMILIES - shared - runtime


def test_no_python_in_kernels():
    assert not list((ROOT / "kernels").rglob("*.py"))


def test_isa_units_keep_to_the_rules():
    """No C++ standard library with bodies, no constructors at load, in what is compiled per ISA."""
    forbidden = ("<algorithm>", "<cmath>", "<vector>", "<array>", "<functional>", "<limits>")
    for path in (ROOT / "kernels/cpu").iterdir():
        text = path.read_text()
        bad = [name for name in forbidden if f"#include {name}" in text]
        assert not bad, f"{path.name} includes {bad}"


def test_long_files_are_listed():
    """A soft alarm: the list is printed, and only a file out of all proportion fails."""
    files = [*MODULES, *(ROOT / "csrc").iterdir(), *(ROOT / "kernels/cpu").iterdir()]
    lengths = {p.relative_to(ROOT): len(p.read_text().splitlines()) for p in files}
    long = {str(p): n for p, n in lengths.items() if n > 500}
    if long:
        print("files past 500 lines:", long)
    assert not {p: n for p, n in long.items() if n > 900}


def test_import_is_light():
    """`import fastdl` leaves Numba, torch, rich and ml_dtypes alone."""
    code = (
        "import sys, fastdl;"
        "heavy = ('numba', 'torch', 'rich', 'ml_dtypes', 'matplotlib', 'safetensors');"
        "print([m for m in heavy if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]", out.stdout


def test_no_shared_warnings_filter():
    """Importing the package must not change how the user's warnings behave."""
    code = (
        "import warnings, numpy; before = list(warnings.filters);"
        "import fastdl; print(before == warnings.filters)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "True"
