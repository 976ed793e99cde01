"""Sizes around those of the tiles and blocks of products, for a full check."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from ..spec import Sample

# Rows and columns of a tile, and the terms that packing transposes at once, for AVX-512, NEON, AVX2
# and the baseline (kernels/cpu/matmul.inc, matmul_words.h).
TILES = {
    "float32": ((14, 32, 16), (14, 8, 4), (6, 16, 8), (4, 8, 4)),
    "float64": ((14, 16, 8), (14, 4, 2), (6, 8, 4), (4, 4, 2)),
    "bfloat16": ((14, 32, 32), (12, 8, 8), (5, 16, 16), (4, 8, 8)),
    "int8": ((14, 32, 64), (12, 8, 16), (5, 16, 32), (4, 8, 16)),
}
# Terms of a block of the sum (csrc/matmul.cpp, matmul_words.h).
BLOCKS = {"bfloat16": 2048, "int8": 4096}  # else 1024


def edge_sizes(dtype: str) -> list[tuple[int, int, int]]:
    """M, K, N: all that are 0, 1, a tile's, one off it, or 3 tiles and 5, and columns around one
    vector, half a tile; few rows or columns and some panels around a block, and two blocks."""
    found: set[tuple[int, int, int]] = set()
    for tile in TILES.get(dtype, TILES["float32"]):
        rows, columns, terms = ((0, 1, t - 1, t, t + 1, 3 * t + 5) for t in tile)
        vector = tile[1] // 2
        found.update(product(rows, terms, (*columns, vector - 1, vector, vector + 1)))
    block = BLOCKS.get(dtype, 1024)
    found.update(product((1, 15), (block - 1, block, block + 1, 2 * block), (1, 33, 101)))
    return sorted(found)


def matmul_edges(dtype: str) -> Iterator[Sample]:
    """Products of these sizes."""
    for m, k, n in edge_sizes(dtype):
        yield Sample(f"edges {m}x{k}x{n}", ((m, k), (k, n)))
