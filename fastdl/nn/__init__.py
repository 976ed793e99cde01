"""Layers under torch.nn's names; `fastdl.nn.functional` is `fastdl.functional`."""

from .. import functional
from ..tensor import Parameter
from . import init
from .container import Sequential
from .conv import Conv2d
from .elementwise import ReLU, Sigmoid, Tanh
from .loss import CrossEntropyLoss
from .matmul import Linear
from .module import Module
from .pool import AvgPool2d, MaxPool2d
from .shape import Flatten

__all__ = [
    "AvgPool2d",
    "Conv2d",
    "CrossEntropyLoss",
    "Flatten",
    "Linear",
    "MaxPool2d",
    "Module",
    "Parameter",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Tanh",
    "functional",
    "init",
]
