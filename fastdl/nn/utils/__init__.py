"""Helpers under the names of torch.nn.utils."""

from . import rnn
from .clip_grad import *
from .convert_parameters import *
