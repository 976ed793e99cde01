"""What a full check asks beyond samples: sizes around tiles, `out` behind strides, rounded sums."""

import numpy as np
import pytest

from fastdl.check.arena import Arena
from fastdl.check.fills import integers
from fastdl.core.dtypes import as_dtype
from fastdl.ops.matmul_edges import TILES, edge_sizes
from fastdl.spec import OPS, Out


@pytest.mark.parametrize("dtype", TILES)
def test_edges_are_all_combinations_around_each_tile(dtype):
    found = set(edge_sizes(dtype))
    for rows, columns, terms in TILES[dtype]:
        for m in (0, 1, rows - 1, rows, rows + 1, 3 * rows + 5):
            for k in (0, 1, terms - 1, terms, terms + 1, 3 * terms + 5):
                for n in (0, 1, columns - 1, columns, columns + 1, 3 * columns + 5):
                    assert (m, k, n) in found


def test_bytes_are_asked_in_all_mixes_and_with_all_zero_points():
    asked = {
        (*(a.dtype for a in s.arrays[:2]), None if s.arrays[2] is None else len(s.arrays[2].shape))
        for s in OPS["matmul_integer"].edges("int8")
    }
    kinds = (None, 0, 1)
    assert asked == {(a, b, z) for a in ("int8", "uint8") for b in ("int8", "uint8") for z in kinds}


def test_between_the_elements_of_out_nothing_may_be_written():
    arena = Arena(1 << 20)
    out = Out((3, 4), np.dtype(np.float32))
    placed, there = arena.place_output(
        out, True, 0xFF, lambda a: np.empty((6, 8), a.dtype)[::2, ::2]
    )
    there[...] = 1
    assert arena.damage(["output y"]) == ""
    arena.bytes[placed.offset + 4] = 0
    assert arena.damage(["output y"]) == "wrote between the elements of output y"
    arena.close()


def test_sums_wider_than_the_array_have_to_be_rounded():
    rng, dtype, k = np.random.default_rng(0), as_dtype("bfloat16"), 31
    a = integers(k, sums="float32")(rng, (40, k), dtype).astype(np.float64)
    sums = a @ a.T
    assert np.abs(a).max() <= 256 < np.abs(sums).max() < 2**24
    assert (sums.astype(dtype) != sums).any()
    inside = integers(k)(rng, (40, k), dtype).astype(np.float64)
    assert np.abs(inside @ inside.T).max() <= 256
