"""A defect to put into the C++ sources."""

from __future__ import annotations

from dataclasses import dataclass
from zlib import crc32


@dataclass(frozen=True)
class Patch:
    """One defect of a kernel.

    `code` is a stretch of the file with the change inside it: `before @[original => mutated]@
    after`. It occurs once in the file, whatever its spaces. A change of an expression becomes a
    choice between two expressions; one that ends in `;` a choice between two statements.
    """

    op: str  # to judge
    what: str
    rule: str  # that must kill it
    source: str  # of csrc, or of kernels/cpu
    code: str
    sample: str = ""  # the one that shows it, if not all shall be tried
    dtype: str = "float32"

    @property
    def name(self) -> str:
        """The op and what is wrong with it."""
        return f"{self.op}: {self.what}"

    @property
    def file(self) -> str:
        """Its path in the repository."""
        return f"{'csrc' if self.source.endswith('.cpp') else 'kernels/cpu'}/{self.source}"

    @property
    def number(self) -> int:
        """What switches it on; it does not depend on the other patches."""
        return crc32(self.name.encode()) & 0x7FFFFFFF

    @property
    def parts(self) -> tuple[str, str, str, str]:
        """The code before the change, the original, the mutated, and the code after it."""
        before, rest = self.code.split("@[", 1)
        change, after = rest.split("]@", 1)
        original, mutated = change.split("=>", 1)
        return before.strip(), original.strip(), mutated.strip(), after.strip()
