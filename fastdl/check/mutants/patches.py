"""Defects to put into the C++ sources, each with the rule that must find it.

`code` is a stretch of the file with the change inside it: `before @[original => mutated]@ after`.
It occurs once in the file, whatever its spaces. A change of an expression becomes a choice between
two expressions, one that ends in `;` or `}` a choice between two statements.
"""

from __future__ import annotations

from dataclasses import dataclass
from zlib import crc32


@dataclass(frozen=True)
class Patch:
    """One defect of a kernel."""

    name: str
    op: str  # to judge
    file: str
    code: str
    rule: str  # that must kill it
    dtype: str = "float32"
    sample: str = ""  # the one that shows it, if not all shall be tried

    @property
    def number(self) -> int:
        """What switches it on; other patches do not change it."""
        return crc32(self.name.encode()) & 0x7FFFFFFF


PATCHES: tuple[Patch, ...] = (
    Patch("matmul: the last k is dropped", "matmul", "kernels/cpu/matmul.inc",
          "for (int64_t k = 0; k < @[k_size => k_size - (k_size > 1)]@; ++k) { V bk[NV];",
          "integers"),
)  # fmt: skip
