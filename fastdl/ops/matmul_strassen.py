"""Strassen's product, matmul's `algorithm="strassen"`: its error bound, and what it is tried on."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.errors import ArgumentError
from ..spec import SUMS, BadInput, Judged, Sample, accumulated, gamma

_ROUNDINGS = 8


def strassen(case: Judged) -> tuple[Any, ...]:
    """One level of Strassen's algorithm in Winograd's form (csrc/matmul_strassen.cpp).

    With the quarters A11 ... B22 of the matrices and |.| element by element,

        |error of C11| <= γ_D · (|A11||B11| + |A12||B21|)
        |error of C12| <= γ_D · (P1 + P6 + P5 + (|A11| + |A12| + |A21| + |A22|)|B22|)
        |error of C21| <= γ_D · (P1 + P6 + P7 + |A22|(|B11| + |B12| + |B21| + |B22|))
        |error of C22| <= γ_D · (P1 + P6 + P7 + P5)

    where P1 = |A11||B11|, P5 = (|A21| + |A22|)(|B11| + |B12|), P7 = (|A11| + |A21|)(|B12| + |B22|)
    and P6 = (|A11| + |A21| + |A22|)(|B11| + |B12| + |B22|): each is what a product of sums of
    quarters would be if nothing cancelled. Higham, ASNA, section 23.2.2, bounds norms by the same
    steps; this keeps elements apart as far as the algorithm does.

    D = d + 8. Nothing is rounded more often than S2 T2: in S2 twice, in T2 twice, in a sum of K/2
    terms, twice on the way to C12 or C21, once for each block of the terms that is then added to
    those, and once for an odd last term. With d the depth declared for sums of K terms, a sum of
    K/2 terms and the number of its blocks (of 1024) are at most d + 1.

    An odd last row, column or term is added plainly, and so is all of a product of matrices with a
    NaN or an infinity.
    """
    (plain,) = accumulated(case)
    a, b = (np.abs(x) for x in case.arrays)
    a, b = a if a.ndim > 1 else a[None], b if b.ndim > 1 else b[:, None]
    (m, k), n = (size // 2 for size in a.shape[-2:]), b.shape[-1] // 2
    if min(m, k, n) == 0:
        return (plain,)
    finite = [np.isfinite(x).all((-2, -1), keepdims=True) for x in (a, b)]
    a, b = (np.where(of, x, 0) for of, x in zip(finite, (a, b), strict=True))
    a11, a12, a21, a22 = _quarters(a, m, k)
    b11, b12, b21, b22 = _quarters(b, k, n)
    p1, p5 = a11 @ b11, (a21 + a22) @ (b11 + b12)
    p7 = (a11 + a21) @ (b12 + b22)
    u = p1 + (a11 + a21 + a22) @ (b11 + b12 + b22)
    magnitude = a @ b  # of the odd last row and column
    magnitude[..., :m, n : 2 * n] = u + p5 + (a11 + a12 + a21 + a22) @ b22
    magnitude[..., m : 2 * m, :n] = u + p7 + a22 @ (b11 + b12 + b21 + b22)
    magnitude[..., m : 2 * m, n : 2 * n] = u + p5 + p7
    if a.shape[-1] % 2:
        last = a[..., : 2 * m, -1:] * b[..., -1:, : 2 * n]
        last[..., :m, :n] = 0  # is in a @ b
        magnitude[..., : 2 * m, : 2 * n] += last
    # Underflow: C12 is made of four products of K/2 terms.
    absolute = (2 * case.terms + 1) * case.tiny
    bound = gamma(case.depth + _ROUNDINGS, case.unit) * magnitude + absolute
    return (np.where(finite[0] & finite[1], bound, plain),)


def _quarters(x: np.ndarray, rows: int, columns: int) -> tuple[np.ndarray, ...]:
    top, bottom = x[..., :rows, :], x[..., rows : 2 * rows, :]
    left, right = slice(columns), slice(columns, 2 * columns)
    return top[..., left], top[..., right], bottom[..., left], bottom[..., right]


# In units of the largest product, a sum of K terms is K, P1 is K/2 and the partial sums of C12, C21
# and C22 come to 9K at most: P1 K/2, P6 9K/2, P5 and P7 2K, the last product 2K.
SUMS[strassen] = 9

SAMPLES = tuple(
    Sample(f"strassen {m}x{k}x{n}", ((m, k), (k, n)), {"algorithm": "strassen"})
    for m, k, n in [
        (2, 2, 2), (3, 3, 3), (1, 5, 4), (5, 1, 4), (4, 5, 1), (0, 4, 4), (4, 0, 4), (8, 32, 8),
        (33, 17, 70), (70, 90, 66), (19, 1100, 23),
        (3, 9, 5), (5, 3, 9),  # quarters of a single row
    ]
) + tuple(
    Sample(f"strassen {name}", arrays, {"algorithm": "strassen"})
    for name, arrays in {
        "batch": ((3, 6, 5), (3, 5, 9)),
        "batch times one": ((3, 6, 5), (5, 9)),
        "vector-matrix": ((6,), (6, 4)),
        "matrix-vector": ((6, 4), (4,)),
        "dot": ((7,), (7,)),
    }.items()
)  # fmt: skip


def _pair() -> tuple[np.ndarray, np.ndarray]:
    return np.zeros((2, 2), np.float32), np.zeros((2, 2), np.float32)


BAD_INPUTS = (
    BadInput("algorithm", lambda: (_pair(), {"algorithm": "winograd"}), ArgumentError),
    BadInput(
        "strassen, rows alike",
        lambda: (_pair(), {"algorithm": "strassen", "invariant": "batch"}),
        ArgumentError,
    ),
)
