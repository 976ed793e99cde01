"""Layers under torch.nn's names; `fastdl.nn.functional` is `fastdl.functional`."""

import sys

from .. import functional
from ..tensor import Parameter
from . import init, utils
from .attention import *
from .container import *
from .conv import *
from .conv_fold import *
from .elementwise import *
from .embed import *
from .interpolate import *
from .loss import *
from .matmul import *
from .module import *
from .norm import *
from .pool import *
from .random import *
from .rnn import *
from .shape import *
from .shape_pad import *
from .softmax import *

# So that `import fastdl.nn.functional as F` works, as in torch.
sys.modules[f"{__name__}.functional"] = functional
