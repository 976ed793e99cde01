"""Layers under torch.nn's names; `fastdl.nn.functional` is `fastdl.functional`."""

from .. import functional
from ..tensor import Parameter
from . import init
from .container import *
from .conv import *
from .elementwise import *
from .loss import *
from .matmul import *
from .module import *
from .pool import *
from .shape import *
