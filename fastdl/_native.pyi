"""The extension module; each function's contract is said in csrc."""

from typing import Any

def __getattr__(name: str) -> Any: ...
