"""Loss layers."""

from __future__ import annotations

from typing import Any

from .. import functional as F
from ..functional.loss import reduction_of
from ..tensor import Tensor
from .module import Module

__all__ = [
    "BCELoss", "BCEWithLogitsLoss", "CTCLoss", "CosineEmbeddingLoss", "CrossEntropyLoss",
    "HingeEmbeddingLoss", "HuberLoss", "KLDivLoss", "L1Loss", "MSELoss", "MarginRankingLoss",
    "NLLLoss", "SmoothL1Loss", "SoftMarginLoss", "TripletMarginLoss",
]  # fmt: skip


class CrossEntropyLoss(Module):
    """Cross entropy of logits x[N, C, ...] and classes target[N, ...]; see functional."""

    def __init__(
        self,
        weight: Any = None,
        size_average: Any = None,
        ignore_index: int = -100,
        reduce: Any = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        self.register_buffer("weight", _buffer(weight))
        self.ignore_index = ignore_index
        self.reduction = reduction_of(size_average, reduce, reduction)
        self.label_smoothing = label_smoothing

    def forward(self, x: Any, target: Any) -> Any:
        """A scalar, or one loss per target for reduction='none'."""
        return F.cross_entropy(
            x,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


class NLLLoss(Module):
    """Negative log-likelihood of log-probabilities and classes; see functional.nll_loss."""

    def __init__(
        self,
        weight: Any = None,
        size_average: Any = None,
        ignore_index: int = -100,
        reduce: Any = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        self.register_buffer("weight", _buffer(weight))
        self.ignore_index = ignore_index
        self.reduction = reduction_of(size_average, reduce, reduction)

    def forward(self, x: Any, target: Any) -> Any:
        """A scalar, or one loss per target for reduction='none'."""
        return F.nll_loss(
            x, target, self.weight, ignore_index=self.ignore_index, reduction=self.reduction
        )


class CTCLoss(Module):
    """Log-probabilities of sequences and targets not aligned with them; see functional.ctc_loss."""

    def __init__(
        self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False
    ) -> None:
        super().__init__()
        self.blank, self.reduction, self.zero_infinity = blank, reduction, zero_infinity

    def forward(self, log_probs: Any, targets: Any, input_lengths: Any, target_lengths: Any) -> Any:
        """A scalar, or one loss a sequence for reduction='none'."""
        return F.ctc_loss(
            log_probs, targets, input_lengths, target_lengths,
            self.blank, self.reduction, self.zero_infinity,
        )  # fmt: skip


class _Compared(Module):
    """A loss of two arrays; subclasses name its function and its own options."""

    function: Any

    def __init__(self, size_average: Any, reduce: Any, reduction: str, **options: Any) -> None:
        super().__init__()
        self.reduction = reduction_of(size_average, reduce, reduction)
        self._options = tuple(options)
        for name, value in options.items():
            setattr(self, name, value)

    def forward(self, *arrays: Any) -> Any:
        """A scalar, or one loss an element for reduction='none'."""
        options = {name: getattr(self, name) for name in self._options}
        return type(self).function(*arrays, reduction=self.reduction, **options)

    def extra_repr(self) -> str:
        """The options."""
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in self._options)


class MSELoss(_Compared):
    """Mean squared error of input and target; see functional.mse_loss."""

    function = staticmethod(F.mse_loss)

    def __init__(
        self, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
    ) -> None:
        super().__init__(size_average, reduce, reduction)


class L1Loss(_Compared):
    """Mean absolute error of input and target; see functional.l1_loss."""

    function = staticmethod(F.l1_loss)

    def __init__(
        self, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
    ) -> None:
        super().__init__(size_average, reduce, reduction)


class SmoothL1Loss(_Compared):
    """Squared below beta, absolute above; see functional.smooth_l1_loss."""

    function = staticmethod(F.smooth_l1_loss)

    def __init__(
        self,
        size_average: Any = None,
        reduce: Any = None,
        reduction: str = "mean",
        beta: float = 1.0,
    ) -> None:
        super().__init__(size_average, reduce, reduction, beta=beta)


class HuberLoss(_Compared):
    """Squared below delta, linear above; see functional.huber_loss."""

    function = staticmethod(F.huber_loss)

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(None, None, reduction, delta=delta)


class SoftMarginLoss(_Compared):
    """Logistic loss of targets 1 and −1; see functional.soft_margin_loss."""

    function = staticmethod(F.soft_margin_loss)

    def __init__(
        self, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
    ) -> None:
        super().__init__(size_average, reduce, reduction)


class HingeEmbeddingLoss(_Compared):
    """Distances of pairs that are alike (1) or not (−1); see functional.hinge_embedding_loss."""

    function = staticmethod(F.hinge_embedding_loss)

    def __init__(
        self,
        margin: float = 1.0,
        size_average: Any = None,
        reduce: Any = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction, margin=margin)


class MarginRankingLoss(_Compared):
    """Which of two inputs is to be larger; see functional.margin_ranking_loss."""

    function = staticmethod(F.margin_ranking_loss)

    def __init__(
        self,
        margin: float = 0.0,
        size_average: Any = None,
        reduce: Any = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction, margin=margin)


class CosineEmbeddingLoss(_Compared):
    """Angles of pairs that are alike (1) or not (−1); see functional.cosine_embedding_loss."""

    function = staticmethod(F.cosine_embedding_loss)

    def __init__(
        self,
        margin: float = 0.0,
        size_average: Any = None,
        reduce: Any = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction, margin=margin)


class TripletMarginLoss(_Compared):
    """An anchor nearer to its like than to others; see functional.triplet_margin_loss."""

    function = staticmethod(F.triplet_margin_loss)

    def __init__(
        self,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        size_average: Any = None,
        reduce: Any = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction, margin=margin, p=p, eps=eps, swap=swap)


class KLDivLoss(_Compared):
    """Divergence from log-probabilities to a target; see functional.kl_div."""

    function = staticmethod(F.kl_div)

    def __init__(
        self,
        size_average: Any = None,
        reduce: Any = None,
        reduction: str = "mean",
        log_target: bool = False,
    ) -> None:
        super().__init__(size_average, reduce, reduction, log_target=log_target)


class BCELoss(_Compared):
    """Binary cross entropy of probabilities; see functional.binary_cross_entropy."""

    function = staticmethod(F.binary_cross_entropy)

    def __init__(
        self,
        weight: Any = None,
        size_average: Any = None,
        reduce: Any = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", _buffer(weight))
        self._options = ("weight",)


class BCEWithLogitsLoss(_Compared):
    """The same of logits; see functional.binary_cross_entropy_with_logits."""

    function = staticmethod(F.binary_cross_entropy_with_logits)

    def __init__(
        self,
        weight: Any = None,
        size_average: Any = None,
        reduce: Any = None,
        reduction: str = "mean",
        pos_weight: Any = None,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", _buffer(weight))
        self.register_buffer("pos_weight", _buffer(pos_weight))
        self._options = ("weight", "pos_weight")


def _buffer(value: Any) -> Tensor | None:
    return value if value is None or isinstance(value, Tensor) else Tensor(value)
