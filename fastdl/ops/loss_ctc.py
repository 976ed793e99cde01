"""ctc_loss: the alignment-free loss of sequences, and its gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backends.reference import loss_ctc as reference
from ..core.dtypes import is_float
from ..core.errorbound import Bounded, bounded
from ..core.errors import ArgumentError, DTypeError, IndexRangeError, ShapeError
from ..core.shapes import as_bool, as_int
from ..spec import BadInput, Cost, Ints, Out, Plan, Sample, op
from .shape import promoted


def _checked(
    name: str, x: Any, targets: Any, input_lengths: Any, target_lengths: Any, blank: Any,
    reduction: Any, zero_infinity: Any,
) -> dict[str, Any]:  # fmt: skip
    if not is_float(x.dtype):
        raise DTypeError(f"{name}: x has dtype {x.dtype}, want a float")
    if x.ndim != 3:
        raise ShapeError(f"{name}: x has shape {x.shape}, want [T, N, C]")
    time, batch, classes = x.shape
    if targets.ndim != 2 or len(targets) != batch:
        raise ShapeError(f"{name}: targets has shape {targets.shape}, want [{batch}, S]")
    integers = {"targets": targets, "input_lengths": input_lengths}
    for key, a in {**integers, "target_lengths": target_lengths}.items():
        if a.dtype != np.int64:
            raise DTypeError(f"{name}: {key} has dtype {a.dtype}, want int64")
    for key, a, most in (
        ("input_lengths", input_lengths, time),
        ("target_lengths", target_lengths, targets.shape[1]),
    ):
        if a.shape != (batch,):
            raise ShapeError(f"{name}: {key} has shape {a.shape}, want ({batch},)")
        if a.size and not (a.min() >= 0 and a.max() <= most):
            raise ArgumentError(f"{name}: {key}: got a length outside 0 to {most}")
    blank = as_int(name, "blank", blank)
    if not 0 <= blank < classes:
        raise ArgumentError(f"{name}: blank: got {blank}, want 0 to {classes - 1}")
    counted = np.arange(targets.shape[1]) < target_lengths[:, None]
    wrong = targets[counted & ((targets < 0) | (targets >= classes))]
    if wrong.size:
        raise IndexRangeError(f"{name}: targets: got class {wrong[0]}, want 0 to {classes - 1}")
    if reduction not in ("mean", "sum", "none"):
        raise ArgumentError(f"{name}: reduction: got {reduction!r}, want 'mean', 'sum' or 'none'")
    return {
        "blank": blank,
        "reduction": reduction,
        "zero_infinity": as_bool(name, "zero_infinity", zero_infinity),
    }


def _shape(
    x: Any, targets: Any, input_lengths: Any, target_lengths: Any, blank: Any = 0,
    reduction: Any = "mean", zero_infinity: Any = False,
) -> Plan:  # fmt: skip
    arrays = x, targets, input_lengths, target_lengths
    options = _checked("ctc_loss", *arrays, blank, reduction, zero_infinity)
    return Plan((Out(x.shape[1:2] if reduction == "none" else (), x.dtype),), arrays, options)


def _backward_shape(
    g: Any, x: Any, targets: Any, input_lengths: Any, target_lengths: Any, blank: Any = 0,
    reduction: Any = "mean", zero_infinity: Any = False,
) -> Plan:  # fmt: skip
    name, arrays = "ctc_loss_backward", (x, targets, input_lengths, target_lengths)
    options = _checked(name, *arrays, blank, reduction, zero_infinity)
    wanted = x.shape[1:2] if reduction == "none" else ()
    if g.shape != wanted:
        raise ShapeError(f"{name}: g has shape {g.shape}, want {wanted}")
    return Plan((Out(x.shape, x.dtype),), (promoted(name, g, x.dtype), *arrays), options)


def _vjp(saved: Any, g: Any) -> tuple[Any, ...]:
    arrays = saved.x, saved.targets, saved.input_lengths, saved.target_lengths
    return ctc_loss_backward(g, *arrays, **saved.options), None, None, None


# --- the bound ---------------------------------------------------------------------------------

# m + log Σ e^(x_i − m) of up to three x_i, m the largest. Each x_i − m rounds by u·d_i, d_i its
# size; e^ is within 4 u of it; both weigh e^−d_i ≤ 1 in the sum, where Σ d e^−d < 2/e; two
# additions round. The sum lies in [1, 3], so its log is off by (2/e + 4 + 2) u, and its own 4 u log
# 3: below 12 u. Beside that, a log of a sum of exponentials moves by no more than the largest error
# in it.
LOG_SUM_ROUNDINGS = 12


def _largest(*errors: Any) -> Any:
    return np.max(errors, axis=0)


class _Recursion:
    """α or β beside a bound on their errors, row by row in time."""

    def __init__(self, x: Bounded):
        self.unit, self.tiny = x.unit, x.tiny

    def summed(self, value: Any, carried: Any) -> Any:
        """The error of a log Σ e^ of this value."""
        with np.errstate(invalid="ignore"):
            own = self.unit * (LOG_SUM_ROUNDINGS + np.abs(value)) + self.tiny
        return np.where(np.isfinite(value), carried + own, 0)

    def rounded(self, value: Any, carried: Any) -> Any:
        """The error of a sum of two numbers, of this value."""
        own = self.unit * np.abs(value) + self.tiny
        return np.where(np.isfinite(value), carried + own, 0)

    @staticmethod
    def _moved(errors: Any, by: int) -> Any:
        """As `reference.shifted`, with no error where nothing came from."""
        out = np.zeros_like(errors)
        if by > 0:
            out[by:] = errors[:-by]
        else:
            out[:by] = errors[-by:]
        return out

    def forward(self, rows: Any, labels: Any, alpha: Any) -> Any:
        errors = np.zeros_like(alpha)
        for t in range(1, len(alpha)):
            e = errors[t - 1]
            carried = _largest(e, self._moved(e, 1), self._moved(e, 2))
            sums = alpha[t] - rows[t, labels]
            errors[t] = self.rounded(alpha[t], self.summed(sums, carried))
        return errors

    def backward(self, rows: Any, labels: Any, beta: Any) -> Any:
        errors = np.zeros_like(beta)
        for t in range(len(beta) - 2, -1, -1):
            e = self.rounded(beta[t + 1] + rows[t + 1, labels], errors[t + 1])
            carried = _largest(e, self._moved(e, -1), self._moved(e, -2))
            errors[t] = self.summed(beta[t], carried)
        return errors


def _of_sequence(x: Bounded, n: int, targets: Any, time: int, length: int, blank: int) -> Any:
    """(labels, α, its errors, loss as a Bounded) of one sequence."""
    labels, skip = reference.paths(targets[n, :length], blank, x.value.dtype)
    rows, recursion = x.value[:time, n], _Recursion(x)
    if not time:
        alpha = np.zeros((0, len(labels)), x.value.dtype)
        return labels, skip, alpha, alpha, x.exactly(np.asarray(reference.loss_of(alpha)))
    alpha = reference.forward(rows, labels, skip)
    errors = recursion.forward(rows, labels, alpha)
    loss = np.asarray(reference.loss_of(alpha))
    error = recursion.summed(loss, errors[-1, -2:].max())
    return labels, skip, alpha, errors, x._make(loss, error)


def _value_bounded(
    x: Bounded, targets: Any, times: Any, lengths: Any, *, blank: int, reduction: str,
    zero_infinity: bool,
) -> Bounded:  # fmt: skip
    losses = [
        _of_sequence(x, n, targets, times[n], lengths[n], blank)[-1] for n in range(len(times))
    ]
    value = np.array([y.value for y in losses], x.value.dtype)
    error = np.array([y.error for y in losses], x.value.dtype)
    y = x._make(value, error)
    if zero_infinity:
        y = y.where(value != np.inf)
    if reduction == "none":
        return y
    if reduction == "sum":
        return y.sum()
    return (y / y.exactly(np.maximum(lengths, 1).astype(value.dtype))).sum() / len(times)


def _gradient_bounded(
    g: Bounded, x: Bounded, targets: Any, times: Any, lengths: Any, *, blank: int, reduction: str,
    zero_infinity: bool,
) -> Bounded:  # fmt: skip
    error = np.zeros_like(x.value)
    for n, (time, length) in enumerate(zip(times, lengths, strict=True)):
        labels, skip, alpha, errors, loss = _of_sequence(x, n, targets, time, length, blank)
        if not time or loss.value == np.inf:
            continue
        rows = x.value[:time, n]
        beta = reference.backward(rows, labels, skip)
        a = x._make(alpha, errors)
        b = x._make(beta, _Recursion(x).backward(rows, labels, beta))
        posterior = (a + b + loss).exp()
        scale = g
        if reduction == "none":
            scale = x._make(g.value[n], g.error[n])
        elif reduction == "mean":
            scale = g / len(times) / max(int(length), 1)
        for k in np.unique(labels):
            places = x._make(posterior.value[:, labels == k], posterior.error[:, labels == k])
            error[:time, n, k] = (places.sum(1, depth=places.value.shape[1]) * scale).error
    return x._make(x.value * 0, error)


# --- the specs ---------------------------------------------------------------------------------

_CASES: tuple[tuple[str, tuple[int, int, int], tuple[list[int], list[int]], int, Any], ...] = (
    # [T, N, C], lengths of inputs and of targets, S, options
    ("two", (7, 2, 5), ([7, 5], [3, 1]), 3, {}),
    ("one step", (1, 2, 3), ([1, 1], [1, 0]), 1, {"reduction": "none"}),
    ("empty targets", (4, 2, 3), ([4, 2], [0, 0]), 2, {"reduction": "sum"}),
    ("no target places", (4, 1, 3), ([4], [0]), 0, {}),
    ("no time", (3, 2, 4), ([0, 0], [0, 2]), 2, {"reduction": "none"}),
    ("no time, zero", (3, 2, 4), ([0, 0], [0, 2]), 2, {"zero_infinity": True}),
    ("too short", (4, 2, 5), ([2, 4], [4, 2]), 4, {"reduction": "sum"}),
    ("too short, zero", (4, 2, 5), ([2, 4], [4, 2]), 4, {"zero_infinity": True}),
    ("repeats", (9, 1, 2), ([9], [4]), 4, {"blank": 1, "reduction": "none"}),
    ("two registers", (20, 3, 7), ([20, 19, 18], [12, 9, 8]), 12, {"blank": 3}),
    ("no batch", (4, 0, 3), ([], []), 2, {"reduction": "sum"}),
)
_BENCH_CASES = (("speech", (150, 16, 29), 30), ("characters", (50, 16, 80), 10))


def _samples(backward: bool) -> tuple[Sample, ...]:
    def sample(
        name: str, shape: tuple[int, ...], times: Any, lengths: Any, most: int, options: Any,
        **more: Any,
    ) -> Sample:  # fmt: skip
        targets = Ints((shape[1], most), 0, shape[2])
        if name == "repeats":  # of one label, between which there must be blanks
            targets = Ints((shape[1], most), 0, 1)
        arrays = shape, targets, np.array(times, np.int64), np.array(lengths, np.int64)
        none = options.get("reduction") == "none"
        upstream = (shape[1:2] if none else (),) if backward else ()
        return Sample(name, (*upstream, *arrays), options, **more)

    return (
        *(
            sample(name, shape, *lengths, most, o)
            for name, shape, lengths, most, o in _CASES
            if name != "too short" or backward  # the gradient of a loss of ∞ is NaN
        ),
        *(
            sample(name, shape, [shape[0]] * shape[1], [most] * shape[1], most, {}, bench=True)
            for name, shape, most in _BENCH_CASES
        ),
    )


def _bad_inputs(*upstream: Any) -> tuple[BadInput, ...]:
    x = np.zeros((4, 2, 3), np.float32)
    targets, times, lengths = np.ones((2, 2), np.int64), np.array([4, 3]), np.array([2, 1])

    def bad(name: str, error: type[Exception], position: int, value: Any, **options: Any) -> Any:
        arrays = [x, targets, times, lengths]
        arrays[position] = value
        return BadInput(name, lambda: ((*upstream, *arrays), options), error)

    return (
        bad("2-D x", ShapeError, 0, x[0]),
        bad("int x", DTypeError, 0, x.astype(int)),
        bad("object", DTypeError, 0, x.astype(object)),
        bad("targets of others", ShapeError, 1, targets[:1]),
        bad("float targets", DTypeError, 1, targets.astype(float)),
        bad("class too high", IndexRangeError, 1, targets + 2),
        bad("negative class", IndexRangeError, 1, targets - 2),
        bad("input too long", ArgumentError, 2, times + 1),
        bad("negative length", ArgumentError, 2, times - 9),
        bad("lengths of others", ShapeError, 2, times[:1]),
        bad("target too long", ArgumentError, 3, lengths + 1),
        bad("float lengths", DTypeError, 3, lengths.astype(float)),
        bad("not an array", DTypeError, 3, [2, 1]),
        bad("blank too high", ArgumentError, 0, x, blank=3),
        bad("blank 0.0", DTypeError, 0, x, blank=0.0),
        bad("reduction", ArgumentError, 0, x, reduction="avg"),
        bad("zero_infinity", DTypeError, 0, x, zero_infinity=1),
    )


def _cost(x: Any, targets: Any, times: Any, lengths: Any, **_: Any) -> Cost:
    places = 2 * float(targets.shape[1]) + 1
    return Cost(8 * x.shape[0] * x.shape[1] * places, x.nbytes)


_ARGUMENTS = (
    "x[T,N,C], targets[N,S], input_lengths[N], target_lengths[N]; blank, reduction, zero_infinity"
)

ctc_loss = op(
    name="ctc_loss",
    family="loss",
    signature=f"{_ARGUMENTS} -> y",
    shape=_shape,
    reference=reference.ctc_loss,
    vjp=_vjp,
    saves=("x", "targets", "input_lengths", "target_lengths"),
    cost=_cost,
    terms=lambda x, *_, **__: max(x.shape[1], 1),
    bound=bounded(_value_bounded),
    samples=_samples(backward=False),
    bad_inputs=_bad_inputs(),
)

ctc_loss_backward = op(
    name="ctc_loss_backward",
    family="loss",
    signature=f"g, {_ARGUMENTS} -> dx[T,N,C]",
    shape=_backward_shape,
    reference=reference.ctc_loss_backward,
    cost=lambda g, *arrays, **_: Cost(3 * _cost(*arrays).flops, 2 * arrays[0].nbytes),
    bound=bounded(_gradient_bounded),
    samples=_samples(backward=True),
    bad_inputs=(
        *_bad_inputs(np.zeros((), np.float32)),
        BadInput(
            "g",
            lambda: (
                (
                    np.zeros(2, np.float32),
                    np.zeros((1, 1, 2), np.float32),
                    np.zeros((1, 0), int),
                    np.ones(1, int),
                    np.zeros(1, int),
                ),
                {},
            ),
            ShapeError,
        ),
    ),
)
