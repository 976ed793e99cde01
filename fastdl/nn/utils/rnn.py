"""Batches of sequences of different lengths: padded, and packed without padding.

A packed batch holds the first step of all sequences, then the second of those that have one, and so
on: sorted by length, longest first, what a step works on is contiguous and nothing is computed for
padding. The recurrent layers take it as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ...core.errors import ArgumentError, DTypeError, ShapeError
from ...ops.shape import cat, setitem
from ...tensor import Tensor

__all__ = [
    "PackedSequence",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]


class PackedSequence(NamedTuple):
    """A packed batch (torch.nn.utils.rnn.PackedSequence).

    Attributes:
        data: [N, ...], the rows of all steps.
        batch_sizes: [T], how many rows each step has.
        sorted_indices: [B], where row b of a step was in the batch; None if the batch was sorted.
        unsorted_indices: [B], the inverse.
    """

    data: Any
    batch_sizes: Any
    sorted_indices: Any = None
    unsorted_indices: Any = None

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """The data moved or cast, as Tensor.to."""
        return self._replace(data=self.data.to(*args, **kwargs))


def _plain(a: Any) -> Any:
    return a._array if isinstance(a, Tensor) else a


def _lengths(op: str, lengths: Any) -> np.ndarray:
    found = np.asarray(_plain(lengths))
    if found.ndim != 1 or found.size == 0:
        raise ShapeError(f"{op}: lengths: got shape {found.shape}, want one for each sequence")
    if found.dtype.kind not in "iu":
        raise DTypeError(f"{op}: lengths: got dtype {found.dtype}, want integers")
    if found.min() < 1:
        raise ArgumentError(f"{op}: lengths: got {found.min()}, want at least 1")
    return found.astype(np.int64)


def _like(template: Any, a: np.ndarray | None) -> Any:
    """An index array as a Tensor, where the data is one."""
    return Tensor(a) if a is not None and isinstance(template, Tensor) else a


def _places(sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each packed row, its step and its place in the step."""
    step = np.repeat(np.arange(len(sizes)), sizes)
    return step, np.arange(len(step)) - np.repeat(np.cumsum(sizes) - sizes, sizes)


def _index(step: np.ndarray, sequence: np.ndarray, batch_first: bool) -> tuple[np.ndarray, ...]:
    return (sequence, step) if batch_first else (step, sequence)


def pack_padded_sequence(
    input: Any, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Packs input[T, B, ...] ([B, T, ...] with `batch_first`) of the given lengths.

    With `enforce_sorted` the lengths must not rise; without, the batch is sorted here and a
    recurrent layer's results come back in its order. As torch.nn.utils.rnn.pack_padded_sequence.
    Raises ArgumentError for lengths that rise, are not positive or exceed T, ShapeError for another
    number of them than B.
    """
    op = "pack_padded_sequence"
    found = _lengths(op, lengths)
    if getattr(input, "ndim", 0) < 2:
        raise ShapeError(f"{op}: input: want [T, B, ...], got {type(input).__name__}")
    batch, steps = input.shape[:2] if batch_first else input.shape[1::-1]
    if len(found) != batch:
        raise ShapeError(f"{op}: lengths: got {len(found)} of them, want {batch}")
    if found.max() > steps:
        raise ArgumentError(f"{op}: lengths: got {found.max()}, want at most {steps}")
    order = None
    if not enforce_sorted:
        order = np.argsort(-found, kind="stable")
        found = found[order]
    elif (found[1:] > found[:-1]).any():
        raise ArgumentError(
            f"{op}: lengths: got {found.tolist()}, want them falling, or enforce_sorted=False"
        )
    sizes = (found[None] > np.arange(found[0])[:, None]).sum(axis=1)
    step, place = _places(sizes)
    data = input[_index(step, place if order is None else order[place], batch_first)]
    back = None if order is None else np.argsort(order)
    return PackedSequence(data, *(_like(input, a) for a in (sizes, order, back)))


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Any, Any]:
    """Undoes `pack_padded_sequence`: (padded [T, B, ...], or [B, T, ...]; lengths [B]).

    `total_length` makes T that long. As torch.nn.utils.rnn.pad_packed_sequence. Raises
    ArgumentError for a total_length shorter than the longest sequence.
    """
    sizes, order = np.asarray(_plain(sequence.batch_sizes)), _plain(sequence.sorted_indices)
    steps = len(sizes) if total_length is None else total_length
    if steps < len(sizes):
        raise ArgumentError(
            f"pad_packed_sequence: total_length: got {total_length}, want at least {len(sizes)}"
        )
    step, place = _places(sizes)
    padded = _scattered(
        sequence.data, step, place if order is None else order[place], steps, int(sizes[0]),
        batch_first, padding_value,
    )  # fmt: skip
    lengths = (sizes[:, None] > np.arange(sizes[0])).sum(axis=0)
    if order is not None:
        lengths = lengths[_plain(sequence.unsorted_indices)]
    return padded, _like(sequence.data, lengths)


def _scattered(
    data: Any, step: np.ndarray, sequence: np.ndarray, steps: int, batch: int, batch_first: bool,
    padding_value: float,
) -> Any:  # fmt: skip
    lead = (batch, steps) if batch_first else (steps, batch)
    room = np.full((*lead, *data.shape[1:]), padding_value, data.dtype)
    return setitem(room, data, index=_index(step, sequence, batch_first))


def pad_sequence(
    sequences: Sequence[Any],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Any:
    """Sequences [L, ...] of any lengths as one [T, B, ...] (or [B, T, ...]), T the longest L.

    `padding_side` is 'right' or 'left'. As torch.nn.utils.rnn.pad_sequence. Raises ArgumentError
    for no sequences or another side.
    """
    if not sequences:
        raise ArgumentError("pad_sequence: sequences: got none, want at least one")
    if padding_side not in ("right", "left"):
        raise ArgumentError(
            f"pad_sequence: padding_side: got {padding_side!r}, want 'right' or 'left'"
        )
    lengths = np.array([len(s) for s in sequences], np.int64)
    sequence = np.repeat(np.arange(len(lengths)), lengths)
    step = np.arange(len(sequence)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    if padding_side == "left":
        step += np.repeat(lengths.max() - lengths, lengths)
    data = cat(*sequences, dim=0)
    return _scattered(
        data, step, sequence, int(lengths.max()), len(lengths), batch_first, padding_value
    )


def pack_sequence(sequences: Sequence[Any], enforce_sorted: bool = True) -> PackedSequence:
    """Packs sequences [L, ...] of any lengths; see `pack_padded_sequence`."""
    lengths = [len(s) for s in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpad_sequence(padded_sequences: Any, lengths: Any, batch_first: bool = False) -> list[Any]:
    """The sequences of a padded batch, each [L, ...], as torch.nn.utils.rnn.unpad_sequence."""
    found = _lengths("unpad_sequence", lengths)
    return [
        padded_sequences[b, :n] if batch_first else padded_sequences[:n, b]
        for b, n in enumerate(found.tolist())
    ]


def unpack_sequence(packed_sequences: PackedSequence) -> list[Any]:
    """The sequences of a packed batch, each [L, ...], in the batch's order."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
