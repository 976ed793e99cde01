"""Data sets, samplers and the loader under torch.utils.data's names; augmentation; real data.

The loaders of real data find a file in a package or in the cache folder (FASTDL_DATA), or raise
FileNotFoundError with the command that installs it. Nothing is fetched, no package is imported.
"""

from . import transforms
from .dataset import *
from .images import *
from .loader import *
from .random import *
from .sampler import *
from .series import *
from .text import *
