"""What torch code asks of torch.cuda before it chooses a device."""

from __future__ import annotations

from .core.devices import Device, require_cuda
from .core.errors import DeviceError, UnsupportedError
from .core.random import manual_seed


def device_count() -> int:
    """How many GPUs CuPy sees; 0 without CuPy."""
    try:
        return int(require_cuda(Device("cuda", 0)).cuda.runtime.getDeviceCount())
    except DeviceError:
        return 0


def is_available() -> bool:
    """Can Tensors live on a GPU? Not yet: fastdl has no CUDA kernels, whatever the machine has."""
    return False


def manual_seed_all(seed: int) -> None:
    """Seeds the library's one random generator."""
    manual_seed(seed)


def synchronize(device: object = None) -> None:
    """Waits for a GPU; UnsupportedError, as nothing runs on one yet."""
    raise UnsupportedError("cuda.synchronize: fastdl has no CUDA kernels yet")
