"""Devices: `cpu` (NumPy arrays) and `cuda:N` (CuPy arrays)."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

from .errors import DeviceError


@dataclass(frozen=True)
class Device:
    """Where an array lives: `Device("cpu")`, `Device("cuda", 0)`, `Device("cuda:0")`."""

    type: str
    index: int | None = None

    def __post_init__(self) -> None:
        kind, colon, index = self.type.partition(":")
        if kind not in ("cpu", "cuda") or (colon and not index.isdecimal()):
            raise DeviceError(f"device: got {self.type!r}, want 'cpu', 'cuda' or 'cuda:N'")
        if colon:
            object.__setattr__(self, "type", kind)
            object.__setattr__(self, "index", int(index))

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"


CPU = Device("cpu")


def as_device(device: Any) -> Device:
    """The Device meant by a Device, None (cpu) or a string like 'cpu', 'cuda', 'cuda:1'."""
    if device is None or device is CPU:
        return CPU
    if isinstance(device, Device):
        return device
    kind, _, index = str(device).partition(":")
    if kind == "cpu" and index in ("", "0"):
        return CPU
    if kind == "cuda" and (index == "" or index.isdecimal()):
        return Device("cuda", int(index or 0))
    raise DeviceError(f"device: got {device!r}, want 'cpu', 'cuda' or 'cuda:N'")


def require_cuda(device: Device) -> Any:
    """The cupy module, when it and a GPU are there; DeviceError naming what is missing if not."""
    try:
        import cupy
    except ImportError as error:
        raise DeviceError(
            f"device {device} needs CuPy, which is not installed: pip install 'fastdl[cuda]'"
        ) from error
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:
        raise DeviceError(
            f"device {device}: CuPy is installed but finds no GPU ({error})"
        ) from error
    if (device.index or 0) >= count:
        raise DeviceError(f"device {device}: this machine has {count} GPU(s)")
    return cupy


def is_cupy(x: Any) -> bool:
    """Is it a CuPy array? (CuPy is not imported to find out.)"""
    cupy = sys.modules.get("cupy")
    return cupy is not None and isinstance(x, cupy.ndarray)
