"""torch.utils.data's names, which live in `fastdl.data`."""

from ..data.dataset import *  # noqa: F403
from ..data.loader import *  # noqa: F403
from ..data.sampler import *  # noqa: F403
