"""`fastdl ops`: the table of ops, backends, dtypes and instruction sets, from the specs."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from .. import _native
from ..spec import KERNELS, OPS


def print_ops() -> None:
    """Prints one row an op; the reference takes every dtype of an op."""
    table = Table(box=None, header_style="bold")
    for name in ("family", "op", "signature", "backends (dtypes)", "ISAs of native", "gradient"):
        table.add_column(name, overflow="fold")
    isas = ", ".join(_native.runnable_isas())
    for spec in sorted(OPS.values(), key=lambda s: (s.family, s.name)):
        backends = [
            f"{backend} ({', '.join(kernels[0].dtypes)})"
            for backend, kernels in KERNELS.get(spec.name, {}).items()
        ]
        if spec.view:
            backends = ["a NumPy view"]
        native = isas if "native" in KERNELS.get(spec.name, {}) else "-"
        gradient = "yes" if spec.vjp else "no"
        text = ", ".join([*backends, "reference"])
        table.add_row(spec.family, spec.name, spec.signature.text, text, native, gradient)
    console = Console()
    console.print(table)
    console.print(f"{len(OPS)} ops; every row has a NumPy reference.")
