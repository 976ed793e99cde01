"""Sizes around those of the register tiles of products, for a full check."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from ..spec import Sample

# Rows and columns of a tile, and the terms that packing transposes at once (kernels/cpu/matmul.inc,
# for AVX-512, AVX2 and the baseline): of float32, of float64.
TILES = ((14, 32, 16), (6, 16, 8), (4, 8, 4), (14, 16, 8), (6, 8, 4), (4, 4, 2))


def matmul_edges() -> Iterator[Sample]:
    """All products whose sizes are 0, 1, a tile's, one off it, or 3 tiles and 5."""
    found = {}
    for tile in TILES:
        for m, n, k in itertools.product(*((0, 1, t - 1, t, t + 1, 3 * t + 5) for t in tile)):
            found[m, n, k] = Sample(f"edges {m}x{k}x{n}", ((m, k), (k, n)))
    yield from found.values()
