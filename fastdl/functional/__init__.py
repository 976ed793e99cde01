"""The functions of torch and torch.nn.functional: their names, arguments, order and defaults.

Every function takes NumPy arrays and returns NumPy arrays, or takes Tensors and returns Tensors
that record their gradients. Unless a docstring says otherwise:

* dtypes are float32, float64, float16 and bfloat16; operands of products must agree, elementwise
  ones are promoted as torch does. Integers are computed where torch computes them.
* 4-D arrays may be NCHW or channels-last in memory: the strides of the input decide, and the
  result keeps the format.
* `out=` (keyword only; torch has it for fewer functions) is an array of the result's shape and
  dtype to write to. It may not overlap an input, but elementwise functions may write onto one.
* Errors are those of `fastdl.errors`; each names the op, the argument, what it was and what is
  wanted.

What each op computes is written in `fastdl/backends/reference`, what it accepts in `fastdl/ops`.
"""

from .attention import *
from .conv import *
from .conv_fold import *
from .elementwise import *
from .elementwise_activation import *
from .elementwise_math import *
from .embed import *
from .interpolate import *
from .loss import *
from .loss_ctc import *
from .loss_distance import *
from .loss_pointwise import *
from .matmul import *
from .matmul_integer import *
from .matmul_packed import *
from .matmul_products import *
from .norm import *
from .pool import *
from .pool_adaptive import *
from .pool_lp import *
from .random import *
from .reduce import *
from .reduce_statistics import *
from .rnn import *
from .shape import *
from .shape_index import *
from .shape_join import *
from .shape_pad import *
from .shape_sort import *
from .shape_view import *
from .softmax import *

__all__ = [
    name
    for name, value in globals().items()
    if not name.startswith("_") and getattr(value, "__module__", "").startswith(f"{__name__}.")
]
