"""torch.utils' names: `fastdl.utils.data` is `fastdl.data`."""

from . import data
