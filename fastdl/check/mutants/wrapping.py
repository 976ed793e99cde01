"""How a defect is put around a native kernel in Python, and the table of those that are.

Used by wrappers*.py, which the child loads as files; so imports are absolute.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastdl.spec import KERNELS


@dataclass(frozen=True)
class Wrapper:
    """One defect: a function of a file, called like a kernel of the op."""

    name: str
    op: str
    file: str
    function: str
    rule: str  # that must kill it
    dtype: str = "float32"
    sample: str = ""  # the one that shows it, if not all shall be tried

    @property
    def where(self) -> str:
        """File and function, as the child loads them."""
        return f"{self.file}:{self.function}"


class Table(list[Wrapper]):
    """The defects of one file, whose functions it makes names of."""

    def __init__(self, names: dict[str, Any]):
        super().__init__()
        self.names = names  # globals() of the file

    def defect(self, op: str, name: str, rule: str, **more: str) -> Callable[[Any], Any]:
        """Enters a function of (right kernel, *arrays, **options)."""

        def attach(spoil: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arrays: Any, **options: Any) -> Any:
                right = KERNELS[op]["native"][0].fn
                return spoil(right, *arrays, **options)

            function = f"mutant_{len(self)}"
            self.names[function] = call
            entry = Wrapper(f"{op}: {name}", op, self.names["__file__"], function, rule, **more)
            self.append(entry)
            return spoil

        return attach
