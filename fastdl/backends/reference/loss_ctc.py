"""CTC: −log of the summed probability of all alignments of a target with a sequence, in log space.

An alignment is a path through l = (blank, y_1, blank, ..., y_S, blank) that begins in its first two
places, ends in its last two, and from place s goes to s, s + 1, or s + 2 if l_s+2 ≠ l_s, l_s+2 no
blank (Graves et al., Connectionist temporal classification, 2006):

α_t(s) = x_t(l_s) + log Σ e^α_t−1 over the places that lead to s      loss = −log Σ e^α_T
β_t(s) = log Σ e^(β_t+1 + x_t+1) over the places that s leads to      β_T(s) = 0 for the last two
dx_t(k) = −g Σ_{s: l_s = k} e^(α_t(s) + β_t(s) + loss)
"""

from __future__ import annotations

from typing import Any

import numpy as np


def paths(target: np.ndarray, blank: int, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
    """The places l, and for each 0 if it is reached from two places before, else −∞."""
    labels = np.full(2 * len(target) + 1, blank)
    labels[1::2] = target
    skip = np.full(len(labels), -np.inf, dtype)
    skip[2:][labels[2:] != labels[:-2]] = 0
    return labels, skip


def log_sum_exp(*terms: Any) -> Any:
    """Log of a sum of exponentials, −∞ of nothing."""
    most = np.max(terms, axis=0)
    most = np.where(most == -np.inf, np.zeros_like(most), most)
    with np.errstate(all="ignore"):
        return most + np.log(sum(np.exp(t - most) for t in terms))


def shifted(row: np.ndarray, by: int) -> np.ndarray:
    """The row moved by some places, −∞ where nothing came from."""
    out = np.full_like(row, -np.inf)
    if by > 0:
        out[by:] = row[:-by]
    else:
        out[:by] = row[-by:]
    return out


def forward(x: np.ndarray, labels: np.ndarray, skip: np.ndarray) -> np.ndarray:
    """α[T, places] of x[T, C]."""
    alpha = np.full((len(x), len(labels)), -np.inf, x.dtype)
    alpha[0, :2] = x[0, labels[:2]]
    for t in range(1, len(x)):
        before = alpha[t - 1]
        sums = log_sum_exp(before, shifted(before, 1), shifted(before, 2) + skip)
        alpha[t] = sums + x[t, labels]
    return alpha


def backward(x: np.ndarray, labels: np.ndarray, skip: np.ndarray) -> np.ndarray:
    """β[T, places]."""
    beta = np.full((len(x), len(labels)), -np.inf, x.dtype)
    beta[-1, -2:] = 0
    for t in range(len(x) - 2, -1, -1):
        after = beta[t + 1] + x[t + 1, labels]
        beta[t] = log_sum_exp(after, shifted(after, -1), shifted(after + skip, -2))
    return beta


def loss_of(alpha: np.ndarray) -> Any:
    """−log Σ e^α over the last two places at the end; of no time at all, 0 for an empty target."""
    if not len(alpha):
        return alpha.dtype.type(0 if alpha.shape[1] == 1 else np.inf)
    return -log_sum_exp(*alpha[-1, -2:])


def ctc_loss(
    x: Any, targets: Any, input_lengths: Any, target_lengths: Any, *,
    blank: int, reduction: str, zero_infinity: bool,
) -> Any:  # fmt: skip
    """The loss of each sequence of x[T, N, C]; their sum; or the mean of loss / target length."""
    losses = np.zeros(x.shape[1], x.dtype)
    for n in range(x.shape[1]):
        labels, skip = paths(targets[n, : target_lengths[n]], blank, x.dtype)
        rows = x[: input_lengths[n], n]
        losses[n] = loss_of(forward(rows, labels, skip) if len(rows) else np.zeros(
            (0, len(labels)), x.dtype))  # fmt: skip
    if zero_infinity:
        losses = np.where(losses == np.inf, np.zeros_like(losses), losses)
    if reduction == "none":
        return losses
    if reduction == "sum":
        return np.sum(losses)
    each = losses / np.maximum(target_lengths, 1).astype(x.dtype)
    return np.sum(each) / x.dtype.type(x.shape[1])


def ctc_loss_backward(
    g: Any, x: Any, targets: Any, input_lengths: Any, target_lengths: Any, *,
    blank: int, reduction: str, zero_infinity: bool,
) -> Any:  # fmt: skip
    """dx; 0 after a sequence's end. A loss of ∞ has NaN, or 0 with zero_infinity."""
    dx = np.zeros_like(x)
    for n in range(x.shape[1]):
        rows = x[: input_lengths[n], n]
        if not len(rows):
            continue
        labels, skip = paths(targets[n, : target_lengths[n]], blank, x.dtype)
        alpha, beta = forward(rows, labels, skip), backward(rows, labels, skip)
        loss = loss_of(alpha)
        if loss == np.inf:
            dx[: len(rows), n] = 0 if zero_infinity else np.nan
            continue
        scale = g[n] if reduction == "none" else g
        if reduction == "mean":
            scale = scale / x.dtype.type(x.shape[1]) / x.dtype.type(max(target_lengths[n], 1))
        with np.errstate(all="ignore"):
            posterior = np.exp(alpha + beta + loss)
        for s, label in enumerate(labels):
            dx[: len(rows), n, label] -= posterior[:, s]
        dx[: len(rows), n] *= scale
    return dx
