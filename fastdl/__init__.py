"""fastdl: hand-written deep-learning kernels behind a torch-like API, checked against NumPy.

import fastdl.functional as F       # ops on NumPy arrays or Tensors
import fastdl.nn as nn              # layers
fastdl check conv2d                 # judge kernels against the reference (shell)
fastdl bench matmul --vs numpy      # race them (shell)
"""

from builtins import bool as _bool
from math import e, inf, nan, pi
from typing import Any

from numpy import finfo, iinfo

from . import launch

try:
    from . import _native  # chooses the instruction set and reads FASTDL_*
except ImportError as error:
    launch.refuse(error)
    raise

from . import autograd, backends, core, cuda, data, functional, nn, ops, optim, utils
from .autograd import enable_grad, grad, is_grad_enabled, no_grad, value_and_grad
from .core import errors
from .core.config import (
    get_num_threads,
    num_threads,
    set_num_threads,
    show_config,
    use_backend,
)
from .core.devices import Device as device
from .core.dtypes import bool_, float16, float32, float64, int8, int32, int64, result_type, uint8
from .core.memory import empty_cache
from .core.random import Generator, default_generator, manual_seed
from .creation import *
from .dispatch import explain
from .fit import fit
from .functional import *  # torch keeps its functions at the top too
from .serialization import load, save
from .spec import kernel
from .tensor import Parameter, Tensor
from .version import __version__

# torch's other names. `device("cuda:0")` is a Device; shapes are plain tuples here.
bool = bool_
half, float, double = float16, float32, float64
int, long = int32, int64
Size = tuple
strided, contiguous_format, channels_last = "strided", "contiguous_format", "channels_last"
preserve_format = None  # of `contiguous`: what an op does when nothing is asked of it


def is_tensor(obj: Any) -> _bool:
    """Is it a Tensor?"""
    return isinstance(obj, Tensor)


def get_default_dtype() -> Any:
    """The dtype of Tensors made from Python floats: float32."""
    return float32


def __getattr__(name: str) -> Any:
    if name == "bfloat16":  # ml_dtypes is imported only when somebody asks
        return core.dtypes.bfloat16()
    raise AttributeError(
        f"fastdl has no {name!r}: torch's name for something that is not here yet, or a misspelling"
    )
