"""Helpers under the names of torch.nn.utils."""

from . import parametrizations, rnn
from .clip_grad import *
from .convert_parameters import *
from .weight_norm import *
