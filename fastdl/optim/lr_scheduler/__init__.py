"""Learning rates by schedule, with torch.optim.lr_scheduler's names and, step by step, its values.

Most schedules change the rate that a group has now, so that several may be combined and a rate set
by hand is kept; where torch has a closed form too, it is used for `step(epoch)` only.
"""

from .base import LRScheduler
from .compound import ChainedScheduler, ReduceLROnPlateau, SequentialLR
from .cycle import OneCycleLR
from .decay import (
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)

__all__ = [
    "ChainedScheduler", "ConstantLR", "CosineAnnealingLR", "CosineAnnealingWarmRestarts",
    "ExponentialLR", "LRScheduler", "LambdaLR", "LinearLR", "MultiStepLR", "OneCycleLR",
    "PolynomialLR", "ReduceLROnPlateau", "SequentialLR", "StepLR",
]  # fmt: skip
