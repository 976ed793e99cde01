"""Optimisers under torch.optim's names, and Lion."""

from . import lr_scheduler, swa_utils
from .adaptive import Adagrad, Adam, AdamW, Lion, RMSprop
from .optimizer import Optimizer
from .sgd import SGD

__all__ = [
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Lion",
    "Optimizer",
    "RMSprop",
    "lr_scheduler",
    "swa_utils",
]
